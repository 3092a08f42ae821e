//! Whole files: small pictures of every kind, and the test kit.

mod dataset;
mod kit;
mod pictures;
