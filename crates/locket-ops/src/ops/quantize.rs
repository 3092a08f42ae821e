//! Quantisation at run time. From iOS 17.
//!
//! * `quantize`: `y = clip(round(input / scale) + zero_point)`. input: fp16, fp32; y: int8 or uint8 as `output_dtype` says. The
//!   quotient is rounded to fp32, then to an integer, halves to even; NaN gives the zero point; the sum is cut to the type's range.
//! * `dequantize`: `y = scale * (input - zero_point)`. input: int8, uint8; y: the type of scale, fp16 or fp32; the product is rounded to
//!   fp32, then to y's type.
//!
//! scale and zero_point are constants, scalars, or with `axis` one value for each position on it; zero_point has the integer type, and is
//! 0 if it is not given.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use locket_kernels::{Isa, dequantize_i8, dequantize_u8, quantize_i8, quantize_u8};
use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut, TensorRef};

use super::common::{
    checks::{self, FLOATS},
    compressed::{Affine, put_floats32},
    index::around,
    lines::{Lines, physical_strides},
    numbers::{floats32, put_ints},
    sample, sample_with,
};
use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `quantize`.
pub static QUANTIZE: Quantize = Quantize;

/// The operator `dequantize`.
pub static DEQUANTIZE: Dequantize = Dequantize;

/// See the module.
#[derive(Debug)]
pub struct Quantize;

/// See the module.
#[derive(Debug)]
pub struct Dequantize;

const CODES: &[DType] = &[DType::Int8, DType::UInt8];

fn affine(call: &Call<'_>, shape: &[usize]) -> Result<Affine, OpError> {
    Affine::of(
        &call.node,
        shape,
        call.tensor("scale")?,
        call.optional("zero_point")?,
    )
}

fn check_zero_point(node: &Node<'_>, code: DType) -> Result<(), OpError> {
    match node.optional_ty("zero_point")? {
        Some((found, _)) => checks::expect_dtype(node, "zero_point", found, &[code]),
        None => Ok(()),
    }
}

