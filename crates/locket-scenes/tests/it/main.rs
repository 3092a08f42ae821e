//! What the crate promises: the same bytes for the same seed, balanced labels, true captions, whole files.

mod dataset;
mod scenes;
