//! A node of the graph as the lowerings see it: operands by position, attributes by name.

use std::collections::BTreeMap;

use locket_tensor::Tensor;

use super::proto::{AttributeProto, NodeProto};
use super::tensor::{self, Constant, Source};
use crate::import::{Refusal, Var};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// The kinds of attribute whose value some writers leave out when it is zero.
const KIND_FLOAT: i32 = 1;
const KIND_INT: i32 = 2;

/// A node with its operands resolved.
pub(super) struct Node<'a> {
    /// The operator.
    pub(super) op: &'a str,
    /// The version of the standard operator set that the model imports.
    pub(super) opset: i64,
    /// What the node is called in messages.
    pub(super) label: String,
    /// Operands; `None` for an absent optional one.
    pub(super) inputs: Vec<Option<Var>>,
    /// Names of the results; empty for one that nothing reads.
    pub(super) outputs: &'a [String],
    attributes: &'a [AttributeProto],
    limits: &'a Limits,
}

impl<'a> Node<'a> {
    /// Resolves the operands of `proto` by name.
    ///
    /// # Errors
    ///
    /// If an operand is defined nowhere before the node.
    pub(super) fn new(
        proto: &'a NodeProto,
        opset: i64,
        names: &BTreeMap<&str, Var>,
        limits: &'a Limits,
    ) -> Result<Self, FormatError> {
        let op = proto.op_type.as_deref().unwrap_or("");
        let name = proto.name.as_deref().filter(|name| !name.is_empty());
        let label = name
            .or_else(|| proto.output.first().map(String::as_str))
            .unwrap_or(op)
            .to_owned();
        let mut inputs = Vec::with_capacity(proto.input.len());
        for input in &proto.input {
            let var = names.get(input.as_str()).copied();
            if var.is_none() && !input.is_empty() {
                return Err(FormatError::Invalid {
                    format: Format::Onnx,
                    place: format!("node {label} ({op})"),
                    expected: "inputs that are defined before the node".to_owned(),
                    found: format!("{input:?}"),
                });
            }
            inputs.push(var);
        }
        Ok(Self {
            op,
            opset,
            label,
            inputs,
            outputs: &proto.output,
            attributes: &proto.attribute,
            limits,
        })
    }

    /// The node with other operands and the name `output` for its result: a step of its lowering as a node of `op`.
    pub(super) fn step<'b>(
        &'b self,
        op: &'b str,
        inputs: Vec<Option<Var>>,
        outputs: &'b [String],
    ) -> Node<'b> {
        Node {
            op,
            opset: self.opset,
            label: self.label.clone(),
            inputs,
            outputs,
            attributes: self.attributes,
            limits: self.limits,
        }
    }

    /// An error about this node.
    pub(super) fn broken(&self, expected: impl Into<String>, found: impl ToString) -> Refusal {
        Refusal::Broken(FormatError::Invalid {
            format: Format::Onnx,
            place: format!("node {} ({})", self.label, self.op),
            expected: expected.into(),
            found: found.to_string(),
        })
    }

    /// Operand `index`, which must be there.
    pub(super) fn input(&self, index: usize) -> Result<Var, Refusal> {
        self.optional(index)
            .ok_or_else(|| self.broken(format!("an input {index}"), "none"))
    }

    /// Operand `index`, if it is there.
    pub(super) fn optional(&self, index: usize) -> Option<Var> {
        self.inputs.get(index).copied().flatten()
    }

    /// The operands, all of which must be there.
    pub(super) fn all_inputs(&self) -> Result<Vec<Var>, Refusal> {
        (0..self.inputs.len()).map(|index| self.input(index)).collect()
    }

    /// The name for result `index`, never empty.
    pub(super) fn output(&self, index: usize) -> String {
        match self.outputs.get(index) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("{}_{index}", self.label),
        }
    }

    /// A name for an intermediate value of result 0.
    pub(super) fn inner(&self, what: &str) -> String {
        format!("{}_{what}", self.output(0))
    }

    /// True if the model names result `index`.
    pub(super) fn has_output(&self, index: usize) -> bool {
        self.outputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// The attribute called `name`.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.as_deref() == Some(name))
    }

    fn wrong_kind(&self, name: &str, expected: &str) -> Refusal {
        self.broken(format!("{expected} as attribute {name}"), "another kind")
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(attribute) = self.attribute(name) else {
            return Ok(None);
        };
        let zero = (attribute.kind == Some(KIND_INT)).then_some(0);
        attribute
            .i
            .or(zero)
            .map(Some)
            .ok_or_else(|| self.wrong_kind(name, "an integer"))
    }

    /// An integer attribute with a default.
    pub(super) fn int_or(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// An attribute that is 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    /// A number.
    pub(super) fn float_or(&self, name: &str, default: f32) -> Result<f32, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(attribute) => {
                let zero = (attribute.kind == Some(KIND_FLOAT)).then_some(0.0);
                attribute
                    .f
                    .or(zero)
                    .ok_or_else(|| self.wrong_kind(name, "a number"))
            }
        }
    }

    /// A list of integers; an empty list and an absent one differ.
    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        let Some(attribute) = self.attribute(name) else {
            return Ok(None);
        };
        if attribute.i.is_some()
            || attribute.f.is_some()
            || !attribute.floats.is_empty()
            || attribute.s.is_some()
        {
            return Err(self.wrong_kind(name, "integers"));
        }
        Ok(Some(attribute.ints.clone()))
    }

    /// A list of sizes, each zero or more.
    pub(super) fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, Refusal> {
        let Some(values) = self.ints(name)? else {
            return Ok(None);
        };
        let sizes: Result<Vec<usize>, _> = values.iter().map(|&value| usize::try_from(value)).collect();
        sizes
            .map(Some)
            .map_err(|_| self.broken(format!("{name} of zero or more"), format!("{values:?}")))
    }

    /// A list of numbers.
    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    /// A text.
    pub(super) fn text_or(&self, name: &str, default: &str) -> Result<String, Refusal> {
        let Some(attribute) = self.attribute(name) else {
            return Ok(default.to_owned());
        };
        let bytes = attribute
            .s
            .as_ref()
            .ok_or_else(|| self.wrong_kind(name, "a text"))?;
        String::from_utf8(bytes.to_vec())
            .map_err(|error| self.broken(format!("UTF-8 as attribute {name}"), error))
    }

    /// A tensor.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<Tensor>, Refusal> {
        let Some(attribute) = self.attribute(name) else {
            return Ok(None);
        };
        let proto = attribute
            .t
            .as_ref()
            .ok_or_else(|| self.wrong_kind(name, "a tensor"))?;
        let source = Source {
            beside: None,
            limits: self.limits,
        };
        match tensor::read(
            proto,
            &format!("attribute {name} of node {}", self.label),
            &source,
        )? {
            Constant::Tensor(tensor) => Ok(Some(tensor)),
            Constant::Foreign(kind) => Err(Refusal::element_type(name, kind)),
        }
    }
}
