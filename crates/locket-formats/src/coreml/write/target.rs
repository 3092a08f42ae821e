//! The lowest target that a program needs, and what in it needs that.

use locket_mil::{Function, Operation, Target, Type};
use locket_tensor::DType;

use super::{FormatError, constexpr, operator_of, place, unsupported};

/// How many reasons an error lists.
const LISTED: usize = 3;

/// Something that fixes the targets that a program can have.
struct Need {
    /// The lowest target, for [`Bound::From`]; the first target that does not do, for [`Bound::Before`].
    target: Target,
    bound: Bound,
    what: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    From,
    Before,
}

/// Chooses the target: the one that is wanted, if the program works on it, or else the lowest.
///
/// # Errors
/// When the program does not work on the wanted target, or on none.
pub(super) fn choose(functions: &[Function], wanted: Option<Target>) -> Result<Target, FormatError> {
    let mut needs = Vec::new();
    if functions.len() > 1 {
        needs.push(from(
            Target::Ios18,
            format!("the model has {} functions", functions.len()),
        ));
    }
    for function in functions {
        interface(function, &mut needs);
        for operation in &function.operations {
            operation_needs(function, operation, &mut needs)?;
        }
    }
    let lowest = needs
        .iter()
        .filter(|need| need.bound == Bound::From)
        .map(|need| need.target)
        .max();
    let lowest = lowest.unwrap_or(Target::Ios15);
    let target = wanted.unwrap_or(lowest);
    let broken = |need: &&Need| match need.bound {
        Bound::From => target < need.target,
        Bound::Before => target >= need.target,
    };
    let reasons: Vec<&Need> = needs.iter().filter(broken).collect();
    let Some(first) = reasons.first() else {
        return Ok(target);
    };
    let mut why: Vec<String> = reasons.iter().take(LISTED).map(|need| need.reason()).collect();
    if let Some(more) = reasons.len().checked_sub(LISTED).filter(|more| *more > 0) {
        why.push(format!("and {more} more"));
    }
    let help = match first.bound {
        Bound::From => format!("write for {lowest} or later"),
        Bound::Before => "write for an earlier target, or express it with newer operators".to_owned(),
    };
    Err(unsupported(format!("target {target}"), why.join("; "), help))
}

impl Need {
    fn reason(&self) -> String {
        match self.bound {
            Bound::From => format!("{} needs {}", self.what, self.target),
            Bound::Before => format!("{} is gone from {} on", self.what, self.target),
        }
    }
}

fn from(target: Target, what: String) -> Need {
    Need {
        target,
        bound: Bound::From,
        what,
    }
}

fn interface(function: &Function, needs: &mut Vec<Need>) {
    let inputs = function.inputs.iter().map(|id| (&function.value(*id).name, *id));
    let outputs = function.outputs.iter().map(|output| (&output.name, output.value));
    for (name, id) in inputs.chain(outputs) {
        if function.ty(id).dtype() == Some(DType::Float16) {
            needs.push(from(Target::Ios16, format!("{name} is fp16 at the interface")));
        }
    }
}

fn operation_needs(
    function: &Function,
    operation: &Operation,
    needs: &mut Vec<Need>,
) -> Result<(), FormatError> {
    let operator = operator_of(operation)?;
    let place = place(operation);
    needs.push(from(operator.since, place.clone()));
    if let Some(target) = constexpr::lowest_target(function, operation) {
        needs.push(from(target, format!("{place} in this form")));
        return Ok(());
    }
    for (name, _) in &operation.inputs {
        let Some(param) = operator.param(name) else {
            continue;
        };
        if param.since > operator.since {
            needs.push(from(param.since, format!("parameter {name} of {place}")));
        }
        if let Some(target) = param.before {
            needs.push(Need {
                target,
                bound: Bound::Before,
                what: format!("parameter {name} of {place}"),
            });
        }
    }
    if operation.kind.starts_with("constexpr_") {
        return Ok(());
    }
    for output in &operation.outputs {
        if let Some(dtype @ (DType::Float64 | DType::BFloat16 | DType::Int64 | DType::UInt64)) =
            function.ty(*output).dtype()
        {
            return Err(unsupported(
                place,
                format!("MIL does not compute in {dtype}"),
                "use fp32 or int32 in the model",
            ));
        }
    }
    let values = operation.input_values().chain(operation.outputs.iter().copied());
    for dtype in values.filter_map(|value| function.ty(value).dtype()) {
        let target = match dtype {
            DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Target::Ios17,
            dtype if dtype.is_packed() => Target::Ios18,
            _ => continue,
        };
        if target > operator.since {
            needs.push(from(target, format!("{dtype} in {place}")));
        }
    }
    if has_mixed_floats(function, operation) {
        needs.push(from(Target::Ios17, format!("fp32 and fp16 together in {place}")));
    }
    Ok(())
}

/// Whether the arguments are of both float types, which operators admit from iOS 17 on.
fn has_mixed_floats(function: &Function, operation: &Operation) -> bool {
    let takes_any = matches!(
        &*operation.kind,
        "crop_resize" | "cast" | "resample" | "upsample_bilinear"
    );
    let has = |dtype: DType| {
        operation
            .input_values()
            .any(|value| matches!(function.ty(value), Type::Tensor { dtype: d, .. } if *d == dtype))
    };
    !takes_any && has(DType::Float32) && has(DType::Float16)
}
