//! What we tell a user about a model.

use crate::Target;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Works, but costs something.
    Warning,
    /// Cannot be deployed like this.
    Error,
}

/// A finding about a model: data, for the terminal, JSON and reports alike.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// Stable code, `LK` and four digits; never reused.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The operator's name in the source file, or what the finding is about.
    pub node: String,
    /// What was found, one line: lower case, no full stop.
    pub message: String,
    /// Why that matters.
    pub why: String,
    /// What Locket rewrites it to, if it does.
    pub rewritten_to: Option<String>,
    /// What a person can do.
    pub help: String,
    /// The lowest target on which it works, if any does.
    pub works_from: Option<Target>,
}

impl Diagnostic {
    /// A finding without rewrite and target.
    pub fn new(
        code: &'static str,
        severity: Severity,
        node: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            node: node.into(),
            message: message.into(),
            why: String::new(),
            rewritten_to: None,
            help: String::new(),
            works_from: None,
        }
    }

    /// Adds why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds what Locket rewrites it to.
    #[must_use]
    pub fn rewritten_to(mut self, what: impl Into<String>) -> Self {
        self.rewritten_to = Some(what.into());
        self
    }

    /// Adds the lowest target on which it works.
    #[must_use]
    pub fn works_from(mut self, target: Target) -> Self {
        self.works_from = Some(target);
        self
    }
}
