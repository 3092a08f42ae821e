//! Where a model is tapped: its input, each distinct activation, the pooled embedding, its outputs.

use locket_mil::{Function, Operation, Output, ValueId};

use crate::PrivacyError;

/// What a tap is in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The model's input: the control that must score 5.
    Input,
    /// The activation after a convolution or a fully connected layer.
    Layer,
    /// An activation pooled over space: what an index of pictures would store.
    Embedding,
    /// What the model gives.
    Output,
}

impl Role {
    /// The role as one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Layer => "layer",
            Self::Embedding => "embedding",
            Self::Output => "output",
        }
    }

    /// True for what is stored or sent away, and so worth looking at in fewer bits.
    pub const fn leaves(self) -> bool {
        matches!(self, Self::Embedding | Self::Output)
    }
}

/// A value of a function whose leakage is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The source's name of the operation, or the output's name.
    pub name: String,
    /// The operation that makes it, such as `relu`.
    pub operator: String,
    /// What it is.
    pub role: Role,
    /// Operations before it in the order of execution; 0 for the input.
    pub depth: usize,
    /// True if it is a result of the model, whatever its shape.
    pub is_result: bool,
    pub(crate) value: ValueId,
    /// Shape, as computed.
    pub shape: Vec<usize>,
}

/// A simplified function with the taps found in it.
#[derive(Clone, Debug)]
pub(super) struct Tapped {
    pub(crate) function: Function,
    /// The taps, in the order of execution, the input first.
    pub taps: Vec<Tap>,
}

/// Finds taps in a function. With names, only those operations are tapped (the input always is); without, each distinct
/// activation after a convolution or a fully connected layer, each pooled embedding, and the outputs.
///
/// # Errors
///
/// If the function has not one input of one sample, or a name is unknown or names no tensor of numbers.
pub(super) fn find(function: &Function, names: &[String]) -> Result<Tapped, PrivacyError> {
    let mut function = function.clone();
    locket_passes::simplify(&mut function);
    let &[input] = function.inputs.as_slice() else {
        let message = format!("expected a model with one input, found {}", function.inputs.len());
        return Err(PrivacyError::Unsuitable(message));
    };
    let producers = function.producers();
    let results: Vec<ValueId> = function
        .outputs
        .iter()
        .map(|output| unrenamed(&function, output.value))
        .collect();
    let tap = |name: &str, value: ValueId, role: Role| {
        let made_by = producers[value.index()];
        Tap {
            name: name.to_owned(),
            operator: made_by.map_or_else(String::new, |at| function.operations[at].kind.to_string()),
            role,
            depth: made_by.map_or(0, |at| at + 1),
            is_result: results.contains(&value) || function.is_output(value),
            value,
            shape: function.ty(value).shape().unwrap_or_default().to_vec(),
        }
    };
    let mut taps = vec![tap(&function.value(input).name, input, Role::Input)];
    if names.is_empty() {
        let mut found = default_values(&function);
        // Of several roles the one nearest to what leaves the model.
        found.sort_by_key(|&(value, role)| (producers[value.index()], std::cmp::Reverse(role)));
        for (value, role) in found {
            if taps.iter().all(|tap| tap.value != value) && is_numbers(&function, value) {
                taps.push(tap(&name_of(&function, value), value, role));
            }
        }
    }
    for name in names {
        let value = by_name(&function, name)?;
        let role = match (function.is_output(value), pixels(&function, value)) {
            (true, _) => Role::Output,
            (false, 1) => Role::Embedding,
            (false, _) => Role::Layer,
        };
        if !is_numbers(&function, value) {
            return Err(PrivacyError::Unsuitable(format!(
                "tap {name}: is no tensor of floats"
            )));
        }
        taps.push(tap(name, value, role));
    }
    Ok(Tapped { function, taps })
}

