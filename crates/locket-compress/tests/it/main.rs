//! Recipes on small functions, and on the models and data of the test kit.

mod kit;
mod kit_recipes;
mod recipes;
