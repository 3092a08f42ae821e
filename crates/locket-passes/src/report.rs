//! What a pass did.

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
    /// Notes a place that was left alone, once.
    pub(crate) fn skip(&mut self, node: &str, reason: impl Into<String>) {
        let skipped = Skipped {
            node: node.to_owned(),
            reason: reason.into(),
        };
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }
}
