//! The passes, one file each.

pub mod fold_affine;
pub mod fold_constants;
pub mod fuse_convolutions;
pub mod fuse_hard_swish;
pub mod linear_from_matmul;
pub mod lower_quantized;
pub mod merge_duplicates;
pub mod remove_clamps;
pub mod remove_dead_code;
pub mod remove_identities;
pub mod remove_transposes;
pub mod widen_float16;
