//! The walk over the graph: each node is folded, lowered, or kept as a foreign operation.

use std::collections::BTreeMap;

use locket_mil::{Diagnostic, Program, Severity, SourceFormat};
use locket_tensor::{DType, Tensor};

use super::bind::{Binding, Stated};
use super::fold::{self, Folding};
use super::node::Node;
use super::ops::{self, Operator};
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::{self, Constant, Source};
use crate::files::Files;
use crate::import::{Builder, Import, ReadOptions, Refusal, Var, codes};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// The newest version of the standard operator set that the lowerings were written for.
const NEWEST_OPSET: i64 = 28;

struct Lowering<'a> {
    builder: Builder<'a>,
    names: BTreeMap<&'a str, Var>,
    stated: BTreeMap<&'a str, Stated>,
    source: Source<'a>,
    opset: Option<i64>,
    functions: Vec<(&'a str, &'a str)>,
    fold_budget: usize,
}

/// Lowers a whole model.
///
/// # Errors
///
/// If the model contradicts itself or is over a limit.
pub(super) fn lower(
    model: &ModelProto,
    beside: Option<&Files>,
    options: &ReadOptions,
    limits: &Limits,
) -> Result<Import, FormatError> {
    let Some(graph) = &model.graph else {
        return Err(invalid("the model", "a graph", "none"));
    };
    let mut lowering = Lowering {
        builder: Builder::new(Format::Onnx, limits),
        names: BTreeMap::new(),
        stated: BTreeMap::new(),
        source: Source { beside, limits },
        opset: standard_opset(model),
        functions: function_names(model),
        fold_budget: fold::BUDGET_ELEMS,
    };
    lowering.report_opset();
    lowering.model_graph(graph, options).or_else(broken_only)?;
    let (function, diagnostics) = lowering.builder.finish();
    let mut program = Program::new(function, SourceFormat::Onnx);
    program.metadata = metadata(model);
    Ok(Import { program, diagnostics })
}

/// Refusals outside of nodes are errors; anything else was handled where it arose.
fn broken_only(refusal: Refusal) -> Result<(), FormatError> {
    match refusal {
        Refusal::Broken(error) => Err(error),
        Refusal::Foreign(finding) => Err(invalid(
            &finding.node,
            "a model that MIL can express",
            &finding.message,
        )),
        Refusal::Downstream => Err(invalid("the graph", "results with values", "none")),
    }
}

