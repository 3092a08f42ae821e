//! When two tensors hold the same elements in the same order in memory.

use crate::Layout;

/// The layout in which an output holds the elements of an input that lies in `input`, byte for byte; `None` if it has none.
///
/// Axes are given as dimension and step: how far apart in one common numbering of the elements (the row-major position in the
/// input, say) neighbours on the axis are.
pub(crate) fn same_order(
    input_axes: &[(usize, usize)],
    input: Layout,
    output_axes: &[(usize, usize)],
) -> Option<Layout> {
    let lies = digits(input_axes, input);
    // Below rank 3 both layouts are one, which is called row-major; else the input's own is preferred.
    let candidates = match (output_axes.len(), input) {
        (0..3, _) => [Layout::RowMajor; 2],
        (_, Layout::RowMajor) => [Layout::RowMajor, Layout::ChannelsLast],
        (_, Layout::ChannelsLast) => [Layout::ChannelsLast, Layout::RowMajor],
    };
    candidates
        .into_iter()
        .find(|&layout| digits(output_axes, layout) == lies)
}

/// The numbers of the elements in the order they lie, written as the fewest possible loops. Two orders are the same
/// exactly if these are: the innermost loop is as long as the numbers go on evenly, and so on outwards.
fn digits(axes: &[(usize, usize)], layout: Layout) -> Vec<(usize, usize)> {
    let mut loops: Vec<(usize, usize)> = Vec::new();
    if axes.iter().any(|&(dim, _)| dim == 0) {
        return vec![(0, 0)];
    }
    for axis in layout.order(axes.len()) {
        let (dim, step) = axes[axis];
        match loops.last_mut() {
            _ if dim == 1 => {}
            Some(outer) if outer.1 == step * dim => *outer = (outer.0 * dim, step),
            _ => loops.push((dim, step)),
        }
    }
    loops
}

#[cfg(test)]
mod tests {
    use super::same_order;
    use crate::{
        Layout::{self, ChannelsLast, RowMajor},
        ops::common::index::{for_each_index, position, strides},
    };

    /// The numbers of the elements in the order they lie, one by one.
    fn numbers(axes: &[(usize, usize)], layout: Layout) -> Vec<usize> {
        let order = layout.order(axes.len());
        let dims: Vec<usize> = order.iter().map(|&axis| axes[axis].0).collect();
        let steps: Vec<usize> = order.iter().map(|&axis| axes[axis].1).collect();
        let mut numbers = Vec::new();
        for_each_index(&dims, |_, index| numbers.push(position(index, &steps)));
        numbers
    }

    fn axes(shape: &[usize]) -> Vec<(usize, usize)> {
        shape.iter().copied().zip(strides(shape)).collect()
    }

    /// The answer is right, and there is none only where there can be none.
    fn check(input: &[(usize, usize)], output: &[(usize, usize)]) -> [Option<Layout>; 2] {
        [RowMajor, ChannelsLast].map(|layout| {
            let lies = numbers(input, layout);
            let fits = |candidate: Layout| numbers(output, candidate) == lies;
            let found = same_order(input, layout, output);
            match found {
                Some(found) => assert!(
                    fits(found),
                    "{input:?} in {layout:?} is not {output:?} in {found:?}"
                ),
                None => assert!(
                    !fits(RowMajor) && !fits(ChannelsLast),
                    "{input:?} in {layout:?} is {output:?} too"
                ),
            }
            found
        })
    }

    #[test]
    fn transpositions_that_move_nothing_are_found() {
        let shapes: [&[usize]; 7] = [
            &[2, 3, 4, 5],
            &[1, 3, 4, 5],
            &[2, 1, 4, 1],
            &[1, 6, 1, 1],
            &[2, 2, 2],
            &[1, 3, 2],
            &[4, 3],
        ];
        for shape in shapes {
            let rank = shape.len();
            for code in 0..rank.pow(rank as u32) {
                let perm: Vec<usize> = (0..rank)
                    .map(|axis| code / rank.pow(axis as u32) % rank)
                    .collect();
                let mut sorted = perm.clone();
                sorted.sort_unstable();
                if sorted.iter().copied().eq(0..rank) {
                    let own = axes(shape);
                    let moved: Vec<(usize, usize)> = perm.iter().map(|&axis| own[axis]).collect();
                    check(&own, &moved);
                }
            }
        }
        // NHWC to NCHW and back.
        let own = axes(&[2, 4, 5, 3]);
        let moved = [own[0], own[3], own[1], own[2]];
        assert_eq!(check(&own, &moved), [Some(ChannelsLast), None]);
        let own = axes(&[2, 3, 4, 5]);
        let moved = [own[0], own[2], own[3], own[1]];
        assert_eq!(check(&own, &moved), [None, Some(RowMajor)]);
    }

    #[test]
    fn shapes_of_the_same_bytes_are_found() {
        let shapes: [&[usize]; 13] = [
            &[24],
            &[2, 12],
            &[2, 3, 4],
            &[2, 4, 3],
            &[2, 3, 2, 2],
            &[2, 3, 4, 1],
            &[1, 24, 1, 1],
            &[1, 24],
            &[24, 1, 1],
            &[2, 1, 3, 4],
            &[1, 1, 24],
            &[2, 3, 1, 2, 2],
            &[1, 2, 3, 4],
        ];
        for from in shapes {
            for to in shapes {
                let [row_major, _] = check(&axes(from), &axes(to));
                assert!(row_major.is_some(), "row-major {from:?} is row-major {to:?}");
            }
        }
        // Pixels flattened: channels stay last. Everything flattened: they do not.
        let image = axes(&[2, 3, 4, 5]);
        assert_eq!(
            check(&image, &axes(&[2, 3, 20])),
            [Some(RowMajor), Some(ChannelsLast)]
        );
        assert_eq!(check(&image, &axes(&[2, 60])), [Some(RowMajor), None]);
        assert_eq!(check(&axes(&[2, 3, 1, 1]), &axes(&[2, 3])), [Some(RowMajor); 2]);
    }
}
