//! What the target does not have yet.

use locket_mil::{Function, Operation, Severity, Target};
use locket_ops::{Availability, registry};
use locket_tensor::{DType, Tensor};

use super::{Context, Finding, is_constexpr};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let needs = needs(context.simplified);
    let functions = context.program.functions.len();
    let several = (functions > 1).then(|| Need {
        target: Target::Ios18,
        node: context.function.name.clone(),
        what: format!("a program of {functions} functions"),
    });
    let missing = needs
        .into_iter()
        .chain(several)
        .filter(|need| need.target > context.target);
    missing
        .map(|need| {
            let message = format!(
                "{} needs {}, the target is {}",
                need.what, need.target, context.target
            );
            let help = format!("deploy to {} or later", need.target.systems());
            Finding::new(Severity::Error, &need.node, message)
                .help(help)
                .works_from(need.target)
        })
        .collect()
}

/// The lowest target that has everything a function uses.
pub(super) fn lowest(function: &Function) -> Target {
    let needs = needs(function);
    needs
        .iter()
        .map(|need| need.target)
        .max()
        .unwrap_or(Target::Ios15)
}

/// Something that is not in the first target.
struct Need {
    target: Target,
    node: String,
    what: String,
}

fn needs(function: &Function) -> Vec<Need> {
    let mut needs = Vec::new();
    let inputs = function.inputs.iter().map(|&id| (&function.value(id).name, id));
    let outputs = function.outputs.iter().map(|output| (&output.name, output.value));
    for (name, id) in inputs.chain(outputs) {
        if function.ty(id).dtype() == Some(DType::Float16) {
            needs.push(Need {
                target: Target::Ios16,
                node: name.clone(),
                what: "fp16 at the interface".to_owned(),
            });
        }
    }
    for operation in &function.operations {
        let need = of_operation(function, operation);
        needs.extend(need.map(|(target, what)| Need {
            target,
            node: operation.label().to_owned(),
            what,
        }));
    }
    needs
}

/// The highest need of an operation, if it is not in the first target.
fn of_operation(function: &Function, operation: &Operation) -> Option<(Target, String)> {
    let operator = registry::get(&operation.kind)?;
    let kind = &operation.kind;
    let mut needs: Vec<(Target, String)> = Vec::new();
    if let Availability::From(target) = operator.signature().available {
        needs.push((target, kind.to_string()));
    }
    if is_constexpr(operation) {
        needs.extend(
            newer_form(function, operation).map(|form| (Target::Ios18, format!("{kind} with {form}"))),
        );
    } else {
        let values = operation.input_values().chain(operation.outputs.iter().copied());
        for dtype in values.filter_map(|id| function.ty(id).dtype()) {
            match dtype {
                DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => {
                    needs.push((Target::Ios17, format!("{kind} on {dtype}")));
                }
                _ if dtype.is_packed() => needs.push((Target::Ios18, format!("{kind} on {dtype}"))),
                _ => {}
            }
        }
        if mixes_floats(function, operation) {
            needs.push((Target::Ios17, format!("{kind} on fp16 and fp32 together")));
        }
    }
    // Of equal needs the first says most: the operator itself.
    let highest = needs.iter().map(|(target, _)| *target).max()?;
    needs
        .into_iter()
        .find(|(target, _)| *target == highest)
        .filter(|_| highest > Target::Ios15)
}

/// What of a compressed weight needs iOS 18, though its operator is older.
fn newer_form(function: &Function, operation: &Operation) -> Option<String> {
    let constant = |param: &str| operation.input(param).and_then(|id| function.const_tensor(id));
    let bits = |tensor: &Tensor| tensor.dtype().bits();
    match &*operation.kind {
        "constexpr_lut_to_dense" => {
            let (indices, table) = (constant("indices")?, constant("lut")?);
            let entries = 1usize.checked_shl(u32::try_from(bits(indices)).ok()?)?;
            let many = operation.arg("shape").is_none() && table.elems() != entries;
            if operation.arg("vector_axis").is_some() {
                Some("vectors as entries".to_owned())
            } else if many {
                Some("several tables".to_owned())
            } else {
                (bits(indices) == 3).then(|| "indices of 3 bits".to_owned())
            }
        }
        "constexpr_sparse_to_dense" => {
            let values = constant("nonzero_data")?;
            values
                .dtype()
                .is_packed()
                .then(|| format!("values of {}", values.dtype()))
        }
        _ => None,
    }
}

/// Operators other than casts take both float types together from iOS 17 on.
fn mixes_floats(function: &Function, operation: &Operation) -> bool {
    let has = |dtype: DType| {
        operation
            .input_values()
            .any(|id| function.ty(id).dtype() == Some(dtype))
    };
    let takes_any = matches!(
        &*operation.kind,
        "cast" | "crop_resize" | "resample" | "upsample_bilinear"
    );
    !takes_any && has(DType::Float16) && has(DType::Float32)
}
