//! `locket.add_u8`: the sum of two quantised tensors of one shape.
//!
//! `t = (a - a_zero_point) as f32 * a_multiplier + (b - b_zero_point) as f32 * b_multiplier`, products and sum rounded apart;
//! `y = clamp(round_half_even(t) + y_zero_point, y_min, y_max)`. Multipliers are the input's scale over the output's.
//! All u8. Same bits on every instruction set. Made by passes; never written.

use std::ops::Range;

use locket_kernels::{AddU8, Isa, add_u8};
use locket_mil::Type;
use locket_tensor::{DType, TensorMut};

use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `locket.add_u8`.
pub static ADD_U8: Add = Add;

/// See the module.
#[derive(Debug)]
pub struct Add;

fn numbers(node: &Node<'_>) -> Result<AddU8, OpError> {
    let code = |param: &str, default: i64| {
        let value = node.int(param, default)?;
        u8::try_from(value)
            .map_err(|_| node.param_error(param, format_args!("expected 0 to 255, found {value}")))
    };
    Ok(AddU8 {
        input_zero_points: [code("a_zero_point", 0)?, code("b_zero_point", 0)?],
        multipliers: [node.float("a_multiplier", 1.0)?, node.float("b_multiplier", 1.0)?],
        zero_point: code("y_zero_point", 0)?,
        clamp: [code("y_min", 0)?, code("y_max", 255)?],
    })
}

impl Operator for Add {
    fn signature(&self) -> Signature {
        const PARAMS: [Param; 9] = [
            Param::required("a"),
            Param::required("b"),
            Param::constant("a_zero_point"),
            Param::constant("a_multiplier"),
            Param::constant("b_zero_point"),
            Param::constant("b_multiplier"),
            Param::constant("y_zero_point"),
            Param::attribute("y_min"),
            Param::attribute("y_max"),
        ];
        Signature {
            name: "locket.add_u8",
            params: &PARAMS,
            available: Availability::Internal,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let ((a, shape), (b, other)) = (node.ty("a")?, node.ty("b")?);
        if a != DType::UInt8 || b != DType::UInt8 || shape != other {
            return Err(node.error(format_args!(
                "expected two uint8 tensors of one shape, found {a} {shape:?} and {b} {other:?}"
            )));
        }
        numbers(node)?;
        Ok(vec![Type::tensor(DType::UInt8, shape)])
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let p = numbers(&call.node)?;
        let (a, b) = (
            call.tensor("a")?.as_slice::<u8>(),
            call.tensor("b")?.as_slice::<u8>(),
        );
        for ((y, &a), &b) in outputs[0].as_mut_slice::<u8>().iter_mut().zip(a).zip(b) {
            let left = (i32::from(a) - i32::from(p.input_zero_points[0])) as f32 * p.multipliers[0];
            let right = (i32::from(b) - i32::from(p.input_zero_points[1])) as f32 * p.multipliers[1];
            let sum = (left + right).round_ties_even() as i32;
            let stored = sum.saturating_add(i32::from(p.zero_point));
            *y = stored.clamp(i32::from(p.clamp[0]), i32::from(p.clamp[1])) as u8;
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("a")?;
        if prepare.node.dynamic_inputs(&[]).len() != 2 {
            return Ok(None);
        }
        let step = AddStep {
            isa: prepare.isa,
            numbers: numbers(&prepare.node)?,
        };
        let prepared = Prepared::new(step, shape.iter().product(), 1);
        Ok(Some(prepared.grain(64).in_place(0)))
    }

    fn samples(&self) -> Vec<String> {
        vec![
            "func f opset ios17 (%a: uint8[1, 5, 4, 9], %b: uint8[1, 5, 4, 9]) -> (y: %y) {
               %y: uint8[1, 5, 4, 9] = locket.add_u8(a=%a, b=%b, a_zero_point=3, a_multiplier=0.4, b_zero_point=120, b_multiplier=1.3, y_zero_point=60, y_min=60)
             }"
            .to_owned(),
        ]
    }
}

#[derive(Debug)]
struct AddStep {
    isa: Isa,
    numbers: AddU8,
}

impl Step for AddStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        // Empty if the sum is computed in its place.
        let a = (!inputs[0].is_empty()).then(|| &inputs[0][units.clone()]);
        add_u8(self.isa, &self.numbers, a, &inputs[1][units], output);
    }

    fn kernel(&self) -> &str {
        "u8_add"
    }
}
