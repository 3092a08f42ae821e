//! Runs a float16 program in float32: values become fp32, weights stay fp16 in memory and are widened inside the kernels.
//!
//! The results are at least as exact as float16 arithmetic's: what rounding to fp16 after each operation would lose is
//! kept. Casts between both types become nothing. Interfaces of fp16 keep their type, with casts at the edge.

use half::f16;
use locket_mil::{Function, Literal, Operation, Patch, Type, ValueId};
use locket_ops::{Node, registry};
use locket_tensor::{DType, Tensor};

use crate::PassReport;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let narrow = |ty: &Type| ty.dtype() == Some(DType::Float16);
    if !function
        .operations
        .iter()
        .flat_map(|op| &op.outputs)
        .any(|&id| narrow(function.ty(id)))
        && !function.inputs.iter().any(|&id| narrow(function.ty(id)))
    {
        return report;
    }
    widen_inputs(function);
    let inputs = function.inputs.clone();
    let outputs: Vec<Type> = function
        .outputs
        .iter()
        .map(|output| function.ty(output.value).clone())
        .collect();
    for index in 0..function.operations.len() {
        let mut operation = function.operations[index].clone();
        if operation.kind == "cast"
            && operation.input("x").is_some_and(|x| inputs.contains(&x))
            && edge(function, &operation)
        {
            continue;
        }
        widen_constants(function, &mut operation);
        redirect_cast(function, &mut operation);
        for &id in &operation.outputs.clone() {
            if let Type::Tensor {
                dtype: DType::Float16,
                shape,
            } = function.ty(id).clone()
            {
                function.set_type(id, Type::tensor(DType::Float32, &shape));
                report.changes += 1;
            }
        }
        function.operations[index] = operation;
    }
    remove_casts(function);
    narrow_outputs(function, &outputs);
    report
}

/// True for the cast that [`widen_inputs`] put at the edge.
fn edge(function: &Function, operation: &Operation) -> bool {
    operation
        .input("x")
        .is_some_and(|x| function.ty(x).dtype() == Some(DType::Float16))
        && function.ty(operation.outputs[0]).dtype() == Some(DType::Float32)
}

fn cast(function: &mut Function, x: ValueId, result: ValueId, dtype: DType) -> Operation {
    let name = function.add_constant("dtype", dtype.name());
    Operation {
        kind: "cast".into(),
        inputs: vec![("x".into(), x.into()), ("dtype".into(), name.into())],
        outputs: vec![result],
        origin: Vec::new(),
    }
}

fn widen_inputs(function: &mut Function) {
    let mut patch = Patch::new("widen_float16");
    for input in function.inputs.clone() {
        let Type::Tensor {
            dtype: DType::Float16,
            shape,
        } = function.ty(input).clone()
        else {
            continue;
        };
        let name = format!("{}_fp32", function.value(input).name);
        let wide = function.add_result(&name, Type::tensor(DType::Float32, &shape));
        patch.redirect(input, wide);
        patch.apply(function);
        let operation = cast(function, input, wide, DType::Float32);
        function.operations.insert(0, operation);
        patch = Patch::new("widen_float16");
    }
}

/// Constants that are weights stay narrow: their users widen them. Others become fp32.
fn widen_constants(function: &mut Function, operation: &mut Operation) {
    if operation.kind.starts_with("constexpr_") {
        return;
    }
    let kept =
        registry::find(&Node::new(function, operation)).map_or(&[][..], |operator| operator.kept_weights());
    for (param, arg) in &mut operation.inputs {
        if kept.contains(&&**param) {
            continue;
        }
        for id in arg.values_mut() {
            let Some(tensor) = function
                .const_tensor(*id)
                .filter(|tensor| tensor.dtype() == DType::Float16)
            else {
                continue;
            };
            let wide: Vec<f32> = tensor
                .as_slice::<f16>()
                .iter()
                .map(|value| value.to_f32())
                .collect();
            let name = format!("{}_fp32", function.value(*id).name);
            let wide = Tensor::from_slice(tensor.shape(), &wide).expect("as many elements as before");
            *id = function.add_constant(&name, Literal::Tensor(wide));
        }
    }
}

/// A cast to fp16 now casts to fp32.
fn redirect_cast(function: &mut Function, operation: &mut Operation) {
    for param in ["dtype", "output_dtype"] {
        let narrow = operation
            .input(param)
            .is_some_and(|id| function.literal(id) == Some(&Literal::Text("fp16".to_owned())));
        if narrow {
            let wide = function.add_constant("dtype", "fp32");
            operation.set_input(param, wide);
        }
    }
}

fn remove_casts(function: &mut Function) {
    let mut patch = Patch::new("widen_float16");
    for (index, operation) in function.operations.iter().enumerate() {
        let Some(x) = operation.input("x").filter(|_| operation.kind == "cast") else {
            continue;
        };
        if function.ty(x) == function.ty(operation.outputs[0]) {
            patch.remove(index);
            patch.redirect(operation.outputs[0], x);
        }
    }
    patch.apply(function);
}

fn narrow_outputs(function: &mut Function, types: &[Type]) {
    for (index, ty) in types.iter().enumerate() {
        if ty.dtype() != Some(DType::Float16) {
            continue;
        }
        let value = function.outputs[index].value;
        let name = format!("{}_fp16", function.value(value).name);
        let narrow = function.add_result(&name, ty.clone());
        let operation = cast(function, value, narrow, DType::Float16);
        function.operations.push(operation);
        function.outputs[index].value = narrow;
    }
}
