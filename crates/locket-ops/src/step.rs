//! From an operation to something that runs without thinking.

use std::{fmt, ops::Range};

use locket_kernels::Isa;
use locket_mil::{Function, Operation, ValueId};
use locket_tensor::{DType, Shape, TensorMut, TensorRef};

use crate::{Layout, Node, OpError, Packs, RowWindow, Strip, registry};

/// The arithmetic of a float32 program's convolutions and fully connected layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the program says.
    #[default]
    Float32,
    /// Factors narrowed to bf16 (8 significant bits), sums in float32: see [`locket_kernels::ConvBf16`]. Layers with groups or
    /// compressed weights, and products of two computed values, stay as they are.
    Bf16,
}

/// What an operator knows when it prepares a step.
#[derive(Clone, Copy, Debug)]
pub struct Prepare<'a> {
    /// The operation.
    pub node: Node<'a>,
    /// The instruction set to pick kernels for.
    pub isa: Isa,
    /// Which output the step computes.
    pub output: usize,
    /// Whether less memory is preferred to less time.
    pub lean: bool,
    /// The arithmetic that is asked for.
    pub precision: Precision,
    /// For each value of the function, its layout.
    pub layouts: &'a [Layout],
    /// Where packed weights come from.
    pub packs: &'a Packs,
}

impl Prepare<'_> {
    /// The layout of the value that a parameter is bound to; row-major if it is not bound.
    pub fn layout(&self, param: &str) -> Layout {
        self.node
            .operation
            .input(param)
            .map_or(Layout::RowMajor, |id| self.layouts[id.index()])
    }

    /// The layout of the output.
    pub fn output_layout(&self) -> Layout {
        self.layouts[self.node.operation.outputs[self.output].index()]
    }
}

/// A computation with everything decided: kernel, packed weights, geometry.
///
/// The output is divided into units of equal size (a pixel, a row, an element); a run computes a range of them.
/// Several threads may run one step at once on disjoint ranges.
pub trait Step: Send + Sync + fmt::Debug {
    /// Computes the units in the range. `inputs` are the bytes of the operation's inputs that are not constant
    /// (and not kept weights), in parameter order. `output` holds exactly the units of the range. `scratch` has
    /// [`Prepared::scratch_bytes`] bytes, 64-byte aligned, of undefined content. If the planner took up
    /// [`Prepared::in_place`], that input is an empty slice and its bytes are found in `output`.
    ///
    /// Allocates nothing, unless the plan marks the step slow.
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]);

    /// The kernel's name, for plans and profiles, such as `conv_f32_avx512`.
    fn kernel(&self) -> &str;

    /// How output rows depend on input rows, if the step can run in strips of rows. Its units are then parts of rows, and inputs
    /// after the first have the output's shape.
    fn row_window(&self) -> Option<RowWindow> {
        None
    }

    /// The same computation on a strip, sharing weights; `None` where [`Step::row_window`] is, or for a strip that it cannot compute.
    fn strip(&self, _strip: Strip) -> Option<Box<dyn Step>> {
        None
    }
}

/// A step and what the planner must know of it.
#[derive(Debug)]
pub struct Prepared {
    /// The computation.
    pub step: Box<dyn Step>,
    /// Number of units in the output.
    pub units: usize,
    /// Bytes of a unit; the last unit may be shorter.
    pub unit_bytes: usize,
    /// Ranges given to threads should start at multiples of this many units.
    pub grain: usize,
    /// Bytes of scratch that each running thread needs.
    pub scratch_bytes: usize,
    /// Bytes of weights and tables that the step holds.
    pub weight_bytes: usize,
    /// Position, among the inputs that the step is given, of one whose memory the output may take.
    pub in_place: Option<usize>,
    /// True if running allocates or is far from what the machine can do.
    pub slow: bool,
}

impl Prepared {
    /// A step without scratch or weights whose output may be divided anywhere between units.
    pub fn new(step: impl Step + 'static, units: usize, unit_bytes: usize) -> Self {
        Self {
            step: Box::new(step),
            units,
            unit_bytes,
            grain: 1,
            scratch_bytes: 0,
            weight_bytes: 0,
            in_place: None,
            slow: false,
        }
    }

