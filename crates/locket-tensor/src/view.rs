//! Borrowed tensors.

use bytemuck::Pod;

use crate::{DType, Element, Tensor};

/// A tensor that is only read: type, shape, and the bytes of its elements.
#[derive(Clone, Copy, Debug)]
pub struct TensorRef<'a> {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: &'a [usize],
    /// Elements, row-major, packed.
    pub bytes: &'a [u8],
}

impl<'a> TensorRef<'a> {
    /// The elements.
    ///
    /// # Panics
    ///
    /// If `T` is not the element type, or the bytes are not aligned for it.
    pub fn as_slice<T: Element>(&self) -> &'a [T] {
        assert_eq!(T::DTYPE, self.dtype, "typed view of a tensor of another type");
        bytemuck::cast_slice(self.bytes)
    }

    /// How many elements there are.
    pub fn elems(&self) -> usize {
        self.shape.iter().product()
    }

    /// Copies the view into a tensor of its own.
    pub fn to_tensor(&self) -> Tensor {
        Tensor::from_bytes(self.dtype, self.shape, self.bytes).expect("a view has the bytes its shape needs")
    }
}

/// A tensor that is written: type, shape, and the bytes of its elements.
#[derive(Debug)]
pub struct TensorMut<'a> {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: &'a [usize],
    /// Elements, row-major, packed.
    pub bytes: &'a mut [u8],
}

impl TensorMut<'_> {
    /// The elements, to write.
    ///
    /// # Panics
    ///
    /// If `T` is not the element type, or the bytes are not aligned for it.
    pub fn as_mut_slice<T: Element + Pod>(&mut self) -> &mut [T] {
        assert_eq!(T::DTYPE, self.dtype, "typed view of a tensor of another type");
        bytemuck::cast_slice_mut(self.bytes)
    }

    /// How many elements there are.
    pub fn elems(&self) -> usize {
        self.shape.iter().product()
    }
}
