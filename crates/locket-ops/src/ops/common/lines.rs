//! Walking an output in the order it lies in memory, with operands that lie otherwise, repeat, or are constant.
//!
//! The output's axes are taken in physical order; axes that all operands pass in the same way are merged, so that most
//! operations see one or two long axes. A line is a run along the last of them.

use std::ops::Range;

use locket_mil::ValueId;
use locket_tensor::{Shape, Tensor};

use super::index::{broadcast_strides, strides};
use crate::{Layout, Prepare};

/// Elements between neighbours on each logical axis of a tensor that lies in `layout`.
pub(crate) fn physical_strides(shape: &[usize], layout: Layout) -> Shape {
    let order = layout.order(shape.len());
    let own = strides(&layout.physical(shape));
    let mut logical: Shape = shape.iter().map(|_| 0).collect();
    for (place, axis) in order.into_iter().enumerate() {
        logical[axis] = own[place];
    }
    logical
}

/// Where an operand's bytes are when a step runs.
#[derive(Debug)]
pub(crate) enum Source {
    /// Among the step's inputs, at this position.
    Input(usize),
    /// In the step, which shares them with the program or the file they came from.
    Held(Tensor),
}

impl Source {
    /// The bytes wherever they lie, given the step's inputs.
    pub(crate) fn raw<'a>(&'a self, inputs: &[&'a [u8]]) -> &'a [u8] {
        match self {
            Self::Input(position) => inputs[*position],
            Self::Held(tensor) => tensor.bytes(),
        }
    }

    /// The bytes, given the step's inputs, where typed views can start. Empty for an input whose memory the output has taken.
    pub(crate) fn bytes<'a>(&'a self, inputs: &[&'a [u8]]) -> &'a [u8] {
        match self {
            Self::Input(position) => inputs[*position],
            Self::Held(tensor) => tensor.view().bytes,
        }
    }

    /// Bytes that the step holds for it.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Input(_) => 0,
            Self::Held(tensor) => tensor.bytes().len(),
        }
    }
}

/// The elements in bytes that may be those of an input that a step runs in place of: none, at no particular address.
pub(crate) fn elements<T: bytemuck::Pod>(bytes: &[u8]) -> &[T] {
    match bytes {
        [] => &[],
        _ => bytemuck::cast_slice(bytes),
    }
}

/// An operand as a step finds it: where, and in which layout.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) source: Source,
    /// The value, if it is not constant.
    pub(crate) value: Option<ValueId>,
    pub(crate) shape: Shape,
    pub(crate) layout: Layout,
}

impl Operand {
    /// What a parameter is bound to; `None` if it is not bound to a tensor.
    pub(crate) fn of(prepare: &Prepare<'_>, param: &str) -> Option<Self> {
        Self::at(prepare, prepare.node.operation.input(param)?)
    }

    /// A value that the operation reads.
    pub(crate) fn at(prepare: &Prepare<'_>, id: ValueId) -> Option<Self> {
        let operand = Self::anywhere(prepare, id)?;
        if let Source::Held(tensor) = &operand.source {
            // The copy that a typed view may need is made now, not in a prediction.
            tensor.view();
        }
        Some(operand)
    }

    /// A value that the operation reads by [`Source::raw`] alone.
    pub(crate) fn anywhere(prepare: &Prepare<'_>, id: ValueId) -> Option<Self> {
        let node = &prepare.node;
        let shape = Shape::from(node.function.ty(id).shape()?);
        if let Some(tensor) = node.function.const_tensor(id) {
            return Some(Self::held(tensor));
        }
        let position = node.dynamic_inputs(&[]).iter().position(|&known| known == id)?;
        Some(Self {
            source: Source::Input(position),
            value: Some(id),
            shape,
            layout: prepare.layouts[id.index()],
        })
    }

    fn held(tensor: &Tensor) -> Self {
        Self {
            source: Source::Held(tensor.clone()),
            value: None,
            shape: tensor.shape().into(),
            layout: Layout::RowMajor,
        }
    }

    /// Strides under the axes of a result of `rank` axes, 0 where the operand repeats.
    pub(crate) fn strides_under(&self, rank: usize) -> Shape {
        if self.shape.len() != rank {
            return broadcast_strides(&self.shape, rank);
        }
        let own = physical_strides(&self.shape, self.layout);
        let dims = self.shape.iter().zip(own);
        dims.map(|(&dim, stride)| if dim == 1 { 0 } else { stride })
            .collect()
    }
}

/// An output's axes in physical order, merged as far as `N` operands allow, and how each operand passes them.
#[derive(Clone, Debug)]
pub(crate) struct Lines<const N: usize> {
    /// Dimensions, outermost first; at least one.
    pub(crate) dims: Shape,
    /// For each operand, elements between neighbours on each of these axes.
    pub(crate) strides: [Shape; N],
}

