//! Types of values in an ML Program: tensors, and the containers that lists, tuples, dictionaries and states are.

use std::collections::BTreeMap;

use super::value::Value;
use crate::FormatError;
use crate::coreml::wire::{Context, Field, Message, Text, Writer, broken, set_once};

/// Element type of a tensor. The discriminant is the code in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum DataType {
    Bool,
    String,
    Float16,
    Float32,
    Float64,
    BFloat16,
    Int8,
    Int16,
    Int32,
    Int64,
    Int4,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UInt4,
    UInt2,
    UInt1,
    UInt6,
    UInt3,
    Float8E4M3FN,
    Float8E5M2,
}

/// Every data type with its code in the file and the width of an element in bits (0: no fixed width).
const DATA_TYPES: [(DataType, u64, u32); 22] = [
    (DataType::Bool, 1, 8),
    (DataType::String, 2, 0),
    (DataType::Float16, 10, 16),
    (DataType::Float32, 11, 32),
    (DataType::Float64, 12, 64),
    (DataType::BFloat16, 13, 16),
    (DataType::Int8, 21, 8),
    (DataType::Int16, 22, 16),
    (DataType::Int32, 23, 32),
    (DataType::Int64, 24, 64),
    (DataType::Int4, 25, 4),
    (DataType::UInt8, 31, 8),
    (DataType::UInt16, 32, 16),
    (DataType::UInt32, 33, 32),
    (DataType::UInt64, 34, 64),
    (DataType::UInt4, 35, 4),
    (DataType::UInt2, 36, 2),
    (DataType::UInt1, 37, 1),
    (DataType::UInt6, 38, 6),
    (DataType::UInt3, 39, 3),
    (DataType::Float8E4M3FN, 40, 8),
    (DataType::Float8E5M2, 41, 8),
];

impl DataType {
    /// Finds the data type with this code.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        DATA_TYPES
            .iter()
            .find(|(_, c, _)| *c == code)
            .map(|(data_type, ..)| *data_type)
    }

    /// The code in the file.
    #[must_use]
    pub fn code(self) -> u64 {
        DATA_TYPES
            .iter()
            .find(|(data_type, ..)| *data_type == self)
            .map_or(0, |(_, code, _)| *code)
    }

    /// Bits of one element as the file packs it; `None` for strings.
    #[must_use]
    pub fn bits(self) -> Option<u32> {
        let bits = DATA_TYPES
            .iter()
            .find(|(data_type, ..)| *data_type == self)
            .map(|(.., bits)| *bits);
        bits.filter(|bits| *bits != 0)
    }
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueType<'a> {
    /// A tensor, scalars included.
    Tensor(TensorType<'a>),
    /// A list of values of one type.
    List {
        /// The type of each element, if given.
        element: Option<Box<Self>>,
        /// The number of elements, if given.
        length: Option<Dimension>,
    },
    /// A tuple.
    Tuple(Vec<Self>),
    /// A dictionary.
    Dictionary {
        /// The type of the keys, if given.
        key: Option<Box<Self>>,
        /// The type of the values, if given.
        value: Option<Box<Self>>,
    },
    /// A state that outlives a prediction, around the type that it holds, if given.
    State(Option<Box<Self>>),
}

/// A value type as it stands in a message: the type may be absent.
#[derive(Debug, Default)]
pub(super) struct ValueTypeMessage<'a>(pub(super) Option<ValueType<'a>>);

impl<'a> Message<'a> for ValueTypeMessage<'a> {
    const NAME: &'static str = "ValueType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        let value_type = match field.number {
            1 => ValueType::Tensor(field.message(context)?),
            2 => {
                let list: ListType<'a> = field.message(context)?;
                ValueType::List {
                    element: list.element.map(Box::new),
                    length: list.length.and_then(|d| d.0),
                }
            }
            3 => ValueType::Tuple(field.message::<TupleType<'a>>(context)?.0),
            4 => {
                let dictionary: DictionaryType<'a> = field.message(context)?;
                ValueType::Dictionary {
                    key: dictionary.key.map(Box::new),
                    value: dictionary.value.map(Box::new),
                }
            }
            5 => ValueType::State(field.message::<StateType<'a>>(context)?.0.map(Box::new)),
            _ => return Ok(false),
        };
        set_once(&mut self.0, value_type, field.offset, Self::NAME)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        if let Some(value_type) = &self.0 {
            value_type.encode(out);
        }
    }
}

impl ValueType<'_> {
    /// Writes the one field that a message of this type has.
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Tensor(tensor) => out.message(1, tensor),
            Self::List { element, length } => out.nested(2, |out| {
                write_type(out, 1, element.as_deref());
                if let Some(length) = length {
                    out.nested(2, |out| length.encode(out));
                }
            }),
            Self::Tuple(types) => out.nested(3, |out| {
                for value_type in types {
                    write_type(out, 1, Some(value_type));
                }
            }),
            Self::Dictionary { key, value } => out.nested(4, |out| {
                write_type(out, 1, key.as_deref());
                write_type(out, 2, value.as_deref());
            }),
            Self::State(wrapped) => out.nested(5, |out| write_type(out, 1, wrapped.as_deref())),
        }
    }
}

