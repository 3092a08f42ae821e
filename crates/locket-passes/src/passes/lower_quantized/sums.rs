//! Sums and means.

use locket_mil::{Function, Operation, Type, ValueId};
use locket_tensor::DType;

use super::{Chain, Reason, layers, quantized, set_code, set_ratio, set_result};
use crate::pattern::{Links, flag, ints, resolved_axes};

/// `conv + dequantize(r)`, quantised: a convolution with a residual.
pub(super) fn residual(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
) -> Result<Vec<Operation>, Reason> {
    let operands = chain.core.input("x").zip(chain.core.input("y"));
    let (x, y) = operands
        .filter(|_| chain.exclusive)
        .ok_or("no operands of its own")?;
    for (value, other) in [(x, y), (y, x)] {
        let Some(layer) = links.made_by(function, value, "conv").cloned() else {
            continue;
        };
        let Some(residual) = quantized(function, links, other) else {
            continue;
        };
        let alone = links.only_user(value).is_some() && function.ty(value) == function.ty(other);
        if alone && !is_depthwise(function, &layer) {
            return layers::with_residual(function, links, chain, &layer, residual);
        }
    }
    Err("neither operand is a convolution with a quantised partner")
}

/// True for convolutions whose kernels take no residual.
fn is_depthwise(function: &Function, layer: &Operation) -> bool {
    let weight = layer.input("weight").and_then(|id| function.ty(id).shape());
    let x = layer.input("x").and_then(|id| function.ty(id).shape());
    weight
        .zip(x)
        .is_some_and(|(weight, x)| weight[1] == 1 && x[1] > 1)
}

/// `dequantize(a) + dequantize(b)`, quantised.
pub(super) fn add(function: &mut Function, links: &Links, chain: &Chain) -> Result<Vec<Operation>, Reason> {
    let operand = |param: &str| quantized(function, links, chain.core.input(param)?);
    let (a, b) = operand("x")
        .zip(operand("y"))
        .ok_or("an operand is not quantised per tensor to 8 bits")?;
    if function.ty(a.0) != function.ty(b.0) {
        return Err("its operands differ in shape");
    }
    let mut operation = chain.replacement("locket.add_u8");
    operation.set_input("a", a.0);
    operation.set_input("b", b.0);
    let params = [
        ("a_zero_point", "a_multiplier", a.1),
        ("b_zero_point", "b_multiplier", b.1),
    ];
    for (zero_point, multiplier, grid) in params {
        set_code(function, &mut operation, zero_point, grid.zero_point);
        set_ratio(function, &mut operation, multiplier, grid, chain.grid);
    }
    set_result(function, &mut operation, chain);
    Ok(vec![operation])
}

/// The mean over windows, or over all pixels.
pub(super) fn mean(function: &mut Function, links: &Links, chain: &Chain) -> Result<Vec<Operation>, Reason> {
    let core = &chain.core;
    let x = core.input("x").ok_or("it has no operand")?;
    let (codes, grid) =
        quantized(function, links, x).ok_or("its operand is not quantised per tensor to 8 bits")?;
    let Type::Tensor { shape, .. } = function.ty(x).clone() else {
        return Err("its operand is no tensor");
    };
    let mut operation = chain.replacement("locket.avg_pool_u8");
    operation.set_input("x", codes);
    let mut operations = Vec::new();
    if core.kind == "reduce_mean" {
        let mut axes = resolved_axes(function, core, "axes", shape.len()).unwrap_or_default();
        axes.sort_unstable();
        if !matches!(shape.len(), 3 | 4) || !axes.iter().copied().eq(2..shape.len()) {
            return Err("a mean on integers is over all spatial axes");
        }
        let sizes = function.add_constant("kernel_sizes", ints(&shape[2..]));
        operation.set_input("kernel_sizes", sizes);
        if !flag(function, core, "keep_dims") {
            operations.push(without_spatial_axes(function, &mut operation, &shape));
        }
    } else {
        if flag(function, core, "ceil_mode") {
            return Err("a mean on integers has no ceil mode");
        }
        for param in [
            "kernel_sizes",
            "strides",
            "pad_type",
            "pad",
            "exclude_padding_from_average",
        ] {
            if let Some(arg) = core.arg(param) {
                operation.set_input(param, arg.clone());
            }
        }
    }
    set_code(function, &mut operation, "x_zero_point", grid.zero_point);
    set_ratio(function, &mut operation, "multiplier", grid, chain.grid);
    set_result(function, &mut operation, chain);
    operations.insert(0, operation);
    Ok(operations)
}

/// Lets a mean keep its spatial axes, and removes them afterwards.
fn without_spatial_axes(function: &mut Function, mean: &mut Operation, shape: &[usize]) -> Operation {
    let mut kept = shape.to_vec();
    kept[2..].fill(1);
    let name = format!("{}_kept", function.value(mean.outputs[0]).name);
    let between: ValueId = function.add_result(&name, Type::tensor(DType::UInt8, &kept));
    let axes: Vec<usize> = (2..shape.len()).collect();
    let axes = function.add_constant("axes", ints(&axes));
    Operation {
        kind: "squeeze".into(),
        inputs: vec![("x".into(), between.into()), ("axes".into(), axes.into())],
        outputs: std::mem::replace(&mut mean.outputs, vec![between]),
        origin: mean.origin.clone(),
    }
}
