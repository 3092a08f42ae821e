//! `max_pool`, `avg_pool`, `l2_pool` over one or two spatial axes, and `locket.max_pool` on quantised data.
//!
//! A window's greatest value, mean, or root of the sum of squares. x: `[N, C, L]` or `[N, C, H, W]`, fp32 (fp16 in the reference; u8 for
//! `locket.max_pool`); y as x with pooled spatial axes. Padding takes no part in a maximum. In a mean it counts as zero, unless
//! `exclude_padding_from_average`; a window that ceil mode pushes past the padded image is divided by the pixels inside the padded image.
//! Windows as in [`crate::window`]. Since iOS 15.

use std::ops::Range;

use locket_kernels::{Isa, PoolGeometry, avg_f32, max_f32, max_u8};
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
    ops::conv::store, window::Window,
};

/// The operator `max_pool`.
pub static MAX_POOL: Pool = Pool {
    name: "max_pool",
    kind: Kind::Max,
};
/// The operator `avg_pool`.
pub static AVG_POOL: Pool = Pool {
    name: "avg_pool",
    kind: Kind::Mean,
};
/// The operator `l2_pool`.
pub static L2_POOL: Pool = Pool {
    name: "l2_pool",
    kind: Kind::L2,
};
/// The operator `locket.max_pool`.
pub static MAX_POOL_U8: Pool = Pool {
    name: "locket.max_pool",
    kind: Kind::MaxU8,
};

/// See the module.
#[derive(Debug)]
pub struct Pool {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Max,
    Mean,
    L2,
    MaxU8,
}

/// The windows of a pool's node.
pub(crate) fn window(node: &Node<'_>) -> Result<Window, OpError> {
    let (_, x) = node.ty("x")?;
    let kernel = node.sizes("kernel_sizes", &[])?;
    Window::of(node, x, &kernel)
}

/// For each output pixel, how many pixels of the padded image its window covers.
fn padded_count(window: &Window, out_y: usize, out_x: usize) -> usize {
    let covered = |axis: usize, out: usize| {
        let start = out * window.stride[axis];
        let end = window.input[axis] + window.pad[2 * axis] + window.pad[2 * axis + 1];
        end.saturating_sub(start).min(window.kernel[axis])
    };
    covered(0, out_y) * covered(1, out_x)
}

/// True if ceil mode makes some window hang over the padded image.
fn hangs_over(window: &Window) -> bool {
    let [height, width] = window.output;
    height > 0
        && width > 0
        && padded_count(window, height - 1, width - 1) < window.kernel[0] * window.kernel[1]
}

const PARAMS: [Param; 7] = [
    Param::required("x"),
    Param::constant("kernel_sizes"),
    Param::attribute("strides"),
    Param::attribute("pad_type"),
    Param::attribute("pad"),
    Param::attribute("ceil_mode"),
    Param::attribute("exclude_padding_from_average"),
];

