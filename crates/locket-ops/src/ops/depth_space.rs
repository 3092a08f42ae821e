//! Channels to pixels and back, in blocks of `b` by `b` pixels. x: fp16, fp32 `[N, C, H, W]`; y: the type of x. Since iOS 15,
//! `pixel_unshuffle` since iOS 16. `i`, `j` are the row and column in a block:
//!
//! * `depth_to_space`: `y[n, c, h*b + i, w*b + j] = x[n, (i*b + j) * C' + c, h, w]` with `C' = C / b^2` (`block_size`)
//! * `space_to_depth`: `y[n, (i*b + j) * C + c, h, w] = x[n, c, h*b + i, w*b + j]` (`block_size`)
//! * `pixel_shuffle`: `y[n, c, h*b + i, w*b + j] = x[n, c * b^2 + i*b + j, h, w]` (`upscale_factor`)
//! * `pixel_unshuffle`: `y[n, c * b^2 + i*b + j, h, w] = x[n, c, h*b + i, w*b + j]` (`downscale_factor`, which MIL wants as uint32)

use locket_mil::{Target, Type};
use locket_tensor::TensorMut;

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::{move_elements, position, strides},
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// The operator `depth_to_space`.
pub static DEPTH_TO_SPACE: Blocks = Blocks {
    name: "depth_to_space",
    params: const { &[Param::required("x"), Param::constant("block_size")] },
    available: Target::Ios15,
    spreads: true,
    block_outside: true,
};

/// The operator `space_to_depth`.
pub static SPACE_TO_DEPTH: Blocks = Blocks {
    name: "space_to_depth",
    params: const { &[Param::required("x"), Param::constant("block_size")] },
    available: Target::Ios15,
    spreads: false,
    block_outside: true,
};

/// The operator `pixel_shuffle`.
pub static PIXEL_SHUFFLE: Blocks = Blocks {
    name: "pixel_shuffle",
    params: const { &[Param::required("x"), Param::constant("upscale_factor")] },
    available: Target::Ios15,
    spreads: true,
    block_outside: false,
};

/// The operator `pixel_unshuffle`.
pub static PIXEL_UNSHUFFLE: Blocks = Blocks {
    name: "pixel_unshuffle",
    params: const { &[Param::required("x"), Param::constant("downscale_factor")] },
    available: Target::Ios16,
    spreads: false,
    block_outside: false,
};

/// An exchange of channels and pixels.
#[derive(Debug)]
pub struct Blocks {
    name: &'static str,
    params: &'static [Param],
    available: Target,
    /// From channels to pixels.
    spreads: bool,
    /// A channel number of the deep side is `(i*b + j) * channels + c`, else `c * b^2 + i*b + j`.
    block_outside: bool,
}

/// The wide side: few channels, many pixels; the deep side has `block^2` times the channels.
struct Sizes {
    block: usize,
    batch: usize,
    /// Channels of the wide side.
    channels: usize,
    /// Rows and columns of the deep side.
    height: usize,
    width: usize,
}

impl Blocks {
    fn sizes(&self, node: &Node<'_>, shape: &[usize]) -> Result<Sizes, OpError> {
        let param = self.params[1].name;
        let block = node.int(param, 0)?;
        let block = usize::try_from(block)
            .ok()
            .filter(|block| (1..=1 << 16).contains(block))
            .ok_or_else(|| node.param_error(param, format_args!("expected a block size, found {block}")))?;
        let &[batch, channels, height, width] = shape else {
            return Err(node.param_error("x", format_args!("expected rank 4, found shape {shape:?}")));
        };
        let fits = match self.spreads {
            true => channels.is_multiple_of(block * block),
            false => height.is_multiple_of(block) && width.is_multiple_of(block),
        };
        if !fits {
            return Err(node.param_error(
                param,
                format_args!("expected a block size that divides {shape:?}, found {block}"),
            ));
        }
        Ok(if self.spreads {
            Sizes {
                block,
                batch,
                channels: channels / (block * block),
                height,
                width,
            }
        } else {
            Sizes {
                block,
                batch,
                channels,
                height: height / block,
                width: width / block,
            }
        })
    }

    /// Steps on the deep side's channel axis for `i`, `j` and `c`.
    fn channel_steps(&self, sizes: &Sizes) -> [usize; 3] {
        let (block, channels) = (sizes.block, sizes.channels);
        match self.block_outside {
            true => [block * channels, channels, 1],
            false => [block, 1, block * block],
        }
    }
}

impl Operator for Blocks {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: self.params,
            available: Availability::From(self.available),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        let s = self.sizes(node, shape)?;
        let many = |count: usize, times: usize| count.saturating_mul(times);
        let shape = match self.spreads {
            true => [
                s.batch,
                s.channels,
                many(s.height, s.block),
                many(s.width, s.block),
            ],
            false => [s.batch, many(s.channels, s.block * s.block), s.height, s.width],
        };
        checks::results(node, dtype, &shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let sizes = self.sizes(&call.node, x.shape)?;
        let (block, channels) = (sizes.block, sizes.channels);
        let steps = strides(x.shape);
        move_elements(x, &mut outputs[0], |index| {
            let (n, c, h, w) = (index[0], index[1], index[2], index[3]);
            let from = if self.spreads {
                let (i, j) = (h % block, w % block);
                let deep = match self.block_outside {
                    true => (i * block + j) * channels + c,
                    false => c * block * block + i * block + j,
                };
                [n, deep, h / block, w / block]
            } else {
                let (wide, cell) = match self.block_outside {
                    true => (c % channels, c / channels),
                    false => (c / (block * block), c % (block * block)),
                };
                [n, wide, h * block + cell / block, w * block + cell % block]
            };
            Some(position(&from, &steps))
        });
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        let sizes = self.sizes(&prepare.node, shape)?;
        let [i_step, j_step, c_step] = self.channel_steps(&sizes);
        let block = sizes.block;
        // For each loop: how often, and axis and step on the wide and on the deep side.
        let both = [
            (sizes.batch, (0, 1), (0, 1)),
            (sizes.channels, (1, 1), (1, c_step)),
            (sizes.height, (2, block), (2, 1)),
            (block, (2, 1), (1, i_step)),
            (sizes.width, (3, block), (3, 1)),
            (block, (3, 1), (1, j_step)),
        ];
        let loops = both.map(|(count, wide, deep)| {
            let (to, from) = if self.spreads { (wide, deep) } else { (deep, wide) };
            Loop {
                count,
                to_axis: to.0,
                to_step: to.1,
                from_axis: Some(from.0),
                from_step: from.1.cast_signed(),
            }
        });
        let pieces = Piece::whole(prepare, "x", loops.into());
        Ok(copy::prepare(prepare, pieces, None))
    }

    fn samples(&self) -> Vec<String> {
        let of = |dtype: &str, block: usize| {
            let deep = format!("{dtype}[2, {}, 2, 3]", 3 * block * block);
            let wide = format!("{dtype}[2, 3, {}, {}]", 2 * block, 3 * block);
            let (x, y) = if self.spreads { (deep, wide) } else { (wide, deep) };
            let call = format!("{}(x=%x, {}={block})", self.name, self.params[1].name);
            sample(&format!("%x: {x}"), &y, &call)
        };
        vec![of("fp32", 2), of("fp32", 3), of("fp16", 2)]
    }
}
