//! Integration tests of the readers and writers.

mod coreml;
mod kit;
mod onnx;
mod tflite;
