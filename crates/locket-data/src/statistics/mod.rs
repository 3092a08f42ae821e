//! Statistics on predictions: pure functions from counts and scores to figures that a certificate may state.
//!
//! - [`paired`]: the same samples before and after a change; the upper bound on the accuracy drop.
//! - [`proportion`]: intervals for one proportion; the chance of an overrun.
//! - [`scores`]: a model's output rows; ranks, softmax, divergence.
//! - [`summary`]: percentiles, rank correlation.
//! - [`distribution`]: the normal and binomial distributions that these need.
//!
//! A *confidence* is one-sided unless said otherwise, such as 0.95: the statement is wrong in at most 5 of 100 cases.
//! Proportions, drops and margins are fractions: 0.007 is 0.7 %.

pub mod distribution;
pub mod paired;
pub mod proportion;
pub mod scores;
pub mod summary;

pub use paired::PairedCounts;
