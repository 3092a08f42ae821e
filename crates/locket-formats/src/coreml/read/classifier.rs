//! The last operation of a classifier, which gives a label and a dictionary of probabilities.
//!
//! A program has tensors only: the probabilities stay an output under the dictionary's name, the label goes, and the
//! names of the classes are kept for the metadata.

use super::function::Reader;
use super::{CLASSIFIER, invalid};
use crate::FormatError;
use crate::coreml::schema::{Binding, Operation, Payload, TensorPayload, Value};
use locket_mil::{Diagnostic, Severity, ValueId};

/// What a `classify` operation of the file stands for.
pub(super) struct Classifier<'f> {
    /// The output that holds the label.
    pub(super) label: &'f str,
    /// The output that holds the probabilities by label.
    pub(super) probabilities: &'f str,
    /// The tensor of probabilities.
    pub(super) tensor: ValueId,
    /// The names of the classes, in the order of the tensor.
    pub(super) classes: Vec<String>,
}

impl<'f> Reader<'f, '_, '_> {
    /// Reads a `classify` operation; `None` if it has not the form that is known.
    ///
    /// # Errors
    /// When it uses or defines names that it must not.
    pub(super) fn classifier(
        &mut self,
        operation: &'f Operation<'_>,
        name: &str,
        place: &str,
    ) -> Result<Option<Classifier<'f>>, FormatError> {
        let binding = |param: &str| match operation.inputs.get(param).map(|argument| &argument.bindings[..]) {
            Some([binding]) => Some(binding),
            _ => None,
        };
        let (Some(Binding::Name(source)), Some(Binding::Value(classes)), [label, probabilities]) = (
            binding("probabilities"),
            binding("classes"),
            &operation.outputs[..],
        ) else {
            return Ok(None);
        };
        let Some(classes) = class_names(classes) else {
            return Ok(None);
        };
        let tensor = self.find(source, place)?;
        for output in [label, probabilities] {
            if output.name.is_empty() || self.is_defined(&output.name) || label.name == probabilities.name {
                return Err(invalid(place, "two new names", format!("`{}`", output.name)));
            }
        }
        let message = format!(
            "{} is a tensor of probabilities, {} is left out",
            probabilities.name, label.name
        );
        let finding = Diagnostic::new(CLASSIFIER, Severity::Note, name, message)
            .why("programs have tensors as outputs, neither texts nor dictionaries")
            .help("the label is the class with the largest probability; the metadata names the classes");
        self.note(finding);
        Ok(Some(Classifier {
            label: &label.name,
            probabilities: &probabilities.name,
            tensor,
            classes,
        }))
    }
}

/// The elements of a list of texts or integers, as texts.
fn class_names(value: &Value<'_>) -> Option<Vec<String>> {
    let Some(Payload::List(values)) = &value.payload else {
        return None;
    };
    let name = |value: &Value<'_>| match &value.payload {
        Some(Payload::Tensor(TensorPayload::Strings(texts))) => match &texts[..] {
            [text] => Some(text.as_ref().to_owned()),
            _ => None,
        },
        Some(Payload::Tensor(TensorPayload::LongInts(numbers))) => match &numbers[..] {
            [number] => Some(number.to_string()),
            _ => None,
        },
        _ => None,
    };
    values.iter().map(name).collect()
}
