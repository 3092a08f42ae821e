//! Merges operations that compute the same from the same (common subexpressions), and equal small constants.

use std::collections::BTreeMap;

use locket_mil::{Arg, Function, Literal, Name, Patch, ValueId};

use crate::PassReport;

/// Constants up to this size are compared by value; larger ones by identity.
const COMPARED_BYTES: usize = 256;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut same: Vec<ValueId> = (0..function.values().len()).map(ValueId::from_index).collect();
    let mut constants: BTreeMap<String, ValueId> = BTreeMap::new();
    for id in function.used_constants() {
        if let Some(key) = function.literal(id).and_then(constant_key) {
            same[id.index()] = *constants.entry(key).or_insert(id);
        }
    }
    let mut seen: BTreeMap<(Name, Vec<(Name, Vec<ValueId>)>), usize> = BTreeMap::new();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    let mut patch = Patch::new("merge_duplicates");
    for (index, operation) in function.operations.iter().enumerate() {
        let ids = |arg: &Arg| arg.values().iter().map(|id| same[id.index()]).collect();
        let mut inputs: Vec<(Name, Vec<ValueId>)> = operation
            .inputs
            .iter()
            .map(|(param, arg)| (param.clone(), ids(arg)))
            .collect();
        inputs.sort();
        let key = (operation.kind.clone(), inputs);
        let Some(&first) = seen.get(&key) else {
            seen.insert(key, index);
            continue;
        };
        let outputs = &function.operations[first].outputs;
        for (&old, &new) in operation.outputs.iter().zip(outputs) {
            same[old.index()] = new;
            patch.redirect(old, new);
        }
        patch.remove(index);
        merged.push((first, index));
    }
    for &(first, index) in &merged {
        let names = std::mem::take(&mut function.operations[index].origin);
        let kept = &mut function.operations[first].origin;
        kept.extend(
            names
                .into_iter()
                .filter(|name| !kept.contains(name))
                .collect::<Vec<_>>(),
        );
    }
    for id in function.used_constants() {
        if same[id.index()] != id {
            patch.redirect(id, same[id.index()]);
        }
    }
    patch.apply(function);
    PassReport {
        changes: merged.len(),
        ..PassReport::default()
    }
}

fn constant_key(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Text(text) => Some(format!("\"{text}")),
        Literal::Tensor(tensor) if tensor.bytes().len() <= COMPARED_BYTES => Some(format!(
            "{}{:?}{:?}",
            tensor.dtype(),
            tensor.shape(),
            tensor.bytes()
        )),
        Literal::Tensor(_) => None,
    }
}
