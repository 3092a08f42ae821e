//! Tests of the passes: each alone on text files, all together on random graphs and on real models, and the lints.

mod files;
mod kit;
mod lints;
mod random;
mod values;
