//! The interface, from files to answers.

mod compiled;
mod isolation;
mod parity;
