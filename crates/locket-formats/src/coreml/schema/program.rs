//! The program itself: functions, blocks, operations and what they are bound to.

use std::collections::BTreeMap;

use super::types::{ValueType, read_type, write_type};
use super::value::Value;
use crate::FormatError;
use crate::coreml::wire::{Context, Field, Message, Text, Writer, set_once};

/// An ML Program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program<'a> {
    /// Version of the program format; always 1.
    pub version: i64,
    /// Functions by name.
    pub functions: BTreeMap<Text<'a>, Function<'a>>,
    /// Documentation.
    pub doc: Text<'a>,
    /// Attributes by name.
    pub attributes: BTreeMap<Text<'a>, Value<'a>>,
}

impl<'a> Message<'a> for Program<'a> {
    const NAME: &'static str = "Program";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.version = field.int64()?,
            2 => field.map_entry(&mut self.functions, context)?,
            3 => self.doc = field.text()?,
            4 => field.map_entry(&mut self.attributes, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.int64(1, self.version);
        out.map(2, &self.functions);
        out.text(3, &self.doc);
        out.map(4, &self.attributes);
    }
}

/// A function: inputs, and a block for each operator set that it is specialised for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function<'a> {
    /// Inputs in order.
    pub inputs: Vec<NamedValueType<'a>>,
    /// The operator set whose block is used.
    pub opset: Text<'a>,
    /// Blocks by operator set.
    pub blocks: BTreeMap<Text<'a>, Block<'a>>,
    /// Attributes by name.
    pub attributes: BTreeMap<Text<'a>, Value<'a>>,
}

impl<'a> Message<'a> for Function<'a> {
    const NAME: &'static str = "Function";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.inputs.push(field.message(context)?),
            2 => self.opset = field.text()?,
            3 => field.map_entry(&mut self.blocks, context)?,
            4 => field.map_entry(&mut self.attributes, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.inputs.iter().for_each(|input| out.message(1, input));
        out.text(2, &self.opset);
        out.map(3, &self.blocks);
        out.map(4, &self.attributes);
    }
}

/// A block: operations in the order of their execution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block<'a> {
    /// Inputs of a nested block; the block of a function has none.
    pub inputs: Vec<NamedValueType<'a>>,
    /// Names of the values that the block gives.
    pub outputs: Vec<Text<'a>>,
    /// The operations; each uses only what is defined before it.
    pub operations: Vec<Operation<'a>>,
    /// Attributes by name.
    pub attributes: BTreeMap<Text<'a>, Value<'a>>,
}

impl<'a> Message<'a> for Block<'a> {
    const NAME: &'static str = "Block";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.inputs.push(field.message(context)?),
            2 => self.outputs.push(field.text()?),
            3 => self.operations.push(field.message(context)?),
            4 => field.map_entry(&mut self.attributes, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.inputs.iter().for_each(|input| out.message(1, input));
        self.outputs.iter().for_each(|output| out.text_always(2, output));
        self.operations
            .iter()
            .for_each(|operation| out.message(3, operation));
        out.map(4, &self.attributes);
    }
}

/// An operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Operation<'a> {
    /// The operator's name.
    pub kind: Text<'a>,
    /// Arguments by parameter name.
    pub inputs: BTreeMap<Text<'a>, Argument<'a>>,
    /// Outputs in order.
    pub outputs: Vec<NamedValueType<'a>>,
    /// Nested blocks in order.
    pub blocks: Vec<Block<'a>>,
    /// Attributes by name.
    pub attributes: BTreeMap<Text<'a>, Value<'a>>,
}

impl<'a> Message<'a> for Operation<'a> {
    const NAME: &'static str = "Operation";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.kind = field.text()?,
            2 => field.map_entry(&mut self.inputs, context)?,
            3 => self.outputs.push(field.message(context)?),
            4 => self.blocks.push(field.message(context)?),
            5 => field.map_entry(&mut self.attributes, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.kind);
        out.map(2, &self.inputs);
        self.outputs.iter().for_each(|output| out.message(3, output));
        self.blocks.iter().for_each(|block| out.message(4, block));
        out.map(5, &self.attributes);
    }
}

/// What one parameter is bound to; a variadic parameter has several bindings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Argument<'a> {
    /// The bindings in order.
    pub bindings: Vec<Binding<'a>>,
}

impl<'a> Message<'a> for Argument<'a> {
    const NAME: &'static str = "Argument";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        self.bindings
            .push(field.message::<BindingMessage<'a>>(context)?.0);
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        for binding in &self.bindings {
            out.nested(1, |out| binding.encode(out));
        }
    }
}

/// One binding of an argument.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Binding<'a> {
    /// Neither name nor value: broken, but only where it is used.
    #[default]
    Nothing,
    /// A value defined earlier.
    Name(Text<'a>),
    /// A constant that stands right here.
    Value(Box<Value<'a>>),
}

impl Binding<'_> {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Nothing => {}
            Self::Name(name) => out.text_always(1, name),
            Self::Value(value) => out.message(2, value.as_ref()),
        }
    }
}

#[derive(Debug, Default)]
struct BindingMessage<'a>(Binding<'a>);

impl<'a> Message<'a> for BindingMessage<'a> {
    const NAME: &'static str = "Binding";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        let binding = match field.number {
            1 => Binding::Name(field.text()?),
            2 => Binding::Value(Box::new(field.message(context)?)),
            _ => return Ok(false),
        };
        let mut slot = Some(std::mem::take(&mut self.0)).filter(|old| *old != Binding::Nothing);
        set_once(&mut slot, binding, field.offset, Self::NAME)?;
        self.0 = slot.unwrap_or_default();
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.0.encode(out);
    }
}

/// A value's name and type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedValueType<'a> {
    /// The name, by which later operations refer to the value.
    pub name: Text<'a>,
    /// The type.
    pub value_type: Option<ValueType<'a>>,
}

impl<'a> Message<'a> for NamedValueType<'a> {
    const NAME: &'static str = "NamedValueType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.name = field.text()?,
            2 => read_type(&mut self.value_type, field, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.name);
        write_type(out, 2, self.value_type.as_ref());
    }
}
