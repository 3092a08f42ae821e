//! ONNX reader: protobuf to a MIL program.
