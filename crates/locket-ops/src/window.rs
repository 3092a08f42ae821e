//! Sliding windows: strides, padding and output sizes of convolutions and pools.
//!
//! MIL's `pad_type`: `valid` (none), `custom` (`pad` = begin and end for each spatial axis), `same` (output is the input
//! divided by the stride, rounded up; the odd pixel at the end) and `same_lower` (the odd pixel at the beginning).

use locket_kernels::{ConvGeometry, PoolGeometry};

use crate::{Node, OpError};

/// The windows of one operation over up to two spatial axes. One-dimensional ones have a first axis of size 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Rank of the tensors: 3 or 4.
    pub(crate) rank: usize,
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Top, bottom, left, right.
    pub(crate) pad: [usize; 4],
}

/// Puts a list for one or two spatial axes at the end of two; a missing first axis gets `filler`.
fn two<const N: usize>(values: &[usize], filler: usize) -> Option<[usize; N]> {
    let per_axis = N / 2;
    let mut all = [filler; N];
    let start = N.checked_sub(values.len())?;
    (values.len() == per_axis || values.len() == N).then(|| all[start..].copy_from_slice(values))?;
    Some(all)
}

impl Window {
    /// The windows over `shape` (`[N, C, L]` or `[N, C, H, W]`) with the parameters of `node` (`strides`, `pad_type`,
    /// `pad`, `dilations`, and `ceil_mode` for pools).
    pub(crate) fn of(node: &Node<'_>, shape: &[usize], kernel: &[usize]) -> Result<Self, OpError> {
        if !(3..=4).contains(&shape.len()) || kernel.len() + 2 != shape.len() {
            return Err(node.param_error(
                "x",
                format_args!("expected [N, C, L] or [N, C, H, W] and a kernel of as many spatial axes, found {shape:?} and {kernel:?}"),
            ));
        }
        let axes = kernel.len();
        let pair = |param: &str, default: usize| {
            let values = node.sizes(param, &vec![default; axes])?;
            let found = two::<2>(&values, 1).filter(|values| values.iter().all(|&value| value > 0));
            found.ok_or_else(|| {
                node.param_error(
                    param,
                    format_args!("expected {axes} positive numbers, found {values:?}"),
                )
            })
        };
        let stride = pair("strides", 1)?;
        let dilation = pair("dilations", 1)?;
        let input = two::<2>(&shape[2..], 1).unwrap_or([1, 1]);
        let kernel = two::<2>(kernel, 1).unwrap_or([1, 1]);
        if kernel.contains(&0) {
            return Err(node.error("the kernel has no pixels"));
        }
        let extent = [
            dilation[0] * (kernel[0] - 1) + 1,
            dilation[1] * (kernel[1] - 1) + 1,
        ];
        let pad_type = node.text("pad_type", "valid")?;
        let mut pad = [0; 4];
        for axis in 0..2 {
            let total = (input[axis].div_ceil(stride[axis]) - 1) * stride[axis] + extent[axis];
            let total = if input[axis] == 0 {
                0
            } else {
                total.saturating_sub(input[axis])
            };
            match pad_type {
                "same" => (pad[2 * axis], pad[2 * axis + 1]) = (total / 2, total - total / 2),
                "same_lower" => (pad[2 * axis], pad[2 * axis + 1]) = (total - total / 2, total / 2),
                _ => {}
            }
        }
        match pad_type {
            "custom" => {
                let values = node.sizes("pad", &vec![0; 2 * axes])?;
                pad = two::<4>(&values, 0).ok_or_else(|| {
                    node.param_error(
                        "pad",
                        format_args!("expected {} numbers, found {values:?}", 2 * axes),
                    )
                })?;
            }
            "valid" | "same" | "same_lower" => {}
            other => {
                let message = format_args!("expected valid, same, same_lower or custom, found {other}");
                return Err(node.param_error("pad_type", message));
            }
        }
        let ceil = node.flag("ceil_mode", false)?;
        let mut output = [0; 2];
        for axis in 0..2 {
            let padded = input[axis] + pad[2 * axis] + pad[2 * axis + 1];
            let room = padded.checked_sub(extent[axis]).ok_or_else(|| {
                node.error(format_args!(
                    "a window of {} does not fit in {padded} padded pixels",
                    extent[axis]
                ))
            })?;
            output[axis] = room / stride[axis] + 1;
            // A rounded-up window counts only if it starts inside the input or its leading padding.
            if ceil && room % stride[axis] > 0 && output[axis] * stride[axis] < input[axis] + pad[2 * axis] {
                output[axis] += 1;
            }
        }
        Ok(Self {
            rank: shape.len(),
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
        })
    }

    /// The output's shape.
    pub(crate) fn output_shape(&self, batch: usize, channels: usize) -> Vec<usize> {
        let mut shape = vec![batch, channels];
        shape.extend_from_slice(&self.output[4 - self.rank..]);
        shape
    }

    /// The kernel's geometry of a convolution.
    pub(crate) fn conv(
        &self,
        batch: usize,
        in_channels: usize,
        out_channels: usize,
        groups: usize,
    ) -> ConvGeometry {
        ConvGeometry {
            batch,
            in_height: self.input[0],
            in_width: self.input[1],
            in_channels,
            out_height: self.output[0],
            out_width: self.output[1],
            out_channels,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: self.pad,
            groups,
            input_stride: in_channels,
            output_stride: out_channels,
            output_offset: 0,
        }
    }

    /// The kernel's geometry of a pool.
    pub(crate) fn pool(&self, batch: usize, channels: usize) -> PoolGeometry {
        PoolGeometry {
            batch,
            in_height: self.input[0],
            in_width: self.input[1],
            channels,
            out_height: self.output[0],
            out_width: self.output[1],
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: self.pad,
            input_stride: channels,
            output_stride: channels,
            output_offset: 0,
        }
    }

    /// Calls `visit(input_y, input_x, kernel_y, kernel_x)` for each tap of an output pixel that is inside the input.
    pub(crate) fn taps(&self, out_y: usize, out_x: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let at = |axis: usize, out: usize, tap: usize| {
            let padded = out * self.stride[axis] + tap * self.dilation[axis];
            padded
                .checked_sub(self.pad[2 * axis])
                .filter(|&position| position < self.input[axis])
        };
        for ky in 0..self.kernel[0] {
            let Some(y) = at(0, out_y, ky) else { continue };
            for kx in 0..self.kernel[1] {
                if let Some(x) = at(1, out_x, kx) {
                    visit(y, x, ky, kx);
                }
            }
        }
    }
}
