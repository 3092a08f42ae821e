//! Constant values of an ML Program: immediate, or a reference to a record of a weight file.

use super::types::{ValueType, read_type, write_type};
use crate::FormatError;
use crate::coreml::wire::{Context, Field, Message, Text, Writer, low_int32, set_once};
use std::borrow::Cow;

/// A constant with its type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Value<'a> {
    /// Documentation; no known writer uses it.
    pub doc: Text<'a>,
    /// The type.
    pub value_type: Option<ValueType<'a>>,
    /// The contents.
    pub payload: Option<Payload<'a>>,
}

impl<'a> Message<'a> for Value<'a> {
    const NAME: &'static str = "Value";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.doc = field.text()?,
            2 => read_type(&mut self.value_type, field, context)?,
            3 => {
                let immediate: Immediate<'a> = field.message(context)?;
                // An empty immediate value is how some writers say "no elements".
                let payload = immediate.0.unwrap_or(Payload::Tensor(TensorPayload::Empty));
                set_once(&mut self.payload, payload, field.offset, "value")?;
            }
            5 => {
                let blob: BlobFileValue<'a> = field.message(context)?;
                set_once(&mut self.payload, Payload::Blob(blob), field.offset, "value")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.doc);
        write_type(out, 2, self.value_type.as_ref());
        match &self.payload {
            None => {}
            Some(Payload::Blob(blob)) => out.message(5, blob),
            Some(immediate) => out.nested(3, |out| encode_immediate(immediate, out)),
        }
    }
}

/// The contents of a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload<'a> {
    /// The elements of a tensor.
    Tensor(TensorPayload<'a>),
    /// The elements of a tuple.
    Tuple(Vec<Value<'a>>),
    /// The elements of a list.
    List(Vec<Value<'a>>),
    /// The pairs of a dictionary.
    Dictionary(Vec<(Value<'a>, Value<'a>)>),
    /// Elements that stand in a weight file.
    Blob(BlobFileValue<'a>),
}

#[derive(Debug, Default)]
struct Immediate<'a>(Option<Payload<'a>>);

impl<'a> Message<'a> for Immediate<'a> {
    const NAME: &'static str = "ImmediateValue";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        let payload = match field.number {
            1 => {
                let tensor: TensorMessage<'a> = field.message(context)?;
                Payload::Tensor(tensor.0.unwrap_or(TensorPayload::Empty))
            }
            2 => Payload::Tuple(field.message::<Values<'a>>(context)?.0),
            3 => Payload::List(field.message::<Values<'a>>(context)?.0),
            4 => Payload::Dictionary(field.message::<Pairs<'a>>(context)?.0),
            _ => return Ok(false),
        };
        set_once(&mut self.0, payload, field.offset, Self::NAME)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        if let Some(payload) = &self.0 {
            encode_immediate(payload, out);
        }
    }
}

fn encode_immediate(payload: &Payload<'_>, out: &mut Writer) {
    match payload {
        Payload::Tensor(tensor) => out.nested(1, |out| tensor.encode(out)),
        Payload::Tuple(values) => out.nested(2, |out| values.iter().for_each(|value| out.message(1, value))),
        Payload::List(values) => out.nested(3, |out| values.iter().for_each(|value| out.message(1, value))),
        Payload::Dictionary(pairs) => out.nested(4, |out| {
            for (key, value) in pairs {
                out.nested(1, |out| {
                    out.message(1, key);
                    out.message(2, value);
                });
            }
        }),
        Payload::Blob(_) => {}
    }
}

#[derive(Debug, Default)]
struct Values<'a>(Vec<Value<'a>>);

impl<'a> Message<'a> for Values<'a> {
    const NAME: &'static str = "ListValue";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        self.0.push(field.message(context)?);
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.0.iter().for_each(|value| out.message(1, value));
    }
}

#[derive(Debug, Default)]
struct Pairs<'a>(Vec<(Value<'a>, Value<'a>)>);

impl<'a> Message<'a> for Pairs<'a> {
    const NAME: &'static str = "DictionaryValue";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        let pair: Pair<'a> = field.message(context)?;
        self.0
            .push((pair.key.unwrap_or_default(), pair.value.unwrap_or_default()));
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        for (key, value) in &self.0 {
            out.nested(1, |out| {
                out.message(1, key);
                out.message(2, value);
            });
        }
    }
}

#[derive(Debug, Default)]
struct Pair<'a> {
    key: Option<Value<'a>>,
    value: Option<Value<'a>>,
}

impl<'a> Message<'a> for Pair<'a> {
    const NAME: &'static str = "KeyValuePair";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => field.message_once(&mut self.key, context)?,
            2 => field.message_once(&mut self.value, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.message_opt(1, self.key.as_ref());
        out.message_opt(2, self.value.as_ref());
    }
}

