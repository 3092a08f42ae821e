//! Turns operations between `dequantize` and `quantize` into integer operators.
//!
//! A quantised program says in MIL's own words what it means: `dequantize`, a float operation on a weight that is
//! `constexpr_affine_dequantize`, `quantize`. This pass finds the pattern and replaces it by one operator on integers:
//!
//! * layers by `locket.conv_u8`, `locket.linear_u8`; a layer whose result is not quantised gives floats ([`layers`]);
//! * products of two activations by `locket.matmul_u8` ([`products`]);
//! * sums and means by `locket.add_u8`, `locket.avg_pool_u8` ([`sums`]);
//! * operations that only move or compare elements by themselves on codes ([`moves`]);
//! * everything else that is a function of one code by `locket.lookup_u8`, which is exact ([`tables`]).
//!
//! Results agree with the float pattern up to one step of the output's scale, because the bias is rounded to the
//! accumulator's scale and the sum is rounded once instead of several times.
//!
//! Activations are quantised per tensor; int8 ones are moved to uint8 first by adding 128 to codes and zero point, which
//! changes no value ([`signs`]). What does not fit stays float between its `dequantize` and `quantize`, with the
//! reason in the report.

mod grids;
mod layers;
mod moves;
mod products;
mod signs;
mod sums;
mod tables;
mod weights;

use locket_mil::{Function, Operation, Patch, Type, ValueId};
use locket_tensor::DType;

use crate::{
    PassReport,
    pattern::{Links, as_clamp, compose_clamps, origins, scalar},
};

/// Why a place stays float.
type Reason = &'static str;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let quantized = |operation: &Operation| matches!(&*operation.kind, "dequantize" | "quantize");
    if !function.operations.iter().any(quantized) {
        return report;
    }
    report.changes += signs::to_unsigned(function);
    report.changes += moves::before_dequantize(function);
    report.changes += moves::after_quantize(function);
    report.changes += grids::share_with_concat(function);
    each(function, &mut report, |function, links, index, report| {
        let chain =
            (function.operations[index].kind == "quantize").then(|| chain(function, links, index))??;
        at_quantize(function, links, &chain, report)
    });
    super::remove_dead_code::run(function);
    each(
        function,
        &mut report,
        |function, links, index, report| match &*function.operations[index].kind {
            "conv" | "linear" => layers::float_output(function, links, index, report),
            "matmul" => products::float_output(function, links, index),
            _ => None,
        },
    );
    report.changes += layers::take_clamps(function);
    super::remove_dead_code::run(function);
    report.tell_once();
    report
}

/// Offers every operation to `rewrite`, which gives what replaces it. The function changes at the end, so that all see it as it was.
fn each(
    function: &mut Function,
    report: &mut PassReport,
    rewrite: impl Fn(&mut Function, &Links, usize, &mut PassReport) -> Option<Vec<Operation>>,
) {
    let links = Links::of(function);
    let mut patch = Patch::new("lower_quantized");
    for index in 0..function.operations.len() {
        let Some(operations) = rewrite(function, &links, index, report) else {
            continue;
        };
        patch.remove(index);
        for operation in operations {
            patch.insert_before(index, operation);
        }
        report.changes += 1;
    }
    patch.apply(function);
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

    /// The real value of a code, as `dequantize` computes it.
    fn value(self, code: u8) -> f32 {
        self.scale * (f32::from(code) - f32::from(self.zero_point))
    }

    /// The range of codes that a clamp of real values leaves.
    fn codes(self, clamp: Option<[f32; 2]>) -> [u8; 2] {
        // Infinite bounds saturate, as `quantize` does.
        clamp.map_or([0, 255], |bounds| bounds.map(|bound| self.code(bound)))
    }
}

/// The codes behind a value that `dequantize` makes, and their grid.
fn quantized(function: &Function, links: &Links, id: ValueId) -> Option<(ValueId, Grid)> {
    let operation = links.made_by(function, id, "dequantize")?;
    let codes = operation.input("input")?;
    (function.ty(codes).dtype() == Some(DType::UInt8)).then_some(())?;
    Some((codes, Grid::of(function, operation)?))
}

/// A `quantize`, the operation that does the work before it, and the clamps between both.
struct Chain {
    core: Operation,
    clamp: Option<[f32; 2]>,
    clamps: Vec<Operation>,
    quantize: Operation,
    grid: Grid,
    /// True if nothing else reads the values in between.
    exclusive: bool,
}

