//! Functions of one code: everything elementwise between one quantised tensor and a `quantize`.

use locket_mil::{Function, Operation, Target, Type, ValueId};
use locket_ops::{Builder, evaluate};
use locket_tensor::{DType, Tensor};

use super::{Chain, Grid, codes_like, quantized};
use crate::pattern::{BINARY, Links, UNARY, origins};

/// Most operations in one table: exporters write an activation in up to five, and quantise what each gives.
const MAX_OPERATIONS: usize = 24;

/// A table in place of a chain; `None` if the chain is no function of one code.
pub(super) fn lookup(function: &mut Function, links: &Links, chain: &Chain) -> Option<Operation> {
    let value = chain.quantize.input("input")?;
    // First the nearest codes; where there are several, what all of them are made of may still be one.
    let search = [false, true].into_iter().find_map(|deep| {
        let mut search = Search {
            function,
            links,
            deep,
            operations: Vec::new(),
            source: None,
        };
        search.visit(value).map(|()| search)
    })?;
    let (codes, dequantize) = search.source?;
    let mut positions = search.operations;
    positions.sort_unstable();
    positions.dedup();
    let table = tabulate(function, &positions, dequantize, chain)?;
    let mut operation = chain.replacement("locket.lookup_u8");
    if !positions.is_empty() {
        operation.origin = origins(positions.iter().map(|&at| &function.operations[at]));
    }
    operation.set_input("x", codes);
    if table
        .iter()
        .enumerate()
        .all(|(code, &entry)| code == usize::from(entry))
    {
        operation.kind = "identity".into();
    } else {
        set_table(function, &mut operation, &table);
    }
    Some(operation)
}

fn set_table(function: &mut Function, operation: &mut Operation, table: &[u8]) {
    let id = function.add_constant("table", Tensor::vector(table));
    operation.set_input("table", id);
}

/// Codes as codes of the grid of a chain's result: as they are if both are the same. The operation that does it, if it takes
/// one, is appended to `operations`.
pub(super) fn regrid(
    function: &mut Function,
    (codes, from): (ValueId, Grid),
    chain: &Chain,
    operations: &mut Vec<Operation>,
) -> ValueId {
    if from == chain.grid {
        return codes;
    }
    let name = format!("{}_regridded", function.value(codes).name);
    let result = codes_like(function, &name, codes);
    operations.push(regrid_into(function, (codes, from), chain, result));
    result
}

/// The operation that makes `result`, on the grid and within the clamp of a chain's result, of `codes`.
pub(super) fn regrid_into(
    function: &mut Function,
    (codes, from): (ValueId, Grid),
    chain: &Chain,
    result: ValueId,
) -> Operation {
    let [low, high] = chain.grid.codes(chain.clamp);
    let table: Vec<u8> = (0..=255)
        .map(|code| chain.grid.code(from.value(code)).clamp(low, high))
        .collect();
    let mut operation = Operation {
        kind: "locket.lookup_u8".into(),
        inputs: vec![("x".into(), codes.into())],
        outputs: vec![result],
        origin: chain.origins(&[]),
    };
    set_table(function, &mut operation, &table);
    operation
}

/// The table that turns int8 codes into uint8 codes that stand 128 higher, and back: it is its own inverse.
pub(super) fn flip_sign(function: &mut Function, x: ValueId, result: ValueId) -> Operation {
    let dtype = function.ty(result).dtype().unwrap_or(DType::UInt8);
    let entries: Vec<u8> = (0..=255u8).map(|code| code ^ 0x80).collect();
    let table = Tensor::from_codes(dtype, &[256], &entries).expect("256 entries of 8 bits");
    let id = function.add_constant("table", table);
    Operation {
        kind: "locket.lookup_u8".into(),
        inputs: vec![("x".into(), x.into()), ("table".into(), id.into())],
        outputs: vec![result],
        origin: Vec::new(),
    }
}

