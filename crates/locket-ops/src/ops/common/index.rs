//! Shapes, strides and index walks of row-major tensors.

use locket_tensor::{Shape, TensorMut, TensorRef};

/// Elements between neighbours on each axis of a row-major tensor.
pub(crate) fn strides(shape: &[usize]) -> Shape {
    let mut strides: Shape = shape.iter().map(|_| 1).collect();
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Calls `visit` with the position and the index of every element, in row-major order.
pub(crate) fn for_each_index(shape: &[usize], mut visit: impl FnMut(usize, &[usize])) {
    let count: usize = shape.iter().product();
    let mut index: Shape = shape.iter().map(|_| 0).collect();
    for position in 0..count {
        visit(position, &index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// The position of an index, given strides.
pub(crate) fn position(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}

/// The shape that both broadcast to: aligned at the last axis, 1 repeats. `None` if they do not fit.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

/// Strides with which an operand of `shape` is read under a broadcast result of `rank` axes: 0 where it repeats.
pub(crate) fn broadcast_strides(shape: &[usize], rank: usize) -> Shape {
    let own = strides(shape);
    let missing = rank.saturating_sub(shape.len());
    let repeated = std::iter::repeat_n(0, missing);
    let given = shape
        .iter()
        .zip(&own)
        .map(|(&dim, &stride)| if dim == 1 { 0 } else { stride });
    repeated.chain(given).collect()
}

/// For each element of a broadcast result, where it comes from in an operand of `shape`.
pub(crate) fn broadcast_positions(shape: &[usize], result: &[usize]) -> Vec<usize> {
    let strides = broadcast_strides(shape, result.len());
    let mut positions = Vec::with_capacity(result.iter().product());
    for_each_index(result, |_, index| positions.push(position(index, &strides)));
    positions
}

/// Writes each element of `output` from the element of `x` at the position that `source` names; where it names none,
/// the element stays. For types of whole bytes.
pub(crate) fn move_elements(
    x: TensorRef<'_>,
    output: &mut TensorMut<'_>,
    mut source: impl FnMut(&[usize]) -> Option<usize>,
) {
    let width = x.dtype.bits() / 8;
    let bytes = &mut *output.bytes;
    for_each_index(output.shape, |to, index| {
        if let Some(from) = source(index) {
            bytes[to * width..][..width].copy_from_slice(&x.bytes[from * width..][..width]);
        }
    });
}

/// A shape seen from one axis: elements before it (the product), on it, and after it.
pub(crate) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [
        shape[..axis].iter().product(),
        shape[axis],
        shape[axis + 1..].iter().product(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{broadcast, broadcast_positions, strides};

    #[test]
    fn broadcasting_aligns_at_the_end() {
        let cases: [(&[usize], &[usize], Option<&[usize]>); 7] = [
            (&[2, 3], &[3], Some(&[2, 3])),
            (&[3, 1, 1], &[2, 1, 4, 5], Some(&[2, 3, 4, 5])),
            (&[], &[2], Some(&[2])),
            (&[2, 1], &[1, 3], Some(&[2, 3])),
            (&[0], &[1], Some(&[0])),
            (&[2], &[3], None),
            (&[4, 1, 2], &[3, 3], None),
        ];
        for (a, b, expected) in cases {
            assert_eq!(broadcast(a, b).as_deref(), expected, "{a:?} {b:?}");
            assert_eq!(broadcast(b, a).as_deref(), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn repeated_axes_have_no_stride() {
        assert_eq!(strides(&[2, 3, 4])[..], [12, 4, 1]);
        assert_eq!(broadcast_positions(&[2, 1], &[2, 2, 2]), [0, 0, 1, 1, 0, 0, 1, 1]);
    }
}
