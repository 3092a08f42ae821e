//! Convolutions and fully connected layers.

use locket_mil::{Function, Operation, ValueId};
use locket_ops::Weight;
use locket_tensor::{DType, Tensor};

use super::{Chain, Grid, names, quantized};
use crate::{PassReport, pattern::Links};

/// Symmetric int8 codes with a scale for each output channel.
struct Codes {
    tensor: Tensor,
    scale: Vec<f32>,
}

/// The int8 weight of a layer, if that is how it is stored.
fn codes(function: &Function, layer: &Operation) -> Result<Codes, &'static str> {
    let weight = layer
        .input("weight")
        .and_then(|id| Weight::of(function, id))
        .ok_or("its weight is not constant")?;
    let Weight::Compressed(node) = weight else {
        return Err("its weight is not quantised");
    };
    let (data, zero) = match &*node.operation.kind {
        "constexpr_affine_dequantize" => ("quantized_data", "zero_point"),
        "constexpr_blockwise_shift_scale" => ("data", "offset"),
        _ => return Err("its weight is compressed in another way"),
    };
    let stored = node.tensor(data).ok_or("its weight is compressed twice")?;
    let zeros = node
        .tensor(zero)
        .map_or(Some(vec![0]), Tensor::to_i64)
        .unwrap_or_default();
    let zero = *zeros.first().ok_or("its zero point is not a number")?;
    if zeros.iter().any(|&other| other != zero) {
        return Err("the zero points of its weight differ");
    }
    let tensor = match (stored.dtype(), zero) {
        (DType::Int8, 0) => stored.clone(),
        (DType::UInt8, 128) => {
            let codes: Vec<u8> = stored.as_slice::<u8>().iter().map(|code| code ^ 0x80).collect();
            Tensor::from_codes(DType::Int8, stored.shape(), &codes).map_err(|_| "its weight is too large")?
        }
        _ => return Err("its weight is not symmetric int8"),
    };
    let channels = tensor.shape()[0];
    let scale_tensor = node.tensor("scale").ok_or("its scale is not constant")?;
    let scale = scale_tensor.to_f32().ok_or("its scale is not a number")?;
    let along_outputs = node
        .axis("axis", 0, tensor.shape().len())
        .is_ok_and(|axis| axis == 0);
    let scale = match scale.len() {
        1 => vec![scale[0]; channels],
        count if count == channels && along_outputs => scale,
        _ => return Err("its scale is not one number for each output channel"),
    };
    Ok(Codes { tensor, scale })
}

/// Parameters that a layer of either kind hands on.
const GEOMETRY: [&str; 5] = ["strides", "pad_type", "pad", "dilations", "groups"];

/// The integer layer up to its output: `scale_y` is 1 for a float output.
fn layer(
    function: &mut Function,
    source: &Operation,
    x: ValueId,
    grid: Grid,
    scale_y: f32,
) -> Result<Operation, &'static str> {
    let Codes { tensor, scale } = codes(function, source)?;
    let channels = tensor.shape()[0];
    let bias = match source.input("bias") {
        None => vec![0.0; channels],
        Some(id) => Weight::of(function, id)
            .and_then(|weight| weight.expand())
            .and_then(|tensor| tensor.to_f32())
            .ok_or("its bias is not constant")?,
    };
    let products: Vec<f64> = scale
        .iter()
        .map(|&scale| f64::from(grid.scale) * f64::from(scale))
        .collect();
    if products
        .iter()
        .any(|product| !product.is_finite() || *product <= 0.0)
    {
        return Err("a scale is zero or not finite");
    }
    // Saturating: a bias beyond the accumulator saturates the output as well.
    let rounded: Vec<i32> = bias
        .iter()
        .zip(&products)
        .map(|(&bias, product)| (f64::from(bias) / product).round_ties_even() as i32)
        .collect();
    let multiplier: Vec<f32> = products
        .iter()
        .map(|product| (product / f64::from(scale_y)) as f32)
        .collect();
    let weight = function.add_constant("weight_codes", tensor);
    let bias = function.add_constant("bias_codes", Tensor::vector(&rounded));
    let multiplier = function.add_constant("multiplier", Tensor::vector(&multiplier));
    let zero_point = function.add_constant("x_zero_point", i32::from(grid.zero_point));
    let mut operation = Operation {
        kind: if source.kind == "conv" {
            "locket.conv_u8".into()
        } else {
            "locket.linear_u8".into()
        },
        inputs: vec![
            ("x".into(), x.into()),
            ("weight".into(), weight.into()),
            ("bias".into(), bias.into()),
            ("x_zero_point".into(), zero_point.into()),
            ("multiplier".into(), multiplier.into()),
        ],
        outputs: Vec::new(),
        origin: Vec::new(),
    };
    for param in GEOMETRY {
        if let Some(arg) = source.arg(param) {
            operation.set_input(param, arg.clone());
        }
    }
    Ok(operation)
}

