//! Why a lowering gave up.

use locket_mil::{Diagnostic, Severity};

use super::codes;
use crate::FormatError;

/// Why an operator of the file did not become MIL.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The file is broken: reading ends.
    Broken(FormatError),
    /// The operator stays foreign; the finding says why.
    Foreign(Box<Diagnostic>),
    /// The operator stays foreign because an operand comes from one that did; that one was reported.
    Downstream,
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        Self::Broken(error)
    }
}

impl Refusal {
    /// A form of a known operator that has no lowering. The node is filled in where the refusal is reported.
    pub(crate) fn form(message: impl Into<String>, help: impl Into<String>) -> Self {
        let finding = Diagnostic::new(codes::UNSUPPORTED_FORM, Severity::Error, "", message)
            .why("Core ML has no operator with this meaning, so the model cannot be deployed with it")
            .help(help);
        Self::Foreign(Box::new(finding))
    }

    /// A result whose shape depends on the data.
    pub(crate) fn data_dependent(message: impl Into<String>) -> Self {
        let finding = Diagnostic::new(codes::DATA_DEPENDENT, Severity::Error, "", message)
            .why("memory is planned before the program runs, so every shape must be known then")
            .help("export the model with constant shapes, or fold the operand with a simplifier");
        Self::Foreign(Box::new(finding))
    }

    /// An element type that the operator does not take in MIL.
    pub(crate) fn element_type(what: &str, found: impl std::fmt::Display) -> Self {
        let finding = Diagnostic::new(
            codes::FOREIGN_TYPE,
            Severity::Error,
            "",
            format!("{what} has element type {found}"),
        )
        .why("Core ML computes this operator in fp16 or fp32, some also in int32")
        .help("cast to float32 around the operator before exporting");
        Self::Foreign(Box::new(finding))
    }
}