impl Chain {
    /// An operation in place of the chain, whose inputs are still to be bound.
    fn replacement(&self, kind: &str) -> Operation {
        Operation {
            kind: kind.into(),
            inputs: Vec::new(),
            outputs: self.quantize.outputs.clone(),
            origin: self.origins(&[]),
        }
    }

    /// Names of the source for what replaces the chain and operations before it.
    fn origins(&self, before: &[&Operation]) -> Vec<String> {
        let core = std::iter::once(&self.core).filter(|core| core.kind != "dequantize");
        let clamps = self.clamps.iter().rev();
        let names = origins(before.iter().copied().chain(core).chain(clamps));
        if names.is_empty() {
            self.quantize.origin.clone()
        } else {
            names
        }
    }
}

fn chain(function: &Function, links: &Links, index: usize) -> Option<Chain> {
    let quantize = function.operations[index].clone();
    (function.ty(quantize.outputs[0]).dtype() == Some(DType::UInt8)).then_some(())?;
    quantize.input("axis").is_none().then_some(())?;
    let grid = Grid::of(function, &quantize)?;
    let value = quantize.input("input")?;
    let mut exclusive = links.only_user(value).is_some();
    let mut core = &function.operations[links.producer(value)?];
    let (mut clamp, mut clamps) = (None, Vec::new());
    while let Some(bounds) = as_clamp(function, core) {
        let Some((before, maker)) = core.input("x").and_then(|id| Some((id, links.producer(id)?))) else {
            break;
        };
        clamp = Some(clamp.map_or(bounds, |outer| compose_clamps(bounds, outer)));
        clamps.push(core.clone());
        exclusive &= links.only_user(before).is_some();
        core = &function.operations[maker];
    }
    Some(Chain {
        core: core.clone(),
        clamp,
        clamps,
        quantize,
        grid,
        exclusive,
    })
}

fn at_quantize(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
    report: &mut PassReport,
) -> Option<Vec<Operation>> {
    let outcome = match &*chain.core.kind {
        "conv" | "linear" if !chain.exclusive => Err("its result is read in another form too"),
        "conv" | "linear" => layers::quantized_output(function, links, chain),
        "matmul" if !chain.exclusive => Err("its result is read in another form too"),
        "matmul" => products::quantized_output(function, links, chain),
        "add" => sums::residual(function, links, chain).or_else(|_| sums::add(function, links, chain)),
        "avg_pool" | "reduce_mean" => sums::mean(function, links, chain),
        _ => moves::moved(function, links, chain),
    };
    let reason = match outcome {
        Ok(operations) => return Some(operations),
        Err(reason) => reason,
    };
    if let Some(operation) = tables::lookup(function, links, chain) {
        return Some(vec![operation]);
    }
    // What makes no float of a code is the edge of the quantised part: nothing was to be expected.
    let inside = chain
        .core
        .input_values()
        .any(|id| links.made_by(function, id, "dequantize").is_some());
    if inside {
        report.skip(chain.core.label(), format!("stays float: {reason}"));
    }
    None
}

/// A constant that is one code.
fn set_code(function: &mut Function, operation: &mut Operation, param: &str, code: u8) {
    let id = function.add_constant(param, i32::from(code));
    operation.set_input(param, id);
}

/// A constant that is one scale over another.
fn set_ratio(function: &mut Function, operation: &mut Operation, param: &str, from: Grid, to: Grid) {
    let ratio = (f64::from(from.scale) / f64::from(to.scale)) as f32;
    let id = function.add_constant(param, ratio);
    operation.set_input(param, id);
}

/// The zero point and the range of codes of a chain's result.
fn set_result(function: &mut Function, operation: &mut Operation, chain: &Chain) {
    let [low, high] = chain.grid.codes(chain.clamp);
    for (param, code) in [
        ("y_zero_point", chain.grid.zero_point),
        ("y_min", low),
        ("y_max", high),
    ] {
        set_code(function, operation, param, code);
    }
}

/// A new value of codes, of the shape of another one.
fn codes_like(function: &mut Function, name: &str, model: ValueId) -> ValueId {
    let shape = function.ty(model).shape().unwrap_or_default().to_vec();
    function.add_result(name, Type::tensor(DType::UInt8, &shape))
}
