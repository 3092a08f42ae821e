//! The `locket` program: one file per sub-command.
fn main() {}
