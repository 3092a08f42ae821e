//! Changes the precision in which a program computes, float32 to float16 or back.
//!
//! The interface keeps its types. Each operation is changed or kept as a whole: its constants are converted, values
//! that come in the other precision go through a `cast`, made once for each value. An operation with a constant
//! that float16 cannot hold (beyond 65504, infinities aside) keeps float32. Small constants that float16 would
//! round to zero, such as an epsilon, become its smallest number instead. Both rules are those of coremltools.

use std::collections::BTreeMap;

use half::f16;
use locket_mil::{Arg, Function, Literal, Operation, Type, ValueId};
use locket_tensor::{DType, Tensor};

/// Precision of weights and computation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the program has it.
    #[default]
    AsIs,
    /// float16 becomes float32.
    Float32,
    /// float32 becomes float16; inputs and outputs stay as they are.
    Float16,
}

/// From this magnitude on a float32 is taken for an infinity, which float16 has too.
const INFINITE: f32 = 1e38;
/// Constants with at least this many elements are weights, in which a zero does no harm.
const WEIGHT_ELEMS: usize = 400;

/// Sets the precision of a function whose defaults are bound.
pub(super) fn set(function: &mut Function, precision: Precision) {
    let (from, to) = match precision {
        Precision::AsIs => return,
        Precision::Float32 => (DType::Float16, DType::Float32),
        Precision::Float16 => (DType::Float32, DType::Float16),
    };
    let original = function.values().iter().map(|value| value.ty.dtype()).collect();
    let operations = std::mem::take(&mut function.operations);
    let mut change = Change {
        function,
        from,
        to,
        original,
        replaced: BTreeMap::new(),
        converted: BTreeMap::new(),
    };
    for operation in operations {
        change.operation(operation);
    }
    for position in 0..change.function.outputs.len() {
        change.output(position);
    }
}

struct Change<'f> {
    function: &'f mut Function,
    from: DType,
    to: DType,
    /// The element type of each value before the change.
    original: Vec<Option<DType>>,
    /// Casts that fell away, with what they were given.
    replaced: BTreeMap<ValueId, ValueId>,
    /// Values in another element type than their own.
    converted: BTreeMap<(ValueId, DType), ValueId>,
}

