//! Removes transposes: readers of channels-last formats put one before and after each operation, and nearly all cancel.
//!
//! One sweep in program order. A transpose is not written where it stands but remembered: its result is another value, seen
//! through a permutation. Two in a row are one permutation. An operation that does not care (elementwise, pad, concat, split,
//! slice, reduction, softmax, quantisation) is computed on what is behind the permutation, with its axes and
//! constants changed to match, and its result is remembered in turn. Where an operation does care, and at results of the function,
//! the transpose is written, once for each value; as a `reshape` if only axes of one element change places.
//!
//! If that would move more bytes than before, the function stays as it was.

mod sink;

use locket_mil::{Function, Operation, ValueId};

use crate::{
    PassReport,
    pattern::{ints, is_identity, permutation},
};

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let before = transposes(function);
    if before.count == 0 {
        return report;
    }
    let original = function.clone();
    let operations = std::mem::take(&mut function.operations);
    let mut sweep = Sweep {
        seen: vec![None; function.values().len()],
        operations: Vec::with_capacity(operations.len()),
        function,
        sunk: 0,
    };
    for operation in operations {
        sweep.visit(operation);
    }
    sweep.finish();
    let sunk = sweep.sunk;
    let after = transposes(function);
    let removed = before.count.saturating_sub(after.count);
    if after.bytes > before.bytes || sunk + removed == 0 {
        if let Some(first) = before.first.filter(|_| after.bytes > before.bytes) {
            let reason = format!(
                "moving transposes towards the results would move {} bytes instead of {}",
                after.bytes, before.bytes
            );
            report.skip(&first, reason);
        }
        *function = original;
        return report;
    }
    report.changes = sunk + removed;
    report
}

/// The transposes of a function: how many there are, and what those that move elements cost.
struct Transposes {
    count: usize,
    bytes: usize,
    first: Option<String>,
}

fn transposes(function: &Function) -> Transposes {
    let mut found = Transposes {
        count: 0,
        bytes: 0,
        first: None,
    };
    for operation in function
        .operations
        .iter()
        .filter(|operation| operation.kind == "transpose")
    {
        found.count += 1;
        let perm = permutation(function, operation);
        let shape = operation.input("x").and_then(|x| function.ty(x).shape());
        if let (Some(perm), Some(shape)) = (perm, shape)
            && moves_nothing(&perm, shape)
        {
            continue;
        }
        let bytes: usize = operation.outputs.iter().map(|&id| function.ty(id).bytes()).sum();
        found.bytes = found.bytes.saturating_add(bytes);
        found.first.get_or_insert_with(|| operation.label().to_owned());
    }
    found
}

/// True if the axes of more than one element keep their order. `shape` is that of the operand.
pub(crate) fn moves_nothing(perm: &[usize], shape: &[usize]) -> bool {
    let mut wide = perm
        .iter()
        .copied()
        .filter(|&axis| shape.get(axis).is_some_and(|&dim| dim != 1));
    let mut last = None;
    wide.all(|axis| last.replace(axis).is_none_or(|before| before < axis))
}

/// A value that is another one through a permutation: axis `i` of it is axis `perm[i]` of `source`.
#[derive(Clone, Debug)]
struct Seen {
    source: ValueId,
    perm: Vec<usize>,
    origin: Vec<String>,
    /// Whether an operation that makes the value stands in the function.
    written: bool,
}

struct Sweep<'a> {
    function: &'a mut Function,
    /// For each value of the original function, what it is seen as.
    seen: Vec<Option<Seen>>,
    operations: Vec<Operation>,
    sunk: usize,
}

impl Sweep<'_> {
    fn visit(&mut self, operation: Operation) {
        if self.remember(&operation) {
            return;
        }
        if let Some(sunk) = self.sink(&operation) {
            self.sunk += 1;
            self.place(&operation, sunk);
            return;
        }
        let mut operation = operation;
        for (_, arg) in &mut operation.inputs {
            for id in arg.values_mut() {
                *id = self.written(*id);
            }
        }
        self.operations.push(operation);
    }

    /// What a value is seen as, unless it is itself.
    fn behind(&self, id: ValueId) -> Option<&Seen> {
        self.seen
            .get(id.index())?
            .as_ref()
            .filter(|seen| !is_identity(&seen.perm))
    }

    /// Takes note of a transpose; false if the operation is none.
    fn remember(&mut self, operation: &Operation) -> bool {
        let (Some(outer), Some(x)) = (permutation(self.function, operation), operation.input("x")) else {
            return false;
        };
        let mut seen = match self.seen.get(x.index()).cloned().flatten() {
            Some(inner) => Seen {
                source: inner.source,
                perm: outer.iter().map(|&axis| inner.perm[axis]).collect(),
                origin: inner.origin,
                written: false,
            },
            None => Seen {
                source: x,
                perm: outer,
                origin: Vec::new(),
                written: false,
            },
        };
        seen.origin.extend(operation.origin.iter().cloned());
        self.see(operation.outputs[0], seen);
        true
    }

    fn see(&mut self, id: ValueId, seen: Seen) {
        if id.index() >= self.seen.len() {
            self.seen.resize(id.index() + 1, None);
        }
        self.seen[id.index()] = Some(seen);
    }

    /// The value to read in place of `id`; writes its transpose if that has not been done.
    fn written(&mut self, id: ValueId) -> ValueId {
        let Some(Some(seen)) = self.seen.get_mut(id.index()) else {
            return id;
        };
        if is_identity(&seen.perm) {
            return seen.source;
        }
        if !std::mem::replace(&mut seen.written, true) {
            let seen = seen.clone();
            let operation = self.transpose(&seen, id);
            self.operations.push(operation);
        }
        id
    }

    fn transpose(&mut self, seen: &Seen, result: ValueId) -> Operation {
        let x = (seen.source.into(), "x".into());
        let shape = self.function.ty(seen.source).shape().unwrap_or_default();
        let still = moves_nothing(&seen.perm, shape);
        let (kind, param, numbers) = if still {
            let shape = self.function.ty(result).shape().unwrap_or_default().to_vec();
            ("reshape", "shape", shape)
        } else {
            ("transpose", "perm", seen.perm.clone())
        };
        let constant = self.function.add_constant(param, ints(&numbers));
        Operation {
            kind: kind.into(),
            inputs: vec![(x.1, x.0), (param.into(), constant.into())],
            outputs: vec![result],
            origin: seen.origin.clone(),
        }
    }

    /// Puts the sunk operation where the original stood.
    fn place(&mut self, original: &Operation, sunk: sink::Sunk) {
        let mut operation = sunk.operation;
        if is_identity(&sunk.perm) {
            self.operations.push(operation);
            return;
        }
        for (output, &result) in operation.outputs.iter_mut().zip(&original.outputs) {
            let name = format!("{}_untransposed", self.function.value(result).name);
            let ty = sink::before(self.function.ty(result), &sunk.perm);
            *output = self.function.add_result(&name, ty);
            let seen = Seen {
                source: *output,
                perm: sunk.perm.clone(),
                origin: sunk.origin.clone(),
                written: false,
            };
            self.see(result, seen);
        }
        self.operations.push(operation);
    }

    fn finish(&mut self) {
        for index in 0..self.function.outputs.len() {
            let value = self.function.outputs[index].value;
            self.function.outputs[index].value = self.written(value);
        }
        self.function.operations = std::mem::take(&mut self.operations);
    }
}
