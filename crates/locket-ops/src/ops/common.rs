//! What several operators share: type checks, reading numbers, walking indices, and the steps that families run.

pub(crate) mod block;
pub(crate) mod checks;
pub(crate) mod compressed;
pub(crate) mod conv_steps;
pub(crate) mod copy;
#[cfg(test)]
mod copy_tests;
pub(crate) mod index;
pub(crate) mod lines;
pub(crate) mod normalise;
pub(crate) mod numbers;
pub(crate) mod order;

/// A function in text form with one operation: `call`, whose only result has type `result`.
pub(crate) fn sample(inputs: &str, result: &str, call: &str) -> String {
    format!("func f opset ios18 ({inputs}) -> (y: %out) {{\n%out: {result} = {call}\n}}")
}

/// As [`sample`], with constants before the operation, one in a line.
pub(crate) fn sample_with(inputs: &str, constants: &[&str], result: &str, call: &str) -> String {
    let constants: String = constants.iter().map(|line| format!("{line}\n")).collect();
    format!("func f opset ios18 ({inputs}) -> (y: %out) {{\n{constants}%out: {result} = {call}\n}}")
}