impl<const N: usize> Lines<N> {
    /// For a result of a logical shape that lies in `layout`; `strides` are those under its logical axes.
    pub(crate) fn new(shape: &[usize], layout: Layout, strides: [Shape; N]) -> Self {
        let mut lines = Self {
            dims: Shape::new(),
            strides: std::array::from_fn(|_| Shape::new()),
        };
        for axis in layout.order(shape.len()) {
            lines.push(shape[axis], std::array::from_fn(|operand| strides[operand][axis]));
        }
        if lines.dims.is_empty() {
            lines.dims.push(1);
            lines.strides.iter_mut().for_each(|strides| strides.push(0));
        }
        lines
    }

    /// Adds an axis inside all others.
    fn push(&mut self, dim: usize, strides: [usize; N]) {
        if dim == 1 {
            return;
        }
        if let Some(last) = self.dims.last_mut()
            && self
                .strides
                .iter()
                .zip(&strides)
                .all(|(own, &inner)| own.last() == Some(&(inner * dim)))
        {
            *last *= dim;
            for (own, &inner) in self.strides.iter_mut().zip(&strides) {
                if let Some(stride) = own.last_mut() {
                    *stride = inner;
                }
            }
            return;
        }
        self.dims.push(dim);
        for (own, stride) in self.strides.iter_mut().zip(strides) {
            own.push(stride);
        }
    }

    /// Elements of the output.
    pub(crate) fn elems(&self) -> usize {
        self.dims.iter().product()
    }

    /// The last axis: its length, and how each operand passes it.
    pub(crate) fn inner(&self) -> (usize, [usize; N]) {
        let last = self.dims.len() - 1;
        (
            self.dims[last],
            std::array::from_fn(|operand| self.strides[operand][last]),
        )
    }

    /// True if the operand lies as the output does, element for element.
    pub(crate) fn is_dense(&self, operand: usize) -> bool {
        let mut expected = 1;
        let axes = self.dims.iter().zip(&self.strides[operand]).rev();
        for (&dim, &stride) in axes {
            if stride != expected && dim != 1 {
                return false;
            }
            expected *= dim;
        }
        true
    }

    /// Visits the output's elements `range` in runs along the innermost `depth` axes, which are contiguous in the output: the
    /// range of output elements, counted from the start of `range`, and where each operand's run starts.
    pub(crate) fn for_each(
        &self,
        range: Range<usize>,
        depth: usize,
        mut visit: impl FnMut(Range<usize>, [usize; N]),
    ) {
        let outer = self.dims.len().saturating_sub(depth);
        let length: usize = self.dims[outer..].iter().product();
        if length == 0 || range.is_empty() {
            return;
        }
        let mut at = range.start;
        while at < range.end {
            let within = at % length;
            let take = (length - within).min(range.end - at);
            let positions = std::array::from_fn(|operand| {
                let strides = &self.strides[operand];
                let mut rest = at;
                let mut position = 0;
                for (dim, stride) in self.dims.iter().zip(strides).rev() {
                    position += rest % dim * stride;
                    rest /= dim;
                }
                position
            });
            let start = at - range.start;
            visit(start..start + take, positions);
            at += take;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, physical_strides};
    use crate::Layout;

    #[test]
    fn axes_merge_where_all_operands_agree() {
        let shape = [2, 3, 4, 5];
        let full = |layout| physical_strides(&shape, layout);
        let lines = Lines::new(&shape, Layout::RowMajor, [full(Layout::RowMajor)]);
        assert_eq!((&lines.dims[..], lines.inner()), (&[120][..], (120, [1])));
        // One value for each channel: rows of the channels-last output repeat it, planes of the row-major one are constant.
        let channels = [0, 1, 0, 0].into_iter().collect();
        let lines = Lines::new(
            &shape,
            Layout::ChannelsLast,
            [full(Layout::ChannelsLast), channels],
        );
        assert_eq!((&lines.dims[..], lines.inner()), (&[40, 3][..], (3, [1, 1])));
        assert!(lines.is_dense(0) && !lines.is_dense(1));
        let channels = [0, 1, 0, 0].into_iter().collect();
        let lines = Lines::new(&shape, Layout::RowMajor, [full(Layout::RowMajor), channels]);
        assert_eq!((&lines.dims[..], lines.inner()), (&[2, 3, 20][..], (20, [1, 0])));
    }

    #[test]
    fn runs_cover_a_range_once() {
        let shape = [2, 3, 4];
        let lines = Lines::new(
            &shape,
            Layout::RowMajor,
            [
                [0, 1, 0].into_iter().collect(),
                physical_strides(&shape, Layout::ChannelsLast),
            ],
        );
        for depth in 1..=3 {
            for (start, end) in [(0, 24), (5, 19), (7, 8), (3, 3)] {
                let mut next = 0;
                lines.for_each(start..end, depth, |run, positions| {
                    assert_eq!(run.start, next);
                    let at = start + run.start;
                    let index = [at / 12, at / 4 % 3, at % 4];
                    assert_eq!(positions, [index[1], index[0] * 12 + index[2] * 3 + index[1]]);
                    next = run.end;
                });
                assert_eq!(next, end - start);
            }
        }
    }
}
