//! Arithmetic on shapes, all of it checked.

/// The shape that `a` and `b` broadcast to, by the rules of NumPy; `None` if they do not.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let padded = |shape: &[usize]| {
        let missing = rank.saturating_sub(shape.len());
        std::iter::repeat_n(1, missing)
            .chain(shape.iter().copied())
            .collect::<Vec<usize>>()
    };
    let pairs = padded(a).into_iter().zip(padded(b));
    pairs
        .map(|(a, b)| match (a, b) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// `axis` counted from the front, if it names an axis of `rank`.
pub(crate) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let from_front = if axis < 0 { axis.checked_add(rank)? } else { axis };
    if from_front < rank {
        usize::try_from(from_front).ok()
    } else {
        None
    }
}

/// The product of `dims`, `None` on overflow.
pub(crate) fn product(dims: &[usize]) -> Option<usize> {
    locket_tensor::element_count(dims)
}

/// Row-major strides in elements, saturating (a shape that overflows has no elements to address).
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1usize;
    for &dim in shape.iter().rev() {
        strides.push(stride);
        stride = stride.saturating_mul(dim);
    }
    strides.reverse();
    strides
}

/// Output size of a sliding window: `floor((size + begin + end - window) / stride) + 1`, or with the quotient
/// rounded up. `None` if the window does not fit or the stride is zero.
pub(crate) fn window_count(
    size: usize,
    (begin, end): (usize, usize),
    window: usize,
    stride: usize,
    round_up: bool,
) -> Option<usize> {
    let room = size.checked_add(begin)?.checked_add(end)?.checked_sub(window)?;
    let steps = if round_up {
        room.checked_add(stride.checked_sub(1)?)?.checked_div(stride)?
    } else {
        room.checked_div(stride)?
    };
    steps.checked_add(1)
}

/// Extent of a dilated kernel: `(size - 1) * dilation + 1`.
pub(crate) fn dilated(size: usize, dilation: usize) -> Option<usize> {
    size.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)
}

/// Padding that makes a window with `stride` give `ceil(size / stride)` results, as (begin, end); the odd one goes
/// to the end unless `lower`. `None` if the stride is zero.
pub(crate) fn same_padding(size: usize, window: usize, stride: usize, lower: bool) -> Option<(usize, usize)> {
    let count = size.checked_add(stride.checked_sub(1)?)?.checked_div(stride)?;
    let covered = count.saturating_sub(1).checked_mul(stride)?.checked_add(window)?;
    let total = covered.saturating_sub(size);
    let small = total.checked_div(2)?;
    let large = total.checked_sub(small)?;
    Some(if lower { (large, small) } else { (small, large) })
}

#[cfg(test)]
mod tests {
    use super::{axis, broadcast, dilated, same_padding, strides, window_count};

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        let cases: [(&[usize], &[usize], Option<&[usize]>); 6] = [
            (&[2, 3], &[3], Some(&[2, 3])),
            (&[2, 1], &[1, 4], Some(&[2, 4])),
            (&[], &[5], Some(&[5])),
            (&[2, 3], &[2], None),
            (&[0, 3], &[1, 3], Some(&[0, 3])),
            (&[1, 3, 1], &[4, 1, 2], Some(&[4, 3, 2])),
        ];
        for (a, b, expected) in cases {
            assert_eq!(broadcast(a, b).as_deref(), expected);
            assert_eq!(broadcast(b, a).as_deref(), expected);
        }
    }

    #[test]
    fn windows_and_padding() {
        assert_eq!(window_count(227, (0, 0), 3, 2, false), Some(113));
        assert_eq!(window_count(56, (0, 0), 3, 2, true), Some(28));
        assert_eq!(window_count(56, (0, 0), 3, 2, false), Some(27));
        assert_eq!(window_count(2, (0, 0), 3, 1, false), None);
        assert_eq!(window_count(5, (0, 0), 3, 0, true), None);
        assert_eq!(same_padding(224, 3, 2, false), Some((0, 1)));
        assert_eq!(same_padding(224, 3, 2, true), Some((1, 0)));
        assert_eq!(same_padding(10, 4, 1, false), Some((1, 2)));
        assert_eq!(same_padding(10, 1, 3, false), Some((0, 0)));
        assert_eq!(dilated(3, 2), Some(5));
        assert_eq!(dilated(0, 2), None);
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(
            [axis(-1, 4), axis(3, 4), axis(4, 4), axis(-5, 4), axis(0, 0)],
            [Some(3), Some(3), None, None, None]
        );
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
    }
}
