//! Integration tests of the readers and writers.

mod coreml;
mod interpreter;
mod kit;
mod onnx;
mod tflite;
