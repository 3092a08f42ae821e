//! Why an operation is wrong.

/// What is wrong with one operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// No operator has this name.
    #[error("{node}: no operator is called {kind}")]
    Unknown {
        /// The operation's name in the source.
        node: String,
        /// The operator asked for.
        kind: String,
    },
    /// A parameter is missing, superfluous, or has the wrong type or value.
    #[error("{node} ({kind}): parameter {param}: {message}")]
    Param {
        /// The operation's name in the source.
        node: String,
        /// The operator.
        kind: String,
        /// The parameter.
        param: String,
        /// What was expected and what was found.
        message: String,
    },
    /// The operation as a whole cannot be computed.
    #[error("{node} ({kind}): {message}")]
    Node {
        /// The operation's name in the source.
        node: String,
        /// The operator.
        kind: String,
        /// What was expected and what was found.
        message: String,
    },
}
