//! The interface, from files to answers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod parity;
