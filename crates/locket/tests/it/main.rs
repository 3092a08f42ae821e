//! The interface, from files to answers.

mod compiled;
mod parity;
