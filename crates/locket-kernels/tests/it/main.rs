//! Kernels against plain loops, on every instruction set of the machine.

mod common;
mod conv;
mod depthwise;
