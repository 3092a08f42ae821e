//! The two forms of `constexpr_lut_to_dense` and `constexpr_sparse_to_dense`.
//!
//! Up to iOS 17 the indices (or the mask) are packed into bytes, with the shape beside them; there is one table. From
//! iOS 18 on they are a tensor of 1- to 8-bit elements with a shape of its own, and there may be several tables. A
//! program may have either form: it is written in that of the target.

use locket_mil::{Function, Operation, Target, Type, ValueId};
use locket_tensor::{DType, Shape, Tensor};

use super::{FormatError, invalid, place, unsupported};

const LUT: &str = "constexpr_lut_to_dense";
const SPARSE: &str = "constexpr_sparse_to_dense";

/// The lowest target that an operation with two forms can be written for; `None` for all other operations.
pub(super) fn lowest_target(function: &Function, operation: &Operation) -> Option<Target> {
    if !matches!(&*operation.kind, LUT | SPARSE) {
        return None;
    }
    let old = operation.arg("shape").is_some() || packed_form(function, operation).is_some();
    Some(if old { Target::Ios16 } else { Target::Ios18 })
}

/// Gives every operation with two forms that of the target.
///
/// # Errors
/// When an operation's parameters contradict each other.
pub(super) fn adapt(function: &mut Function, target: Target) -> Result<(), FormatError> {
    let mut operations = std::mem::take(&mut function.operations);
    for operation in &mut operations {
        if !matches!(&*operation.kind, LUT | SPARSE) {
            continue;
        }
        match (operation.arg("shape").is_some(), target >= Target::Ios18) {
            (true, true) => unpack(function, operation)?,
            (false, false) => pack(function, operation)?,
            (true, false) | (false, true) => {}
        }
    }
    function.operations = operations;
    Ok(())
}

/// What an operation of the newer form is in the older one.
struct PackedForm {
    /// The parameter that is packed, `indices` or `mask`.
    param: &'static str,
    bytes: Tensor,
    shape: Tensor,
    /// The one table, flat; `None` for a sparse tensor.
    lut: Option<Tensor>,
}

fn param_of(operation: &Operation) -> &'static str {
    if operation.kind == LUT { "indices" } else { "mask" }
}

/// The older form of an operation of the newer one, if it has one: one table, scalar entries, no 3-bit indices.
fn packed_form(function: &Function, operation: &Operation) -> Option<PackedForm> {
    let constant = |param: &str| {
        operation
            .input(param)
            .and_then(|value| function.const_tensor(value))
    };
    let param = param_of(operation);
    let codes = constant(param)?;
    let lut = if operation.kind == LUT {
        let lut = constant("lut")?;
        let entries = 1_usize.checked_shl(u32::try_from(codes.dtype().bits()).ok()?)?;
        let widths = [
            DType::UInt1,
            DType::UInt2,
            DType::UInt4,
            DType::UInt6,
            DType::UInt8,
        ];
        let one_table = lut.elems() == entries && lut.shape().iter().filter(|dim| **dim != 1).count() <= 1;
        if !widths.contains(&codes.dtype()) || !one_table || operation.arg("vector_axis").is_some() {
            return None;
        }
        Some(lut.reshaped(&[entries]).ok()?)
    } else {
        let values = constant("nonzero_data")?;
        if codes.dtype() != DType::UInt1 || values.dtype().is_packed() {
            return None;
        }
        None
    };
    let shape: Option<Vec<u32>> = codes.shape().iter().map(|dim| u32::try_from(*dim).ok()).collect();
    let bytes = Tensor::from_bytes(DType::UInt8, &[codes.bytes().len()], codes.bytes()).ok()?;
    Some(PackedForm {
        param,
        bytes,
        shape: Tensor::vector(&shape?),
        lut,
    })
}

fn pack(function: &mut Function, operation: &mut Operation) -> Result<(), FormatError> {
    let form = packed_form(function, operation).ok_or_else(|| {
        unsupported(
            place(operation),
            "it has no form before iOS 18",
            "write for iOS 18 or later",
        )
    })?;
    replace(function, operation, form.param, form.bytes);
    if let Some(lut) = form.lut {
        replace(function, operation, "lut", lut);
    }
    let name = wish(function, operation, "shape");
    let shape = function.add_constant(&name, form.shape);
    operation.set_input("shape", shape);
    Ok(())
}

fn unpack(function: &mut Function, operation: &mut Operation) -> Result<(), FormatError> {
    let broken = |what: &str| invalid(place(operation), what, "something else");
    let shape: Option<Shape> = match operation.outputs.first().map(|output| function.ty(*output)) {
        Some(Type::Tensor { shape, .. }) => Some(shape.clone()),
        _ => None,
    };
    let shape = shape.ok_or_else(|| broken("a result of known shape"))?;
    let param = param_of(operation);
    let constant = |param: &str| {
        operation
            .input(param)
            .and_then(|value| function.const_tensor(value))
    };
    let bytes = constant(param).ok_or_else(|| broken("constant parameters"))?;
    let (dtype, lut) = if operation.kind == LUT {
        let lut = constant("lut").ok_or_else(|| broken("a constant `lut`"))?;
        let dtype = match lut.elems() {
            2 => DType::UInt1,
            4 => DType::UInt2,
            16 => DType::UInt4,
            64 => DType::UInt6,
            256 => DType::UInt8,
            _ => return Err(broken("a `lut` of 2, 4, 16, 64 or 256 entries")),
        };
        let mut table: Shape = shape.iter().map(|_| 1).collect();
        table.extend([lut.elems(), 1]);
        let lut = lut
            .reshaped(&table)
            .map_err(|error| invalid(place(operation), "a `lut`", error.to_string()))?;
        (dtype, Some(lut))
    } else {
        (DType::UInt1, None)
    };
    let codes = Tensor::from_bytes(dtype, &shape, bytes.bytes());
    let codes = codes.map_err(|error| {
        invalid(
            place(operation),
            format!("as many `{param}` as the shape says"),
            error.to_string(),
        )
    })?;
    replace(function, operation, param, codes);
    if let Some(lut) = lut {
        replace(function, operation, "lut", lut);
    }
    operation.remove_input("shape");
    Ok(())
}

fn wish(function: &Function, operation: &Operation, param: &str) -> String {
    let stem = operation
        .outputs
        .first()
        .map_or("", |output: &ValueId| &function.value(*output).name);
    format!("{stem}_{param}")
}

fn replace(function: &mut Function, operation: &mut Operation, param: &'static str, tensor: Tensor) {
    let name = wish(function, operation, param);
    let value = function.add_constant(&name, tensor);
    operation.set_input(param, value);
}
