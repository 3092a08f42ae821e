//! Runs a float16 program in float32: values become fp32, weights stay fp16 in memory and are widened inside the kernels.
//!
//! The results are at least as exact as float16 arithmetic's: what rounding to fp16 after each operation would lose is
//! kept. Casts between both types become nothing. Interfaces of fp16 keep their type, with casts at the edge. A weight that
//! is stored compressed keeps its type too; where an operation cannot take it so, a cast is put in between.

use std::collections::BTreeMap;

use half::f16;
use locket_mil::{Function, Literal, Operation, Patch, Type, ValueId};
use locket_ops::{Node, registry};
use locket_tensor::{DType, Tensor};

use crate::PassReport;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let results = function
        .operations
        .iter()
        .filter(|operation| !is_constexpr(operation))
        .flat_map(|operation| &operation.outputs);
    if !results
        .chain(&function.inputs)
        .any(|&id| is_narrow(function.ty(id)))
    {
        return report;
    }
    let interface: Vec<Type> = function
        .outputs
        .iter()
        .map(|output| function.ty(output.value).clone())
        .collect();
    let edges = widen_inputs(function);
    let mut wide = Wide::default();
    for index in edges..function.operations.len() {
        let mut operation = function.operations[index].clone();
        if is_constexpr(&operation) {
            continue;
        }
        wide.operands(function, index, &mut operation);
        redirect_cast(function, &mut operation);
        for &id in &operation.outputs {
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
    wide.patch.apply(function);
    remove_casts(function);
    narrow_outputs(function, &interface);
    report
}

fn is_narrow(ty: &Type) -> bool {
    ty.dtype() == Some(DType::Float16)
}

fn is_constexpr(operation: &Operation) -> bool {
    operation.kind.starts_with("constexpr_")
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

/// Puts a cast behind every fp16 input; they are the first operations. Returns how many.
fn widen_inputs(function: &mut Function) -> usize {
    let mut casts = Vec::new();
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
        casts.push(cast(function, input, wide, DType::Float32));
    }
    let outputs = function.outputs.clone();
    patch.apply(function);
    // An input that is a result at once stays what it is.
    for (output, before) in function.outputs.iter_mut().zip(outputs) {
        output.value = before.value;
    }
    let count = casts.len();
    function.operations.splice(0..0, casts);
    count
}

/// Wide forms of constants and compressed weights, each made once.
#[derive(Default)]
struct Wide {
    known: BTreeMap<ValueId, ValueId>,
    patch: Patch,
}

impl Wide {
    /// Widens what the operation reads, except weights that it widens itself.
    fn operands(&mut self, function: &mut Function, index: usize, operation: &mut Operation) {
        let kept = registry::find(&Node::new(function, operation))
            .map_or(&[][..], |operator| operator.kept_weights());
        for (param, arg) in &mut operation.inputs {
            if kept.contains(&&**param) {
                continue;
            }
            for id in arg.values_mut() {
                if is_narrow(function.ty(*id)) {
                    *id = self.of(function, index, *id);
                }
            }
        }
    }

    fn of(&mut self, function: &mut Function, index: usize, id: ValueId) -> ValueId {
        if let Some(&wide) = self.known.get(&id) {
            return wide;
        }
        let name = format!("{}_fp32", function.value(id).name);
        let wide = match function.const_tensor(id) {
            Some(tensor) => {
                let values: Vec<f32> = tensor
                    .as_slice::<f16>()
                    .iter()
                    .map(|value| value.to_f32())
                    .collect();
                let tensor = Tensor::from_slice(tensor.shape(), &values).expect("as many elements as before");
                function.add_constant(&name, Literal::Tensor(tensor))
            }
            // Results of operations are fp32 by now, so this is one of `constexpr_*`.
            None => {
                let shape = function.ty(id).shape().unwrap_or_default().to_vec();
                let wide = function.add_result(&name, Type::tensor(DType::Float32, &shape));
                let operation = cast(function, id, wide, DType::Float32);
                self.patch.insert_before(index, operation);
                wide
            }
        };
        self.known.insert(id, wide);
        wide
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
        let value = function.outputs[index].value;
        if !is_narrow(ty) || is_narrow(function.ty(value)) {
            continue;
        }
        let name = format!("{}_fp16", function.value(value).name);
        let narrow = function.add_result(&name, ty.clone());
        let operation = cast(function, value, narrow, DType::Float16);
        function.operations.push(operation);
        function.outputs[index].value = narrow;
    }
}
