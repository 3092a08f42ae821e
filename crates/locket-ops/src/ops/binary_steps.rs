//! Steps of functions of two numbers: what repeats, which kernel sees how much at once.

use std::{fmt, ops::Range};

use locket_kernels::{BinaryF32, Isa, binary_f32};
use locket_tensor::DType;

use super::{
    binary::Binary,
    common::{
        lines::{Lines, Operand, Source, elements},
        numbers::{load_floats, load_ints, store_floats, store_ints},
    },
};
use crate::{Prepare, Prepared, Step};

/// Elements that are computed at once where they must be gathered or copied first.
const PIECE: usize = 256;

/// The step of an operation with parameters `x` and `y`; `None` if both are constant.
pub(super) fn prepare(operator: &Binary, prepare: &Prepare<'_>) -> Option<Prepared> {
    let operands = [Operand::of(prepare, "x")?, Operand::of(prepare, "y")?];
    if operands.iter().all(|operand| operand.value.is_none()) {
        return None;
    }
    let (dtype, _) = prepare.node.ty("x").ok()?;
    let (result, shape) = prepare.node.output_ty(prepare.output).ok()?;
    let strides = operands
        .each_ref()
        .map(|operand| operand.strides_under(shape.len()));
    let lines = Lines::new(shape, prepare.output_layout(), strides);
    let elems = lines.elems();
    let held = operands.iter().map(|operand| operand.source.held_bytes()).sum();
    // An operand that lies as the output does may give its memory; the other must not be the same value.
    let distinct = operands[0].value != operands[1].value;
    let donor = (0..2).find(|&at| {
        let dense = lines.is_dense(at) && operands[at].shape.iter().product::<usize>() == elems;
        dense && distinct && dtype == result && operands[at].value.is_some()
    });
    let in_place = donor.and_then(|at| match operands[at].source {
        Source::Input(position) => Some(position),
        Source::Held(_) => None,
    });
    let kernel = operator.kernel.filter(|_| dtype == DType::Float32);
    let sources = operands.map(|operand| operand.source);
    let prepared = match kernel {
        Some(op) => {
            let step = KernelStep {
                isa: prepare.isa,
                op,
                depth: kernel_depth(&lines),
                lines,
                sources,
            };
            Prepared::new(step, elems, 4)
        }
        None => {
            let step = FunctionStep {
                float: operator.float,
                int: operator.int,
                dtype,
                result,
                lines,
                sources,
            };
            Prepared::new(step, elems, result.bits() / 8)
        }
    };
    let mut prepared = prepared.grain(64).weights(held);
    prepared.in_place = in_place;
    Some(prepared)
}

/// How many of the innermost axes a kernel call covers: two if one operand is a row that repeats along the other's rows.
fn kernel_depth(lines: &Lines<2>) -> usize {
    let Some(outer) = lines.dims.len().checked_sub(2) else {
        return 1;
    };
    let row = lines.dims[outer + 1];
    let pair = |operand: usize| [lines.strides[operand][outer], lines.strides[operand][outer + 1]];
    match (pair(0), pair(1)) {
        ([a, 1], [0, 1]) | ([0, 1], [a, 1]) if a == row => 2,
        _ => 1,
    }
}

#[derive(Debug)]
struct KernelStep {
    isa: Isa,
    op: BinaryF32,
    lines: Lines<2>,
    /// Innermost axes that one kernel call may cover.
    depth: usize,
    sources: [Source; 2],
}

impl KernelStep {
    /// A run within one row: operands advance by 1, stand still, or are gathered.
    fn line(&self, operands: [&[f32]; 2], positions: [usize; 2], output: &mut [f32]) {
        let (_, strides) = self.lines.inner();
        if strides.iter().all(|&stride| stride <= 1) && operands.iter().all(|x| !x.is_empty()) {
            let views = [0, 1].map(|at| {
                let count = if strides[at] == 0 { 1 } else { output.len() };
                &operands[at][positions[at]..][..count]
            });
            return self.call(views, output);
        }
        let mut gathered = [[0.0f32; PIECE]; 2];
        for (piece, output) in output.chunks_mut(PIECE).enumerate() {
            let count = output.len();
            let [first, second] = &mut gathered;
            let views = [(0, first), (1, second)].map(|(at, space)| {
                let (operand, stride) = (operands[at], strides[at]);
                let start = positions[at] + piece * PIECE * stride;
                if operand.is_empty() {
                    // In place: this operand is the output.
                    space[..count].copy_from_slice(output);
                    return &space[..count];
                }
                match stride {
                    0 => &operand[start..][..1],
                    1 => &operand[start..][..count],
                    _ => {
                        for (x, &value) in space[..count]
                            .iter_mut()
                            .zip(operand[start..].iter().step_by(stride))
                        {
                            *x = value;
                        }
                        &space[..count]
                    }
                }
            });
            self.call(views, output);
        }
    }

