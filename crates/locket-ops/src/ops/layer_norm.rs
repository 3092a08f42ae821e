//! `layer_norm`: `y = (x - mean(x)) / sqrt(variance(x) + epsilon) * gamma + beta`, mean and variance over `axes` (by default
//! all), the variance being the mean square of the differences. x: fp16, fp32; gamma, beta: constants of the shape that x has
//! on `axes`, by default 1 and 0; epsilon 1e-5; y: as x. Since iOS 15; since iOS 17 the parameters may have another float type.

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::common::{
    block::{block, order_along},
    checks::{self, FLOATS},
    index::{for_each_index, position, strides},
    normalise::{Normalise, Place},
    numbers::{floats, put_floats},
    sample, sample_with,
};
use crate::{
    Availability, Call, Cost, Layout, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared,
    Signature,
};

/// The operator `layer_norm`.
pub static LAYER_NORM: LayerNorm = LayerNorm;

/// See the module.
#[derive(Debug)]
pub struct LayerNorm;

/// The normalised axes, ascending, each once.
fn axes(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, OpError> {
    let mut axes = node.axes("axes", rank)?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

impl Operator for LayerNorm {
    fn signature(&self) -> Signature {
        Signature {
            name: "layer_norm",
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("axes"),
                    Param::attribute("gamma"),
                    Param::attribute("beta"),
                    Param::attribute("epsilon"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        let normalised: Shape = axes(node, shape.len())?
            .into_iter()
            .map(|axis| shape[axis])
            .collect();
        for param in ["gamma", "beta"] {
            checks::expect_optional_shape(node, param, &normalised)?;
        }
        node.float("epsilon", 1e-5)?;
        checks::results(node, dtype, shape)
    }

    /// Two passes for mean and variance, one to scale and shift.
    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 3 * node.output_elems(),
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let axes = axes(&call.node, x.shape.len())?;
        let epsilon = f64::from(call.node.float("epsilon", 1e-5)?);
        let [gamma, beta] = ["gamma", "beta"].map(|param| call.optional(param));
        let (gamma, beta) = (gamma?.map(floats), beta?.map(floats));
        let mut values = floats(x);
        let steps = strides(x.shape);
        let along = |take: bool| -> (Shape, Shape) {
            let picked = (0..x.shape.len()).filter(|axis| axes.contains(axis) == take);
            picked.map(|axis| (x.shape[axis], steps[axis])).unzip()
        };
        let ((outer, outer_steps), (inner, inner_steps)) = (along(false), along(true));
        let count = inner.iter().product::<usize>() as f64;
        for_each_index(&outer, |_, index| {
            let start = position(index, &outer_steps);
            let mut sum = 0.0;
            for_each_index(&inner, |_, index| {
                sum += values[start + position(index, &inner_steps)];
            });
            let mean = sum / count;
            let mut squares = 0.0;
            for_each_index(&inner, |_, index| {
                squares += (values[start + position(index, &inner_steps)] - mean).powi(2);
            });
            let scale = 1.0 / (squares / count + epsilon).sqrt();
            for_each_index(&inner, |at, index| {
                let value = &mut values[start + position(index, &inner_steps)];
                let gain = gamma.as_ref().map_or(1.0, |gamma| gamma[at]);
                *value = (*value - mean) * scale * gain + beta.as_ref().map_or(0.0, |beta| beta[at]);
            });
        });
        put_floats(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        let fits = |layout| {
            let (dtype, shape) = node.ty("x").ok()?;
            let axes = axes(node, shape.len()).ok()?;
            block(shape, layout, &axes).filter(|_| dtype == DType::Float32)
        };
        match (fits(Layout::RowMajor), fits(Layout::ChannelsLast)) {
            (Some(_), Some(_)) => LayoutRule::Any,
            (None, Some(_)) => LayoutRule::ChannelsLast,
            _ => LayoutRule::RowMajor,
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (dtype, shape) = node.ty("x")?;
        let axes = axes(node, shape.len())?;
        let layout = prepare.output_layout();
        let Some(block) = block(shape, layout, &axes) else {
            return Ok(None);
        };
        if dtype != DType::Float32 || node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let order = order_along(shape, layout, &axes);
        let along = |param: &str| -> Result<Vec<f32>, OpError> {
            let values = node.floats(param)?.unwrap_or_default();
            let present = order.iter().filter_map(|&position| values.get(position));
            Ok(present.copied().collect())
        };
        let step = Normalise {
            isa: prepare.isa,
            block,
            epsilon: node.float("epsilon", 1e-5)?,
            gamma: along("gamma")?,
            beta: along("beta")?,
            place: Place::Along,
        };
        Ok(Some(step.prepare()))
    }

    fn samples(&self) -> Vec<String> {
        let gamma = "%gamma: fp32[5] = [1.0, 0.5, 2.0, -1.0, 0.25]";
        let beta = "%beta: fp32[5] = [0.0, 1.0, -1.0, 0.5, 0.125]";
        let call = "layer_norm(x=%x, axes=[-1], gamma=%gamma, beta=%beta, epsilon=0.001)";
        vec![
            sample_with("%x: fp32[2, 7, 5]", &[gamma, beta], "fp32[2, 7, 5]", call),
            sample_with("%x: fp32[2, 3, 4, 5]", &[gamma, beta], "fp32[2, 3, 4, 5]", call),
            sample_with("%x: fp16[3, 5]", &[gamma, beta], "fp16[3, 5]", call),
            sample("%x: fp32[2, 37]", "fp32[2, 37]", "layer_norm(x=%x, axes=[1])"),
            sample_with(
                "%x: fp32[1, 5, 2, 3]",
                &[gamma, beta],
                "fp32[1, 5, 2, 3]",
                "layer_norm(x=%x, axes=[1], gamma=%gamma, beta=%beta)",
            ),
            sample_with(
                "%x: fp32[2, 3, 4]",
                &["%gamma: fp32[3, 4] = ramp(0.5, 0.25)"],
                "fp32[2, 3, 4]",
                "layer_norm(x=%x, axes=[1, 2], gamma=%gamma)",
            ),
            sample("%x: fp32[3, 4]", "fp32[3, 4]", "layer_norm(x=%x)"),
            sample_with(
                "%x: fp32[2, 3, 2, 2]",
                &[
                    "%gamma: fp32[3, 2, 2] = ramp(0.5, 0.25)",
                    "%beta: fp32[3, 2, 2] = ramp(-1.0, 0.125)",
                ],
                "fp32[2, 3, 2, 2]",
                "layer_norm(x=%x, axes=[1, 2, 3], gamma=%gamma, beta=%beta)",
            ),
        ]
    }
}
