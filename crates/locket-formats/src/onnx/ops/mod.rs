//! The lowerings of ONNX operators: one line here and one function in the file of the operator's family.

mod activation;
mod arithmetic;
mod cast;
mod constant;
mod convolution;
mod einsum;
mod gather;
mod logic;
mod matmul;
mod normalization;
mod padding;
mod pooling;
mod quantization;
mod reduction;
mod reshape;
mod resize;
mod sampling;
mod scatter;
mod slice;
mod softmax;
mod space;
mod unary;

use super::fold::Fold;
use super::node::Node;
use crate::import::{Builder, Refusal, Var};

/// The results of a node, in the order of ONNX; results that the node does not name may be missing at the end.
pub(super) type Lowered = Result<Vec<Var>, Refusal>;

/// An operator that can be lowered.
pub(super) struct Operator {
    /// The name in the standard operator set.
    pub(super) name: &'static str,
    /// Appends MIL operations for a node.
    pub(super) lower: fn(&mut Builder<'_>, &Node<'_>) -> Lowered,
    /// Computes a node whose operands are all constant.
    pub(super) fold: Option<Fold>,
}

const fn op(name: &'static str, lower: fn(&mut Builder<'_>, &Node<'_>) -> Lowered) -> Operator {
    Operator {
        name,
        lower,
        fold: None,
    }
}

impl Operator {
    const fn folds(mut self, fold: Fold) -> Self {
        self.fold = Some(fold);
        self
    }
}

/// The operator called `name`, if it has a lowering.
pub(super) fn find(name: &str) -> Option<&'static Operator> {
    let index = OPERATORS
        .binary_search_by(|operator| operator.name.cmp(name))
        .ok()?;
    OPERATORS.get(index)
}

/// Every operator, by name.
const OPERATORS: &[Operator] = &[
    op("Abs", unary::lower).folds(unary::fold),
    op("Acos", unary::lower),
    op("Add", arithmetic::lower).folds(arithmetic::fold),
    op("And", logic::connective).folds(logic::fold),
    op("ArgMax", reduction::argument),
    op("ArgMin", reduction::argument),
    op("Asin", unary::lower),
    op("Atan", unary::lower),
    op("Atanh", unary::lower),
    op("AveragePool", pooling::average),
    op("BatchNormalization", normalization::batch),
    op("Cast", cast::lower).folds(cast::fold),
    op("CastLike", cast::like),
    op("Ceil", unary::lower).folds(unary::fold),
    op("Celu", activation::celu),
    op("Clip", activation::clip),
    op("Concat", slice::concat).folds(slice::fold_concat),
    op("Constant", constant::constant),
    op("ConstantOfShape", constant::of_shape),
    op("Conv", convolution::conv),
    op("ConvTranspose", convolution::transpose),
    op("Cos", unary::lower),
    op("Cosh", unary::lower),
    op("CumSum", reduction::cumulative_sum),
    op("DepthToSpace", space::depth_to_space),
    op("DequantizeLinear", quantization::dequantize),
    op("Div", arithmetic::lower).folds(arithmetic::fold),
    op("Dropout", reshape::dropout),
    op("Einsum", einsum::lower),
    op("Elu", activation::elu),
    op("Equal", logic::compare).folds(logic::fold),
    op("Erf", unary::lower),
    op("Exp", unary::lower),
    op("Expand", reshape::expand).folds(reshape::fold_expand),
    op("Flatten", reshape::flatten).folds(reshape::fold_shape_only),
    op("Floor", unary::lower).folds(unary::fold),
    op("Gather", gather::gather).folds(gather::fold),
    op("GatherElements", gather::elements),
    op("GatherND", gather::nd),
    op("Gelu", activation::gelu),
    op("Gemm", matmul::gemm),
    op("GlobalAveragePool", pooling::global),
    op("GlobalMaxPool", pooling::global),
    op("Greater", logic::compare).folds(logic::fold),
    op("GreaterOrEqual", logic::compare).folds(logic::fold),
    op("GroupNormalization", normalization::group),
    op("HardSigmoid", activation::hard_sigmoid),
    op("HardSwish", activation::hard_swish),
    op("Identity", reshape::identity),
    op("InstanceNormalization", normalization::instance),
    op("IsInf", logic::is_infinite),
    op("IsNaN", logic::is_nan),
    op("LRN", normalization::local_response),
    op("LayerNormalization", normalization::layer),
    op("LeakyRelu", activation::leaky_relu),
    op("Less", logic::compare).folds(logic::fold),
    op("LessOrEqual", logic::compare).folds(logic::fold),
    op("Log", unary::lower),
    op("LogSoftmax", softmax::lower),
    op("MatMul", matmul::matmul),
    op("Max", arithmetic::lower).folds(arithmetic::fold),
    op("MaxPool", pooling::max),
    op("Mean", arithmetic::mean),
    op("Min", arithmetic::lower).folds(arithmetic::fold),
    op("Mish", activation::mish),
    op("Mod", arithmetic::lower).folds(arithmetic::fold),
    op("Mul", arithmetic::lower).folds(arithmetic::fold),
    op("Neg", unary::lower).folds(unary::fold),
    op("Not", logic::not).folds(logic::fold),
    op("OneHot", scatter::one_hot),
    op("Or", logic::connective).folds(logic::fold),
    op("PRelu", activation::prelu),
    op("Pad", padding::pad),
    op("Pow", arithmetic::pow).folds(arithmetic::fold_pow),
    op("QLinearConv", quantization::conv),
    op("QLinearMatMul", quantization::matmul),
    op("QuantizeLinear", quantization::quantize),
    op("RMSNormalization", normalization::root_mean_square),
    op("Range", constant::range).folds(constant::fold_range),
    op("Reciprocal", unary::lower),
    op("ReduceL1", reduction::reduce),
    op("ReduceL2", reduction::reduce),
    op("ReduceLogSum", reduction::reduce),
    op("ReduceLogSumExp", reduction::reduce),
    op("ReduceMax", reduction::reduce).folds(reduction::fold),
    op("ReduceMean", reduction::reduce),
    op("ReduceMin", reduction::reduce).folds(reduction::fold),
    op("ReduceProd", reduction::reduce).folds(reduction::fold),
    op("ReduceSum", reduction::reduce).folds(reduction::fold),
    op("ReduceSumSquare", reduction::reduce),
    op("Relu", activation::relu),
    op("Reshape", reshape::reshape).folds(reshape::fold_shape_only),
    op("Resize", resize::resize),
    op("Round", unary::lower).folds(unary::fold),
    op("ScatterElements", scatter::elements),
    op("ScatterND", scatter::nd),
    op("Selu", activation::selu),
    op("Shape", constant::shape),
    op("Sigmoid", activation::sigmoid),
    op("Sign", unary::lower).folds(unary::fold),
    op("Sin", unary::lower),
    op("Sinh", unary::lower),
    op("Size", constant::size),
    op("Slice", slice::slice).folds(slice::fold_slice),
    op("Softmax", softmax::lower),
    op("Softplus", activation::softplus),
    op("Softsign", activation::softsign),
    op("SpaceToDepth", space::space_to_depth),
    op("Split", slice::split).folds(slice::fold_split),
    op("Sqrt", unary::lower).folds(unary::fold),
    op("Squeeze", reshape::squeeze).folds(reshape::fold_shape_only),
    op("Sub", arithmetic::lower).folds(arithmetic::fold),
    op("Sum", arithmetic::lower).folds(arithmetic::fold),
    op("Swish", activation::swish),
    op("Tan", unary::lower),
    op("Tanh", activation::tanh),
    op("ThresholdedRelu", activation::thresholded_relu),
    op("Tile", reshape::tile).folds(reshape::fold_tile),
    op("TopK", reduction::top_k),
    op("Transpose", reshape::transpose).folds(reshape::fold_transpose),
    op("Trilu", space::triangle).folds(space::fold_triangle),
    op("Unsqueeze", reshape::unsqueeze).folds(reshape::fold_shape_only),
    op("Upsample", resize::upsample),
    op("Where", logic::select).folds(logic::fold_select),
    op("Xor", logic::connective).folds(logic::fold),
];

