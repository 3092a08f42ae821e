//! The walk over the operators: each is lowered, or kept as a foreign operation.

use locket_mil::{Diagnostic, Program, Severity, SourceFormat};
use locket_tensor::DType;

use super::context::{Context, Node};
use super::ops;
use super::schema::{self, Model, OperatorCode, OperatorInfo, TensorInfo};
use crate::import::{Builder, Import, ReadOptions, Refusal, Var, codes};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// The number of custom operators.
const CUSTOM: i32 = 32;

/// Lowers a whole model.
///
/// # Errors
///
/// If the model contradicts itself or is over a limit.
pub(super) fn lower(
    model: &Model<'_>,
    options: &ReadOptions,
    limits: &Limits,
) -> Result<Import, FormatError> {
    let mut cx = Context::new(Builder::new(Format::Tflite, limits), model);
    let outcome = main_graph(&mut cx, model, options);
    outcome.map_err(|refusal| match refusal {
        Refusal::Broken(error) => error,
        Refusal::Foreign(finding) => invalid(&finding.node, "a model that MIL can express", &finding.message),
        Refusal::Downstream => invalid("the sub-graph", "outputs with values", "none"),
    })?;
    let (function, diagnostics) = cx.builder.finish();
    let mut program = Program::new(function, SourceFormat::TfLite);
    if !model.description.is_empty() {
        program
            .metadata
            .insert("tflite.description".to_owned(), model.description.clone());
    }
    Ok(Import { program, diagnostics })
}

fn invalid(place: &str, expected: &str, found: &str) -> FormatError {
    FormatError::Invalid {
        format: Format::Tflite,
        place: place.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn main_graph<'m>(cx: &mut Context<'m>, model: &'m Model<'m>, options: &ReadOptions) -> Result<(), Refusal> {
    for &index in &model.inputs {
        let info = cx.info(index)?;
        if let Some(value) = options.constants.get(&info.name) {
            let var = cx.builder.constant(&info.name, value.clone())?;
            cx.define(index, var)?;
            continue;
        }
        let shape = input_shape(info, options)?;
        let dtype = schema::dtype(info.element_type);
        if dtype.is_none() {
            let message = format!("input is {}", schema::type_name(info.element_type));
            cx.builder.report(
                Diagnostic::new(codes::FOREIGN_TYPE, Severity::Error, &info.name, message)
                    .why("Core ML takes tensors of numbers and truth values")
                    .help("convert the model without the step that reads this input"),
            );
        }
        let var = cx
            .builder
            .input(&info.name, dtype.map(|dtype| (dtype, shape.as_slice())))?;
        cx.define(index, var)?;
    }
    report_integers(cx, model);
    for info in &model.operators {
        operator(cx, model, info)?;
    }
    if model.outputs.is_empty() {
        return Err(invalid("the sub-graph", "at least one output", "none").into());
    }
    for &index in &model.outputs {
        let info = cx.info(index)?;
        cx.builder.origin.clone_from(&info.name);
        let var = cx.stored(index)?;
        cx.builder.output(&info.name, var)?;
    }
    Ok(())
}

/// The shape of an input: the caller's, else the file's with the caller's batch where the file leaves it open.
fn input_shape(info: &TensorInfo, options: &ReadOptions) -> Result<Vec<usize>, FormatError> {
    let size = |dim: u64| {
        let size = usize::try_from(dim);
        size.map_err(|_| {
            invalid(
                &format!("input {}", info.name),
                "a shape that fits in memory",
                &dim.to_string(),
            )
        })
    };
    if let Some(shape) = options.shapes.get(&info.name) {
        return shape.iter().map(|&dim| size(dim)).collect();
    }
    let mut shape = info.shape.clone();
    if let (Some(-1), Some(batch), Some(first)) = (info.signature.first(), options.batch, shape.first_mut()) {
        *first = size(batch)?;
    }
    Ok(shape)
}

/// Says once that integer operators are computed by their meaning.
fn report_integers(cx: &mut Context<'_>, model: &Model<'_>) {
    let outputs = model.operators.iter().flat_map(|operator| &operator.outputs);
    let mut quantized = outputs.filter_map(|&index| model.tensor(index)).filter(|info| {
        info.quantization.is_some() && schema::dtype(info.element_type).is_some_and(DType::is_int)
    });
    if let Some(first) = quantized.next() {
        let count = quantized.count().saturating_add(1);
        let message = format!("{count} integer results are computed as dequantise, float operator, quantise");
        cx.builder.report(
            Diagnostic::new(codes::NOT_BIT_EXACT, Severity::Note, &first.name, message)
                .why("Core ML has no integer convolutions; LiteRT's integer kernels round at other places")
                .rewritten_to("dequantize, the float operator, quantize")
                .help("expect differences of a step of the output's scale"),
        );
    }
}

fn operator<'m>(
    cx: &mut Context<'m>,
    model: &'m Model<'m>,
    info: &'m OperatorInfo<'m>,
) -> Result<(), Refusal> {
    let code = model.codes.get(info.code);
    let (number, custom) = code.map_or((CUSTOM, ""), |OperatorCode { builtin, custom }| {
        (*builtin, custom.as_str())
    });
    let found = ops::find(number);
    let name = match found {
        Some(operator) => operator.name.to_owned(),
        None if number == CUSTOM => custom.to_owned(),
        None => ops::name(number).map_or_else(|| format!("BUILTIN_{number}"), str::to_owned),
    };
    let label = info
        .outputs
        .first()
        .and_then(|&index| model.tensor(index))
        .map_or(name.as_str(), |info| &info.name);
    label.clone_into(&mut cx.builder.origin);
    let outcome = match found {
        Some(operator) => (operator.lower)(cx, &Node::new(operator.name, info)),
        None => Err(unknown(number)),
    };
    let finding = match outcome {
        Ok(()) => return Ok(()),
        Err(Refusal::Broken(error)) => return Err(error.into()),
        Err(Refusal::Foreign(finding)) => Some(*finding),
        Err(Refusal::Downstream) => None,
    };
    if let Some(mut finding) = finding {
        label.clone_into(&mut finding.node);
        finding.message = format!("{name}: {}", finding.message);
        cx.builder.report(finding);
    }
    keep_foreign(cx, model, info, &name)
}

