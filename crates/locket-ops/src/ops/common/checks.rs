//! Checks that inference makes, with errors that name parameter, expectation and finding.

use locket_mil::Type;
use locket_tensor::{DType, element_count};

use crate::{Node, OpError};

/// The floating-point types that operators compute in.
pub(crate) const FLOATS: &[DType] = &[DType::Float16, DType::Float32];
/// Numbers that arithmetic takes.
pub(crate) const NUMBERS: &[DType] = &[DType::Float16, DType::Float32, DType::Int32];
/// Numbers and truth values that [`crate::ops::select`] and others move around since iOS 15.
pub(crate) const NUMBERS_AND_BOOL: &[DType] = &[DType::Float16, DType::Float32, DType::Int32, DType::Bool];
/// Everything that can be moved element by element; the narrow integers since iOS 17.
pub(crate) const MOVABLE: &[DType] = &[
    DType::Float16,
    DType::Float32,
    DType::Int8,
    DType::UInt8,
    DType::Int16,
    DType::UInt16,
    DType::Int32,
    DType::UInt32,
    DType::Bool,
];
/// Types of indices and shapes.
pub(crate) const INDICES: &[DType] = &[
    DType::Int8,
    DType::UInt8,
    DType::Int16,
    DType::UInt16,
    DType::Int32,
    DType::UInt32,
];

/// Most bytes that one result may have: shapes may come from constants in hostile files, and nothing that runs on a
/// device comes near.
const MAX_RESULT_BYTES: usize = 1 << 34;

/// Names of types, for messages.
pub(crate) fn names(dtypes: &[DType]) -> String {
    dtypes
        .iter()
        .map(|dtype| dtype.name())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Element type and shape of a required tensor whose type is one of `allowed`.
pub(crate) fn tensor_of<'a>(
    node: &Node<'a>,
    param: &str,
    allowed: &[DType],
) -> Result<(DType, &'a [usize]), OpError> {
    let (dtype, shape) = node.ty(param)?;
    expect_dtype(node, param, dtype, allowed)?;
    Ok((dtype, shape))
}

/// An error unless `found` is one of `allowed`.
pub(crate) fn expect_dtype(
    node: &Node<'_>,
    param: &str,
    found: DType,
    allowed: &[DType],
) -> Result<(), OpError> {
    if allowed.contains(&found) {
        return Ok(());
    }
    let expected = names(allowed);
    Err(node.param_error(param, format_args!("expected {expected}, found {found}")))
}

/// An error unless the parameter, if it is bound, has this shape.
pub(crate) fn expect_optional_shape(node: &Node<'_>, param: &str, expected: &[usize]) -> Result<(), OpError> {
    match node.optional_ty(param)? {
        Some((_, shape)) if shape != expected => Err(node.param_error(
            param,
            format_args!("expected shape {expected:?}, found {shape:?}"),
        )),
        _ => Ok(()),
    }
}

/// An error unless the shape has `ranks` dimensions.
pub(crate) fn expect_rank(
    node: &Node<'_>,
    param: &str,
    shape: &[usize],
    ranks: std::ops::RangeInclusive<usize>,
) -> Result<(), OpError> {
    if ranks.contains(&shape.len()) {
        return Ok(());
    }
    let expected = if *ranks.end() == usize::MAX {
        format!("rank {} or more", ranks.start())
    } else if ranks.start() == ranks.end() {
        format!("rank {}", ranks.start())
    } else {
        format!("rank {} to {}", ranks.start(), ranks.end())
    };
    Err(node.param_error(param, format_args!("expected {expected}, found shape {shape:?}")))
}

/// A result's type, refused if it is too large.
pub(crate) fn result(node: &Node<'_>, dtype: DType, shape: &[usize]) -> Result<Type, OpError> {
    let bytes = element_count(shape).and_then(|elems| dtype.packed_bytes(elems));
    match bytes {
        Some(bytes) if bytes <= MAX_RESULT_BYTES => Ok(Type::tensor(dtype, shape)),
        _ => Err(node.error(format_args!(
            "the result {dtype}{shape:?} is larger than {MAX_RESULT_BYTES} bytes"
        ))),
    }
}

/// The only result's type, as [`result`].
pub(crate) fn results(node: &Node<'_>, dtype: DType, shape: &[usize]) -> Result<Vec<Type>, OpError> {
    result(node, dtype, shape).map(|ty| vec![ty])
}

/// The type that a text parameter names; `default` if it is not bound.
pub(crate) fn dtype_named(
    node: &Node<'_>,
    param: &str,
    default: &'static str,
    allowed: &[DType],
) -> Result<DType, OpError> {
    let text = node.text(param, default)?;
    DType::parse(text)
        .filter(|dtype| allowed.contains(dtype))
        .ok_or_else(|| {
            let expected = names(allowed);
            node.param_error(param, format_args!("expected one of {expected}, found {text:?}"))
        })
}
