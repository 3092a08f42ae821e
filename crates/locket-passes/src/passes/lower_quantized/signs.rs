//! Moves int8 activations to uint8.

use locket_mil::{Function, Type, ValueId};
use locket_tensor::{DType, Tensor};

use crate::pattern::Links;

/// Rewrites each `quantize` to int8 whose result is read by `dequantize` only: codes and zero points grow by 128.
/// Returns how many.
pub(super) fn to_unsigned(function: &mut Function) -> usize {
    let links = Links::of(function);
    let mut changed = 0;
    for index in 0..function.operations.len() {
        let operation = &function.operations[index];
        let codes = match operation.outputs.as_slice() {
            &[codes] if operation.kind == "quantize" => codes,
            _ => continue,
        };
        let users = links.users(codes).to_vec();
        let readable = users
            .iter()
            .all(|&user| function.operations[user].kind == "dequantize");
        let signed = function.ty(codes).dtype() == Some(DType::Int8);
        let per_tensor = operation.input("axis").is_none();
        if !signed || !readable || !per_tensor || function.is_output(codes) {
            continue;
        }
        if let Some(shape) = function.ty(codes).shape().map(<[usize]>::to_vec) {
            function.set_type(codes, Type::tensor(DType::UInt8, &shape));
            let unsigned = function.add_constant("output_dtype", "uint8");
            function.operations[index].set_input("output_dtype", unsigned);
            for at in users.into_iter().chain([index]) {
                shift_zero_point(function, at);
            }
            changed += 1;
        }
    }
    changed
}

fn shift_zero_point(function: &mut Function, at: usize) {
    let old: Option<ValueId> = function.operations[at].input("zero_point");
    let before = old
        .and_then(|id| function.const_tensor(id))
        .and_then(Tensor::to_i64);
    let value = before.and_then(|values| values.first().copied()).unwrap_or(0);
    let shifted = u8::try_from((value + 128).clamp(0, 255)).unwrap_or(128);
    let id = function.add_constant("zero_point", Tensor::scalar(shifted));
    function.operations[at].set_input("zero_point", id);
}
