//! A program: functions and what is known of its source.

use std::collections::BTreeMap;

use crate::{Function, Operation};

/// The format a program was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    /// A Core ML package with an ML Program.
    CoreMl,
    /// ONNX.
    Onnx,
    /// TensorFlow Lite.
    TfLite,
    /// Made in memory.
    Memory,
}

impl SourceFormat {
    /// The name a person knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::CoreMl => "Core ML ML Program",
            Self::Onnx => "ONNX",
            Self::TfLite => "TFLite",
            Self::Memory => "in memory",
        }
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Functions; at least one.
    pub functions: Vec<Function>,
    /// Position of the function that runs when none is named.
    pub default_function: usize,
    /// Where it came from.
    pub source: SourceFormat,
    /// Free text about the model (author, licence, the user's own keys), in key order.
    pub metadata: BTreeMap<String, String>,
}

impl Program {
    /// A program of one function.
    pub fn new(function: Function, source: SourceFormat) -> Self {
        Self {
            functions: vec![function],
            default_function: 0,
            source,
            metadata: BTreeMap::new(),
        }
    }

    /// The function that runs when none is named.
    pub fn main(&self) -> &Function {
        &self.functions[self.default_function]
    }

    /// The function that runs when none is named, to change.
    pub fn main_mut(&mut self) -> &mut Function {
        &mut self.functions[self.default_function]
    }

    /// The function called `name`.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// Operators with their number, most frequent first, then by name; over all functions.
    pub fn histogram(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for Operation { kind, .. } in self.functions.iter().flat_map(|function| &function.operations) {
            *counts.entry(kind.to_string()).or_default() += 1;
        }
        let mut list: Vec<_> = counts.into_iter().collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        list
    }
}
