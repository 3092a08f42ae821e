//! How a tensor's elements lie in memory.

use locket_tensor::Shape;

/// A physical layout. Logical shapes are MIL's (channels second) in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// As the logical shape says.
    RowMajor,
    /// Axis 1 moved to the end: `[N, C, H, W]` lies as `[N, H, W, C]`. For rank 3 and more.
    ChannelsLast,
}

impl Layout {
    /// The logical axes in the order they lie in memory, outermost first.
    pub fn order(self, rank: usize) -> Vec<usize> {
        match self {
            Self::ChannelsLast if rank >= 3 => std::iter::once(0).chain(2..rank).chain([1]).collect(),
            Self::RowMajor | Self::ChannelsLast => (0..rank).collect(),
        }
    }

    /// The shape as it lies in memory.
    pub fn physical(self, shape: &[usize]) -> Shape {
        self.order(shape.len())
            .into_iter()
            .map(|axis| shape[axis])
            .collect()
    }

    /// Where a logical axis lies in memory.
    pub fn physical_axis(self, axis: usize, rank: usize) -> usize {
        self.order(rank)
            .iter()
            .position(|&logical| logical == axis)
            .unwrap_or(axis)
    }

    /// True if both layouts put every element of this shape in the same place.
    pub fn same_bytes(self, other: Self, shape: &[usize]) -> bool {
        self == other || shape.len() < 3 || shape[1] == 1 || shape[2..].iter().product::<usize>() == 1
    }
}

/// Which layouts an operator's step can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutRule {
    /// Everything row-major.
    RowMajor,
    /// All inputs that are not constant, and the outputs, channels-last where their rank is 3 or more.
    ChannelsLast,
    /// The same, but the first input may also come row-major: images lie plane after plane.
    ChannelsLastOrPlanes,
    /// Any one layout, shared by the outputs and every input that is not constant and has the output's rank;
    /// inputs of another rank come row-major.
    Any,
    /// The same, but inputs of another rank come as they lie.
    AsTheyLie,
}