impl Change<'_> {
    fn operation(&mut self, mut operation: Operation) {
        match &*operation.kind {
            "cast" => return self.cast(operation),
            "constexpr_cast" if self.to == DType::Float16 => return self.constexpr_cast(operation),
            _ => {}
        }
        let changes = operation.kind != "constexpr_cast" && self.fits(&operation);
        for (param, arg) in &mut operation.inputs {
            // This one is float32 in every operator set.
            let changes = changes && param != "spatial_scale";
            for value in arg.values_mut() {
                *value = self.input(*value, changes);
            }
        }
        if changes {
            operation.outputs.iter().for_each(|output| self.retype(*output));
        }
        self.function.operations.push(operation);
    }

    /// Whether the target precision holds all constants of the operation.
    fn fits(&self, operation: &Operation) -> bool {
        self.to != DType::Float16
            || operation
                .input_values()
                .all(|value| match self.function.const_tensor(value) {
                    Some(tensor) if tensor.dtype() == DType::Float32 => {
                        let magnitudes = tensor.as_slice::<f32>().iter().map(|x| x.abs());
                        magnitudes
                            .filter(|x| *x < INFINITE)
                            .all(|x| x <= f16::MAX.to_f32())
                    }
                    _ => true,
                })
    }

    /// What an operation reads in the place of `value`.
    fn input(&mut self, value: ValueId, changes: bool) -> ValueId {
        let original = self.original.get(value.index()).copied().flatten();
        let wanted = if changes && original == Some(self.from) {
            Some(self.to)
        } else {
            original
        };
        self.in_type(value, wanted)
    }

    /// `value`, or what replaced it, in an element type: a constant is converted, anything else goes through a
    /// `cast`.
    fn in_type(&mut self, value: ValueId, wanted: Option<DType>) -> ValueId {
        let value = self.replaced.get(&value).copied().unwrap_or(value);
        let Some(dtype) = wanted.filter(|wanted| self.function.ty(value).dtype() != Some(*wanted)) else {
            return value;
        };
        if let Some(converted) = self.converted.get(&(value, dtype)) {
            return *converted;
        }
        let wish = format!("{}_to_{dtype}", self.function.value(value).name);
        let constant = self
            .function
            .const_tensor(value)
            .and_then(|tensor| convert(tensor, dtype));
        let converted = match constant {
            Some(constant) => self.function.add_constant(&wish, constant),
            None => cast(self.function, value, dtype, &wish),
        };
        self.converted.insert((value, dtype), converted);
        converted
    }

    fn retype(&mut self, value: ValueId) {
        if let Type::Tensor { dtype, shape } = self.function.ty(value)
            && *dtype == self.from
        {
            let ty = Type::Tensor {
                dtype: self.to,
                shape: shape.clone(),
            };
            self.function.set_type(value, ty);
        }
    }

    /// Redirects a cast to the changed precision, and drops one that changes nothing any more.
    fn cast(&mut self, mut operation: Operation) {
        let (Some(x), [output]) = (operation.input("x"), &operation.outputs[..]) else {
            self.function.operations.push(operation);
            return;
        };
        let output = *output;
        let x = self.replaced.get(&x).copied().unwrap_or(x);
        operation.set_input("x", x);
        self.retype(output);
        let Some(wanted) = self.function.ty(output).dtype() else {
            self.function.operations.push(operation);
            return;
        };
        if self.function.ty(x).dtype() == Some(wanted) {
            self.replaced.insert(output, x);
            return;
        }
        let wish = format!("{}_dtype", self.function.value(output).name);
        let dtype = self.function.add_constant(&wish, wanted.name());
        operation.set_input("dtype", dtype);
        self.function.operations.push(operation);
    }

    /// Replaces float16 data shown as float32 by the data.
    fn constexpr_cast(&mut self, operation: Operation) {
        match (operation.input("source_val"), &operation.outputs[..]) {
            (Some(source), [output]) if self.function.ty(source).dtype() == Some(DType::Float16) => {
                self.replaced.insert(*output, source);
            }
            _ => self.function.operations.push(operation),
        }
    }

    /// Keeps the type of an output as callers know it.
    fn output(&mut self, position: usize) {
        let Some(old) = self.function.outputs.get(position).map(|output| output.value) else {
            return;
        };
        let value = self.input(old, false);
        if let Some(output) = self.function.outputs.get_mut(position) {
            output.value = value;
        }
    }
}

/// Appends a `cast` of `value`.
pub(super) fn cast(function: &mut Function, value: ValueId, dtype: DType, wish: &str) -> ValueId {
    let ty = match function.ty(value) {
        Type::Tensor { shape, .. } => Type::Tensor {
            dtype,
            shape: shape.clone(),
        },
        other => other.clone(),
    };
    let parameter = function.add_constant(&format!("{wish}_dtype"), dtype.name());
    let output = function.add_result(wish, ty);
    function.operations.push(Operation {
        kind: "cast".into(),
        inputs: vec![
            ("x".into(), Arg::One(value)),
            ("dtype".into(), Arg::One(parameter)),
        ],
        outputs: vec![output],
        origin: vec![wish.to_owned()],
    });
    output
}

fn convert(tensor: &Tensor, dtype: DType) -> Option<Literal> {
    let converted = match (tensor.dtype(), dtype) {
        (DType::Float32, DType::Float16) => {
            let keep_small = tensor.elems() < WEIGHT_ELEMS;
            let values: Vec<f16> = tensor
                .as_slice::<f32>()
                .iter()
                .map(|x| to_f16(*x, keep_small))
                .collect();
            Tensor::from_slice(tensor.shape(), &values)
        }
        (DType::Float16, DType::Float32) => {
            let values: Vec<f32> = tensor.as_slice::<f16>().iter().map(|x| x.to_f32()).collect();
            Tensor::from_slice(tensor.shape(), &values)
        }
        _ => return None,
    };
    converted.ok().map(Literal::Tensor)
}

/// Rounds to the nearest float16; with `keep_small`, what is not 0 does not become 0.
pub(super) fn to_f16(value: f32, keep_small: bool) -> f16 {
    let rounded = f16::from_f32(value);
    if keep_small && rounded.to_f32() == 0.0 && value != 0.0 {
        return f16::from_bits(1).copysign(rounded);
    }
    rounded
}
