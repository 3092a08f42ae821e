//! Functions of each element, of one or two float tensors or two quantised ones.

mod binary;
pub(crate) mod math;
mod quantized;
mod unary;

pub use binary::{BinaryF32, binary_f32};
pub use quantized::{AddU8, MulU8, add_u8, mul_u8};
pub use unary::{UnaryF32, unary_f32, unary_f32_in_place};
