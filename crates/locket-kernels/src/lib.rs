//! Compute kernels: slices in, slices out. Owns no thread, knows no graph, allocates nothing once constructed.
//!
//! Tensors are channels-last: `[N, H, W, C]`, and a "pixel" is the run of channels at one `(n, h, w)`. Convolution is an implicit
//! matrix product over pixels ([`ConvF32`], [`ConvU8`]); a fully connected layer is the case with one tap. Integer
//! activations are always u8 with a zero point, integer weights i8, symmetric, with one scale per output channel.
//!
//! Every function takes an [`Isa`]. Integer kernels give the same bits on each; float kernels agree within
//! the bounds that their docs state. Wrong lengths are errors of the caller and panic, as documented at each function.

mod aligned;
mod conv;
mod depthwise;
mod elementwise;
mod geometry;
mod isa;
mod lookup;
mod matmul;
mod matmul_u8;
mod parts;
mod peak;
mod pool;
mod quantize;
mod rows;
mod simd;
mod transpose;
mod weights;
mod winograd;

pub use conv::{Activation, ConvBf16, ConvF32, ConvU8, Output, Residual};
pub use depthwise::{DepthwiseF32, DepthwiseU8};
pub use elementwise::{
    AddU8, BinaryF32, MulU8, UnaryF32, add_u8, binary_f32, mul_u8, unary_f32, unary_f32_in_place,
};
pub use geometry::{ConvGeometry, PoolGeometry};
pub use isa::Isa;
pub use lookup::{lookup_u8, lookup_u8_in_place};
pub use matmul::{MatmulF32, dot_f32};
pub use matmul_u8::MatmulU8;
pub use parts::{Keep, Parts, PartsError, TakeParts};
pub use peak::{peak_f32, peak_u8, read_bytes};
pub use pool::{MeanU8, avg_f32, avg_u8, global_mean_f32, global_mean_u8, max_f32, max_u8};
pub use quantize::{
    dequantize_i8, dequantize_u8, f16_to_f32, f32_to_f16, quantize_i8, quantize_u8, requantize_u8,
};
pub use rows::{layer_norm_f32, log_softmax_f32, softmax_f32};
pub use transpose::{MAX_COPY_RANK, copy_strided, transpose};
pub use weights::{Blocks, WeightsF32};
pub use winograd::WinogradF32;
