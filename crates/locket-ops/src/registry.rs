//! Every operator, by name.

use crate::{Node, OpError, Operator, ops};

/// Every operator, in alphabetical order of the files under `ops/`.
pub static OPERATORS: &[&dyn Operator] = &[
    &ops::activation::CLAMPED_RELU,
    &ops::activation::ELU,
    &ops::activation::LEAKY_RELU,
    &ops::activation::LINEAR_ACTIVATION,
    &ops::activation::RELU,
    &ops::activation::RELU6,
    &ops::activation::SCALED_TANH,
    &ops::activation::SIGMOID,
    &ops::activation::SIGMOID_HARD,
    &ops::activation::HARD_SWISH,
    &ops::activation::SILU,
    &ops::activation::SOFTPLUS,
    &ops::activation::SOFTSIGN,
    &ops::activation::THRESHOLDED_RELU,
    &ops::add_u8::ADD_U8,
    &ops::avg_pool_u8::AVG_POOL_U8,
    &ops::batch_norm::BATCH_NORM,
    &ops::binary::ADD,
    &ops::binary::EQUAL,
    &ops::binary::FLOOR_DIV,
    &ops::binary::GREATER,
    &ops::binary::GREATER_EQUAL,
    &ops::binary::LESS,
    &ops::binary::LESS_EQUAL,
    &ops::binary::LOGICAL_AND,
    &ops::binary::LOGICAL_OR,
    &ops::binary::LOGICAL_XOR,
    &ops::binary::MAXIMUM,
    &ops::binary::MINIMUM,
    &ops::binary::MOD,
    &ops::binary::MUL,
    &ops::binary::NOT_EQUAL,
    &ops::binary::POW,
    &ops::binary::REAL_DIV,
    &ops::binary::SUB,
    &ops::cast::CAST,
    &ops::concat::CONCAT,
    &ops::concat::STACK,
    &ops::constexpr_affine_dequantize::CONSTEXPR_AFFINE_DEQUANTIZE,
    &ops::constexpr_blockwise_shift_scale::CONSTEXPR_BLOCKWISE_SHIFT_SCALE,
    &ops::constexpr_blockwise_shift_scale::CONSTEXPR_SPARSE_BLOCKWISE_SHIFT_SCALE,
    &ops::constexpr_cast::CONSTEXPR_CAST,
    &ops::constexpr_lut_to_dense::CONSTEXPR_LUT_TO_DENSE,
    &ops::constexpr_lut_to_dense::CONSTEXPR_LUT_TO_SPARSE,
    &ops::constexpr_sparse_to_dense::CONSTEXPR_SPARSE_TO_DENSE,
    &ops::conv::CONV,
    &ops::conv::FUSED_CONV,
    &ops::conv_u8::CONV_U8,
    &ops::conv_u8::LINEAR_U8,
    &ops::depth_space::DEPTH_TO_SPACE,
    &ops::depth_space::PIXEL_SHUFFLE,
    &ops::depth_space::PIXEL_UNSHUFFLE,
    &ops::depth_space::SPACE_TO_DEPTH,
    &ops::fill::FILL,
    &ops::fill::FILL_LIKE,
    &ops::fill::ONE_HOT,
    &ops::fill::RANGE_1D,
    &ops::gather::GATHER,
    &ops::gather::GATHER_ALONG_AXIS,
    &ops::gather::GATHER_ND,
    &ops::gelu::GELU,
    &ops::instance_norm::INSTANCE_NORM,
    &ops::instance_norm::L2_NORM,
    &ops::layer_norm::LAYER_NORM,
    &ops::linear::FUSED_LINEAR,
    &ops::linear::LINEAR,
    &ops::local_response_norm::LOCAL_RESPONSE_NORM,
    &ops::lookup_u8::LOOKUP_U8,
    &ops::maths::ABS,
    &ops::maths::ACOS,
    &ops::maths::ASIN,
    &ops::maths::ATAN,
    &ops::maths::ATANH,
    &ops::maths::CEIL,
    &ops::maths::CLIP,
    &ops::maths::COS,
    &ops::maths::COSH,
    &ops::maths::ERF,
    &ops::maths::EXP,
    &ops::maths::EXP2,
    &ops::maths::FLOOR,
    &ops::maths::INVERSE,
    &ops::maths::LOG,
    &ops::maths::LOGICAL_NOT,
    &ops::maths::ROUND,
    &ops::maths::RSQRT,
    &ops::maths::SIGN,
    &ops::maths::SIN,
    &ops::maths::SINH,
    &ops::maths::SQRT,
    &ops::maths::SQUARE,
    &ops::maths::TAN,
    &ops::maths::TANH,
    &ops::maths::THRESHOLD,
    &ops::matmul::MATMUL,
    &ops::matmul_u8::MATMUL_U8,
    &ops::pad::PAD,
    &ops::pool::AVG_POOL,
    &ops::pool::L2_POOL,
    &ops::pool::MAX_POOL,
    &ops::pool::MAX_POOL_U8,
    &ops::prelu::PRELU,
    &ops::prelu::SOFTPLUS_PARAMETRIC,
    &ops::quantize::DEQUANTIZE,
    &ops::quantize::QUANTIZE,
    &ops::reduce::REDUCE_L1_NORM,
    &ops::reduce::REDUCE_L2_NORM,
    &ops::reduce::REDUCE_LOG_SUM,
    &ops::reduce::REDUCE_LOG_SUM_EXP,
    &ops::reduce::REDUCE_MAX,
    &ops::reduce::REDUCE_MEAN,
    &ops::reduce::REDUCE_MIN,
    &ops::reduce::REDUCE_PROD,
    &ops::reduce::REDUCE_SUM,
    &ops::reduce::REDUCE_SUM_SQUARE,
    &ops::reduce_arg::REDUCE_ARGMAX,
    &ops::reduce_arg::REDUCE_ARGMIN,
    &ops::resize::RESIZE_BILINEAR,
    &ops::resize::RESIZE_NEAREST_NEIGHBOR,
    &ops::resize::UPSAMPLE_BILINEAR,
    &ops::resize::UPSAMPLE_NEAREST_NEIGHBOR,
    &ops::select::SELECT,
    &ops::shape::SHAPE,
    &ops::slice::SLICE_BY_INDEX,
    &ops::slice::SLICE_BY_SIZE,
    &ops::softmax::SOFTMAX,
    &ops::sort::ARGSORT,
    &ops::sort::CUMSUM,
    &ops::sort::TOPK,
    &ops::split::SPLIT,
    &ops::tile::REVERSE,
    &ops::tile::TILE,
    &ops::transpose::TRANSPOSE,
    &ops::views::EXPAND_DIMS,
    &ops::views::FLATTEN2D,
    &ops::views::IDENTITY,
    &ops::views::RESHAPE,
    &ops::views::SQUEEZE,
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
