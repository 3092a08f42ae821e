//! Recipes on small functions, and on the models and data of the test kit.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and says what it measured"
)]

mod kit;
mod kit_recipes;
mod network;
mod recipes;
mod search;
