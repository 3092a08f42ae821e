//! Operations become steps, values become buffers.

use locket_mil::{Function, Operation, Type, ValueId};
use locket_ops::{Cost, Layout, Node, Packs, Prepared, ReferenceStep, registry};
use locket_tensor::{DType, Shape};

use super::{
    PlanError, PlanOptions,
    constants::Folded,
    convert,
    layouts::Choice,
    prepared::{OfOperation, prepare_all},
};

/// Most tensors that a step may read: they are handed over in an array on the stack.
pub(crate) const MAX_INPUTS: usize = 64;

/// A buffer before it has a place. Several values may share one.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) bytes: usize,
}

/// A step whose operands are buffers.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: String,
    pub(super) origin: Vec<String>,
    pub(super) prepared: Prepared,
    pub(super) inputs: Vec<usize>,
    pub(super) output: usize,
    pub(super) cost: Cost,
}

/// Steps and buffers of a function.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) buffers: Vec<Buffer>,
    pub(super) steps: Vec<Draft>,
    /// For each input of the function, its buffer and layout.
    pub(super) inputs: Vec<(usize, Layout)>,
    /// For each output of the function, its buffer and layout; `None` for a constant.
    pub(super) outputs: Vec<Option<(usize, Layout)>>,
}

struct Maker<'a> {
    function: &'a Function,
    /// For each value, the buffer that holds it as made, and its buffer in the other layout once converted.
    places: Vec<[Option<usize>; 2]>,
    drafts: Drafts,
    choice: &'a Choice,
}

pub(super) fn prepare(
    folded: &Folded,
    choice: &Choice,
    options: PlanOptions,
    packs: &Packs,
) -> Result<Drafts, PlanError> {
    let function = &folded.function;
    let prepared = prepare_all(folded, choice, options, packs)?;
    let mut maker = Maker {
        function,
        places: vec![[None; 2]; function.values().len()],
        drafts: Drafts::default(),
        choice,
    };
    for &input in &function.inputs {
        interface_type(function, "input", &function.value(input).name, input)?;
        let buffer = maker.new_buffer(input);
        maker.places[input.index()][0] = Some(buffer);
        maker.drafts.inputs.push((buffer, choice.values[input.index()]));
    }
    for (index, prepared) in prepared.into_iter().enumerate() {
        if folded.live[index] {
            maker.operation(index, prepared)?;
        }
    }
    for output in &function.outputs {
        interface_type(function, "output", &output.name, output.value)?;
        let place = maker.places[output.value.index()][0];
        maker
            .drafts
            .outputs
            .push(place.map(|buffer| (buffer, choice.values[output.value.index()])));
    }
    Ok(maker.drafts)
}

/// The type of a value at the interface.
pub(super) fn interface_type(
    function: &Function,
    role: &'static str,
    name: &str,
    id: ValueId,
) -> Result<(DType, Shape), PlanError> {
    match function.ty(id) {
        Type::Tensor { dtype, shape } if dtype.bits() >= 8 => Ok((*dtype, shape.clone())),
        other => Err(PlanError::Interface {
            role,
            name: name.to_owned(),
            found: other.to_string(),
        }),
    }
}

