//! `linear` and `locket.linear`: a fully connected layer.
//!
//! `y[..., n] = bias[n] + sum over k of x[..., k] weight[n, k]`. x: `[..., K]`, rank 1 and more; weight: `[N, K]`, known before
//! the program runs; bias: `[N]`; y: `[..., N]`; fp32 (fp16 in the reference). Since iOS 15.
//!
//! `locket.linear` then clamps to `[clamp_min, clamp_max]`, or, with `activation` `hard_swish`, multiplies by `min(max(y + 3, 0), 6) / 6`.

use locket_kernels::ConvGeometry;
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use crate::{
    Availability, Call, Cost, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
    ops::{
        common::conv_steps::{bf16_step, f32_kernel, float_step},
        conv::{activate, activation, kept_floats, store},
    },
    packing::Packing,
};

/// The operator `linear`.
pub static LINEAR: Linear = Linear { fused: false };

/// The operator `locket.linear`.
pub static FUSED_LINEAR: Linear = Linear { fused: true };

/// See the module.
#[derive(Debug)]
pub struct Linear {
    fused: bool,
}

/// Rows, inputs and outputs of a fully connected layer, and the shape of its result.
pub(crate) fn dims(node: &Node<'_>) -> Result<([usize; 3], Vec<usize>), OpError> {
    let (_, x) = node.ty("x")?;
    let (_, weight) = node.ty("weight")?;
    let (&[n, k], Some((&last, outer))) = (weight, x.split_last()) else {
        return Err(node.param_error(
            "weight",
            format_args!("expected [N, K] for x of {x:?}, found {weight:?}"),
        ));
    };
    if last != k {
        return Err(node.param_error("x", format_args!("expected a last axis of {k}, found {x:?}")));
    }
    if let Some((_, bias)) = node.optional_ty("bias")?
        && *bias != [n]
    {
        return Err(node.param_error("bias", format_args!("expected [{n}], found {bias:?}")));
    }
    let mut shape = outer.to_vec();
    shape.push(n);
    Ok(([outer.iter().product(), k, n], shape))
}

/// Weights that a step keeps.
const KEPT: [&str; 2] = ["weight", "bias"];

const PARAMS: [Param; 6] = [
    Param::required("x"),
    Param::required("weight"),
    Param::optional("bias"),
    Param::attribute("clamp_min"),
    Param::attribute("clamp_max"),
    Param::attribute("activation"),
];

impl Operator for Linear {
    fn signature(&self) -> Signature {
        if self.fused {
            Signature {
                name: "locket.linear",
                params: &PARAMS,
                available: Availability::Internal,
            }
        } else {
            let available = Availability::From(Target::Ios15);
            Signature {
                name: "linear",
                params: const { PARAMS.split_at(3).0 },
                available,
            }
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, _) = node.ty("x")?;
        if !dtype.is_float() {
            return Err(node.param_error("x", format_args!("expected a float type, found {dtype}")));
        }
        Ok(vec![Type::tensor(dtype, &dims(node)?.1)])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        let macs = dims(node).map_or(0, |([m, k, n], _)| m as u64 * k as u64 * n as u64);
        Cost {
            macs,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let node = &call.node;
        let ([rows, inputs, outs], _) = dims(node)?;
        let numbers = |tensor: locket_tensor::TensorRef<'_>| {
            tensor
                .to_tensor()
                .to_f32()
                .ok_or_else(|| node.error("expected tensors of numbers"))
        };
        let (x, weight) = (numbers(call.tensor("x")?)?, numbers(call.tensor("weight")?)?);
        let bias = call.optional("bias")?.map(numbers).transpose()?;
        let activation = activation(node)?;
        let mut result = Vec::with_capacity(rows * outs);
        for row in 0..rows {
            for n in 0..outs {
                let products =
                    (0..inputs).map(|k| f64::from(x[row * inputs + k]) * f64::from(weight[n * inputs + k]));
                let sum = products.sum::<f64>() + bias.as_ref().map_or(0.0, |bias| f64::from(bias[n]));
                result.push(activate(sum as f32, activation));
            }
        }
        store(&mut outputs[0], &result);
        Ok(())
    }

    fn kept_weights(&self) -> &'static [&'static str] {
        &KEPT
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let ([m, k, n], _) = dims(node)?;
        let (dtype, _) = node.ty("x")?;
        let Some(weight) = node.weight("weight").filter(|_| dtype == DType::Float32) else {
            return Err(node.param_error("weight", "must be known before the program runs, with x of fp32"));
        };
        let geometry = ConvGeometry::matmul(m, k, n);
        let activation = activation(node)?;
        let fresh = prepare.packs.unless_stored(node, &KEPT, || {
            let packing = Packing::of(&weight, &[n, k])
                .ok_or_else(|| node.param_error("weight", "expected a tensor of numbers"))?;
            Ok((packing, kept_floats(node, "bias")?))
        })?;
        if let Some(prepared) = bf16_step(prepare, &geometry, fresh.as_ref(), activation)? {
            return Ok(Some(prepared));
        }
        let kernel = f32_kernel(prepare, &geometry, fresh.as_ref(), activation)?;
        Ok(Some(float_step(kernel, false)))
    }

    fn samples(&self) -> Vec<String> {
        let kind = self.signature().name;
        let [clamp, gate] = match self.fused {
            true => [", clamp_min=0.0", ", activation=\"hard_swish\""],
            false => [""; 2],
        };
        [
            ("[1, 40]", "[30, 40]", "[1, 30]", clamp),
            ("[2, 7, 5]", "[3, 5]", "[2, 7, 3]", gate),
            ("[9]", "[70, 9]", "[70]", clamp),
        ]
        .iter()
        .map(|(x, weight, y, rest)| {
            let bias = y
                .rsplit([' ', '['])
                .next()
                .unwrap_or_default()
                .trim_end_matches(']');
            format!(
                "func f opset ios15 (%x: fp32{x}) -> (y: %y) {{
                       %w: fp32{weight} = ramp(-1.0, 0.13)
                       %b: fp32[{bias}] = ramp(-0.5, 0.1)
                       %y: fp32{y} = {kind}(x=%x, weight=%w, bias=%b{rest})
                     }}"
            )
        })
        .collect()
    }
}
