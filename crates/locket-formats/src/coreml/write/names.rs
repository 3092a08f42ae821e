//! Identifiers: every value gets a name that the format admits, and none gets that of another.
//!
//! An identifier is a letter or underscore, then letters, digits, underscores and `@`, and none of the words of MIL's
//! text form. Inputs and outputs choose first, so that callers find the names they know wherever that is possible.

use std::collections::BTreeSet;

use locket_mil::{Function, ValueId};

/// Words of MIL's text form, which its parser does not take for names.
const RESERVED: [&str; 35] = [
    "any",
    "bool",
    "program",
    "func",
    "tensor",
    "list",
    "dict",
    "tuple",
    "true",
    "false",
    "string",
    "state",
    "bf16",
    "fp8e4m3fn",
    "fp8e5m2",
    "fp16",
    "fp32",
    "fp64",
    "int4",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint1",
    "uint2",
    "uint3",
    "uint4",
    "uint6",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "const",
    "block",
    "opset",
];

/// The identifiers of one function's values.
#[derive(Debug)]
pub(super) struct Names {
    by_value: Vec<Option<String>>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    renamed: Vec<(String, String)>,
}

impl Names {
    /// Chooses the identifiers of a function whose outputs are values of their own.
    pub(super) fn of(function: &Function) -> Self {
        let mut taken = BTreeSet::new();
        let mut names = Self {
            by_value: vec![None; function.values().len()],
            inputs: Vec::new(),
            outputs: Vec::new(),
            renamed: Vec::new(),
        };
        for input in &function.inputs {
            let source = &function.value(*input).name;
            let name = names.interface(*input, source, &mut taken);
            names.inputs.push(name);
        }
        for output in &function.outputs {
            let name = names.interface(output.value, &output.name, &mut taken);
            names.outputs.push(name);
        }
        for (index, value) in function.values().iter().enumerate() {
            if let Some(slot @ None) = names.by_value.get_mut(index) {
                *slot = Some(unique(&value.name, &mut taken));
            }
        }
        names
    }

    fn interface(&mut self, value: ValueId, source: &str, taken: &mut BTreeSet<String>) -> String {
        let name = unique(source, taken);
        if name != source {
            self.renamed.push((source.to_owned(), name.clone()));
        }
        if let Some(slot) = self.by_value.get_mut(value.index()) {
            *slot = Some(name.clone());
        }
        name
    }

    /// The identifier of a value.
    pub(super) fn of_value(&self, value: ValueId) -> &str {
        self.by_value
            .get(value.index())
            .and_then(Option::as_deref)
            .unwrap_or_default()
    }

    /// The identifiers of the inputs, in order.
    pub(super) fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The identifiers of the outputs, in order.
    pub(super) fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Inputs and outputs whose identifier is not their name: both.
    pub(super) fn renamed(&self) -> &[(String, String)] {
        &self.renamed
    }

    /// Whether an input or output has this identifier.
    pub(super) fn is_interface(&self, name: &str) -> bool {
        self.inputs.iter().chain(&self.outputs).any(|taken| taken == name)
    }
}

/// The nearest identifier to `name` that is not taken; takes it.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let stem = identifier(name);
    let mut candidate = stem.clone();
    let mut number = 0_u32;
    while !taken.insert(candidate.clone()) {
        number = number.saturating_add(1);
        candidate = format!("{stem}_{number}");
    }
    candidate
}

/// The nearest identifier to `name`.
fn identifier(name: &str) -> String {
    let admitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@');
    let mut text: String = name.chars().map(|c| if admitted(c) { c } else { '_' }).collect();
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        text.insert(0, '_');
    }
    if RESERVED.contains(&text.as_str()) {
        text.push('_');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{identifier, unique};

    #[test]
    fn names_become_identifiers() {
        let cases = [
            ("x", "x"),
            ("conv1/weight:0", "conv1_weight_0"),
            ("123", "_123"),
            ("", "_"),
            ("tensor", "tensor_"),
            ("größe", "gr__e"),
            ("@a", "_@a"),
            ("a@b", "a@b"),
        ];
        for (name, expected) in cases {
            assert_eq!(identifier(name), expected, "{name}");
        }
    }

    #[test]
    fn equal_identifiers_are_told_apart() {
        let mut taken = BTreeSet::new();
        let names = ["a/b", "a:b", "a_b_1", "a_b"].map(|name| unique(name, &mut taken));
        assert_eq!(names, ["a_b", "a_b_1", "a_b_1_1", "a_b_2"]);
    }
}
