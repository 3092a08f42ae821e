//! Tests of the representation through its public face.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod patch;
mod text;
mod verify;
