//! Every operator, by name.

use crate::{Node, OpError, Operator, ops};

/// Every operator, in alphabetical order of the files under `ops/`.
pub static OPERATORS: &[&dyn Operator] = &[
    &ops::add_u8::ADD_U8,
    &ops::avg_pool_u8::AVG_POOL_U8,
    &ops::batch_norm::BATCH_NORM,
    &ops::conv::CONV,
    &ops::conv::FUSED_CONV,
    &ops::conv_u8::CONV_U8,
    &ops::conv_u8::LINEAR_U8,
    &ops::linear::FUSED_LINEAR,
    &ops::linear::LINEAR,
    &ops::matmul::MATMUL,
    &ops::pool::AVG_POOL,
    &ops::pool::L2_POOL,
    &ops::pool::MAX_POOL,
    &ops::pool::MAX_POOL_U8,
];

/// The operator called `name`.
pub fn get(name: &str) -> Option<&'static dyn Operator> {
    OPERATORS
        .iter()
        .copied()
        .find(|operator| operator.signature().name == name)
}

/// The operator of a node.
///
/// # Errors
///
/// If there is none.
pub fn find(node: &Node<'_>) -> Result<&'static dyn Operator, OpError> {
    get(&node.operation.kind).ok_or_else(|| OpError::Unknown {
        node: node.operation.label().to_owned(),
        kind: node.operation.kind.to_string(),
    })
}

/// The operator of a node, after checking that its parameters are those of the signature: required ones bound, no
/// unknown ones, constants where constants must be.
///
/// # Errors
///
/// If there is no such operator, or the parameters do not fit.
pub fn check(node: &Node<'_>) -> Result<&'static dyn Operator, OpError> {
    let operator = find(node)?;
    let signature = operator.signature();
    for (param, arg) in &node.operation.inputs {
        let Some(known) = signature.params.iter().find(|known| *param == known.name) else {
            return Err(node.param_error(param, "is not a parameter of this operator"));
        };
        if known.constant && arg.values().iter().any(|&id| node.function.literal(id).is_none()) {
            return Err(node.param_error(param, "must be a constant"));
        }
    }
    match signature
        .params
        .iter()
        .find(|known| known.required && !node.has(known.name))
    {
        Some(missing) => Err(node.param_error(missing.name, "is missing")),
        None => Ok(operator),
    }
}
