//! Reductions: one number from all elements along some axes. x: fp16, fp32, int32 of rank 1 or more; y: the type of x;
//! the axes in `axes` (by default all) are removed, or kept with dimension 1 if `keep_dims`. All since iOS 15.
//!
//! References sum in `f64` and round once; int32 results are cut towards zero. Over no element at all sums give 0,
//! products 1, and extremes and means NaN (for int32: 0).
//!
//! * `reduce_log_sum`: `log(sum(x))`; `reduce_log_sum_exp`: `log(sum(exp(x)))`, computed around the largest element

use std::fmt;

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::{
    common::{
        checks::{self, NUMBERS},
        index::{for_each_index, position, strides},
        numbers::{floats, put_floats},
        sample,
    },
    reduce_steps::{self, Fold},
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// A reduction.
pub struct Reduction {
    name: &'static str,
    /// The result for the elements in order.
    function: fn(&[f64]) -> f64,
    /// The same as a step computes it.
    fold: Option<Fold>,
}

/// The sum of absolute values
pub static REDUCE_L1_NORM: Reduction = Reduction {
    name: "reduce_l1_norm",
    function: |x| x.iter().map(|x| x.abs()).sum(),
    fold: Some(Fold::SumAbsolute),
};
/// The square root of the sum of squares
pub static REDUCE_L2_NORM: Reduction = Reduction {
    name: "reduce_l2_norm",
    function: |x| sum_square(x).sqrt(),
    fold: Some(Fold::RootSumSquare),
};
/// The logarithm of the sum
pub static REDUCE_LOG_SUM: Reduction = Reduction {
    name: "reduce_log_sum",
    function: |x| x.iter().sum::<f64>().ln(),
    fold: Some(Fold::LogSum),
};
/// The logarithm of the sum of exponentials
pub static REDUCE_LOG_SUM_EXP: Reduction = Reduction {
    name: "reduce_log_sum_exp",
    function: log_sum_exp,
    fold: None,
};
/// The largest element
pub static REDUCE_MAX: Reduction = Reduction {
    name: "reduce_max",
    function: |x| extreme(x, |a, b| a > b),
    fold: Some(Fold::Largest),
};
/// The mean
pub static REDUCE_MEAN: Reduction = Reduction {
    name: "reduce_mean",
    function: |x| x.iter().sum::<f64>() / x.len() as f64,
    fold: Some(Fold::Mean),
};
/// The smallest element
pub static REDUCE_MIN: Reduction = Reduction {
    name: "reduce_min",
    function: |x| extreme(x, |a, b| a < b),
    fold: Some(Fold::Smallest),
};
/// The product
pub static REDUCE_PROD: Reduction = Reduction {
    name: "reduce_prod",
    function: |x| x.iter().product(),
    fold: Some(Fold::Product),
};
/// The sum
pub static REDUCE_SUM: Reduction = Reduction {
    name: "reduce_sum",
    function: |x| x.iter().sum(),
    fold: Some(Fold::Sum),
};
/// The sum of squares
pub static REDUCE_SUM_SQUARE: Reduction = Reduction {
    name: "reduce_sum_square",
    function: sum_square,
    fold: Some(Fold::SumSquare),
};

fn sum_square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let largest = extreme(x, |a, b| a > b);
    if largest.is_infinite() {
        return largest;
    }
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// The element that comes before all others; NaN if there is one, or no element.
fn extreme(x: &[f64], before: fn(f64, f64) -> bool) -> f64 {
    let Some((&first, rest)) = x.split_first() else {
        return f64::NAN;
    };
    rest.iter().fold(
        first,
        |best, &x| if before(x, best) || x.is_nan() { x } else { best },
    )
}

/// What a reduction does to a shape.
pub(crate) struct Reduced {
    /// The axes that vanish, ascending, each once.
    pub(crate) axes: Vec<usize>,
    /// The result's shape.
    pub(crate) shape: Shape,
}

impl Reduced {
    /// Reads `axes` and `keep_dims`.
    pub(crate) fn of(node: &Node<'_>, shape: &[usize]) -> Result<Self, OpError> {
        let mut axes = node.axes("axes", shape.len())?;
        let given = axes.len();
        axes.sort_unstable();
        axes.dedup();
        if axes.len() != given {
            return Err(node.param_error("axes", "names an axis twice"));
        }
        let keep = node.flag("keep_dims", false)?;
        let dims = shape.iter().enumerate();
        let shape = dims
            .filter_map(|(axis, &dim)| match axes.contains(&axis) {
                true => keep.then_some(1),
                false => Some(dim),
            })
            .collect();
        Ok(Self { axes, shape })
    }
}

/// Gathers the elements of each result in turn, in row-major order on both sides.
pub(crate) fn for_each_group(x: &[f64], shape: &[usize], axes: &[usize], mut visit: impl FnMut(&[f64])) {
    let strides = strides(shape);
    let along = |take: bool| -> (Shape, Shape) {
        let picked = (0..shape.len()).filter(|axis| axes.contains(axis) == take);
        picked.map(|axis| (shape[axis], strides[axis])).unzip()
    };
    let ((outer, outer_strides), (inner, inner_strides)) = (along(false), along(true));
    let mut group = Vec::with_capacity(inner.iter().product());
    for_each_index(&outer, |_, index| {
        let start = position(index, &outer_strides);
        group.clear();
        for_each_index(&inner, |_, index| {
            group.push(x[start + position(index, &inner_strides)]);
        });
        visit(&group);
    });
}

impl fmt::Debug for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reduction").field(&self.name).finish()
    }
}

