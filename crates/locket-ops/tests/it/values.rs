//! References give the values that the operators' descriptions give: small cases worked out by hand, or taken from the
//! value inference of coremltools 9.0. All inputs are constants, so that this is constant folding too.

use locket_mil::text;
use locket_ops::fold;

/// `constants` stand before the operation, one in a line; `expected` are the numbers of its first result.
fn check(constants: &str, ty: &str, call: &str, expected: &[f32]) {
    let source = format!(
        "func f opset ios18 (%unused: fp32[1]) -> (y: %out) {{\n{constants}\n%out: {ty} = {call}\n}}"
    );
    let function = text::parse(&source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    let result = fold(&function, function.outputs[0].value)
        .unwrap_or_else(|| panic!("does not fold:\n{source}"))
        .to_f32()
        .unwrap();
    assert_eq!(result.len(), expected.len(), "{source}");
    for (found, expected) in result.iter().zip(expected) {
        let same = found == expected || (found - expected).abs() <= 1e-6 * expected.abs().max(1.0);
        assert!(same, "{source}\ngives {result:?}");
    }
}

const X: &str = "%x: fp32[2, 3] = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0]";
const V: &str = "%x: int32[5] = [7, -7, 2, 0, 5]";

#[test]
fn arithmetic() {
    let three = format!("{V}\n%y: int32[1] = [3]");
    check(
        &three,
        "int32[5]",
        "floor_div(x=%x, y=%y)",
        &[2.0, -3.0, 0.0, 0.0, 1.0],
    );
    check(&three, "int32[5]", "mod(x=%x, y=%y)", &[1.0, 2.0, 2.0, 0.0, 2.0]);
    check(
        &three,
        "int32[5]",
        "real_div(x=%x, y=%y)",
        &[2.0, -2.0, 0.0, 0.0, 1.0],
    );
    check(
        &three,
        "bool[5]",
        "greater_equal(x=%x, y=%y)",
        &[1.0, 0.0, 0.0, 0.0, 1.0],
    );
    let rows = format!("{X}\n%y: fp32[2, 1] = [10.0, 20.0]");
    check(
        &rows,
        "fp32[2, 3]",
        "sub(x=%x, y=%y)",
        &[-9.0, -12.0, -7.0, -16.0, -15.0, -26.0],
    );
    check(
        &rows,
        "fp32[2, 3]",
        "maximum(x=%y, y=%x)",
        &[10.0, 10.0, 10.0, 20.0, 20.0, 20.0],
    );
    check(X, "fp32[2, 3]", "sign(x=%x)", &[1.0, -1.0, 1.0, 1.0, 1.0, -1.0]);
    let halves = "%x: fp32[5] = [0.5, 1.5, -0.5, -2.5, 2.4]";
    check(halves, "fp32[5]", "round(x=%x)", &[0.0, 2.0, 0.0, -2.0, 2.0]);
    check(
        halves,
        "int32[5]",
        "cast(x=%x, dtype=\"int32\")",
        &[0.0, 1.0, 0.0, -2.0, 2.0],
    );
    check(
        "%x: int32[3] = [300, -1, 128]",
        "int8[3]",
        "cast(x=%x, dtype=\"int8\")",
        &[44.0, -1.0, -128.0],
    );
    check(
        "%x: fp32[3] = [300.0, -1.5, nan]",
        "uint8[3]",
        "cast(x=%x, dtype=\"uint8\")",
        &[255.0, 0.0, 0.0],
    );
}

#[test]
fn activations() {
    let x = "%x: fp32[4] = [-2.0, -0.5, 0.5, 2.0]";
    check(x, "fp32[4]", "relu6(x=%x)", &[0.0, 0.0, 0.5, 2.0]);
    check(
        x,
        "fp32[4]",
        "thresholded_relu(x=%x, alpha=1.0)",
        &[0.0, 0.0, 0.0, 2.0],
    );
    check(
        x,
        "fp32[4]",
        "clamped_relu(x=%x, alpha=0.5, beta=1.0)",
        &[-1.0, -0.25, 0.5, 1.0],
    );
    check(
        x,
        "fp32[4]",
        "sigmoid_hard(x=%x, alpha=0.2, beta=0.5)",
        &[0.1, 0.4, 0.6, 0.9],
    );
    check(
        x,
        "fp32[4]",
        "elu(x=%x, alpha=2.0)",
        &[-1.729_329_4, -0.786_938_7, 0.5, 2.0],
    );
    check(
        x,
        "fp32[4]",
        "softplus(x=%x)",
        &[0.126_928, 0.474_077, 0.974_077, 2.126_928],
    );
    check(
        x,
        "fp32[4]",
        "gelu(x=%x)",
        &[-0.045_500_3, -0.154_268_8, 0.345_731_2, 1.954_499_7],
    );
    let logits = "%x: fp32[1, 3] = [1.0, 2.0, 3.0]";
    check(
        logits,
        "fp32[1, 3]",
        "softmax(x=%x, axis=-1)",
        &[0.090_030_57, 0.244_728_48, 0.665_240_94],
    );
}

#[test]
fn reductions() {
    check(X, "fp32[3]", "reduce_mean(x=%x, axes=[0])", &[2.5, 1.5, -1.5]);
    check(
        X,
        "fp32[2, 1]",
        "reduce_l1_norm(x=%x, axes=[-1], keep_dims=true)",
        &[6.0, 15.0],
    );
    check(X, "fp32[]", "reduce_prod(x=%x)", &[720.0]);
    check(X, "int32[2]", "reduce_argmax(x=%x)", &[2.0, 1.0]);
    check(X, "int32[3]", "reduce_argmin(x=%x, axis=0)", &[0.0, 0.0, 1.0]);
    check(
        "%x: fp32[2] = [1000.0, 1000.0]",
        "fp32[]",
        "reduce_log_sum_exp(x=%x)",
        &[1_000.693_1],
    );
    check(
        "%x: int32[4] = [1, 2, 3, 5]",
        "int32[]",
        "reduce_mean(x=%x)",
        &[2.0],
    );
    check(
        V,
        "int32[5]",
        "cumsum(x=%x, exclusive=true, reverse=true)",
        &[0.0, 7.0, 5.0, 5.0, 0.0],
    );
    check(V, "int32[5]", "argsort(x=%x)", &[0.0, 4.0, 2.0, 3.0, 1.0]);
}

#[test]
fn movement() {
    check(
        X,
        "fp32[3, 2]",
        "transpose(x=%x, perm=[1, 0])",
        &[1.0, 4.0, -2.0, 5.0, 3.0, -6.0],
    );
    check(
        X,
        "fp32[2, 2]",
        "slice_by_index(x=%x, begin=[0, -1], end=[0, 0], stride=[1, -2], begin_mask=[true, false], end_mask=[true, true])",
        &[3.0, 1.0, -6.0, 4.0],
    );
    check(
        X,
        "fp32[3]",
        "slice_by_index(x=%x, begin=[1, 0], end=[0, 3], squeeze_mask=[true, false])",
        &[4.0, 5.0, -6.0],
    );
    check(
        V,
        "int32[9]",
        "pad(x=%x, pad=[2, 2], mode=\"reflect\")",
        &[2.0, -7.0, 7.0, -7.0, 2.0, 0.0, 5.0, 0.0, 2.0],
    );
    check(
        V,
        "int32[8]",
        "pad(x=%x, pad=[1, 2], mode=\"replicate\")",
        &[7.0, 7.0, -7.0, 2.0, 0.0, 5.0, 5.0, 5.0],
    );
    check(
        V,
        "int32[3]",
        "gather(x=%x, indices=[-1, 0, 1])",
        &[5.0, 7.0, -7.0],
    );
    let pick = format!("{X}\n%i: int32[2, 1] = [2, 0]");
    check(
        &pick,
        "fp32[2, 1]",
        "gather_along_axis(x=%x, indices=%i, axis=1)",
        &[3.0, 4.0],
    );
    let pair = "%a: int32[2] = [1, 2]\n%b: int32[2] = [3, 4]";
    check(
        pair,
        "int32[4]",
        "concat(values=(%a, %b), axis=0, interleave=true)",
        &[1.0, 3.0, 2.0, 4.0],
    );
    check(
        pair,
        "int32[2, 2]",
        "stack(values=(%a, %b), axis=1)",
        &[1.0, 3.0, 2.0, 4.0],
    );
    check(
        "%x: int32[2] = [1, 2]",
        "int32[4]",
        "tile(x=%x, reps=[2])",
        &[1.0, 2.0, 1.0, 2.0],
    );
    let deep = "%x: fp32[1, 8, 1, 1] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]";
    check(
        deep,
        "fp32[1, 2, 2, 2]",
        "depth_to_space(x=%x, block_size=2)",
        &[0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0],
    );
    check(
        deep,
        "fp32[1, 2, 2, 2]",
        "pixel_shuffle(x=%x, upscale_factor=2)",
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    );
    check(X, "int32[2]", "shape(x=%x)", &[2.0, 3.0]);
    check(
        "%x: int32[2] = [1, -1]",
        "int32[2, 3]",
        "one_hot(indices=%x, one_hot_vector_size=3)",
        &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    );
}

#[test]
fn compression() {
    let q = "%q: int8[4] = [-128, -1, 0, 127]\n%z: int8[] = [-1]\n%s: fp32[] = [0.5]";
    let call = "constexpr_affine_dequantize(quantized_data=%q, zero_point=%z, scale=%s, axis=0)";
    check(q, "fp32[4]", call, &[-63.5, 0.0, 0.5, 64.0]);
    // 228 is 0b11100100: indices 0, 1, 2, 3 from the lowest bits up.
    let lut = "%i: uint8[1] = [228]\n%t: fp32[4] = [0.5, -1.0, 2.0, 4.0]\n%d: uint32[2] = [2, 2]";
    check(
        lut,
        "fp32[2, 2]",
        "constexpr_lut_to_dense(indices=%i, lut=%t, shape=%d)",
        &[0.5, -1.0, 2.0, 4.0],
    );
    let vectors = "%i: uint1[2, 1] = [1, 0]\n%t: fp32[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]";
    check(
        vectors,
        "fp32[2, 2]",
        "constexpr_lut_to_dense(indices=%i, lut=%t, vector_axis=1)",
        &[3.0, 4.0, 1.0, 2.0],
    );
    // 0b101: the first and the third.
    let sparse = "%v: fp32[2] = [1.5, 2.5]\n%m: uint8[1] = [5]\n%d: uint32[1] = [4]";
    check(
        sparse,
        "fp32[4]",
        "constexpr_sparse_to_dense(nonzero_data=%v, mask=%m, shape=%d)",
        &[1.5, 0.0, 2.5, 0.0],
    );
    let blocks = "%q: int4[1, 4] = [1, 2, -3, -4]\n%s: fp32[1, 2] = [0.5, 2.0]\n%o: int4[1, 2] = [0, 1]";
    check(
        blocks,
        "fp32[1, 4]",
        "constexpr_blockwise_shift_scale(data=%q, scale=%s, offset=%o)",
        &[0.5, 1.0, -8.0, -10.0],
    );
    let x = "%x: fp32[5] = [-100.0, -0.25, 0.25, 0.75, 100.0]\n%z: uint8[] = [10]";
    check(
        x,
        "uint8[5]",
        "quantize(input=%x, zero_point=%z, scale=0.5, output_dtype=\"uint8\")",
        &[0.0, 10.0, 10.0, 12.0, 210.0],
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (inputs, call, expected) in [
        (
            "%x: fp32[2, 3], %y: fp32[4]",
            "add(x=%x, y=%y)",
            "expected a shape that broadcasts with [2, 3], found [4]",
        ),
        (
            "%x: fp32[2], %y: int32[2]",
            "add(x=%x, y=%y)",
            "parameter y: expected fp32, found int32",
        ),
        (
            "%x: int32[2]",
            "exp(x=%x)",
            "parameter x: expected fp16, fp32, found int32",
        ),
        (
            "%x: fp32[2, 3]",
            "reshape(x=%x, shape=[4, -1])",
            "expected as many elements as [2, 3] has, found [4, -1]",
        ),
        (
            "%x: fp32[2, 3]",
            "transpose(x=%x, perm=[0, 0])",
            "expected each axis of rank 2 once, found [0, 0]",
        ),
        (
            "%x: fp32[2, 3]",
            "squeeze(x=%x, axes=[1])",
            "expected a dimension of 1 at axis 1, found [2, 3]",
        ),
        (
            "%x: fp32[2, 3]",
            "softmax(x=%x, axis=2)",
            "expected an axis of rank 2, found 2",
        ),
        (
            "%x: fp32[5]",
            "split(x=%x, num_splits=2, axis=0)",
            "expected a number that divides axis 0 of [5], found 2",
        ),
        (
            "%x: fp32[2, 3]",
            "tile(x=%x, reps=[2])",
            "expected a number of 1 or more for each axis of [2, 3], found [2]",
        ),
        (
            "%x: fp32[3]",
            "pad(x=%x, pad=[3, 0], mode=\"reflect\")",
            "expected at most 2 beside a dimension of 3, found [3, 0]",
        ),
        ("%x: fp32[3]", "cast(x=%x, dtype=\"fp8\")", "found \"fp8\""),
        ("%x: fp32[3]", "gather(x=%x)", "parameter indices: is missing"),
        (
            "%x: fp32[1]",
            "fill(shape=[100000, 100000, 100000])",
            "is larger than",
        ),
        (
            "%x: fp32[4]",
            "quantize(input=%x, scale=[0.1, 0.2], output_dtype=\"int8\")",
            "parameter axis: is missing, but scale has 2 values",
        ),
        (
            "%x: fp32[4]",
            "quantize(input=%x, scale=0.0, output_dtype=\"int8\")",
            "expected finite numbers but 0, found 0",
        ),
        (
            "%x: fp32[1, 3, 2, 2]",
            "depth_to_space(x=%x, block_size=2)",
            "expected a block size that divides [1, 3, 2, 2], found 2",
        ),
    ] {
        let source =
            format!("func f opset ios18 ({inputs}) -> (y: %out) {{\n%out: fp32[1] = {call} \"node\"\n}}");
        let function = text::parse(&source).unwrap_or_else(|error| panic!("{error}\n{source}"));
        let node = locket_ops::Node::new(&function, &function.operations[0]);
        let found = locket_ops::registry::check(&node).and_then(|operator| operator.infer(&node));
        let message = found.expect_err(call).to_string();
        assert!(
            message.contains(expected) && message.starts_with("node ("),
            "{call}: {message}"
        );
    }
}
