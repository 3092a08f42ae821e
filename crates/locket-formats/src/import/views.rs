//! Copies of constants: transposed, sliced, repeated, joined, dequantised.
//!
//! Those that rearrange move whole elements and compute nothing, so they serve every element type but the packed ones.

use half::f16;
use locket_tensor::{DType, Tensor};

use super::shapes;

/// Bytes of one element; `None` for packed types and text.
fn element_bytes(dtype: DType) -> Option<usize> {
    if dtype.is_packed() || dtype == DType::String {
        None
    } else {
        dtype.bits().checked_div(8)
    }
}

/// A view of `tensor` made dense: element `[i, j, ...]` is that at `offset + i * steps[0] + j * steps[1] + ...`.
///
/// `None` for packed types, or if the view leaves the tensor.
pub(crate) fn strided(tensor: &Tensor, shape: &[usize], steps: &[isize], offset: isize) -> Option<Tensor> {
    let size = element_bytes(tensor.dtype())?;
    let elems = shapes::product(shape)?;
    let source = tensor.bytes();
    let mut bytes = Vec::with_capacity(elems.checked_mul(size)?);
    let mut index = vec![0usize; shape.len()];
    let mut at = offset;
    for _ in 0..elems {
        let start = usize::try_from(at).ok()?.checked_mul(size)?;
        bytes.extend_from_slice(source.get(start..start.checked_add(size)?)?);
        for ((position, &dim), &step) in index.iter_mut().zip(shape).zip(steps).rev() {
            *position = position.checked_add(1)?;
            at = at.checked_add(step)?;
            if *position < dim {
                break;
            }
            let span = isize::try_from(*position).ok()?.checked_mul(step)?;
            at = at.checked_sub(span)?;
            *position = 0;
        }
    }
    Tensor::from_bytes(tensor.dtype(), shape, &bytes).ok()
}

/// Row-major steps of `shape`, as [`strided`] takes them.
pub(crate) fn steps(shape: &[usize]) -> Option<Vec<isize>> {
    shapes::strides(shape)
        .into_iter()
        .map(|stride| isize::try_from(stride).ok())
        .collect()
}

/// `tensor` repeated to `shape`, which it must broadcast to.
pub(crate) fn broadcast_to(tensor: &Tensor, shape: &[usize]) -> Option<Tensor> {
    let own = tensor.shape();
    let missing = shape.len().checked_sub(own.len())?;
    let dense = steps(own)?;
    let repeated = own
        .iter()
        .zip(dense)
        .zip(shape.iter().skip(missing))
        .map(|((&dim, step), &wanted)| {
            if dim == wanted {
                Some(step)
            } else if dim == 1 {
                Some(0)
            } else {
                None
            }
        });
    let steps: Option<Vec<isize>> = std::iter::repeat_n(Some(0), missing).chain(repeated).collect();
    strided(tensor, shape, &steps?, 0)
}

/// `tensor` with its axes in the order of `permutation`.
pub(crate) fn transposed(tensor: &Tensor, permutation: &[usize]) -> Option<Tensor> {
    let dense = steps(tensor.shape())?;
    let shape: Option<Vec<usize>> = permutation
        .iter()
        .map(|&axis| tensor.shape().get(axis).copied())
        .collect();
    let steps: Option<Vec<isize>> = permutation.iter().map(|&axis| dense.get(axis).copied()).collect();
    strided(tensor, &shape?, &steps?, 0)
}

/// `tensors` of one type joined along `axis`, giving `shape`.
pub(crate) fn joined(tensors: &[&Tensor], axis: usize, shape: &[usize]) -> Option<Tensor> {
    let dtype = tensors.first()?.dtype();
    let size = element_bytes(dtype)?;
    let outer = shapes::product(shape.get(..axis)?)?;
    let mut bytes = Vec::with_capacity(shapes::product(shape)?.checked_mul(size)?);
    for block in 0..outer {
        for tensor in tensors {
            let length = shapes::product(tensor.shape().get(axis..)?)?.checked_mul(size)?;
            let start = block.checked_mul(length)?;
            bytes.extend_from_slice(tensor.bytes().get(start..start.checked_add(length)?)?);
        }
    }
    Tensor::from_bytes(dtype, shape, &bytes).ok()
}

