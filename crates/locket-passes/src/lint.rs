//! What a person should know before shipping a program.
//!
//! [`lint`] looks at a program for one deployment target and gives [`Diagnostic`]s with stable codes; [`LINTS`] lists
//! them all, with why each matters and what to do. Deployment is judged on the program as [`simplify`] leaves it, because that is what
//! is written; what comes in is looked at as it is; speed in Locket's own runtime on the program as [`lower`] leaves it.
//!
//! A lint is a file under `lint/` with a function on [`Context`], and a line in [`LINTS`]. What readers say about a file
//! (`LK10xx`) and writers about a package (`LK11xx`) is not repeated here.

mod broken_operation;
mod channel_spread;
mod constant_output;
mod depthwise_per_tensor;
mod duplicate_weight;
mod foreign_operator;
mod half_range;
mod half_sum;
mod idle_clamp;
mod interface_name;
mod interface_type;
mod internal_operator;
mod newer_target;
mod not_finite;
mod slow_operator;
mod stays_float;
mod too_many_axes;
mod transposes;
mod unfolded_batch_norm;
mod unknown_operator;
mod unused_input;
mod wide_constant;

use std::collections::BTreeMap;

use locket_mil::{Diagnostic, Function, Operation, Program, Severity, Target};
use locket_tensor::DType;

use crate::{PassReport, lower, simplify};

/// A lint: what it is called, why it matters, what to do, and how it is found.
#[derive(Debug)]
pub struct Lint {
    /// Stable code, never reused.
    pub code: &'static str,
    /// Short name.
    pub name: &'static str,
    /// Why a finding matters.
    pub why: &'static str,
    /// What a person can do about it.
    pub help: &'static str,
    run: fn(&Context<'_>) -> Vec<Finding>,
}

macro_rules! lint {
    ($code:literal, $name:literal, $run:expr, why: $why:literal, help: $help:literal) => {
        Lint {
            code: $code,
            name: $name,
            why: $why,
            help: $help,
            run: $run,
        }
    };
}

/// Every lint, in the order of codes.
pub static LINTS: &[Lint] = &[
    lint!("LK0101", "foreign-operator", foreign_operator::run,
        why: "Core ML's operator set is fixed: what is not in it cannot be deployed",
        help: "replace the operator in the model before exporting, or cut it off and compute it in the app"),
    lint!("LK0102", "newer-target", newer_target::run,
        why: "older systems refuse to load a program that uses newer operators",
        help: "raise the target"),
    lint!("LK0103", "internal-operator", internal_operator::run,
        why: "operators named locket.* are made by passes for this runtime and mean nothing to Core ML",
        help: "start from the program as it was read, before it was lowered"),
    lint!("LK0104", "unknown-operator", unknown_operator::run,
        why: "Locket does not know this operator, so it can neither run it nor check it, and nothing can be said about speed or accuracy",
        help: "if it is an operator of MIL, the package can still be written; test it on a device"),
    lint!("LK0105", "broken-operation", broken_operation::run,
        why: "the operation breaks the rules of its operator and would be refused on loading",
        help: "check how the model was exported"),
    lint!("LK0106", "too-many-axes", too_many_axes::run,
        why: "Core ML computes tensors of at most five axes",
        help: "reshape before the operation so that axes are merged"),
    lint!("LK0111", "interface-type", interface_type::run,
        why: "Core ML hands over arrays of fp32, fp16 (from iOS 16), int32 and int8 (from iOS 26) only",
        help: "hand over the type that it becomes, or change the model's interface"),
    lint!("LK0112", "interface-name", interface_name::run,
        why: "names in a package are letters, digits, underscores and @, so the app has to use another name than the model's",
        help: "use the new name in the app, or rename it in the model"),
    lint!("LK0113", "unused-input", unused_input::run,
        why: "every caller has to supply it, and it costs memory, for nothing",
        help: "remove the input from the model"),
    lint!("LK0114", "constant-output", constant_output::run,
        why: "it is the same whatever comes in",
        help: "remove the output from the model, or check whether a part of it was lost in the export"),
    lint!("LK0121", "wide-constant", wide_constant::run,
        why: "Core ML computes in fp16, fp32 and int32: wider constants are narrowed",
        help: "export the model in float32 and int32"),
    lint!("LK0122", "not-finite", not_finite::run,
        why: "one such number in a weight makes all results that depend on it meaningless",
        help: "check the training run and the export; the file may be damaged"),
    lint!("LK0123", "half-range", half_range::beyond,
        why: "fp16 ends at 65504: beyond that a number becomes infinite, and what is computed from it with it",
        help: "keep the program in fp32, or scale the weight and undo the scale after the operation"),
    lint!("LK0124", "half-flush", half_range::flushed,
        why: "numbers below 2^-25 become 0 in fp16",
        help: "nothing if the layer is robust, as most are; else keep the program in fp32"),
    lint!("LK0125", "half-sum", half_sum::run,
        why: "fp16 has 11 significant bits: a running sum of 2048 equal numbers no longer grows",
        help: "keep this operation in fp32, or reduce in two steps"),
    lint!("LK0131", "depthwise-per-tensor", depthwise_per_tensor::run,
        why: "channels of a depthwise layer differ widely in range, so one scale for all leaves small channels few steps: a known cause of lost accuracy",
        help: "quantise its weight per channel"),
    lint!("LK0132", "channel-spread", channel_spread::run,
        why: "with one scale for the whole weight, the channels of small range would be left with next to no steps",
        help: "quantise this layer per channel, or equalise its channels with those of the next layer"),
    lint!("LK0133", "idle-clamp", idle_clamp::run,
        why: "the clamp changes nothing: what comes in already keeps its bounds",
        help: "remove it from the model, or check whether other bounds were meant"),
    lint!("LK0134", "stays-float", stays_float::run,
        why: "the operation runs on floats between a dequantisation and a quantisation, which is slower and larger than on integers",
        help: "see the reason in the message"),
    lint!("LK0141", "duplicate-weight", duplicate_weight::run,
        why: "the file holds the same bytes more than once",
        help: "share the weight in the model; packages that Locket writes hold it once"),
    lint!("LK0142", "unfolded-batch-norm", unfolded_batch_norm::run,
        why: "a batch norm that cannot be folded into a convolution costs a pass over its whole operand",
        help: "see the reason in the message"),
    lint!("LK0143", "transposes", transposes::run,
        why: "a transpose computes nothing and reads and writes its whole operand",
        help: "export the model in channels-first layout, or reorder the operations around it"),
    lint!("LK0144", "slow-operator", slow_operator::run,
        why: "Locket's runtime has no kernel for this form and runs the reference, which is slow and allocates",
        help: "nothing for deployment with Core ML; for Locket's runtime use another form of the operator"),
];

/// What to judge a program for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LintOptions {
    /// The oldest system that it must run on.
    pub target: Target,
    /// True if it will be written in float16.
    pub half: bool,
}

