//! Kernels against plain loops, on every instruction set of the machine.

mod common;
mod conv;
mod depthwise;
mod elementwise;
mod matmul;
mod pool;
mod properties;
mod quantize;
mod rows;
mod weights;
mod winograd;