impl Tapped {
    /// The function with the given taps as its only outputs. What they do not need is left out.
    pub(crate) fn truncated(&self, taps: &[&Tap]) -> Function {
        let mut function = self.function.clone();
        function.outputs = taps
            .iter()
            .map(|tap| Output {
                name: function.value(tap.value).name.clone(),
                value: tap.value,
            })
            .collect();
        function
    }
}

/// The name that a reader of the source knows a value by.
fn name_of(function: &Function, value: ValueId) -> String {
    if let Some(output) = function.outputs.iter().find(|output| output.value == value) {
        return output.name.clone();
    }
    let maker = function
        .operations
        .iter()
        .find(|operation| operation.outputs.contains(&value));
    maker.map_or_else(
        || function.value(value).name.clone(),
        |maker| maker.label().to_owned(),
    )
}

/// The last value made under a name: of the source's operation, of the value itself, or of an output.
fn by_name(function: &Function, name: &str) -> Result<ValueId, PrivacyError> {
    if let Some(output) = function.outputs.iter().find(|output| output.name == name) {
        return Ok(output.value);
    }
    let made = function.operations.iter().rev().find_map(|operation| {
        let by_value = operation
            .outputs
            .iter()
            .copied()
            .find(|&id| function.value(id).name == name);
        let by_origin = || {
            operation
                .origin
                .iter()
                .any(|origin| origin == name)
                .then(|| operation.outputs.first().copied())
                .flatten()
        };
        by_value.or_else(by_origin)
    });
    made.ok_or_else(|| {
        PrivacyError::Unsuitable(format!(
            "tap {name}: expected the name of an operation that the simplified model still has; `locket inspect` lists them"
        ))
    })
}

fn default_values(function: &Function) -> Vec<(ValueId, Role)> {
    let users = function.users();
    let mut found = Vec::new();
    for operation in &function.operations {
        let Some(&result) = operation.outputs.first() else {
            continue;
        };
        if is_layer(operation) {
            let last = activated(function, &users, result);
            let role = if function.is_output(last) {
                Role::Output
            } else {
                Role::Layer
            };
            found.push((last, role));
        } else if is_pool(function, operation) {
            let role = if function.is_output(result) {
                Role::Output
            } else {
                Role::Embedding
            };
            found.push((result, role));
        } else if &*operation.kind == "softmax" && function.is_output(result) {
            // What goes into the softmax: the logits, whatever made them.
            found.extend(
                operation
                    .input("x")
                    .map(|logits| (unrenamed(function, logits), Role::Output)),
            );
        }
    }
    let outputs = function
        .outputs
        .iter()
        .map(|output| (unrenamed(function, output.value), Role::Output));
    found.extend(outputs);
    found
}

/// The value that this one only gives another shape to.
fn unrenamed(function: &Function, mut value: ValueId) -> ValueId {
    let producers = function.producers();
    while let Some(maker) = producers[value.index()] {
        let operation = &function.operations[maker];
        let renames = matches!(
            &*operation.kind,
            "reshape" | "squeeze" | "expand_dims" | "flatten2d" | "identity"
        );
        match operation.input("x").filter(|_| renames) {
            Some(before) if function.literal(before).is_none() => value = before,
            _ => break,
        }
    }
    value
}

fn is_layer(operation: &Operation) -> bool {
    matches!(
        &*operation.kind,
        "conv" | "conv_transpose" | "linear" | "matmul" | "einsum"
    )
}

/// True for an operation that leaves one pixel of several.
fn is_pool(function: &Function, operation: &Operation) -> bool {
    let input = operation.input("x");
    matches!(
        &*operation.kind,
        "reduce_mean" | "reduce_max" | "avg_pool" | "max_pool"
    ) && pixels(function, operation.outputs[0]) == 1
        && input.is_some_and(|input| pixels(function, input) > 1)
}

