//! Why an operation becomes a foreign one, as a finding.

use locket_mil::{Diagnostic, Severity};

use super::{NOT_A_TENSOR, STATE};
use crate::import::codes;

/// Why an operation becomes a foreign one.
pub(super) enum Refusal {
    /// It has nested blocks.
    ControlFlow,
    /// It reads or writes a state.
    State,
    /// MIL has no such operator.
    Unknown,
    /// The operator has no parameter of this name.
    Param(String),
    /// This parameter is bound to something else than tensors.
    Argument(String),
    /// This output has a type that programs do not have.
    Output(String),
    /// This output has a shape that is open in the file and that the inputs do not settle.
    OpenOutput(String),
}

/// Makes an error-level finding about `node`.
pub(super) fn finding(code: &'static str, node: &str, message: String) -> Diagnostic {
    Diagnostic::new(code, Severity::Error, node, message)
}

impl Refusal {
    /// The finding about the operation called `name`, of operator `kind`.
    pub(super) fn finding(&self, kind: &str, name: &str) -> Diagnostic {
        match self {
            Self::ControlFlow => finding(codes::CONTROL_FLOW, name, format!("{kind} has nested blocks"))
                .why("control flow is not executed yet, and its cost is not bounded by the program alone")
                .help("export the model with loops unrolled and branches resolved"),
            Self::State => finding(STATE, name, format!("{kind} keeps a state between predictions"))
                .why("states are not executed yet")
                .help("export the model with the state as an ordinary input and output"),
            Self::Unknown => {
                let message = format!("operator {kind} is not part of MIL");
                finding(codes::UNKNOWN_OPERATOR, name, message)
                    .why("it is a custom layer, or newer than iOS 26")
                    .help("express it with operators of MIL before exporting")
            }
            Self::Param(param) => {
                let message = format!("{kind} has no parameter {param}");
                finding(codes::UNSUPPORTED_FORM, name, message)
                    .why("the file was written for a newer or a different operator")
                    .help("convert the original model again for iOS 26 or earlier")
            }
            Self::Argument(param) => {
                let message = format!("parameter {param} of {kind} is not a tensor");
                finding(NOT_A_TENSOR, name, message)
                    .why("lists and dictionaries are not executed yet")
                    .help("export the model with tensors only")
            }
            Self::Output(output) => {
                let message = format!("{output} has a type that programs do not have, or an open shape");
                finding(codes::FOREIGN_TYPE, name, message)
                    .why("only tensors of known shape are executed")
                    .help("convert the original model again with fixed shapes and tensors as outputs")
            }
            Self::OpenOutput(output) => {
                let message = format!("the shape of {output} is open in the file");
                finding(codes::OPEN_DIMENSION, name, message)
                    .why("memory and time can be bounded only for a known shape")
                    .help("convert the original model again with fixed input shapes")
            }
        }
    }
}