    /// Sets the scratch that each running thread needs.
    #[must_use]
    pub fn scratch(mut self, bytes: usize) -> Self {
        self.scratch_bytes = bytes;
        self
    }

    /// Sets the bytes that the step holds.
    #[must_use]
    pub fn weights(mut self, bytes: usize) -> Self {
        self.weight_bytes = bytes;
        self
    }

    /// Sets the grain at which the output may be divided.
    #[must_use]
    pub fn grain(mut self, units: usize) -> Self {
        self.grain = units.max(1);
        self
    }

    /// Allows the output to take the memory of an input.
    #[must_use]
    pub fn in_place(mut self, input: usize) -> Self {
        self.in_place = Some(input);
        self
    }
}

/// Runs an operator's reference. Row-major, one unit, allocates: for operators without kernels.
pub struct ReferenceStep {
    function: Function,
    operation: Operation,
    output: usize,
    inputs: Vec<(ValueId, DType, Shape)>,
}

impl fmt::Debug for ReferenceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceStep")
            .field("kind", &self.operation.kind)
            .finish_non_exhaustive()
    }
}

impl ReferenceStep {
    /// A step that runs the reference of `node`'s operator for output `output`.
    ///
    /// # Errors
    ///
    /// If the operator is unknown or an operand is no tensor.
    pub fn prepare(node: &Node<'_>, output: usize) -> Result<Prepared, OpError> {
        let (function, operation) = isolate(node);
        let inputs = node
            .dynamic_inputs(&[])
            .into_iter()
            .map(|id| match node.function.ty(id) {
                locket_mil::Type::Tensor { dtype, shape } => Ok((id, *dtype, shape.clone())),
                other => Err(node.error(format_args!("expected tensors, found {other}"))),
            })
            .collect::<Result<_, _>>()?;
        registry::find(node)?;
        let bytes = node.function.ty(operation.outputs[output]).bytes();
        let held = node
            .operation
            .input_values()
            .filter_map(|id| node.function.const_tensor(id));
        let weight_bytes = held.map(|tensor| tensor.bytes().len()).sum();
        let mut prepared = Prepared::new(
            Self {
                function,
                operation,
                output,
                inputs,
            },
            1,
            bytes,
        );
        prepared.slow = true;
        Ok(prepared.weights(weight_bytes))
    }
}

/// A copy of the function without its other operations; values keep their ids, constants share storage.
fn isolate(node: &Node<'_>) -> (Function, Operation) {
    let mut function = node.function.clone();
    function.operations.clear();
    (function, node.operation.clone())
}

impl Step for ReferenceStep {
    fn run(&self, _units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let node = Node::new(&self.function, &self.operation);
        let values: Vec<(ValueId, TensorRef<'_>)> = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|((id, dtype, shape), bytes)| {
                (
                    *id,
                    TensorRef {
                        dtype: *dtype,
                        shape,
                        bytes,
                    },
                )
            })
            .collect();
        let results = crate::constant::compute(&node, &values);
        // The planner checked the node; what is left is data outside the operator's domain, such as an index out of
        // range, for which a step has no way to report: the output is zeroed.
        match results {
            Ok(results) => output.copy_from_slice(results[self.output].as_slice()),
            Err(_) => output.fill(0),
        }
    }

    fn kernel(&self) -> &str {
        "reference"
    }
}

/// A step's view on memory: typed outputs for references.
pub(crate) fn output_views<'a>(
    node: &Node<'_>,
    types: &'a [(DType, Shape)],
    buffers: &'a mut [locket_tensor::AlignedBytes],
) -> Vec<TensorMut<'a>> {
    debug_assert_eq!(node.operation.outputs.len(), types.len());
    types
        .iter()
        .zip(buffers)
        .map(|((dtype, shape), buffer)| TensorMut {
            dtype: *dtype,
            shape,
            bytes: buffer.as_mut_slice(),
        })
        .collect()
}
