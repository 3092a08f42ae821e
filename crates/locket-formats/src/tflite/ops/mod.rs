//! The lowerings of TFLite operators: one line here and one function in the file of the operator's family.

mod convolution;
mod dense;
mod elementwise;
mod image;
mod join;
mod pooling;
mod quantization;
mod reduction;
mod reshape;
mod slice;
mod softmax;

use super::context::{Context, Node};
use crate::import::{Op, Refusal, Var, shapes};

/// An operator that can be lowered.
pub(super) struct Operator {
    /// The number in the standard set.
    pub(super) number: i32,
    /// The name in the standard set.
    pub(super) name: &'static str,
    /// Appends MIL operations for an operator and defines its results.
    pub(super) lower: fn(&mut Context<'_>, &Node<'_>) -> Result<(), Refusal>,
}

const fn op(
    number: i32,
    name: &'static str,
    lower: fn(&mut Context<'_>, &Node<'_>) -> Result<(), Refusal>,
) -> Operator {
    Operator { number, name, lower }
}

/// The operator of the given number, if it has a lowering.
pub(super) fn find(number: i32) -> Option<&'static Operator> {
    let index = OPERATORS
        .binary_search_by(|operator| operator.number.cmp(&number))
        .ok()?;
    OPERATORS.get(index)
}

/// The names of operators that models often have and that are not lowered.
pub(super) fn name(number: i32) -> Option<&'static str> {
    Some(match number {
        7 => "EMBEDDING_LOOKUP",
        12 => "L2_POOL_2D",
        16 => "LSTM",
        24 => "RNN",
        27 => "SVDF",
        35 => "UNIDIRECTIONAL_SEQUENCE_RNN",
        37 => "BATCH_TO_SPACE_ND",
        38 => "SPACE_TO_BATCH_ND",
        44 => "UNIDIRECTIONAL_SEQUENCE_LSTM",
        48 => "TOPK_V2",
        52 => "BIDIRECTIONAL_SEQUENCE_LSTM",
        68 => "SPARSE_TO_DENSE",
        80 => "FAKE_QUANT",
        85 => "ONE_HOT",
        109 => "WHERE",
        118 => "IF",
        119 => "WHILE",
        120 => "NON_MAX_SUPPRESSION_V4",
        121 => "NON_MAX_SUPPRESSION_V5",
        129 => "CALL_ONCE",
        142 => "VAR_HANDLE",
        143 => "READ_VARIABLE",
        144 => "ASSIGN_VARIABLE",
        _ => return None,
    })
}

