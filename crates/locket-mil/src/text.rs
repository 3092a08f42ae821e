//! The text form of a program: what tests are written in and `--dump` prints.
//!
//! ```text
//! func main opset ios16 (%x: fp32[1, 2]) -> (y: %y) {
//!   %w: fp32[2, 2] = [1.0, 0.0, 0.0, 1.0]
//!   %h: fp32[1, 2] = linear(x=%x, weight=%w) "dense"
//!   %y: fp32[1, 2] = relu(x=%h)
//! }
//! ```
//!
//! Constants stand where they are first used. Text and small rank-0 and rank-1 constants of `int32`, `fp32` and
//! `bool` are written in place (`axis=1`, `pad=[0, 0]`, `epsilon=1e-5`, `keep_dims=true`, `pad_type="same"`), so
//! that names of such constants are not kept; all else survives a round trip. A constant's data may also be given
//! as `fill(0.5)` or `ramp(0.0, 0.25)`, the latter repeating after 16 steps so that values stay small.
//!
//! [`print_apart`] and [`parse_apart`] keep the data of constants elsewhere, under a number: `%w: fp32[2, 2] = <7>`.

mod parse;
mod print;

pub use parse::{ParseError, parse, parse_apart};
pub use print::{print, print_apart};