impl Maker<'_> {
    fn new_buffer(&mut self, id: ValueId) -> usize {
        let value = self.function.value(id);
        self.drafts.buffers.push(Buffer {
            name: value.name.clone(),
            ty: value.ty.clone(),
            bytes: value.ty.bytes(),
        });
        self.drafts.buffers.len() - 1
    }

    fn operation(&mut self, index: usize, prepared: OfOperation) -> Result<(), PlanError> {
        let operation = &self.function.operations[index];
        let node = Node::new(self.function, operation);
        let operator = registry::find(&node)?;
        let choice = self.choice;
        let reads = &choice.reads[index];
        if choice.alias[index] {
            let source = self.places[reads[0].0.index()][0];
            self.places[operation.outputs[0].index()][0] = source;
            return Ok(());
        }
        if reads.len() > MAX_INPUTS {
            let node = operation.label().to_owned();
            return Err(PlanError::TooManyInputs {
                node,
                found: reads.len(),
                limit: MAX_INPUTS,
            });
        }
        let cost = operator.cost(&node);
        for ((position, &output), prepared) in operation.outputs.iter().enumerate().zip(prepared) {
            // An operation with several outputs runs once for each; its cost is told once.
            let cost = if position == 0 { cost } else { Cost::default() };
            match prepared {
                Some(prepared) => {
                    let inputs = reads
                        .iter()
                        .map(|&(id, layout)| self.buffer_in(id, layout))
                        .collect::<Result<_, _>>()?;
                    let buffer = self.new_buffer(output);
                    self.places[output.index()][0] = Some(buffer);
                    self.step(operation, prepared, inputs, buffer, cost);
                }
                None => self.by_reference(&node, position, cost)?,
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        operation: &Operation,
        prepared: Prepared,
        inputs: Vec<usize>,
        output: usize,
        cost: Cost,
    ) {
        let (kind, origin) = (operation.kind.to_string(), operation.origin.clone());
        self.drafts.steps.push(Draft {
            kind,
            origin,
            prepared,
            inputs,
            output,
            cost,
        });
    }

    /// Runs the reference, which reads and writes row-major, and converts its result if readers were promised another layout.
    fn by_reference(&mut self, node: &Node<'_>, position: usize, cost: Cost) -> Result<(), PlanError> {
        let inputs = node
            .dynamic_inputs(&[])
            .into_iter()
            .map(|id| self.buffer_in(id, Layout::RowMajor))
            .collect::<Result<_, _>>()?;
        let output = node.operation.outputs[position];
        let buffer = self.new_buffer(output);
        self.places[output.index()][0] = Some(buffer);
        self.step(
            node.operation,
            ReferenceStep::prepare(node, position)?,
            inputs,
            buffer,
            cost,
        );
        let promised = self.choice.values[output.index()];
        let (dtype, shape) = node.output_ty(position)?;
        if !promised.same_bytes(Layout::RowMajor, shape) {
            let moved = self.new_buffer(output);
            self.places[output.index()][0] = Some(moved);
            self.conversion((dtype, shape), Layout::RowMajor, buffer, moved);
        }
        Ok(())
    }

    fn conversion(&mut self, (dtype, shape): (DType, &[usize]), from: Layout, source: usize, target: usize) {
        let bytes = self.drafts.buffers[source].bytes as u64;
        self.drafts.steps.push(Draft {
            kind: "locket.to_layout".to_owned(),
            origin: Vec::new(),
            prepared: convert::step(dtype, shape, from),
            inputs: vec![source],
            output: target,
            cost: Cost {
                macs: 0,
                bytes: bytes * 2,
            },
        });
    }

    /// The buffer that holds `id` in `layout`; plans a conversion the first time that is another one than it has.
    fn buffer_in(&mut self, id: ValueId, layout: Layout) -> Result<usize, PlanError> {
        let made = self.choice.values[id.index()];
        let function = self.function;
        let node_error = || PlanError::Interface {
            role: "value",
            name: function.value(id).name.clone(),
            found: format!("{}, which nothing computes", function.ty(id)),
        };
        let [Some(source), converted] = self.places[id.index()] else {
            return Err(node_error());
        };
        let Type::Tensor { dtype, shape } = function.ty(id) else {
            return Err(node_error());
        };
        if made.same_bytes(layout, shape) {
            return Ok(source);
        }
        if let Some(buffer) = converted {
            return Ok(buffer);
        }
        let buffer = self.new_buffer(id);
        self.places[id.index()][1] = Some(buffer);
        self.conversion((*dtype, shape), made, source, buffer);
        Ok(buffer)
    }
}
