//! Operators prepare their steps: kernels are chosen and weights packed, on several threads where that is much work.

use locket_mil::Function;
use locket_ops::{Layout, Node, Packs, Prepare, Prepared, registry};
use locket_pool::in_order;

use super::{PlanError, PlanOptions, constants::Folded, layouts::Choice};

/// Constants that take longer to pack than a thread to start.
const WORTH_THREADS_BYTES: usize = 1 << 20;

/// What an operation's outputs are computed by, one after another; `None` for the reference.
pub(super) type OfOperation = Vec<Option<Prepared>>;

/// Prepares all operations; those that are not run, or whose result is what they read, have nothing.
pub(super) fn prepare_all(
    folded: &Folded,
    choice: &Choice,
    options: PlanOptions,
    packs: &Packs,
) -> Result<Vec<OfOperation>, PlanError> {
    let function = &folded.function;
    let count = function.operations.len();
    let prepare = |layouts: &mut Vec<Layout>, packs: &Packs, index: usize| {
        if folded.live[index] && !choice.alias[index] {
            prepare_one(function, choice, options, packs, layouts, index)
        } else {
            Ok(Vec::new())
        }
    };
    // What is recorded, and what was, has the order of the operations.
    if options.threads < 2 || !packs.is_fresh() || constant_bytes(function) < WORTH_THREADS_BYTES {
        let mut layouts = choice.values.clone();
        return (0..count)
            .map(|index| prepare(&mut layouts, packs, index))
            .collect();
    }
    let states = (0..options.threads).map(|_| (choice.values.clone(), Packs::fresh()));
    in_order(count, states.collect(), |(layouts, packs), index| {
        prepare(layouts, packs, index)
    })
}

fn constant_bytes(function: &Function) -> usize {
    let inputs = function
        .operations
        .iter()
        .flat_map(|operation| operation.input_values());
    let constants = inputs.filter_map(|id| function.const_tensor(id));
    constants.map(|tensor| tensor.bytes().len()).sum()
}

/// `layouts` are those that the values are made in, before and after.
fn prepare_one(
    function: &Function,
    choice: &Choice,
    options: PlanOptions,
    packs: &Packs,
    layouts: &mut [Layout],
    index: usize,
) -> Result<OfOperation, PlanError> {
    let node = Node::new(function, &function.operations[index]);
    let operator = registry::find(&node)?;
    let reads = &choice.reads[index];
    for &(id, layout) in reads {
        layouts[id.index()] = layout;
    }
    let outputs = 0..node.operation.outputs.len();
    let prepared = outputs
        .map(|output| {
            operator.prepare(&Prepare {
                lean: options.lean,
                precision: options.precision,
                node,
                isa: options.isa,
                output,
                layouts,
                packs,
            })
        })
        .collect::<Result<_, _>>();
    for &(id, _) in reads {
        layouts[id.index()] = choice.values[id.index()];
    }
    Ok(prepared?)
}
