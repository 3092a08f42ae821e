//! Puts `quantize` and `dequantize` behind the values that become codes.

use locket_mil::{Function, Operation, Type, ValueId};
use locket_tensor::{DType, Tensor};

use super::Grid;
use crate::weights::float_tensor;

/// Inserts a pair behind every value that has a grid; all readers, and results of the function, take what the pair gives.
pub(crate) fn insert(function: &mut Function, grids: &[Option<Grid>]) {
    let mut stands_for: Vec<Option<ValueId>> = vec![None; function.values().len()];
    let old = std::mem::take(&mut function.operations);
    let mut new = Vec::with_capacity(old.len() * 2);
    for id in function.inputs.clone() {
        if let Some(grid) = grids[id.index()] {
            stands_for[id.index()] = Some(pair(function, &mut new, id, grid));
        }
    }
    for mut operation in old {
        for (_, arg) in &mut operation.inputs {
            for id in arg.values_mut() {
                *id = stands_for[id.index()].unwrap_or(*id);
            }
        }
        let outputs = operation.outputs.clone();
        new.push(operation);
        for id in outputs {
            if let Some(grid) = grids[id.index()] {
                stands_for[id.index()] = Some(pair(function, &mut new, id, grid));
            }
        }
    }
    function.operations = new;
    for output in &mut function.outputs {
        output.value = stands_for
            .get(output.value.index())
            .copied()
            .flatten()
            .unwrap_or(output.value);
    }
}

/// Appends `quantize` and `dequantize` of a value; gives the result.
fn pair(function: &mut Function, operations: &mut Vec<Operation>, id: ValueId, grid: Grid) -> ValueId {
    let value = function.value(id).clone();
    let (dtype, shape) = match &value.ty {
        Type::Tensor { dtype, shape } => (*dtype, shape.clone()),
        Type::Text | Type::Unknown => unreachable!("only tensors have grids"),
    };
    let scale = function.add_constant(
        &format!("{}_scale", value.name),
        float_tensor(dtype, &[], &[grid.scale]),
    );
    let zero_point = function.add_constant(
        &format!("{}_zero_point", value.name),
        Tensor::scalar(grid.zero_point),
    );
    let output_dtype = function.add_constant("output_dtype", "uint8");
    let codes = function.add_result(
        &format!("{}_codes", value.name),
        Type::tensor(DType::UInt8, &shape),
    );
    let result = function.add_result(&format!("{}_quantised", value.name), value.ty.clone());
    let origin: Vec<String> = Vec::new();
    operations.push(Operation {
        kind: "quantize".into(),
        inputs: vec![
            ("input".into(), id.into()),
            ("zero_point".into(), zero_point.into()),
            ("scale".into(), scale.into()),
            ("output_dtype".into(), output_dtype.into()),
        ],
        outputs: vec![codes],
        origin: origin.clone(),
    });
    operations.push(Operation {
        kind: "dequantize".into(),
        inputs: vec![
            ("input".into(), codes.into()),
            ("zero_point".into(), zero_point.into()),
            ("scale".into(), scale.into()),
        ],
        outputs: vec![result],
        origin,
    });
    result
}
