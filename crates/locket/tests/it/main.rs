//! The interface, from files to answers.

mod parity;
