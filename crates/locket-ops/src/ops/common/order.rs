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