/// Operand `index` as constant integers; refused as data-dependent when it is computed.
fn constant_ints(
    builder: &Builder<'_>,
    node: &Node<'_>,
    index: usize,
    what: &str,
) -> Result<Vec<i64>, Refusal> {
    let var = node.input(index)?;
    let Some(tensor) = builder.tensor(var) else {
        return Err(computed_operand(builder, var, what));
    };
    tensor
        .to_i64()
        .ok_or_else(|| node.broken(format!("integers as {what}"), tensor.dtype()))
}

/// Operand `index` as constant integers, `None` if it is absent.
fn optional_ints(
    builder: &Builder<'_>,
    node: &Node<'_>,
    index: usize,
    what: &str,
) -> Result<Option<Vec<i64>>, Refusal> {
    if node.optional(index).is_none() {
        Ok(None)
    } else {
        constant_ints(builder, node, index, what).map(Some)
    }
}

/// A refusal because an operand that must be constant is computed.
fn computed_operand(builder: &Builder<'_>, var: Var, what: &str) -> Refusal {
    match builder.dtype(var) {
        Err(refusal) => refusal,
        Ok(_) => Refusal::data_dependent(format!("{what} is computed at run time")),
    }
}

/// Integers from an attribute (older operator sets) or from operand `index` (newer ones).
fn attribute_or_ints(
    builder: &Builder<'_>,
    node: &Node<'_>,
    name: &str,
    index: usize,
) -> Result<Option<Vec<i64>>, Refusal> {
    match node.ints(name)? {
        Some(values) => Ok(Some(values)),
        None => optional_ints(builder, node, index, name),
    }
}

/// `axes` counted from the front, ascending, each once; an error if one is out of range.
fn axes_of(node: &Node<'_>, axes: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
    if axes.len() > rank {
        return Err(node.broken(format!("at most {rank} axes"), axes.len()));
    }
    let mut found = Vec::with_capacity(axes.len());
    for &axis in axes {
        found.push(axis_of(node, axis, rank)?);
    }
    found.sort_unstable();
    let all = found.len();
    found.dedup();
    if found.len() == all {
        Ok(found)
    } else {
        Err(node.broken("different axes", format!("{axes:?}")))
    }
}

/// `axis` counted from the front; an error if it is out of range.
fn axis_of(node: &Node<'_>, axis: i64, rank: usize) -> Result<usize, Refusal> {
    let found = crate::import::shapes::axis(axis, rank);
    found.ok_or_else(|| node.broken(format!("an axis of a tensor of rank {rank}"), axis))
}

#[cfg(test)]
mod tests {
    use super::{OPERATORS, find};

    #[test]
    fn operators_are_sorted_and_found() {
        assert!(OPERATORS.is_sorted_by(|a, b| a.name < b.name));
        assert!(OPERATORS.iter().all(|operator| find(operator.name).is_some()));
        assert!(find("NoSuchOperator").is_none());
    }
}
