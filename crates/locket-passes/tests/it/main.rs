//! Tests of the passes: each alone on text files, all together on random graphs and on real models, and the lints.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, and says aloud what it skips"
)]

mod files;
mod hostile;
mod kit;
mod lints;
mod parity;
mod random;
mod targets;
mod values;
