//! Folds what scales and shifts each output channel into the `conv` or `linear` before it: `batch_norm`, and `add`, `sub`, `mul`,
//! `real_div` with a constant per channel.
//!
//! A layer with weight W and bias b, then factor f and summand s per channel, is a layer with weight `f W` and bias
//! `f b + s`, computed in `f64` and rounded once to the weight's type. The layer must have no other reader. A factor needs a weight that
//! is stored dense; a summand alone does not. Rounds repeat until nothing is left to fold, so that chains vanish; at most
//! [`MAX_ROUNDS`], longer than any chain that training frameworks write.

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_ops::{Node, ops::batch_norm};
use locket_tensor::{DType, Tensor};

use crate::{
    PassReport,
    pattern::{Links, origins},
};

/// Most rounds: each folds one operation into each layer.
const MAX_ROUNDS: usize = 32;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    for _ in 0..MAX_ROUNDS {
        let round = fold_once(function);
        let changes = report.changes + round.changes;
        report = PassReport { changes, ..round };
        if round.changes == 0 {
            break;
        }
    }
    report
}

fn fold_once(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("fold_affine");
    let links = Links::of(function);
    for index in 0..function.operations.len() {
        let follower = function.operations[index].clone();
        let Some(value) = operand(function, &follower) else {
            continue;
        };
        let made_by_layer = |at: &usize| matches!(&*function.operations[*at].kind, "conv" | "linear");
        let Some(at) = links.producer(value).filter(made_by_layer) else {
            if follower.kind == "batch_norm" {
                report.skip(follower.label(), "no convolution makes its operand");
            }
            continue;
        };
        let layer = function.operations[at].clone();
        if links.only_user(value) != Some(index) {
            report.skip(follower.label(), "the layer before it has other readers");
            continue;
        }
        let folded = Affine::of(function, &layer, &follower)
            .and_then(|affine| merged(function, &layer, &follower, &affine));
        match folded {
            Ok(operation) => {
                patch.remove(at);
                patch.replace(index, operation);
                report.changes += 1;
            }
            Err(reason) => report.skip(follower.label(), reason),
        }
    }
    patch.apply(function);
    report
}

/// The value that an operation of ours scales or shifts by constants.
fn operand(function: &Function, operation: &Operation) -> Option<ValueId> {
    let x = operation.input("x")?;
    match &*operation.kind {
        "batch_norm" => Some(x),
        "add" | "mul" | "sub" | "real_div" => {
            let y = operation.input("y")?;
            match (function.const_tensor(x), function.const_tensor(y)) {
                (None, Some(_)) => Some(x),
                (Some(_), None) if operation.kind != "real_div" => Some(y),
                _ => None,
            }
        }
        _ => None,
    }
}

/// One number for every element, or one for each channel.
enum Numbers {
    One(f64),
    PerChannel(Vec<f64>),
}

impl Numbers {
    fn at(&self, channel: usize) -> f64 {
        match self {
            Self::One(value) => *value,
            Self::PerChannel(values) => values[channel],
        }
    }

    fn all(&self, test: impl Fn(f64) -> bool) -> bool {
        match self {
            Self::One(value) => test(*value),
            Self::PerChannel(values) => values.iter().all(|&value| test(value)),
        }
    }
}

/// `y = factor x + summand`; `None` stands for 1 and 0.
struct Affine {
    factor: Option<Numbers>,
    summand: Option<Numbers>,
}

const NOT_PER_CHANNEL: &str = "its constant is not one number for each output channel";

impl Affine {
    /// What `follower` does to the result of `layer`.
    fn of(function: &Function, layer: &Operation, follower: &Operation) -> Result<Self, &'static str> {
        let node = Node::new(function, follower);
        if follower.kind == "batch_norm" {
            if layer.kind != "conv" {
                return Err("its channels are not those of the layer before it");
            }
            let statistics = batch_norm::affine(&node).map_err(|_| "its statistics are not constant")?;
            let wide = |values: Vec<f32>| Numbers::PerChannel(values.into_iter().map(f64::from).collect());
            return Ok(Self {
                factor: Some(wide(statistics.0)),
                summand: Some(wide(statistics.1)),
            });
        }
        let (constant, first) = match (node.tensor("x"), node.tensor("y")) {
            (Some(constant), None) => (constant, true),
            (_, Some(constant)) => (constant, false),
            _ => return Err(NOT_PER_CHANNEL),
        };
        let numbers = |map: fn(f64) -> f64| per_channel(function, layer, follower, constant, map);
        let (factor, summand) = match (&*follower.kind, first) {
            ("add", _) => (None, Some(numbers(|c| c)?)),
            ("mul", _) => (Some(numbers(|c| c)?), None),
            ("sub", false) => (None, Some(numbers(|c| -c)?)),
            ("sub", true) => (Some(Numbers::One(-1.0)), Some(numbers(|c| c)?)),
            _ => (Some(numbers(|c| 1.0 / c)?), None),
        };
        Ok(Self { factor, summand })
    }
}