/// Writes a value type as a field, if there is one.
pub(super) fn write_type(out: &mut Writer, number: u32, value_type: Option<&ValueType<'_>>) {
    if let Some(value_type) = value_type {
        out.nested(number, |out| value_type.encode(out));
    }
}

/// Reads a value type into `slot`, which must be empty.
pub(super) fn read_type<'a>(
    slot: &mut Option<ValueType<'a>>,
    field: Field<'a>,
    context: &mut Context,
) -> Result<(), FormatError> {
    let message: ValueTypeMessage<'a> = field.message(context)?;
    let value_type = message
        .0
        .ok_or_else(|| broken(field.offset, "a value type", "an empty one"))?;
    set_once(slot, value_type, field.offset, ValueTypeMessage::NAME)
}

/// The type of a tensor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorType<'a> {
    /// Element type; `None` only before it is read or when a file leaves it out.
    pub data_type: Option<DataType>,
    /// The rank that the file states; equal to the number of dimensions in a sound file.
    pub rank: i64,
    /// The dimensions, outermost first.
    pub dimensions: Vec<Dimension>,
    /// Attributes by name; no known writer uses them.
    pub attributes: BTreeMap<Text<'a>, Value<'a>>,
}

impl<'a> Message<'a> for TensorType<'a> {
    const NAME: &'static str = "TensorType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => {
                let code = field.uint64()?;
                let data_type = DataType::from_code(code);
                let expected = "the code of a data type";
                self.data_type =
                    Some(data_type.ok_or_else(|| broken(field.offset, expected, format!("{code}")))?);
            }
            2 => self.rank = field.int64()?,
            3 => {
                let dimension: DimensionMessage = field.message(context)?;
                let dimension = dimension
                    .0
                    .ok_or_else(|| broken(field.offset, "a dimension", "an empty one"))?;
                self.dimensions.push(dimension);
            }
            4 => field.map_entry(&mut self.attributes, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.uint64(1, self.data_type.map_or(0, DataType::code));
        out.int64(2, self.rank);
        for dimension in &self.dimensions {
            out.nested(3, |out| dimension.encode(out));
        }
        out.map(4, &self.attributes);
    }
}

/// One dimension of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// A known size.
    Constant(u64),
    /// A size known only at run time.
    Unknown {
        /// Whether it stands for any number of dimensions.
        variadic: bool,
    },
}

impl Dimension {
    fn encode(self, out: &mut Writer) {
        match self {
            Self::Constant(size) => out.nested(1, |out| out.uint64(1, size)),
            Self::Unknown { variadic } => out.nested(2, |out| out.bool(1, variadic)),
        }
    }
}

#[derive(Debug, Default)]
struct DimensionMessage(Option<Dimension>);

impl<'a> Message<'a> for DimensionMessage {
    const NAME: &'static str = "Dimension";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        let dimension = match field.number {
            1 => Dimension::Constant(field.message::<Scalar>(context)?.0),
            2 => Dimension::Unknown {
                variadic: field.message::<Scalar>(context)?.0 != 0,
            },
            _ => return Ok(false),
        };
        set_once(&mut self.0, dimension, field.offset, Self::NAME)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        if let Some(dimension) = self.0 {
            dimension.encode(out);
        }
    }
}

/// A message with one varint, which both kinds of dimension are.
#[derive(Debug, Default)]
struct Scalar(u64);

impl<'a> Message<'a> for Scalar {
    const NAME: &'static str = "Dimension";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.0 = field.uint64()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.uint64(1, self.0);
    }
}

#[derive(Debug, Default)]
struct ListType<'a> {
    element: Option<ValueType<'a>>,
    length: Option<DimensionMessage>,
}

impl<'a> Message<'a> for ListType<'a> {
    const NAME: &'static str = "ListType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => read_type(&mut self.element, field, context)?,
            2 => field.message_once(&mut self.length, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        write_type(out, 1, self.element.as_ref());
        out.message_opt(2, self.length.as_ref());
    }
}

#[derive(Debug, Default)]
struct TupleType<'a>(Vec<ValueType<'a>>);

impl<'a> Message<'a> for TupleType<'a> {
    const NAME: &'static str = "TupleType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        let mut element = None;
        read_type(&mut element, field, context)?;
        self.0.extend(element);
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.0
            .iter()
            .for_each(|value_type| write_type(out, 1, Some(value_type)));
    }
}

#[derive(Debug, Default)]
struct DictionaryType<'a> {
    key: Option<ValueType<'a>>,
    value: Option<ValueType<'a>>,
}

impl<'a> Message<'a> for DictionaryType<'a> {
    const NAME: &'static str = "DictionaryType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => read_type(&mut self.key, field, context)?,
            2 => read_type(&mut self.value, field, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        write_type(out, 1, self.key.as_ref());
        write_type(out, 2, self.value.as_ref());
    }
}

#[derive(Debug, Default)]
struct StateType<'a>(Option<ValueType<'a>>);

impl<'a> Message<'a> for StateType<'a> {
    const NAME: &'static str = "StateType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        read_type(&mut self.0, field, context)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        write_type(out, 1, self.0.as_ref());
    }
}