/// Pixels of a value `[1, C, H, W]`; 1 for all that has at most one dimension above 1.
fn pixels(function: &Function, value: ValueId) -> usize {
    match function.ty(value).shape() {
        Some([_, _, spatial @ ..]) => spatial.iter().product(),
        _ => 1,
    }
}

/// Follows a layer's result through what is done to it alone, element by element: bias, normalisation, sum, activation.
fn activated(function: &Function, users: &[Vec<usize>], start: ValueId) -> ValueId {
    let (mut value, mut last) = (start, start);
    loop {
        let &[reader] = users[value.index()].as_slice() else {
            return last;
        };
        let operation = &function.operations[reader];
        let &[next] = operation.outputs.as_slice() else {
            return last;
        };
        let follows = is_activation(&operation.kind)
            && !function.is_output(value)
            && function.ty(next).shape() == function.ty(value).shape();
        if !follows {
            return last;
        }
        value = next;
        // Codes between `quantize` and `dequantize` are not looked at.
        if is_numbers(function, value) {
            last = value;
        }
    }
}

fn is_activation(kind: &str) -> bool {
    matches!(
        kind,
        "add"
            | "sub"
            | "mul"
            | "real_div"
            | "batch_norm"
            | "relu"
            | "relu6"
            | "clip"
            | "minimum"
            | "maximum"
            | "prelu"
            | "leaky_relu"
            | "elu"
            | "gelu"
            | "silu"
            | "sigmoid"
            | "sigmoid_hard"
            | "tanh"
            | "erf"
            | "softplus"
            | "cast"
            | "quantize"
            | "dequantize"
    )
}

fn is_numbers(function: &Function, value: ValueId) -> bool {
    let ty = function.ty(value);
    ty.dtype().is_some_and(|dtype| dtype.is_float()) && ty.elems() > 0
}

#[cfg(test)]
mod tests {
    use locket_mil::text;

    use super::{Role, find};

    const SOURCE: &str = r#"func main opset ios16 (%image: fp32[1, 2, 4, 4]) -> (scores: %p) {
  %w: fp32[4, 2, 3, 3] = ramp(-0.5, 0.0625)
  %c: fp32[1, 4, 4, 4] = conv(x=%image, weight=%w, strides=[1, 1], pad_type="custom", pad=[1, 1, 1, 1], dilations=[1, 1], groups=1) "features/conv"
  %r: fp32[1, 4, 4, 4] = relu(x=%c) "features/relu"
  %m: fp32[1, 4] = reduce_mean(x=%r, axes=[2, 3], keep_dims=false) "pool"
  %d: fp32[3, 4] = ramp(-1.0, 0.25)
  %l: fp32[1, 3] = linear(x=%m, weight=%d) "classifier"
  %p: fp32[1, 3] = softmax(x=%l, axis=-1) "scores"
}"#;

    #[test]
    fn activations_embedding_logits_and_output_are_tapped_once() {
        let function = text::parse(SOURCE).unwrap();
        let taps = find(&function, &[]).unwrap().taps;
        let found: Vec<(&str, Role)> = taps.iter().map(|tap| (tap.name.as_str(), tap.role)).collect();
        assert_eq!(
            found,
            [
                ("image", Role::Input),
                ("features/relu", Role::Layer),
                ("pool", Role::Embedding),
                ("classifier", Role::Output),
                ("scores", Role::Output),
            ]
        );
        assert!(taps.is_sorted_by_key(|tap| tap.depth));
    }

    #[test]
    fn taps_are_chosen_by_name_and_unknown_names_are_refused() {
        let function = text::parse(SOURCE).unwrap();
        let taps = find(&function, &["features/conv".to_owned(), "scores".to_owned()])
            .unwrap()
            .taps;
        assert_eq!(taps.len(), 3);
        assert_eq!((taps[1].operator.as_str(), taps[1].role), ("conv", Role::Layer));
        let error = find(&function, &["nothing".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("tap nothing: expected"), "{error}");
    }
}
