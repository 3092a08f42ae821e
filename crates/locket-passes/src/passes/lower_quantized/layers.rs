//! Convolutions and fully connected layers.

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_ops::Weight;
use locket_tensor::{DType, Tensor};

use super::{Chain, Grid, Reason, quantized, set_code, set_ratio, set_result, weights};
use crate::{
    PassReport,
    pattern::{Links, as_clamp, compose_clamps, origins},
};

/// Parameters that a layer of either kind hands on.
const GEOMETRY: [&str; 5] = ["strides", "pad_type", "pad", "dilations", "groups"];

/// Largest bias of an accumulator: sums of products stay below as much again, so that none overflows.
const MAX_BIAS: f64 = (1 << 30) as f64;

/// Most products in one sum: 2^30 over the largest product, 255 * 128.
const MAX_PRODUCTS: usize = (1 << 30) / (255 * 128);

/// The integer layer up to its output: `scale_y` is 1 for a float output.
fn layer(
    function: &mut Function,
    source: &Operation,
    (x, grid): (ValueId, Grid),
    scale_y: f32,
) -> Result<Operation, Reason> {
    let codes = weights::of(function, source)?;
    let channels = codes.scale.len();
    if codes.codes.len() / channels.max(1) > MAX_PRODUCTS {
        return Err("its sums could exceed 32 bits");
    }
    let bias = bias(function, source, channels)?;
    let mut rounded = Vec::with_capacity(channels);
    let mut multiplier = Vec::with_capacity(channels);
    let run = (codes.codes.len() / channels.max(1)).max(1);
    for (channel, row) in codes.codes.chunks(run).enumerate() {
        let mut product = f64::from(grid.scale) * f64::from(codes.scale[channel]);
        let value = f64::from(bias[channel]);
        if (value / product).abs() > MAX_BIAS {
            // Where all weights are 0 the scale is free: converters leave tiny ones there.
            if row.iter().any(|&code| code != 0) {
                return Err("its bias does not fit into 32 bits on the scale of its sums");
            }
            product = value.abs() / f64::from(1 << 24);
        }
        rounded.push((value / product).round_ties_even() as i32);
        multiplier.push((product / f64::from(scale_y)) as f32);
    }
    if multiplier.iter().any(|number| !number.is_finite()) {
        return Err("the scales of its operand, weight and result lie too far apart");
    }
    let weight = function.add_constant("weight_codes", codes.tensor()?);
    let bias = function.add_constant("bias_codes", Tensor::vector(&rounded));
    let multiplier = function.add_constant("multiplier", Tensor::vector(&multiplier));
    let kind = if source.kind == "conv" {
        "locket.conv_u8"
    } else {
        "locket.linear_u8"
    };
    let mut operation = Operation {
        kind: kind.into(),
        inputs: vec![
            ("x".into(), x.into()),
            ("weight".into(), weight.into()),
            ("bias".into(), bias.into()),
        ],
        outputs: Vec::new(),
        origin: Vec::new(),
    };
    set_code(function, &mut operation, "x_zero_point", grid.zero_point);
    operation.set_input("multiplier", multiplier);
    for param in GEOMETRY {
        if let Some(arg) = source.arg(param) {
            operation.set_input(param, arg.clone());
        }
    }
    Ok(operation)
}

fn bias(function: &Function, source: &Operation, channels: usize) -> Result<Vec<f32>, Reason> {
    let Some(id) = source.input("bias") else {
        return Ok(vec![0.0; channels]);
    };
    let values = Weight::of(function, id)
        .and_then(|weight| weight.expand())
        .and_then(|tensor| tensor.to_f32())
        .filter(|values| values.len() == channels)
        .ok_or("its bias is not constant")?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err("its bias is not finite")
    }
}

/// Binds what an integer output needs.
fn set_output(function: &mut Function, operation: &mut Operation, chain: &Chain) {
    set_result(function, operation, chain);
    let dtype = function.add_constant("output_dtype", "uint8");
    operation.set_input("output_dtype", dtype);
}

