//! A function as messages.
//!
//! Each constant is a `const` operation right before its first use. Constants of `constexpr_*` operations are not:
//! they stand in the operation itself, as attributes in operators of iOS 16 and as inline inputs in those of iOS 18.

use std::borrow::Cow;
use std::collections::BTreeMap;

use locket_mil::{Arg, Function, Literal, Operation, Target, Type, ValueId};
use locket_tensor::{DType, Tensor};

use super::names::Names;
use super::weights::{Weights, belongs};
use super::{FormatError, invalid, place, unsupported};
use crate::coreml::package::WEIGHT_FILE_NAME;
use crate::coreml::schema::{
    self, Argument, Binding, BlobFileValue, Block, DataType, Dimension, NamedValueType, Payload,
    TensorPayload, TensorType, Value, ValueType,
};

/// Puts a function into messages, and its weights into the weight file.
///
/// # Errors
/// When a value has a type that the format does not have, or the weight file cannot be written.
pub(super) fn function<'f>(
    function: &'f Function,
    names: &'f Names,
    target: Target,
    weights: &mut Weights,
) -> Result<schema::Function<'f>, FormatError> {
    let mut emitter = Emitter {
        function,
        names,
        target,
        weights,
        emitted: vec![false; function.values().len()],
        operations: Vec::new(),
    };
    let mut inputs = Vec::new();
    for input in &function.inputs {
        inputs.push(emitter.named(*input)?);
    }
    for operation in &function.operations {
        emitter.operation(operation)?;
    }
    let block = Block {
        outputs: names.outputs().iter().map(|name| name.as_str().into()).collect(),
        operations: emitter.operations,
        ..Block::default()
    };
    Ok(schema::Function {
        inputs,
        opset: target.opset().into(),
        blocks: BTreeMap::from([(target.opset().into(), block)]),
        attributes: BTreeMap::new(),
    })
}

struct Emitter<'f, 'w> {
    function: &'f Function,
    names: &'f Names,
    target: Target,
    weights: &'w mut Weights,
    emitted: Vec<bool>,
    operations: Vec<schema::Operation<'f>>,
}

/// Whether the parameters of a `constexpr_*` operation are attributes: so they are in operators of iOS 16, also in
/// programs for later targets, unless iOS 18 redefined the operator.
fn has_attributes(kind: &str, target: Target) -> bool {
    match kind {
        "constexpr_affine_dequantize" | "constexpr_cast" => true,
        "constexpr_lut_to_dense" | "constexpr_sparse_to_dense" => target < Target::Ios18,
        _ => false,
    }
}

impl<'f> Emitter<'f, '_> {
    fn operation(&mut self, operation: &'f Operation) -> Result<(), FormatError> {
        let kind: &'f str = &operation.kind;
        let constexpr = kind.starts_with("constexpr_");
        let mut inputs = BTreeMap::new();
        let mut attributes = BTreeMap::new();
        for (param, arg) in &operation.inputs {
            let param: &'f str = param;
            match (
                constexpr.then(|| self.constant(arg)).flatten(),
                has_attributes(kind, self.target),
            ) {
                (Some(literal), true) => {
                    attributes.insert(Cow::Borrowed(param), self.value(literal)?);
                }
                (Some(literal), false) => {
                    let bindings = vec![Binding::Value(Box::new(self.value(literal)?))];
                    inputs.insert(Cow::Borrowed(param), Argument { bindings });
                }
                (None, true) if constexpr => {
                    return Err(invalid(
                        place(operation),
                        format!("a constant `{param}`"),
                        "a computed one",
                    ));
                }
                (None, _) => {
                    inputs.insert(Cow::Borrowed(param), self.bindings(arg)?);
                }
            }
        }
        let mut outputs = Vec::new();
        for output in &operation.outputs {
            outputs.push(self.named(*output)?);
        }
        let first = operation
            .outputs
            .first()
            .map_or(kind, |output| self.names.of_value(*output));
        attributes.insert(Cow::Borrowed("name"), text(first));
        self.operations.push(schema::Operation {
            kind: Cow::Borrowed(kind),
            inputs,
            outputs,
            blocks: Vec::new(),
            attributes,
        });
        Ok(())
    }

    fn constant(&self, arg: &Arg) -> Option<&'f Literal> {
        match arg {
            Arg::One(value) => self.function.literal(*value),
            Arg::Many(_) => None,
        }
    }

    fn bindings(&mut self, arg: &Arg) -> Result<Argument<'f>, FormatError> {
        let mut bindings = Vec::new();
        for value in arg.values() {
            self.define_constant(*value)?;
            bindings.push(Binding::Name(Cow::Borrowed(self.names.of_value(*value))));
        }
        Ok(Argument { bindings })
    }

    /// Appends the `const` operation of a constant that has none yet.
    fn define_constant(&mut self, id: ValueId) -> Result<(), FormatError> {
        let Some(literal) = self.function.literal(id) else {
            return Ok(());
        };
        match self.emitted.get_mut(id.index()) {
            Some(emitted @ false) => *emitted = true,
            _ => return Ok(()),
        }
        let value = self.value(literal)?;
        let name = self.names.of_value(id);
        let output = NamedValueType {
            name: name.into(),
            value_type: value.value_type.clone(),
        };
        self.operations.push(schema::Operation {
            kind: "const".into(),
            outputs: vec![output],
            attributes: BTreeMap::from([("name".into(), text(name)), ("val".into(), value)]),
            ..schema::Operation::default()
        });
        Ok(())
    }

    fn named(&self, id: ValueId) -> Result<NamedValueType<'f>, FormatError> {
        let name = self.names.of_value(id);
        let value_type = match self.function.ty(id) {
            Type::Tensor { dtype, shape } => tensor_type(*dtype, shape),
            Type::Text => string_type(),
            Type::Unknown => {
                return Err(unsupported(
                    name,
                    "its type is not known",
                    "resolve foreign operations first",
                ));
            }
        };
        Ok(NamedValueType {
            name: name.into(),
            value_type: Some(value_type),
        })
    }

    fn value(&mut self, literal: &'f Literal) -> Result<Value<'f>, FormatError> {
        let tensor = match literal {
            Literal::Text(string) => return Ok(text(string)),
            Literal::Tensor(tensor) => tensor,
        };
        let offset = if belongs(tensor, self.target) {
            self.weights.add(tensor)?
        } else {
            None
        };
        let payload = match offset {
            Some(offset) => Payload::Blob(BlobFileValue {
                file_name: WEIGHT_FILE_NAME.into(),
                offset,
            }),
            None => Payload::Tensor(immediate(tensor)),
        };
        let value_type = Some(tensor_type(tensor.dtype(), tensor.shape()));
        Ok(Value {
            doc: Cow::Borrowed(""),
            value_type,
            payload: Some(payload),
        })
    }
}

