//! Integration tests of the readers and writers.

mod coreml;
mod hostile;
mod interpreter;
mod kit;
#[path = "../../src/mutation.rs"]
mod mutation;
mod onnx;
mod parity;
mod tflite;
