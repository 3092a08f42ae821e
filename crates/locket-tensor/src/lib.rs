//! Element types down to one bit, shapes and tensors.
//!
//! A [`Tensor`] is immutable, dense and row-major, and cheap to clone: clones share one storage. Element data
//! starts 64-byte aligned, so that a typed view never copies. Elements narrower than a byte are packed least
//! significant bit first across byte borders, as Core ML's weight files have them ([`packed`]).
//!
//! [`TensorRef`] and [`TensorMut`] are the borrowed views that operators read and write.
//!
//! What is absent on purpose: strides, arithmetic, broadcasting. Those belong to operators.

mod dtype;
pub mod mmap;
pub mod packed;
mod storage;
mod tensor;
mod view;

pub use dtype::DType;
pub use storage::{AlignedBytes, Storage};
pub use tensor::{Element, Shape, Tensor, TensorError, element_count};
pub use view::{TensorMut, TensorRef};
