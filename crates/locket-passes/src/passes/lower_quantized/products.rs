//! Products of two quantised tensors, as attention has them.

use locket_mil::{Arg, Function, Operation, Type, ValueId};
use locket_tensor::Tensor;

use super::{Chain, Grid, Reason, codes_like, quantized, set_code};
use crate::pattern::{Links, origins};

/// Most products in one sum: 2^31 over the largest product of two codes less their zero points.
const MAX_PRODUCTS: usize = (1 << 31) / (255 * 255);

const NO_CODES: Reason = "an operand is not quantised per tensor to 8 bits";

/// A product whose result is quantised.
pub(super) fn quantized_output(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
) -> Result<Vec<Operation>, Reason> {
    let (mut operations, mut product, scale) = product(function, links, &chain.core)?;
    let [low, high] = chain.grid.codes(chain.clamp);
    set_multiplier(function, &mut product, scale / f64::from(chain.grid.scale))?;
    for (param, code) in [
        ("z_zero_point", chain.grid.zero_point),
        ("z_min", low),
        ("z_max", high),
    ] {
        set_code(function, &mut product, param, code);
    }
    let dtype = function.add_constant("output_dtype", "uint8");
    product.set_input("output_dtype", dtype);
    product.outputs.clone_from(&chain.quantize.outputs);
    product.origin = chain.origins(&[]);
    operations.push(product);
    Ok(operations)
}

/// A product whose result stays float.
pub(super) fn float_output(function: &mut Function, links: &Links, index: usize) -> Option<Vec<Operation>> {
    let source = function.operations[index].clone();
    let (mut operations, mut product, scale) = product(function, links, &source).ok()?;
    set_multiplier(function, &mut product, scale).ok()?;
    let dtype = function.add_constant("output_dtype", "fp32");
    product.set_input("output_dtype", dtype);
    product.outputs.clone_from(&source.outputs);
    product.origin = origins([&source]);
    operations.push(product);
    Some(operations)
}

fn set_multiplier(function: &mut Function, product: &mut Operation, value: f64) -> Result<(), Reason> {
    let value = value as f32;
    if !(value.is_normal() && value < 1e20) {
        return Err("the scales of its operands and result lie too far apart");
    }
    let multiplier = function.add_constant("multiplier", value);
    product.set_input("multiplier", multiplier);
    Ok(())
}

/// The product on codes, what goes before it, and the scale of its sums.
fn product(
    function: &mut Function,
    links: &Links,
    source: &Operation,
) -> Result<(Vec<Operation>, Operation, f64), Reason> {
    let operand = |function: &Function, param: &str| {
        let id = source.input(param).ok_or(NO_CODES)?;
        quantized(function, links, id).ok_or(NO_CODES)
    };
    let ((x, x_grid), (y, y_grid)): ((ValueId, Grid), (ValueId, Grid)) =
        (operand(function, "x")?, operand(function, "y")?);
    let flag = |param: &str| {
        let tensor = source.input(param).and_then(|id| function.const_tensor(id));
        tensor.is_some_and(|tensor| tensor.codes().first() == Some(&1))
    };
    let shape = function.ty(x).shape().unwrap_or_default();
    let rank = function.ty(y).shape().map_or(0, <[usize]>::len);
    if flag("transpose_x") || shape.len() < 2 || rank < 2 {
        return Err("its operands are no rows of matrices");
    }
    if shape.last().is_none_or(|&products| products > MAX_PRODUCTS) {
        return Err("its sums could exceed 32 bits");
    }
    let mut transposed = flag("transpose_y");
    let mut before = Vec::new();
    let mut y = y;
    if let Some((moves, codes)) = without_last_swap(function, links, y) {
        transposed = !transposed;
        before.extend(moves);
        y = codes;
    }
    let mut product = Operation {
        kind: "locket.matmul_u8".into(),
        inputs: vec![("x".into(), x.into()), ("y".into(), y.into())],
        outputs: Vec::new(),
        origin: Vec::new(),
    };
    if transposed {
        let flag = function.add_constant("transpose_y", Tensor::bool_scalar(true));
        product.set_input("transpose_y", flag);
    }
    set_code(function, &mut product, "x_zero_point", x_grid.zero_point);
    set_code(function, &mut product, "y_zero_point", y_grid.zero_point);
    Ok((before, product, f64::from(x_grid.scale) * f64::from(y_grid.scale)))
}

/// If codes come out of a transposition that exchanges the last two axes, besides what else it does: the transposition without that
/// (none if nothing is left), and its result. The product reads rows as well as columns, so the exchange is free there.
fn without_last_swap(
    function: &mut Function,
    links: &Links,
    codes: ValueId,
) -> Option<(Option<Operation>, ValueId)> {
    let source = links.made_by(function, codes, "transpose")?.clone();
    let x = source.input("x")?;
    let mut perm = function.const_tensor(source.input("perm")?)?.to_i64()?;
    let rank = perm.len();
    // Only where it takes the elements of a row from one row: then what is left moves whole rows.
    (rank >= 2 && perm[rank - 2] == rank as i64 - 1).then_some(())?;
    perm.swap(rank - 2, rank - 1);
    if perm.iter().enumerate().all(|(axis, &from)| axis as i64 == from) {
        return Some((None, x));
    }
    let dims = function.ty(x).shape()?.to_vec();
    let shape: Vec<usize> = perm
        .iter()
        .map(|&axis| dims.get(usize::try_from(axis).ok()?).copied())
        .collect::<Option<_>>()?;
    let name = format!("{}_rows", function.value(codes).name);
    let result = codes_like(function, &name, codes);
    let dtype = function.ty(codes).dtype()?;
    function.set_type(result, Type::tensor(dtype, &shape));
    let perm: Vec<i32> = perm
        .iter()
        .map(|&axis| i32::try_from(axis).ok())
        .collect::<Option<_>>()?;
    let perm = function.add_constant("perm", Tensor::vector(&perm));
    let mut moves = source;
    moves.set_input("perm", Arg::One(perm));
    moves.outputs = vec![result];
    Some((Some(moves), result))
}
