//! The operators, one file each or one file for a family that shares one formula.

pub mod add_u8;
pub mod avg_pool_u8;
pub mod batch_norm;
pub mod conv;
pub mod conv_u8;
pub mod linear;
pub mod matmul;
pub mod pool;