/// What a value is computed from.
struct Search<'a> {
    function: &'a Function,
    links: &'a Links,
    /// Whether codes are traced to what was quantised, if that is a function of one code too.
    deep: bool,
    /// Positions of the elementwise operations, and of the quantisations between them.
    operations: Vec<usize>,
    /// The codes, and the position of their `dequantize`.
    source: Option<(ValueId, usize)>,
}

impl Search<'_> {
    fn visit(&mut self, id: ValueId) -> Option<()> {
        let at = self.links.producer(id)?;
        if self.operations.contains(&at) {
            return Some(());
        }
        let operation = &self.function.operations[at];
        let kind: &str = &operation.kind;
        if kind == "dequantize" {
            let (codes, _) = quantized(self.function, self.links, id)?;
            if self.deep && self.through(codes, at).is_some() {
                return Some(());
            }
            let found = (codes, at);
            return (*self.source.get_or_insert(found) == found).then_some(());
        }
        let elementwise = UNARY.contains(&kind) || BINARY.contains(&kind);
        if !elementwise || self.operations.len() == MAX_OPERATIONS {
            return None;
        }
        self.operations.push(at);
        let shape = self.function.ty(id).shape();
        for operand in operation.input_values() {
            match self.function.const_tensor(operand) {
                Some(tensor) => (tensor.elems() == 1).then_some(())?,
                None if self.function.literal(operand).is_some() => {}
                None => {
                    (self.function.ty(operand).shape() == shape).then_some(())?;
                    self.visit(operand)?;
                }
            }
        }
        Some(())
    }

    /// Goes on behind the `quantize` that made codes; everything is as it was if nothing comes of it.
    fn through(&mut self, codes: ValueId, dequantize: usize) -> Option<()> {
        let at = self.links.producer(codes)?;
        let quantize = &self.function.operations[at];
        if quantize.kind != "quantize" || self.operations.len() + 2 > MAX_OPERATIONS {
            return None;
        }
        let value = quantize.input("input")?;
        let before = (self.operations.len(), self.source);
        self.operations.extend([at, dequantize]);
        let found = self.visit(value);
        if found.is_none() {
            self.operations.truncate(before.0);
            self.source = before.1;
        }
        found
    }
}

/// Runs the references on all 256 codes.
fn tabulate(function: &Function, positions: &[usize], dequantize: usize, chain: &Chain) -> Option<Vec<u8>> {
    let mut scratch = Function::new("table", Target::Ios18);
    let codes: Vec<u8> = (0..=255).collect();
    let mut known = vec![None; function.values().len()];
    let first = &function.operations[dequantize];
    known[first.input("input")?.index()] = Some(scratch.add_constant("codes", Tensor::vector(&codes)));
    let operations = positions.iter().map(|&at| &function.operations[at]);
    for operation in std::iter::once(first).chain(operations).chain([&chain.quantize]) {
        let mut inputs = Vec::new();
        for (param, _) in &operation.inputs {
            let id = operation.input(param)?;
            let copied = match (known[id.index()], function.literal(id)) {
                (Some(value), _) => value,
                (None, Some(literal)) => {
                    // One number of any rank broadcasts as rank 0 does.
                    let flat = match literal.tensor().filter(|tensor| tensor.elems() == 1) {
                        Some(tensor) => tensor.reshaped(&[]).ok()?.into(),
                        None => literal.clone(),
                    };
                    scratch.add_constant(param, flat)
                }
                (None, None) => return None,
            };
            inputs.push((&**param, copied.into()));
        }
        let result = Builder::new(&mut scratch)
            .one(&operation.kind, inputs, "v", operation.label())
            .ok()?;
        let step = scratch.operations.pop()?;
        let values = evaluate(&scratch, &step, &[]).ok()?;
        scratch.set_constant(result, values.into_iter().next()?);
        known[operation.outputs[0].index()] = Some(result);
    }
    let table = scratch.const_tensor(known[chain.quantize.outputs[0].index()]?)?;
    (Type::tensor(DType::UInt8, &[256]) == Type::tensor(table.dtype(), table.shape()))
        .then(|| table.bytes().to_vec())
}
