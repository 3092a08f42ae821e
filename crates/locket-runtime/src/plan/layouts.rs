//! Which layout every value has, and which each operation reads its inputs in.
//!
//! Greedy, in program order: convolutions and pools want channels last; an operation that can take any layout takes
//! that of its first input; inputs of the function lie as their first reader wants them (a convolution that reads colour planes wants
//! them as they are given). Where a reader wants another layout than
//! a value has, the plan gets a conversion, once per value and layout.

use locket_mil::ValueId;
use locket_ops::{Layout, LayoutRule, Node, Operator, Precision, registry};

use super::{PlanError, constants::Folded};

/// Layouts of values, and what each operation does about them.
pub(super) struct Choice {
    /// For each value, how it lies when it is made.
    pub(super) values: Vec<Layout>,
    /// For each operation that needs a step, the layout in which it reads its inputs that are not constant.
    pub(super) reads: Vec<Vec<(ValueId, Layout)>>,
    /// For each operation, true if its output shares the bytes of its first input.
    pub(super) alias: Vec<bool>,
}

pub(super) fn choose(folded: &Folded, precision: Precision) -> Result<Choice, PlanError> {
    let function = &folded.function;
    let count = function.operations.len();
    let mut choice = Choice {
        values: vec![Layout::RowMajor; function.values().len()],
        reads: vec![Vec::new(); count],
        alias: vec![false; count],
    };
    for &input in &function.inputs {
        choice.values[input.index()] = wish_for_input(folded, precision, input);
    }
    for (index, operation) in function
        .operations
        .iter()
        .enumerate()
        .filter(|(index, _)| folded.live[*index])
    {
        let node = Node::new(function, operation);
        let operator = registry::check(&node)?;
        if let Some(layout) = alias_layout(&node, operator, &choice.values) {
            choice.alias[index] = true;
            choice.reads[index] = node
                .dynamic_inputs(&[])
                .iter()
                .map(|&id| (id, choice.values[id.index()]))
                .collect();
            choice.values[operation.outputs[0].index()] = layout;
            continue;
        }
        let rule = rule(&node, operator, precision);
        let layout = shared_layout(&node, operator, rule, &choice.values);
        let out_rank = rank(&node, operation.outputs[0]);
        for &output in &operation.outputs {
            choice.values[output.index()] = layout;
        }
        choice.reads[index] = node
            .dynamic_inputs(operator.kept_weights())
            .into_iter()
            .enumerate()
            .map(|(position, id)| {
                let other = rank(&node, id) != out_rank;
                let layout = match rule {
                    LayoutRule::Any if other => Layout::RowMajor,
                    LayoutRule::AsTheyLie if other => choice.values[id.index()],
                    LayoutRule::ChannelsLastOrPlanes if position == 0 => choice.values[id.index()],
                    _ => layout,
                };
                (id, layout)
            })
            .collect();
    }
    Ok(choice)
}

fn rank(node: &Node<'_>, id: ValueId) -> usize {
    node.function.ty(id).shape().map_or(0, <[usize]>::len)
}

fn alias_layout(node: &Node<'_>, operator: &dyn Operator, values: &[Layout]) -> Option<Layout> {
    let dynamic = node.dynamic_inputs(&[]);
    let &[source] = dynamic.as_slice() else {
        return None;
    };
    if node.operation.outputs.len() != 1 {
        return None;
    }
    operator.alias(node, values[source.index()])
}

/// What an operator's step can take in an arithmetic: kernels in bf16 read no planes.
fn rule(node: &Node<'_>, operator: &dyn Operator, precision: Precision) -> LayoutRule {
    match operator.layout_rule(node) {
        LayoutRule::ChannelsLastOrPlanes if precision == Precision::Bf16 => LayoutRule::ChannelsLast,
        rule => rule,
    }
}

fn shared_layout(node: &Node<'_>, operator: &dyn Operator, rule: LayoutRule, values: &[Layout]) -> Layout {
    match rule {
        LayoutRule::RowMajor => Layout::RowMajor,
        LayoutRule::ChannelsLast | LayoutRule::ChannelsLastOrPlanes => Layout::ChannelsLast,
        LayoutRule::Any | LayoutRule::AsTheyLie => {
            let out_rank = rank(node, node.operation.outputs[0]);
            let dynamic = node.dynamic_inputs(operator.kept_weights());
            let mut full = dynamic.into_iter().filter(|&id| rank(node, id) == out_rank);
            full.next().map_or(Layout::RowMajor, |id| values[id.index()])
        }
    }
}

/// Channels last if the first operation that reads the input wants that.
fn wish_for_input(folded: &Folded, precision: Precision, input: ValueId) -> Layout {
    let function = &folded.function;
    let reader = function
        .operations
        .iter()
        .zip(&folded.live)
        .find(|(operation, live)| **live && operation.input_values().any(|id| id == input));
    let Some((operation, _)) = reader else {
        return Layout::RowMajor;
    };
    let node = Node::new(function, operation);
    let rule = registry::find(&node).map(|operator| rule(&node, operator, precision));
    match rule {
        Ok(LayoutRule::ChannelsLast) if rank(&node, input) >= 3 => Layout::ChannelsLast,
        // Something that takes any layout asks in the name of its own first reader, unless it makes less of the input (a
        // quantisation): then that less is converted, and the input is read where it lies.
        Ok(LayoutRule::Any | LayoutRule::AsTheyLie) => match operation.outputs.first() {
            Some(&output)
                if rank(&node, output) == rank(&node, input)
                    && function.ty(output).bytes() >= function.ty(input).bytes() =>
            {
                wish_for_input(folded, precision, output)
            }
            _ => Layout::RowMajor,
        },
        _ => Layout::RowMajor,
    }
}