fn unknown(number: i32) -> Refusal {
    let finding = if matches!(number, 118 | 119 | 129) {
        Diagnostic::new(
            codes::CONTROL_FLOW,
            Severity::Error,
            "",
            "control flow is not lowered",
        )
        .why("the plan of memory and time needs one fixed sequence of operations")
        .help("convert the model with the loop unrolled, or with the condition fixed")
    } else if number == CUSTOM {
        Diagnostic::new(codes::CUSTOM_DOMAIN, Severity::Error, "", "custom operator")
            .why("its meaning is not defined by TFLite")
            .help("convert the model with operators of the standard set")
    } else {
        Diagnostic::new(codes::UNKNOWN_OPERATOR, Severity::Error, "", "no lowering to MIL")
            .why("Core ML runs only MIL operators, and none of them, or no known combination, has this meaning")
            .help("replace the operator in the model by a supported one before converting")
    };
    Refusal::Foreign(Box::new(finding))
}

/// Keeps the operator with those of its operands that have a value; its results get the types that the file states.
fn keep_foreign<'m>(
    cx: &mut Context<'m>,
    model: &'m Model<'m>,
    info: &'m OperatorInfo<'m>,
    name: &str,
) -> Result<(), Refusal> {
    let mut inputs: Vec<Var> = Vec::new();
    for &index in info.inputs.iter().filter(|&&index| index >= 0) {
        match cx.stored(index) {
            Ok(var) => inputs.push(var),
            Err(Refusal::Broken(error)) => return Err(error.into()),
            // State and sparse constants have no value; the finding names the operator that needs them.
            Err(Refusal::Foreign(_) | Refusal::Downstream) => {}
        }
    }
    let results = info
        .outputs
        .iter()
        .filter_map(|&index| model.tensor(index))
        .map(|info| {
            let ty = schema::dtype(info.element_type).map(|dtype| (dtype, info.shape.clone()));
            (info.name.clone(), ty)
        });
    let results: Vec<_> = results.collect();
    let vars = cx.builder.foreign(name, &inputs, &results)?;
    for (&index, var) in info.outputs.iter().zip(vars) {
        cx.redefine(index, var);
    }
    Ok(())
}