impl Operator for Pool {
    fn signature(&self) -> Signature {
        let params = if self.kind == Kind::Mean {
            &PARAMS[..]
        } else {
            const { PARAMS.split_at(6).0 }
        };
        let internal = self.kind == Kind::MaxU8;
        let available = if internal {
            Availability::Internal
        } else {
            Availability::From(Target::Ios15)
        };
        Signature {
            name: self.name,
            params,
            available,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, x) = node.ty("x")?;
        let fits = if self.kind == Kind::MaxU8 {
            dtype == DType::UInt8
        } else {
            dtype.is_float()
        };
        if !fits {
            return Err(node.param_error("x", format_args!("element type {dtype} cannot be pooled")));
        }
        Ok(vec![Type::tensor(dtype, &window(node)?.output_shape(x[0], x[1]))])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        let taps = window(node).map_or(0, |window| window.kernel[0] * window.kernel[1]);
        Cost {
            macs: node.output_elems() * taps as u64,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let node = &call.node;
        let window = window(node)?;
        let x = call.tensor("x")?;
        let values = x
            .to_tensor()
            .to_f32()
            .ok_or_else(|| node.error("expected numbers"))?;
        let exclude = node.flag("exclude_padding_from_average", false)?;
        let [height, width] = window.input;
        let planes = x.shape[0] * x.shape[1];
        let mut result = Vec::with_capacity(outputs[0].elems());
        for plane in 0..planes {
            for out_y in 0..window.output[0] {
                for out_x in 0..window.output[1] {
                    let mut inside = Vec::new();
                    window.taps(out_y, out_x, |y, x, _, _| {
                        inside.push(values[(plane * height + y) * width + x]);
                    });
                    let count = if exclude {
                        inside.len()
                    } else {
                        padded_count(&window, out_y, out_x)
                    };
                    result.push(fold(self.kind, &inside, count));
                }
            }
        }
        if self.kind == Kind::MaxU8 {
            for (target, value) in outputs[0].as_mut_slice::<u8>().iter_mut().zip(result) {
                *target = value as u8;
            }
        } else {
            store(&mut outputs[0], &result);
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        if self.kind == Kind::L2 {
            LayoutRule::RowMajor
        } else {
            LayoutRule::ChannelsLast
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let window = window(node)?;
        let (dtype, x) = node.ty("x")?;
        let exclude = node.flag("exclude_padding_from_average", false)?;
        if self.kind == Kind::L2 || dtype == DType::Float16 {
            return Ok(None);
        }
        // The kernel divides by all taps or by those inside the image: a window that hangs over is neither, unless
        // there is no padding at all, when the pixels inside are what both definitions count.
        let over = self.kind == Kind::Mean && !exclude && hangs_over(&window);
        if over && window.pad != [0; 4] {
            return Err(node.error("an average in ceil mode with padding that counts is not supported"));
        }
        let geometry = window.pool(x[0], x[1]);
        let units = x[0] * window.output[0] * window.output[1];
        let count_padding = !exclude && !over;
        let step = PoolStep {
            isa: prepare.isa,
            kind: self.kind,
            geometry,
            count_padding,
        };
        Ok(Some(Prepared::new(step, units, x[1] * dtype.bits() / 8)))
    }

    fn samples(&self) -> Vec<String> {
        let dtype = if self.kind == Kind::MaxU8 { "uint8" } else { "fp32" };
        let sample = |x: &str, y: &str, rest: &str| {
            let name = self.name;
            format!(
                "func f opset ios15 (%x: {dtype}{x}) -> (y: %y) {{
                   %y: {dtype}{y} = {name}(x=%x, {rest})
                 }}"
            )
        };
        let mut samples = vec![
            sample(
                "[2, 5, 7, 6]",
                "[2, 5, 3, 3]",
                "kernel_sizes=[3, 2], strides=[2, 2], pad_type=\"valid\"",
            ),
            sample(
                "[1, 3, 6, 6]",
                "[1, 3, 6, 6]",
                "kernel_sizes=[3, 3], pad_type=\"same\"",
            ),
            sample(
                "[1, 20, 7, 7]",
                "[1, 20, 3, 3]",
                "kernel_sizes=[3, 3], strides=[2, 2], ceil_mode=true, pad_type=\"valid\"",
            ),
            sample(
                "[1, 20, 8, 8]",
                "[1, 20, 4, 4]",
                "kernel_sizes=[3, 3], strides=[2, 2], ceil_mode=true, pad_type=\"valid\"",
            ),
            sample(
                "[1, 4, 9]",
                "[1, 4, 4]",
                "kernel_sizes=[2], strides=[2], pad_type=\"valid\"",
            ),
        ];
        if self.kind == Kind::Mean {
            let rest = "kernel_sizes=[3, 3], pad_type=\"custom\", pad=[1, 1, 1, 1], exclude_padding_from_average=true";
            samples.push(sample("[1, 3, 6, 6]", "[1, 3, 6, 6]", rest));
        }
        samples
    }
}

fn fold(kind: Kind, inside: &[f32], count: usize) -> f32 {
    match kind {
        Kind::Max => inside.iter().fold(
            f32::NEG_INFINITY,
            |max, &x| if x > max || x.is_nan() { x } else { max },
        ),
        Kind::MaxU8 => inside.iter().fold(0.0, |max: f32, &x| max.max(x)),
        Kind::Mean => (inside.iter().map(|&x| f64::from(x)).sum::<f64>() / count as f64) as f32,
        Kind::L2 => inside.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32,
    }
}

#[derive(Debug)]
struct PoolStep {
    isa: Isa,
    kind: Kind,
    geometry: PoolGeometry,
    count_padding: bool,
}

impl Step for PoolStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let (isa, geometry) = (self.isa, &self.geometry);
        if self.kind == Kind::MaxU8 {
            return max_u8(isa, geometry, inputs[0], output, units);
        }
        let (input, output) = (bytemuck::cast_slice(inputs[0]), bytemuck::cast_slice_mut(output));
        match self.kind {
            Kind::Mean => avg_f32(isa, geometry, self.count_padding, input, output, units),
            _ => max_f32(isa, geometry, input, output, units),
        }
    }

    fn kernel(&self) -> &str {
        match self.kind {
            Kind::Mean => "f32_avg_pool",
            Kind::MaxU8 => "u8_max_pool",
            _ => "f32_max_pool",
        }
    }
}
