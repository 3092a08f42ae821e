//! The codes of the readers' diagnostics: stable, never reused.

/// No lowering to MIL exists for the operator.
pub(crate) const UNKNOWN_OPERATOR: &str = "LK1001";
/// The operator is known, but not in this form (an attribute, a type, an operand that is not constant).
pub(crate) const UNSUPPORTED_FORM: &str = "LK1002";
/// A dimension was left open by the file and by the caller.
pub(crate) const OPEN_DIMENSION: &str = "LK1003";
/// A 64-bit type was narrowed to 32 bits.
pub(crate) const NARROWED: &str = "LK1004";
/// Control flow: sub-graphs are not lowered.
pub(crate) const CONTROL_FLOW: &str = "LK1005";
/// A value has a type that MIL does not have.
pub(crate) const FOREIGN_TYPE: &str = "LK1006";
/// The shape of a result depends on the data.
pub(crate) const DATA_DEPENDENT: &str = "LK1007";
/// The operator belongs to a custom domain.
pub(crate) const CUSTOM_DOMAIN: &str = "LK1008";
/// The result is right, but not bit for bit that of the source's own runtime.
pub(crate) const NOT_BIT_EXACT: &str = "LK1009";
