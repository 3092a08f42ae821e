//! What the `constexpr_*` operators share.

use locket_mil::Type;
use locket_tensor::{DType, Shape, TensorMut, TensorRef, element_count};

use super::{
    checks,
    index::{position, strides},
    numbers::{floats32, put_floats},
};
use crate::{Node, OpError};

/// Types of indices into a palette.
pub(crate) const PALETTE_INDICES: &[DType] = &[
    DType::UInt1,
    DType::UInt2,
    DType::UInt3,
    DType::UInt4,
    DType::UInt6,
    DType::UInt8,
];
/// Types of palette entries.
pub(crate) const PALETTE_ENTRIES: &[DType] = &[DType::Int8, DType::UInt8, DType::Float16, DType::Float32];
/// Types that are quantised to, or scaled again, block by block.
pub(crate) const CODES: &[DType] = &[
    DType::Int4,
    DType::UInt4,
    DType::Int8,
    DType::UInt8,
    DType::Float16,
    DType::Float32,
];

/// Element type and shape of a parameter that must be a constant or what a `constexpr_*` operation expands.
pub(crate) fn stored<'a>(
    node: &Node<'a>,
    param: &str,
    allowed: &[DType],
) -> Result<(DType, &'a [usize]), OpError> {
    let found = checks::tensor_of(node, param, allowed)?;
    match node.weight(param) {
        Some(_) => Ok(found),
        None => Err(node.param_error(
            param,
            "must be a constant or the result of a constexpr_ operation",
        )),
    }
}

/// The shape that a constant parameter holds.
pub(crate) fn shape_param(node: &Node<'_>, param: &str) -> Result<Shape, OpError> {
    let shape = Shape::from_vec(node.sizes(param, &[])?);
    match element_count(&shape) {
        Some(_) => Ok(shape),
        None => Err(node.param_error(param, format_args!("has too many elements: {shape:?}"))),
    }
}

/// Quantisation parameters that hold for blocks of a tensor: one value for each block of `data / shape` elements on
/// each axis.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    sizes: Shape,
    steps: Shape,
}

impl Blocks {
    /// Blocks of a tensor of shape `data`, with one value for each element of `shape`; `None` if they do not divide it.
    pub(crate) fn new(data: &[usize], shape: &[usize]) -> Option<Self> {
        if data.len() != shape.len() {
            return None;
        }
        let sizes = data
            .iter()
            .zip(shape)
            .map(|(dim, &blocks)| (blocks > 0 && dim % blocks == 0).then(|| dim / blocks))
            .collect::<Option<Shape>>()?;
        Some(Self {
            sizes,
            steps: strides(shape),
        })
    }

    /// The position of the value that holds at an index of the data.
    pub(crate) fn value_at(&self, index: &[usize]) -> usize {
        let blocks: Shape = index
            .iter()
            .zip(&self.sizes)
            .map(|(at, size)| at / size.max(&1))
            .collect();
        position(&blocks, &self.steps)
    }
}

/// Scale and zero point of an affine quantisation, one value for the whole tensor or one for each position on an axis.
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    /// Empty for 0.
    pub(crate) zero_point: Vec<f32>,
    /// The axis, if there is more than one value.
    pub(crate) axis: Option<usize>,
}

impl Affine {
    /// Checks the shapes of `scale` and `zero_point` against the data's, and `axis` where it is needed.
    pub(crate) fn check(node: &Node<'_>, data: &[usize]) -> Result<Option<usize>, OpError> {
        let mut vector = false;
        for param in ["scale", "zero_point"] {
            let Some((_, shape)) = node.optional_ty(param)? else {
                continue;
            };
            match shape {
                [] => {}
                &[length] => {
                    if !node.has("axis") {
                        return Err(node.param_error(
                            "axis",
                            format_args!("is missing, but {param} has {length} values"),
                        ));
                    }
                    let axis = node.axis("axis", 0, data.len())?;
                    if data[axis] != length {
                        return Err(node.param_error(
                            param,
                            format_args!(
                                "expected {} values for axis {axis} of {data:?}, found {length}",
                                data[axis]
                            ),
                        ));
                    }
                    vector = true;
                }
                _ => {
                    return Err(node.param_error(
                        param,
                        format_args!("expected one value or a vector, found shape {shape:?}"),
                    ));
                }
            }
        }
        if vector {
            node.axis("axis", 0, data.len()).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Reads the values.
    pub(crate) fn of(
        node: &Node<'_>,
        data: &[usize],
        scale: TensorRef<'_>,
        zero_point: Option<TensorRef<'_>>,
    ) -> Result<Self, OpError> {
        let axis = Self::check(node, data)?;
        let length = axis.map_or(1, |axis| data[axis]);
        let values = |tensor: TensorRef<'_>| {
            let values = floats32(tensor);
            if values.len() == 1 {
                vec![values[0]; length]
            } else {
                values
            }
        };
        Ok(Self {
            scale: values(scale),
            zero_point: zero_point.map(values).unwrap_or_default(),
            axis,
        })
    }

    /// The zero point at a place of [`Affine::scale`].
    pub(crate) fn zero_at(&self, place: usize) -> f32 {
        self.zero_point.get(place).copied().unwrap_or(0.0)
    }
}

/// Writes `f32` results, rounding to the output's type.
pub(crate) fn put_floats32(output: &mut TensorMut<'_>, values: impl IntoIterator<Item = f32>) {
    put_floats(output, values.into_iter().map(f64::from));
}

/// The types of a mask and of the nonzero values beside it, as `constexpr_*_to_sparse` give them.
pub(crate) fn sparse_types(
    node: &Node<'_>,
    mask: &[usize],
    dtype: DType,
    values: usize,
) -> Result<Vec<Type>, OpError> {
    Ok(vec![
        checks::result(node, DType::UInt1, mask)?,
        checks::result(node, dtype, &[values])?,
    ])
}