/// A reference to a record of a weight file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlobFileValue<'a> {
    /// The file, as `@model_path/...` relative to the folder of the model file.
    pub file_name: Text<'a>,
    /// Where the record (not its data) starts, in bytes.
    pub offset: u64,
}

impl<'a> Message<'a> for BlobFileValue<'a> {
    const NAME: &'static str = "BlobFileValue";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.file_name = field.text()?,
            2 => self.offset = field.uint64()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.file_name);
        out.uint64(2, self.offset);
    }
}

/// The elements of an immediate tensor, in row-major order. Which kind a data type uses is fixed by the format.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorPayload<'a> {
    /// No field is set: a tensor without elements.
    Empty,
    /// For float32.
    Floats(Vec<f32>),
    /// For int32, int16 and uint16.
    Ints(Vec<i32>),
    /// For bool.
    Bools(Vec<bool>),
    /// For strings.
    Strings(Vec<Text<'a>>),
    /// For int64 and uint64.
    LongInts(Vec<i64>),
    /// For float64.
    Doubles(Vec<f64>),
    /// For float16, 8-bit and sub-byte integers and uint32: little-endian, packed from the lowest bit.
    Bytes(Cow<'a, [u8]>),
}

impl TensorPayload<'_> {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Empty => {}
            Self::Floats(values) => out.nested(1, |out| out.floats(1, values)),
            Self::Ints(values) => {
                out.nested(2, |out| {
                    out.varints(1, values, |value| i64::from(value).cast_unsigned());
                });
            }
            Self::Bools(values) => out.nested(3, |out| out.varints(1, values, u64::from)),
            Self::Strings(values) => {
                out.nested(4, |out| values.iter().for_each(|value| out.text_always(1, value)));
            }
            Self::LongInts(values) => out.nested(5, |out| out.varints(1, values, i64::cast_unsigned)),
            Self::Doubles(values) => out.nested(6, |out| out.doubles(1, values)),
            Self::Bytes(bytes) => out.nested(7, |out| out.bytes(1, bytes)),
        }
    }
}

#[derive(Debug, Default)]
struct TensorMessage<'a>(Option<TensorPayload<'a>>);

impl<'a> Message<'a> for TensorMessage<'a> {
    const NAME: &'static str = "TensorValue";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        let payload = match field.number {
            1 => TensorPayload::Floats(field.message::<Elements<f32>>(context)?.0),
            2 => TensorPayload::Ints(field.message::<Elements<i32>>(context)?.0),
            3 => TensorPayload::Bools(field.message::<Elements<bool>>(context)?.0),
            4 => TensorPayload::Strings(field.message::<Elements<Text<'a>>>(context)?.0),
            5 => TensorPayload::LongInts(field.message::<Elements<i64>>(context)?.0),
            6 => TensorPayload::Doubles(field.message::<Elements<f64>>(context)?.0),
            7 => {
                let bytes = field.message::<Elements<&'a [u8]>>(context)?.0;
                TensorPayload::Bytes(Cow::Borrowed(bytes.last().copied().unwrap_or_default()))
            }
            _ => return Ok(false),
        };
        set_once(&mut self.0, payload, field.offset, Self::NAME)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        if let Some(payload) = &self.0 {
            payload.encode(out);
        }
    }
}

/// The message around the elements of one kind: always a repeated (or, for bytes, single) field 1.
#[derive(Debug)]
struct Elements<T>(Vec<T>);

impl<T> Default for Elements<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T: Element<'a>> Message<'a> for Elements<T> {
    const NAME: &'static str = "elements of a TensorValue";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        T::read(field, &mut self.0)?;
        Ok(true)
    }

    /// Writes nothing: [`TensorPayload::encode`] writes the elements without wrapping them first.
    fn encode(&self, _: &mut Writer) {}
}

/// An element of an immediate tensor.
trait Element<'a>: Sized {
    /// Appends what one field holds.
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError>;
}

impl<'a> Element<'a> for f32 {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        field.floats(values)
    }
}

impl<'a> Element<'a> for f64 {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        field.doubles(values)
    }
}

impl<'a> Element<'a> for i32 {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        field.varints(values, low_int32)
    }
}

impl<'a> Element<'a> for i64 {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        field.varints(values, u64::cast_signed)
    }
}

impl<'a> Element<'a> for bool {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        field.varints(values, |value| value != 0)
    }
}

impl<'a> Element<'a> for Text<'a> {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        values.push(field.text()?);
        Ok(())
    }
}

impl<'a> Element<'a> for &'a [u8] {
    fn read(field: Field<'a>, values: &mut Vec<Self>) -> Result<(), FormatError> {
        values.push(field.bytes()?.0);
        Ok(())
    }
}
