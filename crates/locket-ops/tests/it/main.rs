//! Facts that hold for every operator.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod edges;
mod parts;
mod table;
mod values;