/// The numbers of a constant: one, or one for each output channel on the channels' axis of the layer's result.
fn per_channel(
    function: &Function,
    layer: &Operation,
    follower: &Operation,
    constant: &Tensor,
    map: fn(f64) -> f64,
) -> Result<Numbers, &'static str> {
    let shape = function.ty(layer.outputs[0]).shape().ok_or(NOT_PER_CHANNEL)?;
    if function.ty(follower.outputs[0]).shape() != Some(shape) {
        return Err(NOT_PER_CHANNEL);
    }
    let values = constant.to_f32().ok_or(NOT_PER_CHANNEL)?;
    let mut values: Vec<f64> = values.into_iter().map(|value| map(f64::from(value))).collect();
    if values.len() == 1 {
        return Ok(Numbers::One(values.remove(0)));
    }
    let axis = if layer.kind == "conv" { 1 } else { shape.len() - 1 };
    let at = (axis + constant.shape().len()).checked_sub(shape.len());
    let on_axis = at.and_then(|at| constant.shape().get(at)) == shape.get(axis);
    if !on_axis || shape.get(axis) != Some(&values.len()) {
        return Err(NOT_PER_CHANNEL);
    }
    Ok(Numbers::PerChannel(values))
}

/// The layer that does what `layer` and then `follower` do.
fn merged(
    function: &mut Function,
    layer: &Operation,
    follower: &Operation,
    affine: &Affine,
) -> Result<Operation, &'static str> {
    let node = Node::new(function, layer);
    let (weight_dtype, shape) = node
        .ty("weight")
        .map_err(|_| "the layer before it has no weight")?;
    let channels = shape[0];
    let fits = |numbers: &Option<Numbers>| match numbers {
        Some(Numbers::PerChannel(values)) => values.len() == channels,
        _ => true,
    };
    if !fits(&affine.factor) || !fits(&affine.summand) {
        return Err("its channels are not those of the layer before it");
    }
    let scaled = match &affine.factor {
        Some(factor) if !factor.all(|factor| factor == 1.0) => {
            let weight = node
                .tensor("weight")
                .ok_or("the weight before it is stored compressed")?;
            Some(scaled(weight, factor)?)
        }
        _ => None,
    };
    let bias = match (node.weight("bias"), node.has("bias")) {
        (None, true) => return Err("the bias before it is not known before the program runs"),
        (None, false) => None,
        (Some(bias), _) => bias.expand().and_then(|tensor| tensor.to_f32()),
    };
    if bias.as_ref().is_some_and(|bias| bias.len() != channels) {
        return Err("the bias before it is not one number for each output channel");
    }
    let old = bias.clone().unwrap_or_else(|| vec![0.0; channels]);
    let shifted: Vec<f32> = old
        .iter()
        .enumerate()
        .map(|(channel, &bias)| {
            let factor = affine.factor.as_ref().map_or(1.0, |numbers| numbers.at(channel));
            let summand = affine.summand.as_ref().map_or(0.0, |numbers| numbers.at(channel));
            (f64::from(bias) * factor + summand) as f32
        })
        .collect();
    let name = function
        .value(layer.input("weight").ok_or("the layer has no weight")?)
        .name
        .clone();
    let mut operation = layer.clone();
    if let Some(weight) = scaled {
        let id = function.add_constant(&name, weight);
        operation.set_input("weight", id);
    }
    if bias.is_some() || affine.summand.is_some() {
        let tensor = tensor_of(weight_dtype, &[channels], &shifted)?;
        let id = function.add_constant(&format!("{name}_bias"), tensor);
        set_bias(&mut operation, id);
    }
    operation.outputs.clone_from(&follower.outputs);
    operation.origin = origins([layer, follower]);
    Ok(operation)
}

/// The weight with each output channel (axis 0) times its factor.
fn scaled(weight: &Tensor, factor: &Numbers) -> Result<Tensor, &'static str> {
    let per_channel = weight.elems() / weight.shape()[0].max(1);
    let values = weight
        .to_f32()
        .ok_or("the weight before it is not a tensor of numbers")?;
    let scaled: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(at, &value)| (f64::from(value) * factor.at(at / per_channel.max(1))) as f32)
        .collect();
    tensor_of(weight.dtype(), weight.shape(), &scaled)
}

/// Numbers as fp16 or fp32; refuses what that type cannot hold.
fn tensor_of(dtype: DType, shape: &[usize], values: &[f32]) -> Result<Tensor, &'static str> {
    const TOO_LARGE: &str = "the folded numbers exceed the range of the weight's type";
    let tensor = match dtype {
        DType::Float16 => {
            let narrow: Vec<half::f16> = values.iter().map(|&value| half::f16::from_f32(value)).collect();
            if !narrow.iter().all(|value| value.is_finite()) {
                return Err(TOO_LARGE);
            }
            Tensor::from_slice(shape, &narrow)
        }
        DType::Float32 => {
            if !values.iter().all(|value| value.is_finite()) {
                return Err(TOO_LARGE);
            }
            Tensor::from_slice(shape, values)
        }
        _ => return Err("the weight before it is neither fp16 nor fp32"),
    };
    tensor.map_err(|_| "the weight's shape does not fit its data")
}

/// Binds `bias` right after `weight`, where MIL has it.
fn set_bias(operation: &mut Operation, bias: ValueId) {
    operation.remove_input("bias");
    let at = operation.inputs.iter().position(|(param, _)| param == "weight");
    operation
        .inputs
        .insert(at.map_or(0, |at| at + 1), ("bias".into(), bias.into()));
}