impl Operator for Quantize {
    fn signature(&self) -> Signature {
        Signature {
            name: "quantize",
            params: const {
                &[
                    Param::required("input"),
                    Param::attribute("zero_point"),
                    Param::constant("scale"),
                    Param::attribute("axis"),
                    Param::constant("output_dtype"),
                ]
            },
            available: Availability::From(Target::Ios17),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "input", FLOATS)?;
        checks::tensor_of(node, "scale", FLOATS)?;
        let code = checks::dtype_named(node, "output_dtype", "", CODES)?;
        check_zero_point(node, code)?;
        Affine::check(node, shape)?;
        let scale = node.floats("scale")?.unwrap_or_default();
        if let Some(bad) = scale.iter().find(|scale| **scale == 0.0 || !scale.is_finite()) {
            return Err(node.param_error(
                "scale",
                format_args!("expected finite numbers but 0, found {bad}"),
            ));
        }
        checks::results(node, code, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let input = call.tensor("input")?;
        let affine = affine(call, input.shape)?;
        let [_, length, inner] = affine.axis.map_or([1, 1, 1], |axis| around(input.shape, axis));
        let (low, high) = outputs[0].dtype.int_range().unwrap_or((0, 0));
        let codes = floats32(input).into_iter().enumerate().map(|(at, x)| {
            let place = at / inner % length;
            let zero = affine.zero_at(place) as i64;
            let rounded = (x / affine.scale[place]).round_ties_even() as i64;
            rounded.saturating_add(zero).clamp(low, high)
        });
        put_ints(&mut outputs[0], codes);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        layout_rule(node, false)
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        prepare_step(prepare, Direction::Quantize)
    }

    fn samples(&self) -> Vec<String> {
        let zero = "%z: uint8[] = [128]";
        vec![
            sample_with(
                "%x: fp32[2, 3, 4, 5]",
                &[zero],
                "uint8[2, 3, 4, 5]",
                "quantize(input=%x, zero_point=%z, scale=0.03, output_dtype=\"uint8\")",
            ),
            sample(
                "%x: fp32[37]",
                "int8[37]",
                "quantize(input=%x, scale=0.5, output_dtype=\"int8\")",
            ),
            sample_with(
                "%x: fp32[2, 3, 4, 5]",
                &["%z: int8[3] = [0, -5, 100]"],
                "int8[2, 3, 4, 5]",
                "quantize(input=%x, zero_point=%z, scale=[0.1, 0.02, 0.003], axis=1, output_dtype=\"int8\")",
            ),
            sample_with(
                "%x: fp16[3, 4]",
                &["%s: fp16[] = [0.1]"],
                "uint8[3, 4]",
                "quantize(input=%x, scale=%s, output_dtype=\"uint8\")",
            ),
        ]
    }
}

impl Operator for Dequantize {
    fn signature(&self) -> Signature {
        Signature {
            name: "dequantize",
            params: const {
                &[
                    Param::required("input"),
                    Param::attribute("zero_point"),
                    Param::constant("scale"),
                    Param::attribute("axis"),
                ]
            },
            available: Availability::From(Target::Ios17),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (code, shape) = checks::tensor_of(node, "input", CODES)?;
        let (dtype, _) = checks::tensor_of(node, "scale", FLOATS)?;
        check_zero_point(node, code)?;
        Affine::check(node, shape)?;
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let input = call.tensor("input")?;
        let affine = affine(call, input.shape)?;
        let [_, length, inner] = affine.axis.map_or([1, 1, 1], |axis| around(input.shape, axis));
        let values = floats32(input).into_iter().enumerate().map(|(at, q)| {
            let place = at / inner % length;
            affine.scale[place] * (q - affine.zero_at(place))
        });
        put_floats32(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        layout_rule(node, true)
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        prepare_step(prepare, Direction::Dequantize)
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample_with(
                "%x: uint8[2, 3, 4, 5]",
                &["%z: uint8[] = [128]"],
                "fp32[2, 3, 4, 5]",
                "dequantize(input=%x, zero_point=%z, scale=0.03)",
            ),
            sample("%x: int8[37]", "fp32[37]", "dequantize(input=%x, scale=0.5)"),
            sample_with(
                "%x: int8[2, 3, 4, 5]",
                &["%z: int8[3] = [0, -5, 100]"],
                "fp32[2, 3, 4, 5]",
                "dequantize(input=%x, zero_point=%z, scale=[0.1, 0.02, 0.003], axis=1)",
            ),
            sample_with(
                "%x: uint8[3, 4]",
                &["%s: fp16[] = [0.1]"],
                "fp16[3, 4]",
                "dequantize(input=%x, scale=%s)",
            ),
        ]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Quantize,
    Dequantize,
}

/// Any layout where there is a step: with fp32 on the float side, which is the output's if `float_output`.
fn layout_rule(node: &Node<'_>, float_output: bool) -> LayoutRule {
    let float = match float_output {
        true => node.output_ty(0),
        false => node.ty("input"),
    };
    match float {
        Ok((DType::Float32, _)) => LayoutRule::Any,
        _ => LayoutRule::RowMajor,
    }
}

fn prepare_step(prepare: &Prepare<'_>, direction: Direction) -> Result<Option<Prepared>, OpError> {
    let node = &prepare.node;
    let (input, shape) = node.ty("input")?;
    let (output, _) = node.output_ty(prepare.output)?;
    let (float, code) = match direction {
        Direction::Quantize => (input, output),
        Direction::Dequantize => (output, input),
    };
    if float != DType::Float32 || node.dynamic_inputs(&[]).len() != 1 {
        return Ok(None);
    }
    let scale = node.tensor("scale").map(|tensor| tensor.view());
    let zero_point: Option<TensorRef<'_>> = node.tensor("zero_point").map(|tensor| tensor.view());
    let scale = scale.ok_or_else(|| node.param_error("scale", "must be a constant"))?;
    let affine = Affine::of(node, shape, scale, zero_point)?;
    let layout = prepare.output_layout();
    let along: Shape = (0..shape.len())
        .map(|axis| usize::from(affine.axis == Some(axis)))
        .collect();
    let lines = Lines::new(shape, layout, [physical_strides(shape, layout), along]);
    let held = 4 * (affine.scale.len() + affine.zero_point.len());
    let step = AffineStep {
        isa: prepare.isa,
        direction,
        code,
        zero_points: (0..affine.scale.len())
            .map(|place| affine.zero_at(place) as i32)
            .collect(),
        scales: affine.scale,
        lines,
    };
    let prepared = Prepared::new(step, shape.iter().product(), output.bits() / 8);
    Ok(Some(prepared.grain(64).weights(held)))
}

#[derive(Debug)]
struct AffineStep {
    isa: Isa,
    direction: Direction,
    code: DType,
    scales: Vec<f32>,
    zero_points: Vec<i32>,
    /// Operands: the input, and the place in the two lists.
    lines: Lines<2>,
}

impl AffineStep {
    /// Elements that share scale and zero point.
    fn uniform(&self, place: usize, input: &[u8], output: &mut [u8]) {
        let (isa, scale, zero) = (self.isa, self.scales[place], self.zero_points[place]);
        match (self.direction, self.code) {
            (Direction::Quantize, DType::UInt8) => {
                quantize_u8(isa, scale, zero as u8, cast_slice(input), output);
            }
            (Direction::Quantize, _) => {
                quantize_i8(isa, scale, zero as i8, cast_slice(input), cast_slice_mut(output));
            }
            (Direction::Dequantize, DType::UInt8) => {
                dequantize_u8(isa, scale, zero as u8, input, cast_slice_mut(output));
            }
            (Direction::Dequantize, _) => {
                dequantize_i8(isa, scale, zero as i8, cast_slice(input), cast_slice_mut(output));
            }
        }
    }
}

impl AffineStep {
    /// Elements each with a scale and zero point of its own, by the kernels' formula.
    fn quantize_each(&self, places: impl Iterator<Item = usize>, input: &[f32], output: &mut [u8]) {
        let (low, high) = if self.code == DType::UInt8 {
            (0, 255)
        } else {
            (-128, 127)
        };
        for ((place, &x), y) in places.zip(input).zip(output) {
            // The quotient saturates where it leaves i32, far outside the codes; NaN becomes 0.
            let rounded = (x / self.scales[place]).round_ties_even() as i32;
            *y = rounded.saturating_add(self.zero_points[place]).clamp(low, high) as u8;
        }
    }

    /// The same the other way.
    fn dequantize_each(&self, places: impl Iterator<Item = usize>, input: &[u8], output: &mut [f32]) {
        let signed = self.code == DType::Int8;
        for ((place, &code), y) in places.zip(input).zip(output) {
            let q = if signed {
                i32::from(code as i8)
            } else {
                i32::from(code)
            };
            *y = self.scales[place] * (q - self.zero_points[place]) as f32;
        }
    }
}

impl Step for AffineStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let (from, to) = match self.direction {
            Direction::Quantize => (4, 1),
            Direction::Dequantize => (1, 4),
        };
        let (_, [_, step]) = self.lines.inner();
        self.lines.for_each(units, 1, |run, [start, place]| {
            let input = &inputs[0][start * from..(start + run.len()) * from];
            let output = &mut output[run.start * to..run.end * to];
            if step == 0 {
                return self.uniform(place, input, output);
            }
            let places = (0..run.len()).map(|at| place + at * step);
            match self.direction {
                Direction::Quantize => self.quantize_each(places, cast_slice(input), output),
                Direction::Dequantize => self.dequantize_each(places, input, cast_slice_mut(output)),
            }
        });
    }

    fn kernel(&self) -> &str {
        match self.direction {
            Direction::Quantize => "quantize",
            Direction::Dequantize => "dequantize",
        }
    }
}
