//! Tests on the test kit: real pictures, real arrays, every recipe.

mod kit;
