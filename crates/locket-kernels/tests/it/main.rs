//! Kernels against plain loops, on every instruction set of the machine.

mod bf16;
mod common;
mod conv;
mod depthwise;
mod elementwise;
mod matmul;
mod matrix;
mod pool;
mod properties;
mod quantize;
mod rows;
mod weights;
mod winograd;
