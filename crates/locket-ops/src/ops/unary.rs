//! Functions of one number, applied to each element: `y[i] = f(x[i])`. The functions are in
//! [`activation`](super::activation) and [`maths`](super::maths).
//!
//! Parameters `alpha`, `beta` and `epsilon` are constants, read as fp32 (since iOS 17 their type may differ from that
//! of `x`). fp16 is computed in a wider type and rounded once.
//!
//! Steps: vector kernels for fp32 where there are some, else the reference's function over small pieces. Both run in place.

use std::{fmt, ops::Range};

use locket_kernels::{Isa, UnaryF32, unary_f32_in_place};
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    lines::elements,
    numbers::{Numbers, load_floats, load_ints, put, store_floats, store_ints},
    sample,
};
use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// An operator that applies one function to each element.
pub struct Unary {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) dtypes: &'static [DType],
    /// Values of the parameters after `x` where they are not bound.
    pub(crate) defaults: [f32; 2],
    /// The function, given the parameters after `x`.
    pub(crate) float: fn(f64, [f64; 2]) -> f64,
    /// The function on integers and truth values; only called for the types in `dtypes`.
    pub(crate) int: fn(i64) -> i64,
    /// The fp32 kernel, given the parameters after `x`.
    pub(crate) kernel: fn([f32; 2]) -> Kernel,
    /// Parameters as a sample writes them, such as `alpha=0.5`.
    pub(crate) sample: &'static str,
    pub(crate) available: Availability,
}

/// How fp32 is computed: `gain * op(scale * x + shift)`, then another function; parts that change nothing are not run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kernel {
    pub(crate) scale: f32,
    pub(crate) shift: f32,
    pub(crate) op: Option<UnaryF32>,
    pub(crate) gain: f32,
    pub(crate) then: Option<UnaryF32>,
}

impl Kernel {
    /// No kernel: the reference's function runs.
    pub(crate) const NONE: Self = Self {
        scale: 1.0,
        shift: 0.0,
        op: None,
        gain: 1.0,
        then: None,
    };

    /// One function.
    pub(crate) const fn of(op: UnaryF32) -> Self {
        Self {
            op: Some(op),
            ..Self::NONE
        }
    }

    /// One function of `x + shift`.
    pub(crate) const fn shifted(shift: f32, op: UnaryF32) -> Self {
        Self {
            shift,
            ..Self::of(op)
        }
    }
}

/// A function of floats without parameters.
const PLAIN: Unary = Unary {
    name: "",
    params: const { &[Param::required("x")] },
    dtypes: FLOATS,
    defaults: [0.0; 2],
    float: |x, _| x,
    int: |x| x,
    kernel: |_| Kernel::NONE,
    sample: "",
    available: Availability::From(Target::Ios15),
};

impl Unary {
    /// A function of floats without parameters.
    pub(crate) const fn plain(name: &'static str, float: fn(f64, [f64; 2]) -> f64) -> Self {
        Self { name, float, ..PLAIN }
    }

    /// The same with parameters; `sample` binds them for a sample.
    pub(crate) const fn with(
        mut self,
        params: &'static [Param],
        defaults: [f32; 2],
        sample: &'static str,
    ) -> Self {
        self.params = params;
        self.defaults = defaults;
        self.sample = sample;
        self
    }

    /// The same with a kernel for fp32.
    pub(crate) const fn kernel(mut self, kernel: fn([f32; 2]) -> Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// The same as an operator that is never written.
    pub(crate) const fn internal(mut self) -> Self {
        self.available = Availability::Internal;
        self
    }

    /// The same on integers or truth values too.
    pub(crate) const fn ints(mut self, dtypes: &'static [DType], int: fn(i64) -> i64) -> Self {
        self.dtypes = dtypes;
        self.int = int;
        self
    }

    /// The parameters after `x`.
    fn arguments(&self, node: &Node<'_>) -> Result<[f32; 2], OpError> {
        let mut values = self.defaults;
        for (value, param) in values.iter_mut().zip(&self.params[1..]) {
            *value = node.float(param.name, *value)?;
        }
        Ok(values)
    }
}

impl fmt::Debug for Unary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unary").field(&self.name).finish()
    }
}

