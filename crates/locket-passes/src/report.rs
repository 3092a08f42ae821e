//! What a pass did.

use std::collections::BTreeSet;

/// What a pass did, and what it left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassReport {
    /// The pass.
    pub pass: &'static str,
    /// How many places it changed; 0 says that it did nothing.
    pub changes: usize,
    /// Places that looked like its business and were left alone.
    pub skipped: Vec<Skipped>,
}

/// A place that a pass left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The operation's name in the source.
    pub node: String,
    /// Which check failed.
    pub reason: String,
}

impl PassReport {
    /// Notes a place that was left alone.
    pub(crate) fn skip(&mut self, node: &str, reason: impl Into<String>) {
        self.skipped.push(Skipped {
            node: node.to_owned(),
            reason: reason.into(),
        });
    }

    /// Keeps the first of equal notes.
    pub(crate) fn tell_once(&mut self) {
        let mut told = BTreeSet::new();
        self.skipped
            .retain(|skipped| told.insert((skipped.node.clone(), skipped.reason.clone())));
    }
}
