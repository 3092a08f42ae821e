//! Leakage of small networks whose answers are known, and of a real model of the test kit.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod kit;
mod known;