/// The entries `indices` of `axis`, giving `shape`.
pub(crate) fn gathered(tensor: &Tensor, indices: &[usize], axis: usize, shape: &[usize]) -> Option<Tensor> {
    let size = element_bytes(tensor.dtype())?;
    let (before, rest) = (tensor.shape().get(..axis)?, tensor.shape().get(axis..)?);
    let (dim, after) = rest.split_first()?;
    let length = shapes::product(after)?.checked_mul(size)?;
    let mut bytes = Vec::with_capacity(shapes::product(shape)?.checked_mul(size)?);
    for block in 0..shapes::product(before)? {
        for &index in indices {
            if index >= *dim {
                return None;
            }
            let start = block.checked_mul(*dim)?.checked_add(index)?.checked_mul(length)?;
            bytes.extend_from_slice(tensor.bytes().get(start..start.checked_add(length)?)?);
        }
    }
    Tensor::from_bytes(tensor.dtype(), shape, &bytes).ok()
}

/// A tensor of floating-point numbers.
pub(crate) fn floats(dtype: DType, shape: &[usize], values: &[f32]) -> Option<Tensor> {
    match dtype {
        DType::Float32 => Tensor::from_slice(shape, values).ok(),
        DType::Float16 => {
            let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
            Tensor::from_slice(shape, &halves).ok()
        }
        DType::Float64 => {
            let doubles: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            Tensor::from_slice(shape, &doubles).ok()
        }
        _ => None,
    }
}

/// `(data - zero_point) * scale`, computed in single precision; `None` for types that are no integers.
pub(crate) fn dequantized(data: &Tensor, scale: &Tensor, zero_point: &Tensor, axis: usize) -> Option<Tensor> {
    let shape = data.shape();
    let full = |tensor: &Tensor| match tensor.shape() {
        [] => broadcast_to(tensor, shape),
        &[dim] => {
            let wide: Vec<usize> = (0..shape.len())
                .map(|index| if index == axis { dim } else { 1 })
                .collect();
            broadcast_to(&tensor.reshaped(&wide).ok()?, shape)
        }
        _ => None,
    };
    // Packed codes are widened first: they cannot be addressed one by one.
    let zeros = match zero_point.dtype() {
        dtype if dtype.is_packed() => {
            full(&Tensor::from_slice(zero_point.shape(), &zero_point.to_i64()?).ok()?)
        }
        _ => full(zero_point),
    };
    let codes = data.to_i64()?;
    let (scales, zeros) = (full(scale)?.to_f32()?, zeros?.to_i64()?);
    let values: Option<Vec<f32>> = codes
        .into_iter()
        .zip(zeros)
        .zip(scales)
        .map(|((code, zero), scale)| {
            let offset = i32::try_from(code.checked_sub(zero)?).ok()?;
            #[expect(
                clippy::as_conversions,
                reason = "rounded to the nearest float, as the formula says"
            )]
            let offset = offset as f32;
            Some(offset * scale)
        })
        .collect();
    floats(scale.dtype(), shape, &values?)
}

#[cfg(test)]
mod tests {
    use locket_tensor::Tensor;

    use super::{broadcast_to, gathered, joined, strided, transposed};

    fn counting(shape: &[usize]) -> Tensor {
        let elems = i64::try_from(shape.iter().product::<usize>()).unwrap();
        Tensor::from_slice(shape, &(0..elems).collect::<Vec<i64>>()).unwrap()
    }

    #[test]
    fn views_are_made_dense() {
        let values = |tensor: Option<Tensor>| tensor.unwrap().to_i64().unwrap();
        let tensor = counting(&[2, 3]);
        assert_eq!(values(transposed(&tensor, &[1, 0])), [0, 3, 1, 4, 2, 5]);
        assert_eq!(values(strided(&tensor, &[2, 2], &[3, -2], 2)), [2, 0, 5, 3]);
        assert_eq!(
            values(broadcast_to(&counting(&[2, 1]), &[2, 2, 2])),
            [0, 0, 1, 1, 0, 0, 1, 1]
        );
        assert_eq!(values(gathered(&tensor, &[2, 0], 1, &[2, 2])), [2, 0, 5, 3]);
        assert_eq!(
            values(joined(&[&tensor, &counting(&[2, 1])], 1, &[2, 4])),
            [0, 1, 2, 0, 3, 4, 5, 1]
        );
        assert_eq!(values(transposed(&counting(&[]), &[])), [0]);
    }

    #[test]
    fn views_that_leave_the_tensor_are_refused() {
        let tensor = counting(&[2, 3]);
        assert!(strided(&tensor, &[7], &[1], 0).is_none());
        assert!(strided(&tensor, &[2], &[-1], 0).is_none());
        assert!(gathered(&tensor, &[3], 1, &[2, 1]).is_none());
        assert!(broadcast_to(&tensor, &[3]).is_none());
        assert!(transposed(&tensor, &[0, 2]).is_none());
    }
}
