//! Functions of one number, applied to each element: `y[i] = f(x[i])`. The functions are in
//! [`activation`](super::activation) and [`maths`](super::maths).
//!
//! Parameters `alpha`, `beta` and `epsilon` are constants, read as fp32 (since iOS 17 their type may differ from that
//! of `x`). fp16 is computed in a wider type and rounded once.

use std::fmt;

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    numbers::{Numbers, put},
    sample,
};
use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Signature};

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
    /// Parameters as a sample writes them, such as `alpha=0.5`.
    pub(crate) sample: &'static str,
}

/// A function of floats without parameters.
const PLAIN: Unary = Unary {
    name: "",
    params: const { &[Param::required("x")] },
    dtypes: FLOATS,
    defaults: [0.0; 2],
    float: |x, _| x,
    int: |x| x,
    sample: "",
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
            available: Availability::From(Target::Ios15),
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
