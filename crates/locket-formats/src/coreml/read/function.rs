//! One function: inputs, operations in order, outputs.

use std::collections::BTreeMap;

use locket_mil::{Arg, Diagnostic, Function, Name, Operation, Severity, Target, Type, ValueId};
use locket_ops::{Node, registry};

use super::classifier::Classifier;
use super::constant::{Constants, dimensions, dtype};
use super::refusal::{Refusal, finding};
use super::{IMAGE_INTERFACE, Interface, NOT_A_TENSOR, STATE, invalid};
use crate::coreml::operators;
use crate::coreml::schema::{
    self, Argument, Binding, Dimension, FeatureKind, NamedValueType, Payload, TensorPayload, TensorType,
    Value, ValueType,
};
use crate::coreml::wire::Text;
use crate::import::{ReadOptions, codes};
use crate::{Format, FormatError};

/// Reads the function called `name`; with the names of its classes, if it is a classifier.
///
/// # Errors
/// When the function contradicts itself.
pub(super) fn read(
    name: &str,
    file: &schema::Function<'_>,
    interface: &Interface<'_, '_>,
    options: &ReadOptions,
    constants: &mut Constants<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<(Function, Option<Vec<String>>), FormatError> {
    let opset = Target::from_opset(&file.opset).ok_or_else(|| unknown_opset(name, &file.opset))?;
    let block = file.blocks.get(&file.opset).ok_or_else(|| {
        invalid(
            format!("function {name}"),
            format!("a block for opset {}", file.opset),
            "none",
        )
    })?;
    let mut reader = Reader {
        function: Function::new(name, opset),
        scope: BTreeMap::new(),
        constants,
        diagnostics,
        open_dimensions: false,
        classifier: None,
    };
    for input in file.inputs.iter().chain(&block.inputs) {
        reader.input(input, interface.input(&input.name), options)?;
    }
    for operation in &block.operations {
        reader.operation(operation)?;
    }
    if block.outputs.is_empty() {
        return Err(invalid(format!("function {name}"), "an output", "none"));
    }
    for output in &block.outputs {
        reader.output(output, interface.output(output))?;
    }
    let Reader {
        mut function,
        classifier,
        ..
    } = reader;
    if let (Some(classifier), true) = (&classifier, function.outputs.is_empty()) {
        function.add_output(classifier.probabilities, classifier.tensor);
    }
    Ok((function, classifier.map(|classifier| classifier.classes)))
}

fn unknown_opset(function: &str, opset: &str) -> FormatError {
    FormatError::Unsupported {
        format: Format::CoreMl,
        place: format!("function {function}"),
        why: format!("its operator set `{opset}` is none of CoreML5 to CoreML9"),
        help: "convert the original model again for iOS 26 or earlier".to_owned(),
    }
}

pub(super) struct Reader<'f, 'c, 'p> {
    function: Function,
    scope: BTreeMap<&'f str, ValueId>,
    constants: &'c mut Constants<'p>,
    diagnostics: &'c mut Vec<Diagnostic>,
    open_dimensions: bool,
    classifier: Option<Classifier<'f>>,
}

impl<'f> Reader<'f, '_, '_> {
    fn define(
        &mut self,
        name: &'f str,
        place: &str,
        add: impl FnOnce(&mut Function) -> ValueId,
    ) -> Result<ValueId, FormatError> {
        if name.is_empty() {
            return Err(invalid(place, "a name", "none"));
        }
        if self.scope.contains_key(name) {
            return Err(invalid(place, "each name once", format!("`{name}` twice")));
        }
        let id = add(&mut self.function);
        self.scope.insert(name, id);
        Ok(id)
    }

