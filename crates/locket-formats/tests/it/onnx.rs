//! The ONNX reader on real models, on ONNX's operator tests, and on broken bytes.

mod models;
mod node_tests;
