//! The operators, one file each or one file for a family that shares one formula.

pub mod relu;
