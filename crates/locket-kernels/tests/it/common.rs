//! Deterministic values, convolution shapes, and the plain loop over the taps of an output.

use locket_kernels::{Activation, ConvGeometry};

/// A small generator of reproducible values (xorshift).
#[derive(Debug)]
pub(crate) struct Values(u64);

impl Values {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// Uniform in [-1, 1).
    pub(crate) fn f32(&mut self) -> f32 {
        (self.next() & 0xff_ffff) as f32 / 8_388_608.0 - 1.0
    }

    pub(crate) fn f32s(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.f32()).collect()
    }

    pub(crate) fn u8s(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn i8s(&mut self, len: usize) -> Vec<i8> {
        (0..len).map(|_| self.next() as i8).collect()
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The parts of a convolution that vary in tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) size: [usize; 2],
    pub(crate) channels: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) pad: [usize; 4],
    pub(crate) groups: usize,
    /// Unused elements after each input pixel, before and after each output pixel's channels.
    pub(crate) gaps: [usize; 3],
}

pub(crate) const PLAIN: Shape = Shape {
    batch: 1,
    size: [6, 7],
    channels: [5, 9],
    kernel: [1, 1],
    stride: [1, 1],
    dilation: [1, 1],
    pad: [0; 4],
    groups: 1,
    gaps: [0; 3],
};

impl Shape {
    pub(crate) fn geometry(&self) -> ConvGeometry {
        let out = |axis: usize| {
            let span = self.size[axis] + self.pad[2 * axis] + self.pad[2 * axis + 1];
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            assert!(span >= reach, "{self:?} has an output");
            (span - reach) / self.stride[axis] + 1
        };
        ConvGeometry {
            batch: self.batch,
            in_height: self.size[0],
            in_width: self.size[1],
            in_channels: self.channels[0],
            out_height: out(0),
            out_width: out(1),
            out_channels: self.channels[1],
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: self.pad,
            groups: self.groups,
            input_stride: self.channels[0] + self.gaps[0],
            output_stride: self.gaps[1] + self.channels[1] + self.gaps[2],
            output_offset: self.gaps[1],
        }
    }
}

/// Calls `tap(k, input element)` for every tap and channel under an output, `None` outside the image.
pub(crate) fn for_each_tap(
    g: &ConvGeometry,
    row: usize,
    channel: usize,
    mut tap: impl FnMut(usize, Option<usize>),
) {
    let (x, line) = (row % g.out_width, row / g.out_width);
    let (y, n) = (line % g.out_height, line / g.out_height);
    let group = channel / (g.out_channels / g.groups);
    let channels = g.in_channels / g.groups;
    for ky in 0..g.kernel[0] {
        for kx in 0..g.kernel[1] {
            let iy = (y * g.stride[0] + ky * g.dilation[0])
                .checked_sub(g.pad[0])
                .filter(|&iy| iy < g.in_height);
            let ix = (x * g.stride[1] + kx * g.dilation[1])
                .checked_sub(g.pad[2])
                .filter(|&ix| ix < g.in_width);
            for c in 0..channels {
                let at = iy.zip(ix).map(|(iy, ix)| {
                    ((n * g.in_height + iy) * g.in_width + ix) * g.input_stride + group * channels + c
                });
                tap((ky * g.kernel[1] + kx) * channels + c, at);
            }
        }
    }
}

/// Splits `0..len` into uneven consecutive ranges, as threads would.
pub(crate) fn parts(len: usize) -> Vec<core::ops::Range<usize>> {
    let cuts = [0, len / 5, len / 2, (len / 2 + 1).min(len), len];
    cuts.windows(2)
        .map(|cut| cut[0]..cut[1])
        .filter(|range| !range.is_empty())
        .collect()
}

/// What an activation makes of an exact sum.
pub(crate) fn activated(sum: f64, activation: Activation) -> f64 {
    match activation {
        Activation::Clamp([low, high]) => sum.clamp(low.into(), high.into()),
        Activation::HardSwish => sum * (sum + 3.0).clamp(0.0, 6.0) / 6.0,
    }
}