/// A layer whose result is quantised.
pub(super) fn quantized_output(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
) -> Result<Vec<Operation>, Reason> {
    let operand = operand(function, links, &chain.core)?;
    let mut operation = layer(function, &chain.core, operand, chain.grid.scale)?;
    set_output(function, &mut operation, chain);
    operation.outputs.clone_from(&chain.quantize.outputs);
    operation.origin = chain.origins(&[]);
    Ok(vec![operation])
}

/// A convolution plus a quantised tensor, whose sum is quantised.
pub(super) fn with_residual(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
    source: &Operation,
    (residual, residual_grid): (ValueId, Grid),
) -> Result<Vec<Operation>, Reason> {
    let operand = operand(function, links, source)?;
    let mut operation = layer(function, source, operand, chain.grid.scale)?;
    set_output(function, &mut operation, chain);
    operation.set_input("residual", residual);
    set_code(
        function,
        &mut operation,
        "residual_zero_point",
        residual_grid.zero_point,
    );
    set_ratio(
        function,
        &mut operation,
        "residual_multiplier",
        residual_grid,
        chain.grid,
    );
    operation.outputs.clone_from(&chain.quantize.outputs);
    operation.origin = chain.origins(&[source]);
    Ok(vec![operation])
}

fn operand(function: &Function, links: &Links, layer: &Operation) -> Result<(ValueId, Grid), Reason> {
    let x = layer.input("x").ok_or("it has no operand")?;
    quantized(function, links, x).ok_or("its operand is not quantised per tensor to 8 bits")
}

/// A layer on integers whose result stays float, such as the last one before a softmax; with the clamp that follows it.
pub(super) fn float_output(
    function: &mut Function,
    links: &Links,
    index: usize,
    report: &mut PassReport,
) -> Option<Vec<Operation>> {
    let source = function.operations[index].clone();
    let operand = operand(function, links, &source).ok()?;
    match layer(function, &source, operand, 1.0) {
        Ok(mut operation) => {
            let dtype = function.add_constant("output_dtype", "fp32");
            operation.set_input("output_dtype", dtype);
            operation.outputs.clone_from(&source.outputs);
            operation.origin.clone_from(&source.origin);
            Some(vec![operation])
        }
        Err(reason) => {
            report.skip(source.label(), format!("stays float: {reason}"));
            None
        }
    }
}

/// Gives integer layers with a float result the clamp that alone reads it. Returns how many.
pub(super) fn take_clamps(function: &mut Function) -> usize {
    let mut changes = 0;
    let links = Links::of(function);
    let mut patch = Patch::new("take_clamps");
    for index in 0..function.operations.len() {
        let source = function.operations[index].clone();
        let integer = matches!(&*source.kind, "locket.conv_u8" | "locket.linear_u8");
        if !integer || function.ty(source.outputs[0]).dtype() != Some(DType::Float32) {
            continue;
        }
        let (mut clamp, mut taken) = (None, Vec::new());
        let mut value = source.outputs[0];
        while let Some(user) = links.only_user(value)
            && let Some(bounds) = as_clamp(function, &function.operations[user])
        {
            clamp = Some(clamp.map_or(bounds, |inner| compose_clamps(inner, bounds)));
            value = function.operations[user].outputs[0];
            taken.push(user);
        }
        let Some(bounds) = clamp else { continue };
        let mut operation = source.clone();
        for (param, bound) in ["clamp_min", "clamp_max"].into_iter().zip(bounds) {
            if bound.is_finite() {
                let id = function.add_constant(param, bound);
                operation.set_input(param, id);
            }
        }
        operation.outputs = vec![value];
        let clamps = taken.iter().map(|&at| &function.operations[at]);
        operation.origin = origins(std::iter::once(&source).chain(clamps));
        patch.replace(index, operation);
        taken.iter().for_each(|&at| patch.remove(at));
        changes += 1;
    }
    patch.apply(function);
    changes
}
