//! Plans and sessions through their public face.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod compiled;
mod depth_first;
mod memory;
mod models;
mod predict;