    /// Whether a value of this name was defined.
    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.scope.contains_key(name)
    }

    /// Adds a finding.
    pub(super) fn note(&mut self, finding: Diagnostic) {
        self.diagnostics.push(finding);
    }

    /// The value called `name`.
    pub(super) fn find(&self, name: &str, place: &str) -> Result<ValueId, FormatError> {
        let id = self.scope.get(name).copied();
        id.ok_or_else(|| invalid(place, "a value that is defined before it", format!("`{name}`")))
    }

    fn input(
        &mut self,
        input: &'f NamedValueType<'_>,
        described: Option<&FeatureKind>,
        options: &ReadOptions,
    ) -> Result<(), FormatError> {
        let place = format!("input {}", input.name);
        let ty = match &input.value_type {
            Some(ValueType::Tensor(tensor)) => {
                self.input_type(&input.name, tensor, described, options, &place)?
            }
            Some(ValueType::State(_)) => {
                let message = "the input is a state, kept between predictions".to_owned();
                let finding = finding(STATE, &input.name, message)
                    .why("states are not executed yet")
                    .help("export the model with the state as an ordinary input and output");
                self.note(finding);
                Type::Unknown
            }
            Some(_) => {
                let finding = finding(NOT_A_TENSOR, &input.name, "the input is not a tensor".to_owned())
                    .help("export the model with tensors at its interface");
                self.note(finding);
                Type::Unknown
            }
            None => return Err(invalid(place, "a type", "none")),
        };
        if let Some(FeatureKind::Image(_)) = described {
            self.note_image(&input.name);
        }
        self.define(&input.name, &place, |function| {
            function.add_input(&input.name, ty)
        })?;
        Ok(())
    }

    /// The type of an input: open dimensions are bound by the caller, or by the shape that the description names.
    fn input_type(
        &mut self,
        name: &str,
        tensor: &TensorType<'_>,
        described: Option<&FeatureKind>,
        options: &ReadOptions,
        place: &str,
    ) -> Result<Type, FormatError> {
        if !tensor
            .dimensions
            .iter()
            .any(|dimension| matches!(dimension, Dimension::Unknown { .. }))
        {
            return self.tensor_type(tensor, place);
        }
        self.open_dimensions = true;
        let given: Option<Vec<u64>> = match (options.shapes.get(name), described) {
            (Some(shape), _) => Some(shape.clone()),
            (None, Some(FeatureKind::Array(array))) => {
                array.shape.iter().map(|dim| u64::try_from(*dim).ok()).collect()
            }
            (None, Some(FeatureKind::Image(image))) => {
                let size = |size: i64| u64::try_from(size).ok();
                size(image.height)
                    .zip(size(image.width))
                    .map(|(height, width)| vec![height, width])
            }
            (None, _) => None,
        };
        let Some(bound) = given.and_then(|shape| bind(tensor, &shape)) else {
            let message = "the shape of the input is open, and nothing says which to take".to_owned();
            let finding = finding(codes::OPEN_DIMENSION, name, message)
                .why("memory and time can be bounded only for a known shape")
                .help("give the shape of the input");
            self.note(finding);
            return Ok(Type::Unknown);
        };
        self.tensor_type(&bound, place)
    }

    fn tensor_type(&self, tensor: &TensorType<'_>, place: &str) -> Result<Type, FormatError> {
        let data_type = tensor
            .data_type
            .ok_or_else(|| invalid(place, "an element type", "none"))?;
        let shape = dimensions(tensor, place, self.constants.limits)?;
        Ok(match (dtype(data_type), shape) {
            (Some(dtype), Some(shape)) => Type::Tensor { dtype, shape },
            _ => Type::Unknown,
        })
    }

    fn note_image(&mut self, name: &str) {
        let message = "the interface is an image; here it is a tensor of its pixel values, channels first";
        let finding = Diagnostic::new(IMAGE_INTERFACE, Severity::Note, name, message)
            .help("scale and bias of the pixels are operations of the program: pass values from 0 to 255");
        self.note(finding);
    }

    fn output(&mut self, name: &str, described: Option<&FeatureKind>) -> Result<(), FormatError> {
        let place = format!("output {name}");
        if self.function.outputs.iter().any(|output| output.name == name) {
            return Err(invalid(place, "each output once", "it twice"));
        }
        let id = match &self.classifier {
            Some(classifier) if name == classifier.label => return Ok(()),
            Some(classifier) if name == classifier.probabilities => classifier.tensor,
            _ => self.find(name, &place)?,
        };
        if let Some(FeatureKind::Image(_)) = described {
            self.note_image(name);
        }
        self.function.add_output(name, id);
        Ok(())
    }

    fn operation(&mut self, operation: &'f schema::Operation<'_>) -> Result<(), FormatError> {
        let name = operation_name(operation);
        let place = format!("operation {name} ({})", operation.kind);
        if operation.kind == "const" {
            return self.constant(operation, &name, &place);
        }
        if operation.kind == "classify"
            && self.classifier.is_none()
            && let Some(classifier) = self.classifier(operation, &name, &place)?
        {
            self.classifier = Some(classifier);
            return Ok(());
        }
        let mut refusal = self.refusal(operation);
        let mut inputs = Vec::new();
        for (param, argument) in &operation.inputs {
            match self.argument(param, argument, &name, &place)? {
                Some(arg) => inputs.push((param.as_ref(), arg)),
                None => refusal = refusal.or(Some(Refusal::Argument(param.clone().into_owned()))),
            }
        }
        for (param, value) in operation.attributes.iter().filter(|(param, _)| *param != "name") {
            let place = format!("{place}, attribute {param}");
            match self.constants.literal(value, &place)? {
                Some(literal) => {
                    let wish = format!("{name}_{param}");
                    inputs.push((
                        param.as_ref(),
                        Arg::One(self.function.add_constant(&wish, literal)),
                    ));
                }
                None => refusal = refusal.or(Some(Refusal::Argument(param.clone().into_owned()))),
            }
        }
        let mut types = Vec::new();
        for output in &operation.outputs {
            types.push(self.output_type(output, &place)?);
        }
        let inputs = in_order(&operation.kind, inputs);
        if refusal.is_none() && types.contains(&Type::Unknown) {
            if let Some(inferred) = self.inferred(operation, &inputs, &place)? {
                types = inferred;
            }
            let open = operation
                .outputs
                .iter()
                .zip(&types)
                .find(|(_, ty)| **ty == Type::Unknown);
            let refused = if self.open_dimensions {
                Refusal::OpenOutput
            } else {
                Refusal::Output
            };
            refusal = open.map(|(output, _)| refused(output.name.clone().into_owned()));
        }
        let kind = match &refusal {
            None => operation.kind.as_ref().to_owned(),
            Some(_) => format!("coreml.{}", operation.kind),
        };
        let mut outputs = Vec::new();
        for (output, ty) in operation.outputs.iter().zip(types) {
            let ty = if refusal.is_none() { ty } else { Type::Unknown };
            outputs.push(self.define(&output.name, &place, |function| {
                function.add_result(&output.name, ty)
            })?);
        }
        self.function.operations.push(Operation {
            kind: kind.into(),
            inputs,
            outputs,
            origin: vec![name.clone()],
        });
        if let Some(refusal) = refusal {
            self.note(refusal.finding(&operation.kind, &name));
        }
        Ok(())
    }

    fn constant(
        &mut self,
        operation: &'f schema::Operation<'_>,
        name: &str,
        place: &str,
    ) -> Result<(), FormatError> {
        let [output] = &operation.outputs[..] else {
            return Err(invalid(
                place,
                "one output",
                format!("{}", operation.outputs.len()),
            ));
        };
        let value = operation
            .attributes
            .get("val")
            .ok_or_else(|| invalid(place, "an attribute `val`", "none"))?;
        if value.value_type != output.value_type {
            return Err(invalid(
                place,
                "a value of the type of the output",
                "another type",
            ));
        }
        if let Some(literal) = self.constants.literal(value, place)? {
            self.define(&output.name, place, |function| {
                function.add_constant(&output.name, literal)
            })?;
            return Ok(());
        }
        let id = self.define(&output.name, place, |function| {
            function.add_result(&output.name, Type::Unknown)
        })?;
        self.function.operations.push(Operation {
            kind: "coreml.const".into(),
            inputs: Vec::new(),
            outputs: vec![id],
            origin: vec![name.to_owned()],
        });
        let refusal = Refusal::Output(output.name.clone().into_owned());
        self.note(refusal.finding(&operation.kind, name));
        Ok(())
    }

    /// The values that a parameter is bound to; `None` if one of them is nothing that a program can hold.
    fn argument(
        &mut self,
        param: &str,
        argument: &Argument<'_>,
        operation: &str,
        place: &str,
    ) -> Result<Option<Arg>, FormatError> {
        let place = format!("{place}, parameter {param}");
        let mut values = Vec::new();
        for binding in &argument.bindings {
            match binding {
                Binding::Nothing => return Err(invalid(place, "a name or a value", "neither")),
                Binding::Name(name) => values.push(self.find(name, &place)?),
                Binding::Value(value) => match self.constants.literal(value, &place)? {
                    Some(literal) => {
                        let wish = format!("{operation}_{param}");
                        values.push(self.function.add_constant(&wish, literal));
                    }
                    None => return Ok(None),
                },
            }
        }
        match (&values[..], is_variadic(param)) {
            ([], _) => Err(invalid(place, "a binding", "none")),
            ([value], false) => Ok(Some(Arg::One(*value))),
            _ => Ok(Some(Arg::Many(values))),
        }
    }

    fn output_type(&self, output: &NamedValueType<'_>, place: &str) -> Result<Type, FormatError> {
        let place = format!("{place}, output {}", output.name);
        match &output.value_type {
            Some(ValueType::Tensor(tensor)) => self.tensor_type(tensor, &place),
            Some(_) => Ok(Type::Unknown),
            None => Err(invalid(place, "a type", "none")),
        }
    }

    /// The types of the outputs of an operation whose shapes are open in the file, from the shapes that its inputs
    /// are bound to; `None` where the operator's own rules do not give them.
    fn inferred(
        &self,
        file: &schema::Operation<'_>,
        inputs: &[(Name, Arg)],
        place: &str,
    ) -> Result<Option<Vec<Type>>, FormatError> {
        if !self.open_dimensions {
            return Ok(None);
        }
        let kind = file.kind.as_ref().into();
        let operation = Operation {
            kind,
            inputs: inputs.to_vec(),
            outputs: Vec::new(),
            origin: Vec::new(),
        };
        let node = Node::new(&self.function, &operation);
        let Ok(types) = registry::check(&node).and_then(|operator| operator.infer(&node)) else {
            return Ok(None);
        };
        if types.len() != file.outputs.len() {
            return Ok(None);
        }
        for (ty, output) in types.iter().zip(&file.outputs) {
            let place = format!("{place}, output {}", output.name);
            let (Type::Tensor { dtype, shape }, Some(ValueType::Tensor(stated))) = (ty, &output.value_type)
            else {
                return Ok(None);
            };
            let sizes: Vec<u64> = shape
                .iter()
                .map(|dim| u64::try_from(*dim).unwrap_or(u64::MAX))
                .collect();
            let bound = bind(stated, &sizes).filter(|_| sizes.len() == stated.dimensions.len());
            let stated = bound.map(|bound| self.tensor_type(&bound, &place)).transpose()?;
            if stated.as_ref() != Some(ty) {
                return Err(invalid(
                    place,
                    "a type that fits the inputs",
                    format!("another than {dtype}{shape:?}"),
                ));
            }
        }
        Ok(Some(types))
    }

    /// Why the operation as such cannot be part of a program, whatever its arguments are.
    fn refusal(&self, operation: &schema::Operation<'_>) -> Option<Refusal> {
        if !operation.blocks.is_empty() {
            return Some(Refusal::ControlFlow);
        }
        if matches!(operation.kind.as_ref(), "read_state" | "write_state") {
            return Some(Refusal::State);
        }
        let Some(known) = operators::find(&operation.kind) else {
            return Some(Refusal::Unknown);
        };
        let mut bound = operation
            .inputs
            .keys()
            .chain(operation.attributes.keys().filter(|key| *key != "name"));
        let unknown = bound.find(|param| known.param(param).is_none())?;
        Some(Refusal::Param(unknown.clone().into_owned()))
    }
}

