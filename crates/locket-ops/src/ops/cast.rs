//! `cast`: the same numbers in another type. x: fp16, fp32, int32, bool, since iOS 17 int8, uint8, int16, uint16, of
//! any shape; y: the type that `dtype` names, of the same shape. Since iOS 15.
//!
//! To a narrower float: to nearest, ties to even. A float to an integer: cut towards zero, NaN gives 0, and
//! what is out of range saturates. An integer to another: its low bits. To bool: everything but 0 is true. From bool: 0 and 1.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use locket_kernels::{Isa, f16_to_f32, f32_to_f16};
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks,
    numbers::{floats, ints, load_floats, load_ints, put_floats, put_ints, store_floats, store_ints},
    sample,
};
use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `cast`.
pub static CAST: Cast = Cast;

/// See the module.
#[derive(Debug)]
pub struct Cast;

const DTYPES: &[DType] = &[
    DType::Float16,
    DType::Float32,
    DType::Int32,
    DType::Bool,
    DType::Int8,
    DType::UInt8,
    DType::Int16,
    DType::UInt16,
];

impl Operator for Cast {
    fn signature(&self) -> Signature {
        Signature {
            name: "cast",
            params: const { &[Param::required("x"), Param::constant("dtype")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "x", DTYPES)?;
        checks::results(node, checks::dtype_named(node, "dtype", "", DTYPES)?, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let to = outputs[0].dtype;
        match (to, to.int_range()) {
            (DType::Bool, _) => {
                let truths = floats(x).into_iter().map(|x| i64::from(x != 0.0));
                put_ints(&mut outputs[0], truths);
            }
            (_, Some((low, high))) => {
                let float = x.dtype.is_float();
                let codes = ints(x)
                    .into_iter()
                    .map(|x| if float { x.clamp(low, high) } else { x });
                put_ints(&mut outputs[0], codes);
            }
            _ => put_floats(&mut outputs[0], floats(x)),
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (from, shape) = prepare.node.ty("x")?;
        let (to, _) = prepare.node.output_ty(prepare.output)?;
        if prepare.node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let step = CastStep {
            isa: prepare.isa,
            from,
            to,
        };
        let prepared = Prepared::new(step, shape.iter().product(), to.bits() / 8);
        Ok(Some(prepared.grain(64)))
    }

    fn samples(&self) -> Vec<String> {
        let pairs = DTYPES
            .iter()
            .flat_map(|from| DTYPES.iter().map(move |to| (from, to)));
        pairs
            .map(|(from, to)| {
                sample(
                    &format!("%x: {from}[2, 3, 4]"),
                    &format!("{to}[2, 3, 4]"),
                    &format!("cast(x=%x, dtype=\"{to}\")"),
                )
            })
            .collect()
    }
}

#[derive(Debug)]
struct CastStep {
    isa: Isa,
    from: DType,
    to: DType,
}

impl CastStep {
    fn piece(&self, input: &[u8], output: &mut [u8], count: usize) {
        if self.to == DType::Bool {
            let mut values = [0.0; PIECE];
            load_floats(self.from, input, 0, 1, &mut values[..count]);
            values
                .iter_mut()
                .for_each(|x| *x = f64::from(u8::from(*x != 0.0)));
            store_floats(self.to, &values[..count], output);
        } else if let Some((low, high)) = self.to.int_range() {
            let mut values = [0; PIECE];
            load_ints(self.from, input, 0, 1, &mut values[..count]);
            if self.from.is_float() {
                values.iter_mut().for_each(|x| *x = (*x).clamp(low, high));
            }
            store_ints(self.to, &values[..count], output);
        } else {
            let mut values = [0.0; PIECE];
            load_floats(self.from, input, 0, 1, &mut values[..count]);
            store_floats(self.to, &values[..count], output);
        }
    }
}

/// Elements that are converted at once where they pass through a wider type.
const PIECE: usize = 256;

impl Step for CastStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let (width, to_width) = (self.from.bits() / 8, self.to.bits() / 8);
        let input = &inputs[0][units.start * width..units.end * width];
        match (self.from, self.to) {
            (DType::Float16, DType::Float32) => {
                f16_to_f32(self.isa, cast_slice(input), cast_slice_mut(output));
            }
            (DType::Float32, DType::Float16) => {
                f32_to_f16(self.isa, cast_slice(input), cast_slice_mut(output));
            }
            (from, to) if from == to => output.copy_from_slice(input),
            _ => {
                let pieces = input
                    .chunks(PIECE * width)
                    .zip(output.chunks_mut(PIECE * to_width));
                for (input, output) in pieces {
                    self.piece(input, output, input.len() / width);
                }
            }
        }
    }

    fn kernel(&self) -> &str {
        match (self.from, self.to) {
            (DType::Float16, DType::Float32) => "f16_to_f32",
            (DType::Float32, DType::Float16) => "f32_to_f16",
            _ => "scalar_cast",
        }
    }
}
