//! The program as a user meets it: the built binary on small models that the tests write themselves.

mod commands;
mod mistakes;
mod workplace;
