//! Types of values, and constants.

use std::fmt;

use locket_tensor::{DType, Shape, Tensor};

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// A dense tensor.
    Tensor {
        /// Element type.
        dtype: DType,
        /// Dimensions, outermost first.
        shape: Shape,
    },
    /// A text constant, such as a padding mode.
    Text,
    /// Nothing is known: the result of a foreign operation.
    Unknown,
}

impl Type {
    /// A tensor type.
    pub fn tensor(dtype: DType, shape: &[usize]) -> Self {
        Self::Tensor {
            dtype,
            shape: shape.into(),
        }
    }

    /// The element type of a tensor.
    pub fn dtype(&self) -> Option<DType> {
        match self {
            Self::Tensor { dtype, .. } => Some(*dtype),
            Self::Text | Self::Unknown => None,
        }
    }

    /// The dimensions of a tensor.
    pub fn shape(&self) -> Option<&[usize]> {
        match self {
            Self::Tensor { shape, .. } => Some(shape),
            Self::Text | Self::Unknown => None,
        }
    }

    /// Elements of a tensor; 0 where there is none.
    pub fn elems(&self) -> usize {
        self.shape().map_or(0, |shape| shape.iter().product())
    }

    /// Bytes of a tensor's elements, packed; 0 where there is none.
    pub fn bytes(&self) -> usize {
        self.dtype()
            .and_then(|dtype| dtype.packed_bytes(self.elems()))
            .unwrap_or(0)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor { dtype, shape } => {
                let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
                write!(f, "{dtype}[{}]", dims.join(", "))
            }
            Self::Text => f.write_str("string"),
            Self::Unknown => f.write_str("?"),
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A tensor.
    Tensor(Tensor),
    /// Text.
    Text(String),
}

impl Literal {
    /// The type of the constant.
    pub fn ty(&self) -> Type {
        match self {
            Self::Tensor(tensor) => Type::tensor(tensor.dtype(), tensor.shape()),
            Self::Text(_) => Type::Text,
        }
    }

    /// The tensor, if it is one.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Tensor(tensor) => Some(tensor),
            Self::Text(_) => None,
        }
    }
}

impl From<Tensor> for Literal {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Tensor(Tensor::bool_scalar(value))
    }
}

impl From<i32> for Literal {
    fn from(value: i32) -> Self {
        Self::Tensor(Tensor::scalar(value))
    }
}

impl From<f32> for Literal {
    fn from(value: f32) -> Self {
        Self::Tensor(Tensor::scalar(value))
    }
}

impl From<&[i32]> for Literal {
    fn from(values: &[i32]) -> Self {
        Self::Tensor(Tensor::vector(values))
    }
}

impl<const N: usize> From<[i32; N]> for Literal {
    fn from(values: [i32; N]) -> Self {
        Self::Tensor(Tensor::vector(&values))
    }
}
