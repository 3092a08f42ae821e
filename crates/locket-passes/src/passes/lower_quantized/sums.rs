//! Sums and means.

use locket_mil::{Function, Operation, Type, ValueId};
use locket_tensor::Tensor;

use super::{Chain, Grid, layers, names, quantized};
use crate::pattern::Links;

/// `conv + dequantize(r)`, quantised: a convolution with a residual.
pub(super) fn residual(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
) -> Result<Operation, &'static str> {
    let (x, y) = (
        chain.core.input("x").ok_or("no operand")?,
        chain.core.input("y").ok_or("no operand")?,
    );
    for (value, other) in [(x, y), (y, x)] {
        let Some(layer) = links.made_by(function, value, "conv").cloned() else {
            continue;
        };
        let Some(residual) = quantized(function, links, other) else {
            continue;
        };
        if links.only_user(value).is_none() || function.ty(value) != function.ty(other) {
            continue;
        }
        return layers::with_residual(function, links, chain, &layer, residual);
    }
    Err("neither operand is a convolution with a quantised partner")
}

/// `dequantize(a) + dequantize(b)`, quantised.
pub(super) fn add(function: &mut Function, links: &Links, chain: &Chain) -> Result<Operation, &'static str> {
    let operand = |param: &str| {
        let id = chain.core.input(param)?;
        quantized(function, links, id)
    };
    let (a, b) = operand("x")
        .zip(operand("y"))
        .ok_or("an operand is not quantised per tensor to 8 bits")?;
    if function.ty(a.0) != function.ty(b.0) {
        return Err("its operands differ in shape");
    }
    let mut operation = Operation {
        kind: "locket.add_u8".into(),
        inputs: vec![("a".into(), a.0.into()), ("b".into(), b.0.into())],
        outputs: chain.quantize.outputs.clone(),
        origin: names(chain, &[]),
    };
    for (zero_point, multiplier, grid) in [
        ("a_zero_point", "a_multiplier", a.1),
        ("b_zero_point", "b_multiplier", b.1),
    ] {
        set_int(function, &mut operation, zero_point, grid.zero_point);
        set_ratio(function, &mut operation, multiplier, grid, chain.grid);
    }
    set_codes(function, &mut operation, chain);
    Ok(operation)
}

fn set_int(function: &mut Function, operation: &mut Operation, param: &str, value: u8) {
    let id = function.add_constant(param, i32::from(value));
    operation.set_input(param, id);
}

fn set_ratio(function: &mut Function, operation: &mut Operation, param: &str, from: Grid, to: Grid) {
    let id = function.add_constant(param, (f64::from(from.scale) / f64::from(to.scale)) as f32);
    operation.set_input(param, id);
}

fn set_codes(function: &mut Function, operation: &mut Operation, chain: &Chain) {
    let [low, high] = chain.grid.codes(chain.clamp);
    for (param, value) in [
        ("y_zero_point", chain.grid.zero_point),
        ("y_min", low),
        ("y_max", high),
    ] {
        set_int(function, operation, param, value);
    }
}

/// The mean over windows, or over all pixels.
pub(super) fn mean(function: &mut Function, links: &Links, chain: &Chain) -> Result<Operation, &'static str> {
    let core = &chain.core;
    let x = core.input("x").ok_or("no operand")?;
    let (codes, grid) =
        quantized(function, links, x).ok_or("its operand is not quantised per tensor to 8 bits")?;
    let Type::Tensor { shape, .. } = function.ty(x).clone() else {
        return Err("its operand is no tensor");
    };
    let flag = |param: &str| {
        let tensor = core.input(param).and_then(|id| function.const_tensor(id));
        tensor
            .and_then(Tensor::to_i64)
            .is_some_and(|values| values == [1])
    };
    let mut operation = Operation {
        kind: "locket.avg_pool_u8".into(),
        inputs: vec![("x".into(), codes.into())],
        outputs: chain.quantize.outputs.clone(),
        origin: names(chain, &[]),
    };
    if core.kind == "reduce_mean" {
        let axes = core
            .input("axes")
            .and_then(|id| function.const_tensor(id))
            .and_then(Tensor::to_i64);
        let rank = shape.len() as i64;
        let mut axes: Vec<i64> = axes
            .unwrap_or_default()
            .iter()
            .map(|&axis| if axis < 0 { axis + rank } else { axis })
            .collect();
        axes.sort_unstable();
        if !flag("keep_dims") || shape.len() < 3 || axes != (2..rank).collect::<Vec<_>>() {
            return Err("a mean on integers is over all spatial axes and keeps them");
        }
        let sizes: Vec<i32> = shape[2..].iter().map(|&size| size as i32).collect();
        let id: ValueId = function.add_constant("kernel_sizes", sizes.as_slice());
        operation.set_input("kernel_sizes", id);
    } else {
        if flag("ceil_mode") {
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
    set_int(function, &mut operation, "x_zero_point", grid.zero_point);
    set_ratio(function, &mut operation, "multiplier", grid, chain.grid);
    set_codes(function, &mut operation, chain);
    Ok(operation)
}
