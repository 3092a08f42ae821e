//! The program representation: values, operations, types, verifier, text form, diagnostics.
