//! Arithmetic on constants while reading.
//!
//! Exporters compute shapes with ordinary operators (`Shape`, `Gather`, `Concat`, ...). Once the batch is bound those
//! have constant operands, and are computed here in the file's own types, so that a 64-bit sentinel stays what it is.
//! Work is bounded twice: one result may not be larger than [`MAX_RESULT_ELEMS`] (or than its operands), and one
//! model may not have more than [`BUDGET_ELEMS`] elements folded. What is over a bound is lowered like any node.

use locket_tensor::{DType, Tensor};

use super::node::Node;
use crate::import::views::floats;
use crate::import::{Refusal, shapes};

/// Largest result that is computed while reading, unless the operands are larger.
pub(super) const MAX_RESULT_ELEMS: usize = 1 << 16;
/// Largest sum of elements that are read and written while folding one model.
pub(super) const BUDGET_ELEMS: usize = 1 << 26;

/// A node whose operands are all constant.
pub(super) struct Folding<'a> {
    /// The node.
    pub(super) node: &'a Node<'a>,
    /// The operands by position.
    pub(super) inputs: Vec<Option<&'a Tensor>>,
    /// How many elements the results may have together.
    pub(super) max_elems: usize,
}

/// Computes the results, or `None` to have the node lowered instead.
pub(super) type Fold = fn(&Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal>;

impl<'a> Folding<'a> {
    /// Operand `index`, which must be there.
    pub(super) fn input(&self, index: usize) -> Result<&'a Tensor, Refusal> {
        self.optional(index)
            .ok_or_else(|| self.node.broken(format!("an input {index}"), "none"))
    }

    /// Operand `index`, if it is there.
    pub(super) fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).copied().flatten()
    }

    /// True if a result of `shape` is within the bound.
    pub(super) fn allows(&self, shape: &[usize]) -> bool {
        shapes::product(shape).is_some_and(|elems| elems <= self.max_elems)
    }
}

/// Elements of a constant, in the widest type of their kind that is computed with here.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    /// Integers and truth values.
    Ints(Vec<i64>),
    /// Floating-point numbers.
    Floats(Vec<f32>),
}

/// The elements of `tensor`, `None` for a type that is not computed with.
pub(super) fn numbers(tensor: &Tensor) -> Option<Numbers> {
    if tensor.dtype().is_float() {
        tensor.to_f32().map(Numbers::Floats)
    } else {
        tensor.to_i64().map(Numbers::Ints)
    }
}

/// A tensor of integers; `None` if one does not fit the type.
pub(super) fn from_ints(dtype: DType, shape: &[usize], values: &[i64]) -> Option<Tensor> {
    fn cast<T: locket_tensor::Element + TryFrom<i64>>(shape: &[usize], values: &[i64]) -> Option<Tensor> {
        let cast: Option<Vec<T>> = values.iter().map(|&value| T::try_from(value).ok()).collect();
        Tensor::from_slice(shape, &cast?).ok()
    }
    match dtype {
        DType::Bool => {
            let bytes: Vec<u8> = values.iter().map(|&value| u8::from(value != 0)).collect();
            Tensor::from_bytes(dtype, shape, &bytes).ok()
        }
        DType::Int8 => cast::<i8>(shape, values),
        DType::Int16 => cast::<i16>(shape, values),
        DType::Int32 => cast::<i32>(shape, values),
        DType::Int64 => cast::<i64>(shape, values),
        DType::UInt8 => cast::<u8>(shape, values),
        DType::UInt16 => cast::<u16>(shape, values),
        DType::UInt32 => cast::<u32>(shape, values),
        DType::UInt64 => cast::<u64>(shape, values),
        _ => None,
    }
}

/// A tensor of numbers of the kind of `dtype`; `None` if the kinds differ.
pub(super) fn from_numbers(dtype: DType, shape: &[usize], values: &Numbers) -> Option<Tensor> {
    match values {
        Numbers::Ints(values) => from_ints(dtype, shape, values),
        Numbers::Floats(values) => floats(dtype, shape, values),
    }
}
