//! Turns operations between `dequantize` and `quantize` into integer operators.
//!
//! A quantised program says in MIL's own words what it means: `dequantize`, a float operation on a weight that is
//! `constexpr_affine_dequantize`, `quantize`. This pass finds the pattern and replaces it by one operator on integers
//! (`locket.conv_u8`, `locket.linear_u8`, `locket.add_u8`, `locket.avg_pool_u8`, `locket.max_pool`), or, for operations that only move
//! elements, by themselves on integers. Results agree with the float pattern up to one step of the output's scale, because
//! the bias is rounded to the accumulator's scale and the sum is rounded once instead of several times.
//!
//! Activations are quantised per tensor; int8 ones are moved to uint8 first by adding 128 to codes and zero point, which
//! changes no value. What does not fit stays float between its `dequantize` and `quantize`, with the reason in the report.

mod layers;
mod moves;
mod signs;
mod sums;

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_tensor::DType;

use crate::{
    PassReport,
    pattern::{Links, as_clamp, scalar},
};

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    if !function
        .operations
        .iter()
        .any(|operation| operation.kind == "dequantize" || operation.kind == "quantize")
    {
        return report;
    }
    report.changes += signs::to_unsigned(function);
    for index in 0..function.operations.len() {
        let links = Links::of(function);
        let rewritten = match &*function.operations[index].kind {
            "quantize" => at_quantize(function, &links, index, &mut report),
            "conv" | "linear" => layers::float_output(function, &links, index, &mut report),
            _ => None,
        };
        if let Some(operation) = rewritten {
            let mut patch = Patch::new("lower_quantized");
            patch.replace(index, operation);
            patch.apply(function);
            report.changes += 1;
        }
    }
    super::remove_dead_code::run(function);
    report
}

/// How real values become codes: `code = round(value / scale) + zero_point`, 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grid {
    scale: f32,
    zero_point: u8,
}

impl Grid {
    /// The per-tensor u8 grid of a `quantize` or `dequantize`.
    fn of(function: &Function, operation: &Operation) -> Option<Self> {
        let scale = scalar(function, operation.input("scale")?)?;
        let zero_point = match operation.input("zero_point") {
            Some(id) => function
                .const_tensor(id)
                .filter(|tensor| tensor.elems() == 1)?
                .to_i64()?[0],
            None => 0,
        };
        let grid = Self {
            scale,
            zero_point: u8::try_from(zero_point).ok()?,
        };
        (scale.is_finite() && scale > 0.0).then_some(grid)
    }

    /// The code of a real value, as `quantize` computes it.
    fn code(self, value: f32) -> u8 {
        let code = (value / self.scale).round_ties_even() + f32::from(self.zero_point);
        code.clamp(0.0, 255.0) as u8
    }

    /// The range of codes that a clamp of real values leaves.
    fn codes(self, clamp: Option<[f32; 2]>) -> [u8; 2] {
        let [low, high] = clamp.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        let low = if low == f32::NEG_INFINITY {
            0
        } else {
            self.code(low)
        };
        [
            low,
            if high == f32::INFINITY {
                255
            } else {
                self.code(high).max(low)
            },
        ]
    }
}

/// The codes behind a value that `dequantize` makes, and their grid.
fn quantized(function: &Function, links: &Links, id: ValueId) -> Option<(ValueId, Grid)> {
    let operation = links.made_by(function, id, "dequantize")?;
    let codes = operation.input("input")?;
    (function.ty(codes).dtype() == Some(DType::UInt8)).then_some(())?;
    Some((codes, Grid::of(function, operation)?))
}

/// The chain that ends in a `quantize`: the operation that does the work, and a clamp between both.
struct Chain {
    core: Operation,
    clamp: Option<[f32; 2]>,
    clamp_operation: Option<Operation>,
    quantize: Operation,
    grid: Grid,
}

fn chain(function: &Function, links: &Links, index: usize) -> Option<Chain> {
    let quantize = function.operations[index].clone();
    (function.ty(quantize.outputs[0]).dtype() == Some(DType::UInt8)).then_some(())?;
    let grid = Grid::of(function, &quantize)?;
    let value = quantize.input("input")?;
    let maker = links.producer(value)?;
    let mut core = function.operations[maker].clone();
    links.only_user(value)?;
    let clamp = as_clamp(function, &core);
    let mut clamp_operation = None;
    if clamp.is_some() {
        let before = core.input("x")?;
        links.only_user(before)?;
        clamp_operation = Some(core);
        core = function.operations[links.producer(before)?].clone();
    }
    Some(Chain {
        core,
        clamp,
        clamp_operation,
        quantize,
        grid,
    })
}

fn at_quantize(
    function: &mut Function,
    links: &Links,
    index: usize,
    report: &mut PassReport,
) -> Option<Operation> {
    let chain = chain(function, links, index)?;
    let outcome = match &*chain.core.kind {
        "conv" | "linear" => layers::quantized_output(function, links, &chain),
        "add" => sums::residual(function, links, &chain).or_else(|_| sums::add(function, links, &chain)),
        "avg_pool" | "reduce_mean" => sums::mean(function, links, &chain),
        "dequantize" => return None,
        _ => moves::moved(function, links, &chain),
    };
    match outcome {
        Ok(operation) => Some(operation),
        Err(reason) => {
            report.skip(chain.core.label(), format!("stays float: {reason}"));
            None
        }
    }
}

/// Names of the source for what replaces a chain.
fn names(chain: &Chain, more: &[&Operation]) -> Vec<String> {
    let all: Vec<&Operation> = more
        .iter()
        .copied()
        .chain([&chain.core])
        .chain(&chain.clamp_operation)
        .collect();
    crate::pattern::origins(&all)
}