fn invalid(place: &str, expected: &str, found: &str) -> FormatError {
    FormatError::Invalid {
        format: Format::Onnx,
        place: place.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// The value that the caller gives an input, if it is of the type that the file states.
fn fixed(info: &ValueInfoProto, value: &Tensor) -> Result<Tensor, FormatError> {
    let stated = info
        .value_type
        .as_ref()
        .and_then(|ty| ty.tensor_type.as_ref())
        .and_then(|ty| ty.elem_type);
    let stated = stated.and_then(tensor::dtype);
    if stated.is_none_or(|dtype| dtype == value.dtype()) {
        return Ok(value.clone());
    }
    let name = info.name.as_deref().unwrap_or("");
    let expected = format!("a value of type {}", stated.map_or("?", DType::name));
    Err(invalid(&format!("input {name}"), &expected, value.dtype().name()))
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn standard_opset(model: &ModelProto) -> Option<i64> {
    let import = model
        .opset_import
        .iter()
        .find(|import| is_standard(import.domain.as_deref().unwrap_or("")));
    import.and_then(|import| import.version)
}

fn function_names(model: &ModelProto) -> Vec<(&str, &str)> {
    let functions = model.functions.iter();
    functions
        .map(|function| {
            (
                function.domain.as_deref().unwrap_or(""),
                function.name.as_deref().unwrap_or(""),
            )
        })
        .collect()
}

fn metadata(model: &ModelProto) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let named = [
        ("producer_name", &model.producer_name),
        ("producer_version", &model.producer_version),
    ];
    for (key, value) in named {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            metadata.insert(format!("onnx.{key}"), value.clone());
        }
    }
    for entry in &model.metadata_props {
        if let (Some(key), Some(value)) = (&entry.key, &entry.value) {
            metadata.insert(key.clone(), value.clone());
        }
    }
    metadata
}

impl<'a> Lowering<'a> {
    fn report_opset(&mut self) {
        if let Some(opset) = self.opset.filter(|&opset| opset > NEWEST_OPSET) {
            let message =
                format!("operator set {opset} is newer than {NEWEST_OPSET}, the newest that is known here");
            self.builder.report(
                Diagnostic::new(codes::UNSUPPORTED_FORM, Severity::Warning, "model", message)
                    .why("an operator may have changed its meaning since")
                    .help(format!("export with operator set {NEWEST_OPSET} or lower")),
            );
        }
    }

    fn model_graph(&mut self, graph: &'a GraphProto, options: &'a ReadOptions) -> Result<(), Refusal> {
        self.initializers(graph)?;
        let mut binding = Binding::new(options);
        for info in &graph.input {
            let name = info.name.as_deref().unwrap_or("");
            // Old files list their constants among the inputs as well.
            if self.names.contains_key(name) {
                continue;
            }
            if let Some(value) = options.constants.get(name) {
                let var = self.builder.constant(name, fixed(info, value)?)?;
                self.define(name, var)?;
                continue;
            }
            let ty = binding.input(info, &mut self.builder)?;
            let ty = ty.as_ref().map(|(dtype, shape)| (*dtype, shape.as_slice()));
            let var = self.builder.input(name, ty)?;
            self.define(name, var)?;
        }
        for info in graph.value_info.iter().chain(&graph.output) {
            self.stated
                .insert(info.name.as_deref().unwrap_or(""), binding.stated(info));
        }
        self.nodes(&graph.node)?;
        if graph.output.is_empty() {
            return Err(invalid("the graph", "at least one output", "none").into());
        }
        for info in &graph.output {
            let name = info.name.as_deref().unwrap_or("");
            let var = self.lookup(name)?;
            name.clone_into(&mut self.builder.origin);
            self.builder.output(name, var)?;
        }
        Ok(())
    }

    fn initializers(&mut self, graph: &'a GraphProto) -> Result<(), Refusal> {
        for proto in &graph.initializer {
            let name = proto.name.as_deref().unwrap_or("");
            let var = match tensor::read(proto, &format!("constant {name:?}"), &self.source)? {
                Constant::Tensor(tensor) => self.builder.constant(name, tensor)?,
                Constant::Foreign(kind) => self.foreign_constant(name, &kind)?,
            };
            self.define(name, var)?;
        }
        for proto in &graph.sparse_initializer {
            let name = proto
                .values
                .as_ref()
                .and_then(|values| values.name.as_deref())
                .unwrap_or("");
            let var = self.foreign_constant(name, "sparse")?;
            self.define(name, var)?;
        }
        Ok(())
    }

    /// A constant that MIL has no type for: a foreign operation without operands.
    fn foreign_constant(&mut self, name: &str, kind: &str) -> Result<Var, Refusal> {
        name.clone_into(&mut self.builder.origin);
        self.builder.report(
            Diagnostic::new(
                codes::FOREIGN_TYPE,
                Severity::Error,
                name,
                format!("constant is {kind}"),
            )
            .why("Core ML has no constants of this type")
            .help("export the model without it, or convert it to float32"),
        );
        let vars = self
            .builder
            .foreign("Constant", &[], &[(name.to_owned(), None)])?;
        vars.first().copied().ok_or(Refusal::Downstream)
    }

    fn define(&mut self, name: &'a str, var: Var) -> Result<(), FormatError> {
        if name.is_empty() || self.names.insert(name, var).is_some() {
            return Err(invalid(
                "the graph",
                "one definition for each name",
                &format!("{name:?} a second time"),
            ));
        }
        Ok(())
    }

    fn lookup(&self, name: &str) -> Result<Var, FormatError> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| {
            invalid(
                "the graph",
                "a definition of each output",
                &format!("none of {name:?}"),
            )
        })
    }

    fn nodes(&mut self, nodes: &'a [NodeProto]) -> Result<(), Refusal> {
        for proto in nodes {
            let vars = self.node(proto)?;
            for (name, var) in proto.output.iter().zip(vars) {
                if !name.is_empty() {
                    self.define(name, var)?;
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, proto: &'a NodeProto) -> Result<Vec<Var>, Refusal> {
        let standard = is_standard(proto.domain.as_deref().unwrap_or(""));
        let opset = match self.opset {
            Some(opset) => opset,
            None if standard => {
                return Err(invalid("the model", "a version of the standard operator set", "none").into());
            }
            None => 0,
        };
        let node = Node::new(proto, opset, &self.names, self.builder.limits())?;
        node.label.clone_into(&mut self.builder.origin);
        let outcome = if standard {
            self.standard_node(proto, &node)
        } else {
            Err(self.custom_domain(proto))
        };
        let finding = match outcome {
            Ok(vars) if !(vars.len()..node.outputs.len()).any(|index| node.has_output(index)) => {
                return Ok(vars);
            }
            Ok(vars) => {
                return Err(node.broken(format!("at most {} results", vars.len()), node.outputs.len()));
            }
            Err(Refusal::Broken(error)) => return Err(error.into()),
            Err(Refusal::Foreign(finding)) => Some(*finding),
            Err(Refusal::Downstream) => None,
        };
        if let Some(mut finding) = finding {
            finding.node.clone_from(&node.label);
            finding.message = format!("{}: {}", node.op, finding.message);
            self.builder.report(finding);
        }
        self.keep_foreign(&node)
    }

    fn standard_node(&mut self, proto: &'a NodeProto, node: &Node<'a>) -> Result<Vec<Var>, Refusal> {
        if matches!(node.op, "If" | "Loop" | "Scan" | "SequenceMap") {
            return self.control_flow(proto, node);
        }
        let Some(operator) = ops::find(node.op) else {
            return Err(unknown_operator());
        };
        if let Some(vars) = self.folded(operator, node)? {
            return Ok(vars);
        }
        (operator.lower)(&mut self.builder, node)
    }

    /// Computes the node now, if all it reads is constant and small enough.
    fn folded(&mut self, operator: &Operator, node: &Node<'a>) -> Result<Option<Vec<Var>>, Refusal> {
        let Some(fold) = operator.fold else {
            return Ok(None);
        };
        let mut inputs: Vec<Option<&Tensor>> = Vec::with_capacity(node.inputs.len());
        let mut elems = 0usize;
        for input in &node.inputs {
            let tensor = match input {
                None => None,
                Some(var) => match self.builder.tensor(*var) {
                    Some(tensor) => Some(tensor),
                    None => return Ok(None),
                },
            };
            elems = elems.saturating_add(tensor.map_or(0, Tensor::elems));
            inputs.push(tensor);
        }
        if elems > self.fold_budget {
            return Ok(None);
        }
        let max_elems = self
            .fold_budget
            .saturating_sub(elems)
            .min(fold::MAX_RESULT_ELEMS.max(elems));
        let Some(tensors) = fold(&Folding {
            node,
            inputs,
            max_elems,
        })?
        else {
            return Ok(None);
        };
        let made = tensors
            .iter()
            .fold(elems, |sum, tensor| sum.saturating_add(tensor.elems()));
        self.fold_budget = self.fold_budget.saturating_sub(made);
        let named = tensors.into_iter().enumerate();
        let vars: Result<Vec<Var>, Refusal> = named
            .map(|(index, tensor)| self.builder.constant(&node.output(index), tensor))
            .collect();
        vars.map(Some)
    }

    /// An `If` whose condition is known is the branch taken; all other control flow stays foreign.
    fn control_flow(&mut self, proto: &'a NodeProto, node: &Node<'a>) -> Result<Vec<Var>, Refusal> {
        let condition = node
            .optional(0)
            .and_then(|var| self.builder.tensor(var))
            .and_then(Tensor::to_i64);
        if node.op == "If"
            && let Some(&[condition]) = condition.as_deref()
        {
            let name = if condition != 0 {
                "then_branch"
            } else {
                "else_branch"
            };
            let branch = proto
                .attribute
                .iter()
                .find(|attribute| attribute.name.as_deref() == Some(name));
            let graph = branch.and_then(|attribute| attribute.g.as_deref());
            let graph = graph.ok_or_else(|| node.broken(format!("a graph as attribute {name}"), "none"))?;
            self.initializers(graph)?;
            self.nodes(&graph.node)?;
            let outputs = graph
                .output
                .iter()
                .map(|info| self.lookup(info.name.as_deref().unwrap_or("")));
            return Ok(outputs.collect::<Result<Vec<Var>, FormatError>>()?);
        }
        let finding = Diagnostic::new(
            codes::CONTROL_FLOW,
            Severity::Error,
            "",
            "control flow is not lowered",
        )
        .why("the plan of memory and time needs one fixed sequence of operations")
        .help("export the model with the loop unrolled, or with the condition fixed");
        Err(Refusal::Foreign(Box::new(finding)))
    }

    fn custom_domain(&self, proto: &NodeProto) -> Refusal {
        let domain = proto.domain.as_deref().unwrap_or("");
        let op = proto.op_type.as_deref().unwrap_or("");
        let finding = Diagnostic::new(
            codes::CUSTOM_DOMAIN,
            Severity::Error,
            "",
            format!("operator of domain {domain}"),
        );
        let finding = if self.functions.contains(&(domain, op)) {
            finding
                .why("functions that a model brings along are not lowered")
                .help("inline the functions of the model before reading it")
        } else {
            finding
                .why("its meaning is not defined by ONNX")
                .help("export the model with operators of the standard set")
        };
        Refusal::Foreign(Box::new(finding))
    }

    fn keep_foreign(&mut self, node: &Node<'a>) -> Result<Vec<Var>, Refusal> {
        let inputs: Vec<Var> = node.inputs.iter().copied().flatten().collect();
        let results: Vec<(String, Stated)> = (0..node.outputs.len())
            .map(|index| {
                let name = node.output(index);
                let ty = self.stated.get(name.as_str()).cloned().flatten();
                (name, ty)
            })
            .collect();
        self.builder.foreign(node.op, &inputs, &results)
    }
}

fn unknown_operator() -> Refusal {
    let finding = Diagnostic::new(codes::UNKNOWN_OPERATOR, Severity::Error, "", "no lowering to MIL")
        .why("Core ML runs only MIL operators, and none of them, or no known combination, has this meaning")
        .help("replace the operator in the model by a supported one before exporting");
    Refusal::Foreign(Box::new(finding))
}
