//! A tensor seen from some of its axes, in memory: elements before them, along them, and after them.

use locket_tensor::Shape;

use super::{index::for_each_index, lines::physical_strides};
use crate::Layout;

/// `[outer, length, inner]`: the axes lie next to each other in this layout, together `length` elements that are `inner` apart,
/// `outer` times. `None` if other axes lie between them. Dimensions of 1 lie anywhere.
pub(crate) fn block(shape: &[usize], layout: Layout, axes: &[usize]) -> Option<[usize; 3]> {
    let [mut outer, mut length, mut inner] = [1usize; 3];
    let mut seen = false;
    for axis in layout.order(shape.len()) {
        let dim = shape[axis];
        match (axes.contains(&axis), seen) {
            _ if dim == 1 => {}
            (true, _) if inner > 1 => return None,
            (true, _) => {
                length *= dim;
                seen = true;
            }
            (false, true) => inner *= dim,
            (false, false) => outer *= dim,
        }
    }
    Some([outer, length, inner])
}

/// For each element along the axes in the order they lie, its row-major position among them.
pub(crate) fn order_along(shape: &[usize], layout: Layout, axes: &[usize]) -> Vec<usize> {
    let dims: Shape = axes.iter().map(|&axis| shape[axis]).collect();
    let own = physical_strides(shape, layout);
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(dims.iter().product());
    for_each_index(&dims, |position, index| {
        let place = index.iter().zip(axes).map(|(at, &axis)| at * own[axis]).sum();
        places.push((place, position));
    });
    places.sort_unstable();
    places.into_iter().map(|(_, position)| position).collect()
}

#[cfg(test)]
mod tests {
    use super::{block, order_along};
    use crate::Layout::{ChannelsLast, RowMajor};

    #[test]
    fn neighbours_in_memory_form_a_block() {
        let shape = [2, 3, 4, 5];
        for (layout, axes, expected) in [
            (RowMajor, &[2, 3][..], Some([6, 20, 1])),
            (ChannelsLast, &[2, 3], Some([2, 20, 3])),
            (RowMajor, &[1], Some([2, 3, 20])),
            (ChannelsLast, &[1], Some([40, 3, 1])),
            (ChannelsLast, &[1, 3], Some([8, 15, 1])),
            (RowMajor, &[1, 3], None),
            (ChannelsLast, &[0, 1], None),
            (RowMajor, &[0, 1, 2, 3], Some([1, 120, 1])),
        ] {
            assert_eq!(block(&shape, layout, axes), expected, "{layout:?} {axes:?}");
        }
        assert_eq!(block(&[1, 7, 1, 1], ChannelsLast, &[1]), Some([1, 7, 1]));
    }

    #[test]
    fn elements_along_axes_are_found_where_they_lie() {
        assert_eq!(order_along(&[1, 2, 3], RowMajor, &[1, 2]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(order_along(&[1, 2, 3], ChannelsLast, &[1, 2]), [0, 3, 1, 4, 2, 5]);
    }
}