/// Everything that lints look at: one function of a program.
pub(crate) struct Context<'a> {
    program: &'a Program,
    target: Target,
    /// True if the program is computed in float16, now or once written.
    half: bool,
    /// As it was read.
    function: &'a Function,
    /// As it would be written.
    simplified: &'a Function,
    simplify_reports: &'a [PassReport],
    /// As it would be run here.
    lowered: &'a Function,
    lower_reports: &'a [PassReport],
}

/// A finding, without what all findings of its lint share.
pub(crate) struct Finding {
    severity: Severity,
    /// Operations or values it is about; the first names it.
    nodes: Vec<String>,
    message: String,
    rewritten_to: Option<String>,
    help: Option<String>,
    works_from: Option<Target>,
}

impl Finding {
    fn new(severity: Severity, node: &str, message: impl Into<String>) -> Self {
        Self {
            severity,
            nodes: vec![node.to_owned()],
            message: message.into(),
            rewritten_to: None,
            help: None,
            works_from: None,
        }
    }

    fn rewritten_to(mut self, what: impl Into<String>) -> Self {
        self.rewritten_to = Some(what.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn works_from(mut self, target: Target) -> Self {
        self.works_from = Some(target);
        self
    }

    fn into_diagnostic(self, lint: &Lint) -> Diagnostic {
        let more = match self.nodes.len() - 1 {
            0 => String::new(),
            1 => format!(" (and in {})", self.nodes[1]),
            more => format!(" (and in {more} more places, the next is {})", self.nodes[1]),
        };
        Diagnostic {
            rewritten_to: self.rewritten_to,
            works_from: self.works_from,
            ..Diagnostic::new(lint.code, self.severity, &self.nodes[0], self.message + &more)
                .why(lint.why)
                .help(self.help.as_deref().unwrap_or(lint.help))
        }
    }
}

/// Findings that say the same become one that counts its places.
fn grouped(findings: Vec<Finding>) -> Vec<Finding> {
    let mut groups: Vec<Finding> = Vec::new();
    let mut known: BTreeMap<(Severity, String, Option<String>), usize> = BTreeMap::new();
    for finding in findings {
        let key = (
            finding.severity,
            finding.message.clone(),
            finding.rewritten_to.clone(),
        );
        match known.get(&key) {
            Some(&group) => groups[group].nodes.extend(finding.nodes),
            None => {
                known.insert(key, groups.len());
                groups.push(finding);
            }
        }
    }
    groups
}

/// Judges a program for a target. Worst findings come first; equal ones in the order of codes, then of the program.
pub fn lint(program: &Program, target: Target) -> Vec<Diagnostic> {
    lint_with(program, LintOptions { target, half: false })
}

/// Judges a program for a target and a precision.
pub fn lint_with(program: &Program, options: LintOptions) -> Vec<Diagnostic> {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for function in &program.functions {
        let mut simplified = function.clone();
        let simplify_reports = simplify(&mut simplified);
        let mut lowered = simplified.clone();
        let lower_reports = lower(&mut lowered);
        let context = Context {
            program,
            target: options.target,
            half: options.half || computes_in_half(function),
            function,
            simplified: &simplified,
            simplify_reports: &simplify_reports,
            lowered: &lowered,
            lower_reports: &lower_reports,
        };
        for lint in LINTS {
            let findings = grouped((lint.run)(&context));
            diagnostics.extend(findings.into_iter().map(|finding| finding.into_diagnostic(lint)));
        }
    }
    diagnostics.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.code.cmp(b.code)));
    diagnostics
}

/// The lowest target that a function works on.
///
/// # Errors
///
/// The findings that stand against every target.
pub fn lowest_target(function: &Function) -> Result<Target, Vec<Diagnostic>> {
    let program = Program::new(function.clone(), locket_mil::SourceFormat::Memory);
    let newest = *Target::ALL.last().unwrap_or(&Target::Ios26);
    let errors: Vec<Diagnostic> = lint(&program, newest)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut simplified = function.clone();
    simplify(&mut simplified);
    Ok(newer_target::lowest(&simplified))
}

fn computes_in_half(function: &Function) -> bool {
    let mut results = function
        .operations
        .iter()
        .filter(|operation| !is_constexpr(operation))
        .flat_map(|operation| &operation.outputs);
    results.any(|&id| function.ty(id).dtype() == Some(DType::Float16))
}

fn is_constexpr(operation: &Operation) -> bool {
    operation.kind.starts_with("constexpr_")
}

/// `1 byte`, `12.3 kB`.
fn bytes_text(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1000 => format!("{bytes} bytes"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