/// Every operator, by number.
const OPERATORS: &[Operator] = &[
    op(0, "ADD", elementwise::binary),
    op(1, "AVERAGE_POOL_2D", pooling::pool),
    op(2, "CONCATENATION", join::concatenation),
    op(3, "CONV_2D", convolution::conv),
    op(4, "DEPTHWISE_CONV_2D", convolution::depthwise),
    op(5, "DEPTH_TO_SPACE", image::depth_to_space),
    op(6, "DEQUANTIZE", quantization::dequantize),
    op(8, "FLOOR", elementwise::unary),
    op(9, "FULLY_CONNECTED", dense::fully_connected),
    op(14, "LOGISTIC", elementwise::unary),
    op(17, "MAX_POOL_2D", pooling::pool),
    op(18, "MUL", elementwise::binary),
    op(19, "RELU", elementwise::unary),
    op(20, "RELU_N1_TO_1", elementwise::unary),
    op(21, "RELU6", elementwise::unary),
    op(22, "RESHAPE", reshape::reshape),
    op(23, "RESIZE_BILINEAR", image::resize),
    op(25, "SOFTMAX", softmax::softmax),
    op(26, "SPACE_TO_DEPTH", image::space_to_depth),
    op(28, "TANH", elementwise::unary),
    op(34, "PAD", slice::pad),
    op(36, "GATHER", slice::gather),
    op(39, "TRANSPOSE", reshape::transpose),
    op(40, "MEAN", reduction::reduce),
    op(41, "SUB", elementwise::binary),
    op(42, "DIV", elementwise::binary),
    op(43, "SQUEEZE", reshape::reshape),
    op(45, "STRIDED_SLICE", slice::strided_slice),
    op(47, "EXP", elementwise::unary),
    op(49, "SPLIT", slice::split),
    op(50, "LOG_SOFTMAX", softmax::log_softmax),
    op(53, "CAST", quantization::cast),
    op(54, "PRELU", elementwise::prelu),
    op(55, "MAXIMUM", elementwise::binary),
    op(56, "ARG_MAX", reduction::argument),
    op(57, "MINIMUM", elementwise::binary),
    op(58, "LESS", elementwise::compare),
    op(59, "NEG", elementwise::unary),
    op(60, "PADV2", slice::pad),
    op(61, "GREATER", elementwise::compare),
    op(62, "GREATER_EQUAL", elementwise::compare),
    op(63, "LESS_EQUAL", elementwise::compare),
    op(65, "SLICE", slice::slice),
    op(66, "SIN", elementwise::unary),
    op(67, "TRANSPOSE_CONV", convolution::transpose),
    op(70, "EXPAND_DIMS", reshape::reshape),
    op(71, "EQUAL", elementwise::compare),
    op(72, "NOT_EQUAL", elementwise::compare),
    op(73, "LOG", elementwise::unary),
    op(74, "SUM", reduction::reduce),
    op(75, "SQRT", elementwise::unary),
    op(76, "RSQRT", elementwise::unary),
    op(77, "SHAPE", reshape::shape),
    op(78, "POW", elementwise::binary),
    op(79, "ARG_MIN", reduction::argument),
    op(81, "REDUCE_PROD", reduction::reduce),
    op(82, "REDUCE_MAX", reduction::reduce),
    op(83, "PACK", join::pack),
    op(88, "UNPACK", slice::unpack),
    op(89, "REDUCE_MIN", reduction::reduce),
    op(92, "SQUARE", elementwise::unary),
    op(97, "RESIZE_NEAREST_NEIGHBOR", image::resize),
    op(98, "LEAKY_RELU", elementwise::unary),
    op(99, "SQUARED_DIFFERENCE", elementwise::binary),
    op(101, "ABS", elementwise::unary),
    op(102, "SPLIT_V", slice::split),
    op(104, "CEIL", elementwise::unary),
    op(108, "COS", elementwise::unary),
    op(111, "ELU", elementwise::unary),
    op(114, "QUANTIZE", quantization::quantize),
    op(116, "ROUND", elementwise::unary),
    op(117, "HARD_SWISH", elementwise::unary),
    op(126, "BATCH_MATMUL", dense::batch_matmul),
    op(150, "GELU", elementwise::unary),
];

/// The order of axes that brings channels first, and the one that brings them back.
const CHANNELS_FIRST: [usize; 4] = [0, 3, 1, 2];
const CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];

/// TFLite's activation inside another operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    None,
    Relu,
    ReluN1To1,
    Relu6,
    Tanh,
}

/// The activation in field `id` of the options.
fn activation(node: &Node<'_>, id: usize) -> Result<Activation, Refusal> {
    let number = match node.options() {
        Some(options) => options.i8(id, 0)?,
        None => 0,
    };
    match number {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => Ok(Activation::Tanh),
        other => Err(Refusal::form(
            format!("activation {other} inside the operator"),
            "use RELU, RELU6 or TANH",
        )),
    }
}

