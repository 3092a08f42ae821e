//! Turns `matmul` by a constant matrix into `linear`, which keeps its weight packed and, if need be, compressed.
//!
//! `matmul(x, y)` with y constant, rank 2 and x of rank 2 or 3 (what MIL's `linear` takes) becomes `linear(x, weight = y transposed)`; `transpose_x` must be
//! off. A compressed weight is taken only with `transpose_y`, where it needs no change.

use std::sync::Arc;

use locket_mil::{Function, Operation, Patch};
use locket_ops::{Node, Weight, transpose_bytes};
use locket_tensor::{AlignedBytes, DType, Storage, Tensor};

use crate::PassReport;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("linear_from_matmul");
    for index in 0..function.operations.len() {
        let operation = function.operations[index].clone();
        if operation.kind != "matmul" {
            continue;
        }
        let Some(linear) = rewrite(function, &operation, &mut report) else {
            continue;
        };
        patch.replace(index, linear);
        report.changes += 1;
    }
    patch.apply(function);
    report
}

fn rewrite(function: &mut Function, operation: &Operation, report: &mut PassReport) -> Option<Operation> {
    let node = Node::new(function, operation);
    let (x, y) = (operation.input("x")?, operation.input("y")?);
    let weight = Weight::of(function, y)?;
    let (dtype, shape) = node.ty("y").ok()?;
    let rank_x = function.ty(x).shape()?.len();
    let transpose_y = node.flag("transpose_y", false).ok()?;
    if shape.len() != 2
        || !matches!(rank_x, 2 | 3)
        || node.flag("transpose_x", false).ok()?
        || !dtype.is_float()
    {
        report.skip(
            operation.label(),
            "only x of rank 2 or 3 times a constant float matrix is a fully connected layer",
        );
        return None;
    }
    let weight = match (weight, transpose_y) {
        (_, true) => y,
        (Weight::Dense(tensor), false) => {
            let turned = transposed(tensor)?;
            let name = format!("{}_t", function.value(y).name);
            function.add_constant(&name, turned)
        }
        (Weight::Compressed(_), false) => {
            report.skip(
                operation.label(),
                "its compressed weight would have to be transposed",
            );
            return None;
        }
    };
    Some(Operation {
        kind: "linear".into(),
        inputs: vec![("x".into(), x.into()), ("weight".into(), weight.into())],
        outputs: operation.outputs.clone(),
        origin: operation.origin.clone(),
    })
}

fn transposed(tensor: &Tensor) -> Option<Tensor> {
    let &[rows, columns] = tensor.shape() else {
        return None;
    };
    debug_assert!(matches!(
        tensor.dtype(),
        DType::Float16 | DType::Float32 | DType::Float64 | DType::BFloat16
    ));
    let mut turned = AlignedBytes::zeroed(tensor.bytes().len());
    let dims = [1, rows, columns];
    transpose_bytes(
        tensor.dtype().bits() / 8,
        dims,
        tensor.bytes(),
        turned.as_mut_slice(),
    );
    let storage = Storage::Owned(Arc::new(turned));
    Tensor::from_storage(tensor.dtype(), &[columns, rows], storage, 0).ok()
}