impl Operator for Reduction {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("axes"),
                    Param::attribute("keep_dims"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", NUMBERS)?;
        checks::results(node, dtype, &Reduced::of(node, shape)?.shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: node
                .ty("x")
                .map_or(0, |(_, shape)| shape.iter().product::<usize>() as u64),
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let axes = Reduced::of(&call.node, x.shape)?.axes;
        let mut results = Vec::new();
        for_each_group(&floats(x), x.shape, &axes, |group| {
            results.push((self.function)(group));
        });
        put_floats(&mut outputs[0], results);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        match (self.fold, node.ty("x")) {
            (Some(_), Ok((DType::Float32, _))) => LayoutRule::AsTheyLie,
            _ => LayoutRule::RowMajor,
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        let reduced = Reduced::of(&prepare.node, shape)?;
        Ok(self
            .fold
            .and_then(|fold| reduce_steps::prepare(prepare, fold, &reduced)))
    }

    fn samples(&self) -> Vec<String> {
        let name = self.name;
        let of =
            |x: &str, y: &str, args: &str| sample(&format!("%x: {x}"), y, &format!("{name}(x=%x{args})"));
        vec![
            of(
                "fp32[2, 20, 4, 5]",
                "fp32[2, 20, 1, 1]",
                ", axes=[2, 3], keep_dims=true",
            ),
            of(
                "fp32[2, 20, 4, 5]",
                "fp32[2, 20]",
                ", axes=[-1, -2], keep_dims=false",
            ),
            of(
                "fp32[2, 3, 4, 5]",
                "fp32[2, 1, 4, 5]",
                ", axes=[1], keep_dims=true",
            ),
            of("fp32[2, 3, 37]", "fp32[2, 3, 1]", ", axes=[-1], keep_dims=true"),
            of("fp32[2, 3, 4, 5]", "fp32[3, 5]", ", axes=[0, 2]"),
            of(
                "fp32[2, 3, 4, 5]",
                "fp32[2, 3, 1, 1]",
                ", axes=[2, 3], keep_dims=true",
            ),
            of("fp32[2, 3, 4, 5, 6]", "fp32[2, 4, 6]", ", axes=[1, 3]"),
            of("fp32[3, 4]", "fp32[]", ""),
            of("fp16[2, 3, 4]", "fp16[2, 4]", ", axes=[1]"),
            of("int32[2, 5]", "int32[2]", ", axes=[1]"),
            of("fp32[7]", "fp32[1]", ", keep_dims=true"),
        ]
    }
}
