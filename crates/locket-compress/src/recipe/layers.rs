//! The layers of a function: where its weights are.

use locket_mil::{Function, Operation, ValueId};
use locket_ops::{Node, Weight, registry};
use locket_tensor::{DType, Tensor};

/// A convolution or fully connected layer with a weight that does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Position among the layers of the function.
    pub index: usize,
    /// Its name in the source.
    pub name: String,
    /// `conv` or `linear`.
    pub kind: String,
    /// The value that it makes.
    pub output: ValueId,
    /// Dimensions of the weight, `[O, I / groups, taps..]`.
    pub weight_shape: Vec<usize>,
    /// Elements of the weight.
    pub weight_elems: usize,
    /// Bytes of the weight as it is stored, tables and scales of compressed forms included.
    pub weight_bytes: u64,
    /// Multiply-adds of one prediction.
    pub macs: u64,
    /// Groups of a convolution; 1 for a fully connected layer.
    pub groups: usize,
}

impl Layer {
    /// True for a convolution whose every output channel reads one input channel.
    pub fn depthwise(&self) -> bool {
        self.groups > 1 && self.weight_shape.get(1) == Some(&1)
    }
}

/// The layers of a function, in the order they run. Call it on a simplified function: a product with a constant matrix is
/// a layer only after [`locket_passes::simplify`].
pub fn layers(function: &Function) -> Vec<Layer> {
    let found = function
        .operations
        .iter()
        .filter(|operation| is_layer(function, operation));
    found
        .enumerate()
        .map(|(index, operation)| layer(function, operation, index))
        .collect()
}

/// True for a convolution or fully connected layer whose weight is constant and of floats.
fn is_layer(function: &Function, operation: &Operation) -> bool {
    let weight = operation.input("weight");
    matches!(&*operation.kind, "conv" | "linear")
        && weight.is_some_and(|id| {
            function.ty(id).dtype().is_some_and(DType::is_float) && Weight::of(function, id).is_some()
        })
}

fn layer(function: &Function, operation: &Operation, index: usize) -> Layer {
    let node = Node::new(function, operation);
    let weight = operation.input("weight").expect("a layer has a weight");
    let shape = function.ty(weight).shape().unwrap_or_default().to_vec();
    Layer {
        index,
        name: operation.label().to_owned(),
        kind: operation.kind.to_string(),
        output: operation.outputs[0],
        weight_elems: shape.iter().product(),
        weight_shape: shape,
        weight_bytes: stored_bytes(function, weight),
        macs: registry::find(&node).map_or(0, |operator| operator.cost(&node).macs),
        groups: usize::try_from(node.int("groups", 1).unwrap_or(1)).unwrap_or(1),
    }
}

/// Bytes that a constant takes in a file, or for the result of a `constexpr_*` operation what it is made from.
pub(crate) fn stored_bytes(function: &Function, id: ValueId) -> u64 {
    match Weight::of(function, id) {
        None => 0,
        Some(Weight::Dense(tensor)) => tensor.bytes().len() as u64,
        Some(Weight::Compressed(node)) => node
            .operation
            .input_values()
            .map(|input| stored_bytes(function, input))
            .sum(),
    }
}

/// Bytes of all weights of a function as a file stores them: floats and codes of at most 8 bits with at least two
/// elements, each constant once, compressed ones with their tables, scales and masks. Attributes such as strides do not count.
pub fn weight_bytes(function: &Function) -> u64 {
    let weighs = |tensor: &Tensor| {
        let dtype = tensor.dtype();
        tensor.elems() > 1 && (dtype.is_float() || (dtype.is_int() && dtype.bits() <= 8))
    };
    function
        .used_constants()
        .into_iter()
        .filter_map(|id| function.const_tensor(id))
        .filter(|tensor| weighs(tensor))
        .map(|tensor| tensor.bytes().len() as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use locket_mil::text;

    use super::{layers, weight_bytes};

    #[test]
    fn layers_are_found_with_their_sizes() {
        let function = text::parse(
            r#"func main opset ios18 (%x: fp32[1, 4, 6, 6]) -> (y: %y) {
  %w1: fp32[8, 4, 3, 3] = ramp(-0.4, 0.05)
  %b1: fp32[8] = ramp(-0.2, 0.03)
  %a: fp32[1, 8, 6, 6] = conv(x=%x, weight=%w1, bias=%b1, pad_type="same") "stem"
  %w2: fp32[8, 1, 3, 3] = ramp(-0.3, 0.04)
  %b: fp32[1, 8, 6, 6] = conv(x=%a, weight=%w2, pad_type="same", groups=8) "depthwise"
  %r: fp32[1, 288] = reshape(x=%b, shape=[1, 288])
  %q: int4[10, 288] = fill(1)
  %s: fp32[10, 9] = fill(0.5)
  %w3: fp32[10, 288] = constexpr_blockwise_shift_scale(data=%q, scale=%s)
  %y: fp32[1, 10] = linear(x=%r, weight=%w3) "head"
}"#,
        )
        .unwrap();
        let found = layers(&function);
        let row = |index: usize| {
            let layer = &found[index];
            (
                layer.name.as_str(),
                layer.weight_elems,
                layer.weight_bytes,
                layer.macs,
                layer.depthwise(),
            )
        };
        assert_eq!(row(0), ("stem", 288, 1152, 288 * 36, false));
        assert_eq!(row(1), ("depthwise", 72, 288, 72 * 36, true));
        assert_eq!(row(2), ("head", 2880, 1440 + 360, 2880, false));
        assert_eq!(found.len(), 3);
        assert_eq!(weight_bytes(&function), 1152 + 32 + 288 + 1440 + 360);
    }
}