/// The operation's own name, or that of what it defines.
fn operation_name(operation: &schema::Operation<'_>) -> String {
    let own = operation
        .attributes
        .get("name")
        .and_then(|value: &Value<'_>| match &value.payload {
            Some(Payload::Tensor(TensorPayload::Strings(strings))) => strings.first(),
            _ => None,
        });
    let first = || operation.outputs.first().map(|output| &output.name);
    let name: Option<&Text<'_>> = own.filter(|name| !name.is_empty()).or_else(first);
    name.map_or_else(
        || operation.kind.as_ref().to_owned(),
        |name| name.as_ref().to_owned(),
    )
}

/// Whether a parameter takes several values even where only one is given.
pub(in crate::coreml) fn is_variadic(param: &str) -> bool {
    matches!(
        param,
        "values" | "ref_tensors" | "loop_vars" | "begins" | "ends" | "end_masks"
    )
}

/// Arguments in the order of the operator's parameters; those of unknown operators stay in the order of names.
fn in_order(kind: &str, inputs: Vec<(&str, Arg)>) -> Vec<(Name, Arg)> {
    let mut inputs = inputs;
    if let Some(operator) = operators::find(kind) {
        let position = |name: &str| operator.params.iter().position(|param| param.name == name);
        inputs.sort_by_key(|(name, _)| position(name).unwrap_or(usize::MAX));
    }
    inputs.into_iter().map(|(name, arg)| (name.into(), arg)).collect()
}

/// The type with its open dimensions taken from `shape`; an image gives only height and width, the last two.
fn bind<'a>(tensor: &TensorType<'a>, shape: &[u64]) -> Option<TensorType<'a>> {
    let mut bound = tensor.clone();
    let missing = bound.dimensions.len().checked_sub(shape.len())?;
    for (dimension, size) in bound.dimensions.iter_mut().skip(missing).zip(shape) {
        match dimension {
            Dimension::Unknown { variadic: false } => *dimension = Dimension::Constant(*size),
            Dimension::Constant(fixed) if fixed == size => {}
            Dimension::Constant(_) | Dimension::Unknown { .. } => return None,
        }
    }
    bound
        .dimensions
        .iter()
        .all(|dimension| matches!(dimension, Dimension::Constant(_)))
        .then_some(bound)
}