    fn call(&self, [x, y]: [&[f32]; 2], output: &mut [f32]) {
        if x.len() == 1 && y.len() == 1 && output.len() > 1 {
            binary_f32(self.isa, self.op, x, y, &mut output[..1]);
            let value = output[0];
            return output.fill(value);
        }
        binary_f32(self.isa, self.op, x, y, output);
    }

    /// A run over several rows, with one operand repeating its row: whole rows in one call.
    fn rows(&self, operands: [&[f32]; 2], start: usize, positions: [usize; 2], output: &mut [f32]) {
        let (row, _) = self.lines.inner();
        let head = (row - start % row) % row;
        let (first, rest) = output.split_at_mut(head.min(output.len()));
        if !first.is_empty() {
            self.line(operands, positions, first);
        }
        let whole = rest.len() - rest.len() % row;
        let (middle, last) = rest.split_at_mut(whole);
        let axis = self.lines.dims.len() - 2;
        let repeats = [0, 1].map(|at| self.lines.strides[at][axis] == 0);
        // After `done` elements, at the start of a row: an operand that repeats is back at the start of its own.
        let next = |at: usize, done: usize| match repeats[at] {
            true => positions[at] - start % row,
            false => positions[at] + done,
        };
        let in_place = operands.iter().position(|operand| operand.is_empty());
        if let Some(at) = in_place.filter(|_| row <= PIECE) {
            // As many whole rows as fit are copied out of the way at once.
            let repeated = &operands[1 - at][next(1 - at, head)..][..row];
            let mut copy = [0.0; PIECE];
            for output in middle.chunks_mut(PIECE / row * row) {
                let copy = &mut copy[..output.len()];
                copy.copy_from_slice(output);
                let views = if at == 0 {
                    [&*copy, repeated]
                } else {
                    [repeated, &*copy]
                };
                self.call(views, output);
            }
        } else if in_place.is_some() {
            for (index, output) in middle.chunks_mut(row).enumerate() {
                let done = head + index * row;
                self.line(operands, [next(0, done), next(1, done)], output);
            }
        } else if !middle.is_empty() {
            let views = [0, 1].map(|at| {
                let length = if repeats[at] { row } else { whole };
                &operands[at][next(at, head)..][..length]
            });
            self.call(views, middle);
        }
        if !last.is_empty() {
            self.line(operands, [next(0, head + whole), next(1, head + whole)], last);
        }
    }
}

impl Step for KernelStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        let operands = self
            .sources
            .each_ref()
            .map(|source| elements::<f32>(source.bytes(inputs)));
        // A row that repeats cannot be the operand whose memory the output took.
        let depth = self.depth;
        let start = units.start;
        self.lines.for_each(units, depth, |run, positions| {
            let at = start + run.start;
            let output = &mut output[run];
            if depth == 2 {
                self.rows(operands, at, positions, output);
            } else {
                self.line(operands, positions, output);
            }
        });
    }

    fn kernel(&self) -> &str {
        "f32_binary"
    }
}

struct FunctionStep {
    float: fn(f64, f64) -> f64,
    int: fn(i64, i64) -> i64,
    dtype: DType,
    result: DType,
    lines: Lines<2>,
    sources: [Source; 2],
}

impl fmt::Debug for FunctionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FunctionStep").field(&self.lines).finish()
    }
}

impl Step for FunctionStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let operands = self.sources.each_ref().map(|source| source.bytes(inputs));
        let (_, strides) = self.lines.inner();
        let width = self.result.bits() / 8;
        self.lines.for_each(units, 1, |run, positions| {
            let output = &mut output[run.start * width..run.end * width];
            for (piece, output) in output.chunks_mut(PIECE * width).enumerate() {
                let count = output.len() / width;
                // Where an operand's elements are: in place they are in the output itself.
                let place = |at: usize| match operands[at].is_empty() {
                    true => (0, 1),
                    false => (positions[at] + piece * PIECE * strides[at], strides[at]),
                };
                let source = |at: usize| {
                    if operands[at].is_empty() {
                        &*output
                    } else {
                        operands[at]
                    }
                };
                let (x, y) = (source(0), source(1));
                let ((from_x, step_x), (from_y, step_y)) = (place(0), place(1));
                if self.dtype.is_float() {
                    let (mut a, mut b) = ([0.0; PIECE], [0.0; PIECE]);
                    load_floats(self.dtype, x, from_x, step_x, &mut a[..count]);
                    load_floats(self.dtype, y, from_y, step_y, &mut b[..count]);
                    for (a, &b) in a[..count].iter_mut().zip(&b) {
                        *a = (self.float)(*a, b);
                    }
                    store_floats(self.result, &a[..count], output);
                } else {
                    let (mut a, mut b) = ([0; PIECE], [0; PIECE]);
                    load_ints(self.dtype, x, from_x, step_x, &mut a[..count]);
                    load_ints(self.dtype, y, from_y, step_y, &mut b[..count]);
                    for (a, &b) in a[..count].iter_mut().zip(&b) {
                        *a = (self.int)(*a, b);
                    }
                    store_ints(self.result, &a[..count], output);
                }
            }
        });
    }

    fn kernel(&self) -> &str {
        "scalar_binary"
    }
}