/// Applies an activation and makes the outcome the value of result 0.
fn activate(cx: &mut Context<'_>, node: &Node<'_>, x: Var, activation: Activation) -> Result<(), Refusal> {
    let result = cx.result(node, 0)?;
    let op = match activation {
        Activation::None => return cx.finish(result, x),
        Activation::Relu => Op::new("relu").var("x", x),
        Activation::ReluN1To1 => {
            let dtype = cx.builder.float_dtype(x)?;
            Op::new("clip")
                .var("x", x)
                .float("alpha", -1.0, dtype)
                .float("beta", 1.0, dtype)
        }
        Activation::Relu6 => Op::new("relu6").var("x", x),
        Activation::Tanh => Op::new("tanh").var("x", x),
    };
    let (dtype, shape) = (cx.builder.float_dtype(x)?, cx.builder.shape(x)?);
    let name = cx.name(result)?;
    let activated = cx.builder.push(op, &name, dtype, &shape)?;
    cx.finish(result, activated)
}

/// The name for the value before `activation`.
fn before(cx: &Context<'_>, node: &Node<'_>, activation: Activation) -> Result<String, Refusal> {
    let name = cx.name(cx.result(node, 0)?)?;
    Ok(if activation == Activation::None {
        name
    } else {
        format!("{name}_linear")
    })
}

/// Strides, window and padding of one spatial axis.
struct Window {
    size: usize,
    stride: usize,
    pad: (usize, usize),
    output: usize,
}

/// Places windows of `size` elements `dilation` apart over `input` elements.
fn window(
    cx: &Context<'_>,
    same: bool,
    input: usize,
    size: usize,
    stride: usize,
    dilation: usize,
) -> Result<Window, Refusal> {
    let extent = shapes::dilated(size, dilation).filter(|_| stride > 0 && dilation > 0);
    let pad = if same {
        extent.and_then(|extent| shapes::same_padding(input, extent, stride, false))
    } else {
        Some((0, 0))
    };
    let output = extent
        .zip(pad)
        .and_then(|(extent, pad)| shapes::window_count(input, pad, extent, stride, false));
    match pad.zip(output) {
        Some((pad, output)) => Ok(Window {
            size,
            stride,
            pad,
            output,
        }),
        None => {
            let expected = format!("windows that fit {input} elements");
            Err(cx.builder.invalid(
                expected,
                format!("{size} elements, stride {stride}, dilation {dilation}"),
            ))
        }
    }
}

/// Reads the padding rule in field `id`: true for SAME, false for VALID.
fn is_same(cx: &Context<'_>, node: &Node<'_>, id: usize) -> Result<bool, Refusal> {
    let rule = match node.options() {
        Some(options) => options.i8(id, 0)?,
        None => 0,
    };
    match rule {
        0 => Ok(true),
        1 => Ok(false),
        other => Err(cx.builder.invalid("padding SAME or VALID", other.to_string())),
    }
}

/// A size in field `id` of the options.
fn size(cx: &Context<'_>, node: &Node<'_>, id: usize, default: i32) -> Result<usize, Refusal> {
    let value = match node.options() {
        Some(options) => options.i32(id, default)?,
        None => default,
    };
    usize::try_from(value).map_err(|_| cx.builder.invalid("a size of zero or more", value.to_string()))
}

/// `x`, of four axes, with its channels first.
fn channels_first(cx: &mut Context<'_>, x: Var) -> Result<Var, Refusal> {
    let name = format!("{}_channels_first", cx.builder.name(x));
    cx.transpose(x, &CHANNELS_FIRST, &name)
}

/// Brings the channels of `x` back to the end, and makes it, activated, the value of result 0.
fn finish_channels_last(
    cx: &mut Context<'_>,
    node: &Node<'_>,
    x: Var,
    activation: Activation,
) -> Result<(), Refusal> {
    let name = before(cx, node, activation)?;
    let last = cx.transpose(x, &CHANNELS_LAST, &name)?;
    activate(cx, node, last, activation)
}

#[cfg(test)]
mod tests {
    use super::{OPERATORS, find, name};

    #[test]
    fn operators_are_sorted_and_found() {
        assert!(OPERATORS.is_sorted_by(|a, b| a.number < b.number));
        assert!(
            OPERATORS
                .iter()
                .all(|operator| find(operator.number).is_some() && name(operator.number).is_none())
        );
        assert!(find(12_345).is_none());
    }
}