fn string_type<'a>() -> ValueType<'a> {
    ValueType::Tensor(TensorType {
        data_type: Some(DataType::String),
        ..TensorType::default()
    })
}

fn text(text: &str) -> Value<'_> {
    Value {
        doc: Cow::Borrowed(""),
        value_type: Some(string_type()),
        payload: Some(Payload::Tensor(TensorPayload::Strings(vec![text.into()]))),
    }
}

/// The type of a tensor in the file.
pub(super) fn tensor_type<'a>(dtype: DType, shape: &[usize]) -> ValueType<'a> {
    let dimension = |dim: &usize| Dimension::Constant(u64::try_from(*dim).unwrap_or(u64::MAX));
    ValueType::Tensor(TensorType {
        data_type: Some(data_type(dtype)),
        rank: i64::try_from(shape.len()).unwrap_or(i64::MAX),
        dimensions: shape.iter().map(dimension).collect(),
        attributes: BTreeMap::new(),
    })
}

fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Bool,
        DType::String => DataType::String,
        DType::Float16 => DataType::Float16,
        DType::Float32 => DataType::Float32,
        DType::Float64 => DataType::Float64,
        DType::BFloat16 => DataType::BFloat16,
        DType::Int4 => DataType::Int4,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::UInt1 => DataType::UInt1,
        DType::UInt2 => DataType::UInt2,
        DType::UInt3 => DataType::UInt3,
        DType::UInt4 => DataType::UInt4,
        DType::UInt6 => DataType::UInt6,
        DType::UInt8 => DataType::UInt8,
        DType::UInt16 => DataType::UInt16,
        DType::UInt32 => DataType::UInt32,
        DType::UInt64 => DataType::UInt64,
    }
}

/// The elements in the field that the format keeps their type in.
fn immediate(tensor: &Tensor) -> TensorPayload<'_> {
    if tensor.elems() == 0 {
        return TensorPayload::Empty;
    }
    match tensor.dtype() {
        DType::Float32 => TensorPayload::Floats(tensor.as_slice::<f32>().to_vec()),
        DType::Float64 => TensorPayload::Doubles(tensor.as_slice::<f64>().to_vec()),
        DType::Int32 => TensorPayload::Ints(tensor.as_slice::<i32>().to_vec()),
        DType::Int16 => TensorPayload::Ints(tensor.as_slice::<i16>().iter().map(|x| i32::from(*x)).collect()),
        DType::UInt16 => {
            TensorPayload::Ints(tensor.as_slice::<u16>().iter().map(|x| i32::from(*x)).collect())
        }
        DType::Int64 => TensorPayload::LongInts(tensor.as_slice::<i64>().to_vec()),
        DType::UInt64 => {
            TensorPayload::LongInts(tensor.as_slice::<u64>().iter().map(|x| x.cast_signed()).collect())
        }
        DType::Bool => TensorPayload::Bools(tensor.bytes().iter().map(|byte| *byte != 0).collect()),
        _ => TensorPayload::Bytes(Cow::Borrowed(tensor.bytes())),
    }
}