impl Operator for Unary {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: self.params,
            available: self.available,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", self.dtypes)?;
        self.arguments(node)?;
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let arguments = self.arguments(&call.node)?.map(f64::from);
        let values = match Numbers::of(call.tensor("x")?) {
            Numbers::Floats(values) => {
                Numbers::Floats(values.into_iter().map(|x| (self.float)(x, arguments)).collect())
            }
            Numbers::Ints(values) => Numbers::Ints(values.into_iter().map(self.int).collect()),
        };
        put(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, shape) = prepare.node.ty("x")?;
        let arguments = self.arguments(&prepare.node)?;
        let functions = Functions {
            float: self.float,
            int: self.int,
            arguments: arguments.map(f64::from),
        };
        Ok(step(prepare, dtype, shape, (self.kernel)(arguments), functions))
    }

    fn samples(&self) -> Vec<String> {
        let call = format!("{}({})", self.name, ["x=%x", self.sample].join(", "));
        self.dtypes
            .iter()
            .flat_map(|dtype| {
                [format!("{dtype}[2, 3, 5, 7]"), format!("{dtype}[19]")]
                    .map(|ty| sample(&format!("%x: {ty}"), &ty, &call))
            })
            .collect()
    }
}

/// What runs where there is no kernel.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) float: fn(f64, [f64; 2]) -> f64,
    pub(crate) int: fn(i64) -> i64,
    pub(crate) arguments: [f64; 2],
}

/// The step of a function of one number; `None` if x is constant.
pub(crate) fn step(
    prepare: &Prepare<'_>,
    dtype: DType,
    shape: &[usize],
    kernel: Kernel,
    functions: Functions,
) -> Option<Prepared> {
    if prepare.node.dynamic_inputs(&[]).len() != 1 {
        return None;
    }
    let elems: usize = shape.iter().product();
    let width = dtype.bits() / 8;
    let runs_kernel = dtype == DType::Float32 && kernel != Kernel::NONE;
    let prepared = if runs_kernel {
        let isa = prepare.isa;
        Prepared::new(KernelStep { isa, kernel }, elems, width)
    } else {
        Prepared::new(FunctionStep { dtype, functions }, elems, width)
    };
    Some(prepared.grain(64).in_place(0))
}

/// Elements that are computed at once: they stay in the first-level cache between the parts of a [`Kernel`].
const CHUNK: usize = 1024;

#[derive(Debug)]
struct KernelStep {
    isa: Isa,
    kernel: Kernel,
}

impl Step for KernelStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        let input: &[f32] = elements(inputs[0]);
        let input = input.get(units).unwrap_or_default();
        let Kernel {
            scale,
            shift,
            op,
            gain,
            then,
        } = self.kernel;
        for (at, chunk) in output.chunks_mut(CHUNK).enumerate() {
            // Without an input the step runs in place.
            if let Some(input) = input.get(at * CHUNK..) {
                let count = chunk.len().min(input.len());
                chunk[..count].copy_from_slice(&input[..count]);
            }
            if scale != 1.0 {
                chunk.iter_mut().for_each(|x| *x *= scale);
            }
            if shift != 0.0 {
                chunk.iter_mut().for_each(|x| *x += shift);
            }
            if let Some(op) = op {
                unary_f32_in_place(self.isa, op, chunk);
            }
            if gain != 1.0 {
                chunk.iter_mut().for_each(|x| *x *= gain);
            }
            if let Some(op) = then {
                unary_f32_in_place(self.isa, op, chunk);
            }
        }
    }

    fn kernel(&self) -> &str {
        "f32_unary"
    }
}

struct FunctionStep {
    dtype: DType,
    functions: Functions,
}

impl fmt::Debug for FunctionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FunctionStep").field(&self.dtype).finish()
    }
}

impl Step for FunctionStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        const PIECE: usize = 128;
        let width = self.dtype.bits() / 8;
        let input = inputs[0].get(units.start * width..units.end * width);
        let Functions {
            float,
            int,
            arguments,
        } = self.functions;
        for (at, chunk) in output.chunks_mut(PIECE * width).enumerate() {
            let count = chunk.len() / width;
            // Without an input the step runs in place.
            let source = input.map_or(&*chunk, |input| &input[at * PIECE * width..][..chunk.len()]);
            if self.dtype.is_float() {
                let mut values = [0.0; PIECE];
                let values = &mut values[..count];
                load_floats(self.dtype, source, 0, 1, values);
                values.iter_mut().for_each(|x| *x = float(*x, arguments));
                store_floats(self.dtype, values, chunk);
            } else {
                let mut values = [0; PIECE];
                let values = &mut values[..count];
                load_ints(self.dtype, source, 0, 1, values);
                values.iter_mut().for_each(|x| *x = int(*x));
                store_ints(self.dtype, values, chunk);
            }
        }
    }

    fn kernel(&self) -> &str {
        "scalar_unary"
    }
}