/// Binds what an integer output needs.
fn set_output(function: &mut Function, operation: &mut Operation, grid: Grid, clamp: Option<[f32; 2]>) {
    let [low, high] = grid.codes(clamp);
    let numbers = [("y_zero_point", grid.zero_point), ("y_min", low), ("y_max", high)];
    for (param, value) in numbers {
        let id = function.add_constant(param, i32::from(value));
        operation.set_input(param, id);
    }
    let dtype = function.add_constant("output_dtype", "uint8");
    operation.set_input("output_dtype", dtype);
}

/// A layer whose result is quantised.
pub(super) fn quantized_output(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
) -> Result<Operation, &'static str> {
    let (x, grid) = operand(function, links, &chain.core)?;
    let mut operation = layer(function, &chain.core, x, grid, chain.grid.scale)?;
    set_output(function, &mut operation, chain.grid, chain.clamp);
    operation.outputs.clone_from(&chain.quantize.outputs);
    operation.origin = names(chain, &[]);
    Ok(operation)
}

/// A layer plus a quantised tensor, whose sum is quantised.
pub(super) fn with_residual(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
    source: &Operation,
    (residual, residual_grid): (ValueId, Grid),
) -> Result<Operation, &'static str> {
    let (x, grid) = operand(function, links, source)?;
    let mut operation = layer(function, source, x, grid, chain.grid.scale)?;
    set_output(function, &mut operation, chain.grid, chain.clamp);
    operation.set_input("residual", residual);
    let zero_point = function.add_constant("residual_zero_point", i32::from(residual_grid.zero_point));
    operation.set_input("residual_zero_point", zero_point);
    let ratio = (f64::from(residual_grid.scale) / f64::from(chain.grid.scale)) as f32;
    let multiplier = function.add_constant("residual_multiplier", ratio);
    operation.set_input("residual_multiplier", multiplier);
    operation.outputs.clone_from(&chain.quantize.outputs);
    operation.origin = names(chain, &[source]);
    Ok(operation)
}

fn operand(function: &Function, links: &Links, layer: &Operation) -> Result<(ValueId, Grid), &'static str> {
    let x = layer.input("x").ok_or("it has no operand")?;
    quantized(function, links, x).ok_or("its operand is not quantised per tensor to 8 bits")
}

/// A layer on integers whose result stays float, such as the last one before a softmax. One that feeds a `quantize` is left to that.
pub(super) fn float_output(
    function: &mut Function,
    links: &Links,
    index: usize,
    report: &mut PassReport,
) -> Option<Operation> {
    let source = function.operations[index].clone();
    let (x, grid) = operand(function, links, &source).ok()?;
    if leads_to_quantize(function, links, source.outputs[0]) {
        return None;
    }
    match layer(function, &source, x, grid, 1.0) {
        Ok(mut operation) => {
            let dtype = function.add_constant("output_dtype", "fp32");
            operation.set_input("output_dtype", dtype);
            operation.outputs.clone_from(&source.outputs);
            operation.origin.clone_from(&source.origin);
            Some(operation)
        }
        Err(reason) => {
            report.skip(source.label(), format!("stays float: {reason}"));
            None
        }
    }
}

/// True if the value's only way on is into a `quantize`, through an activation or a sum with a quantised tensor.
fn leads_to_quantize(function: &Function, links: &Links, id: ValueId) -> bool {
    let Some(user) = links.only_user(id) else {
        return false;
    };
    let operation = &function.operations[user];
    match &*operation.kind {
        "quantize" => true,
        "add" => {
            let other = operation.input_values().find(|&other| other != id);
            other.is_some_and(|other| quantized(function, links, other).is_some())
                && leads_to_quantize(function, links, operation.outputs[0])
        }
        _ => {
            crate::pattern::as_clamp(function, operation).is_some()
                && leads_to_quantize(function, links, operation.outputs[0])
        }
    }
}
