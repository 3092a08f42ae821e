//! Orders and running sums along an axis. x: fp16, fp32, int32. All since iOS 15.
//!
//! * `cumsum`: the running sum along `axis` (by default 0), from the end if `reverse`, without the element itself if `exclusive`; y: as x
//! * `argsort`: the positions of the elements in falling order (rising if `ascending`) along `axis` (by default the last); equal ones keep
//!   their order; y: int32
//! * `topk`: the first `k` (by default 1) elements in that order, and their positions, int32 (`output_indices_dtype`, since iOS 17,
//!   may be uint16); they come in order even where `sort` is false; `return_indices` false (since iOS 16) leaves out the positions
//!
//! NaN counts as larger than every number.

use std::cmp::Ordering;

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::common::{
    checks::{self, NUMBERS},
    index::around,
    numbers::{Numbers, floats, put, put_ints},
    sample,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `cumsum`.
pub static CUMSUM: Cumsum = Cumsum;

/// The operator `argsort`.
pub static ARGSORT: Argsort = Argsort;

/// The operator `topk`.
pub static TOPK: Topk = Topk;

/// See the module.
#[derive(Debug)]
pub struct Cumsum;

/// See the module.
#[derive(Debug)]
pub struct Argsort;

/// See the module.
#[derive(Debug)]
pub struct Topk;

/// Replaces each element of a row, in order, by the sum so far.
fn accumulate<T: Copy>(
    values: &mut [T],
    places: impl Iterator<Item = usize>,
    zero: T,
    exclusive: bool,
    add: fn(T, T) -> T,
) {
    let mut sum = zero;
    for place in places {
        let next = add(sum, values[place]);
        values[place] = if exclusive { sum } else { next };
        sum = next;
    }
}

impl Operator for Cumsum {
    fn signature(&self) -> Signature {
        Signature {
            name: "cumsum",
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("axis"),
                    Param::attribute("exclusive"),
                    Param::attribute("reverse"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", NUMBERS)?;
        node.axis("axis", 0, shape.len())?;
        for param in ["exclusive", "reverse"] {
            node.flag(param, false)?;
        }
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (x, node) = (call.tensor("x")?, &call.node);
        let [outer, length, inner] = around(x.shape, node.axis("axis", 0, x.shape.len())?);
        let (exclusive, reverse) = (node.flag("exclusive", false)?, node.flag("reverse", false)?);
        let mut numbers = Numbers::of(x);
        for row in 0..outer * inner {
            let first = row / inner * length * inner + row % inner;
            let places = (0..length).map(|at| first + if reverse { length - 1 - at } else { at } * inner);
            match &mut numbers {
                Numbers::Floats(values) => accumulate(values, places, 0.0, exclusive, |a, b| a + b),
                Numbers::Ints(values) => accumulate(values, places, 0, exclusive, i64::wrapping_add),
            }
        }
        put(&mut outputs[0], numbers);
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let of = |ty: &str, args: &str| sample(&format!("%x: {ty}"), ty, &format!("cumsum(x=%x{args})"));
        vec![
            of("fp32[3, 4]", ""),
            of("fp32[2, 5]", ", axis=-1, exclusive=true"),
            of("int32[2, 3, 2]", ", axis=1, reverse=true, exclusive=true"),
            of("fp16[4]", ", reverse=true"),
        ]
    }
}

/// For each row along the axis, the positions in order.
fn orders(values: &[f64], [outer, length, inner]: [usize; 3], ascending: bool) -> Vec<Vec<usize>> {
    (0..outer * inner)
        .map(|row| {
            let first = row / inner * length * inner + row % inner;
            let value = |at: usize| values[first + at * inner];
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by(|&a, &b| {
                let rising = compare(value(a), value(b));
                if ascending { rising } else { rising.reverse() }
            });
            order
        })
        .collect()
}

/// Numbers by size, NaN after all of them.
fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Operator for Argsort {
    fn signature(&self) -> Signature {
        Signature {
            name: "argsort",
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("axis"),
                    Param::attribute("ascending"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "x", NUMBERS)?;
        node.axis("axis", -1, shape.len())?;
        node.flag("ascending", false)?;
        checks::results(node, DType::Int32, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let block = around(x.shape, call.node.axis("axis", -1, x.shape.len())?);
        let [_, length, inner] = block;
        let ascending = call.node.flag("ascending", false)?;
        let mut places = vec![0; outputs[0].elems()];
        for (row, order) in orders(&floats(x), block, ascending).into_iter().enumerate() {
            let first = row / inner * length * inner + row % inner;
            for (at, place) in order.into_iter().enumerate() {
                places[first + at * inner] = place as i64;
            }
        }
        put_ints(&mut outputs[0], places);
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample("%x: fp32[2, 7]", "int32[2, 7]", "argsort(x=%x)"),
            sample(
                "%x: int32[5, 2]",
                "int32[5, 2]",
                "argsort(x=%x, axis=0, ascending=true)",
            ),
        ]
    }
}

/// Axis and number of elements.
fn best(node: &Node<'_>, shape: &[usize]) -> Result<(usize, usize), OpError> {
    let axis = node.axis("axis", -1, shape.len())?;
    let k = node.int("k", 1)?;
    let taken = usize::try_from(k).ok().filter(|&k| k <= shape[axis]);
    taken.map(|k| (axis, k)).ok_or_else(|| {
        node.param_error(
            "k",
            format_args!("expected at most {} elements, found {k}", shape[axis]),
        )
    })
}

impl Operator for Topk {
    fn signature(&self) -> Signature {
        Signature {
            name: "topk",
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("k"),
                    Param::attribute("axis"),
                    Param::attribute("ascending"),
                    Param::attribute("sort"),
                    Param::attribute("return_indices"),
                    Param::attribute("output_indices_dtype"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", NUMBERS)?;
        let (axis, k) = best(node, shape)?;
        node.flag("ascending", false)?;
        let mut taken = Shape::from(shape);
        taken[axis] = k;
        let index = checks::dtype_named(
            node,
            "output_indices_dtype",
            "int32",
            &[DType::Int32, DType::UInt16],
        )?;
        let mut types = vec![checks::result(node, dtype, &taken)?];
        if node.flag("return_indices", true)? {
            types.push(checks::result(node, index, &taken)?);
        }
        Ok(types)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let (axis, k) = best(&call.node, x.shape)?;
        let block = around(x.shape, axis);
        let [_, length, inner] = block;
        let ascending = call.node.flag("ascending", false)?;
        let width = x.dtype.bits() / 8;
        let mut places = vec![0; outputs[0].elems()];
        for (row, order) in orders(&floats(x), block, ascending).into_iter().enumerate() {
            for (at, place) in order.into_iter().take(k).enumerate() {
                let from = (row / inner * length + place) * inner + row % inner;
                let to = (row / inner * k + at) * inner + row % inner;
                outputs[0].bytes[to * width..][..width].copy_from_slice(&x.bytes[from * width..][..width]);
                places[to] = place as i64;
            }
        }
        if let Some(indices) = outputs.get_mut(1) {
            put_ints(indices, places);
        }
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, parts: [&str; 2], args: &str| {
            let [a, b] = parts;
            format!(
                "func f opset ios17 (%x: {x}) -> (a: %a, b: %b) {{\n%a: {a}, %b: {b} = topk(x=%x{args})\n}}"
            )
        };
        vec![
            of("fp32[2, 7]", ["fp32[2, 3]", "int32[2, 3]"], ", k=3"),
            of(
                "int32[5, 2]",
                ["int32[2, 2]", "uint16[2, 2]"],
                ", k=2, axis=0, ascending=true, output_indices_dtype=\"uint16\"",
            ),
            sample("%x: fp16[4]", "fp16[1]", "topk(x=%x, return_indices=false)"),
        ]
    }
}
