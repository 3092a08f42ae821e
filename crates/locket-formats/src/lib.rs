//! Readers and writers: Core ML, ONNX, TFLite.
