//! `locket.lookup_u8`: `y = table[x]`, any function of one 8-bit code.
//!
//! x: uint8 or int8 of any shape; table: uint8 or int8 constant `[256]`, indexed by the bits of x (so that int8 -1 finds entry 255);
//! y: the type of the table, the shape of x. Exact. Stands for a requantisation, an activation between `dequantize` and
//! `quantize`, or the step between int8 and uint8. Made by passes; never written.

use std::ops::Range;

use locket_kernels::{Isa, lookup_u8, lookup_u8_in_place};
use locket_mil::Type;
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, expect_dtype},
    sample_with,
};
use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `locket.lookup_u8`.
pub static LOOKUP_U8: Lookup = Lookup;

/// See the module.
#[derive(Debug)]
pub struct Lookup;

const CODES: &[DType] = &[DType::UInt8, DType::Int8];

/// The table's type and entries.
fn table(node: &Node<'_>) -> Result<(DType, [u8; 256]), OpError> {
    let (dtype, shape) = node.ty("table")?;
    expect_dtype(node, "table", dtype, CODES)?;
    let bytes = node
        .tensor("table")
        .and_then(|tensor| <[u8; 256]>::try_from(tensor.bytes()).ok());
    match bytes {
        Some(table) if *shape == [256] => Ok((dtype, table)),
        _ => Err(node.param_error(
            "table",
            format_args!("expected a constant of shape [256], found {shape:?}"),
        )),
    }
}

impl Operator for Lookup {
    fn signature(&self) -> Signature {
        Signature {
            name: "locket.lookup_u8",
            params: const { &[Param::required("x"), Param::constant("table")] },
            available: Availability::Internal,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "x", CODES)?;
        checks::results(node, table(node)?.0, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (_, table) = table(&call.node)?;
        for (y, &x) in outputs[0].bytes.iter_mut().zip(call.tensor("x")?.bytes) {
            *y = table[usize::from(x)];
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        if node.dynamic_inputs(&[]).len() != 1 {
            return Ok(None);
        }
        let (_, table) = table(node)?;
        let elems = usize::try_from(node.output_elems()).unwrap_or(usize::MAX);
        let prepared = Prepared::new(
            LookupStep {
                isa: prepare.isa,
                table,
            },
            elems,
            1,
        );
        Ok(Some(prepared.grain(64).in_place(0).weights(table.len())))
    }

    fn samples(&self) -> Vec<String> {
        let list = |entry: fn(i32) -> i32| {
            let entries: Vec<String> = (0..256).map(|code| entry(code).to_string()).collect();
            entries.join(", ")
        };
        let unsigned = format!("%t: uint8[256] = [{}]", list(|code| code * 7 % 256));
        let signed = format!("%t: int8[256] = [{}]", list(|code| 127 - code));
        let call = "locket.lookup_u8(x=%x, table=%t)";
        vec![
            sample_with("%x: uint8[2, 20, 3, 7]", &[&unsigned], "uint8[2, 20, 3, 7]", call),
            sample_with("%x: int8[131]", &[&unsigned], "uint8[131]", call),
            sample_with("%x: uint8[3, 5]", &[&signed], "int8[3, 5]", call),
        ]
    }
}

#[derive(Debug)]
struct LookupStep {
    isa: Isa,
    table: [u8; 256],
}

impl Step for LookupStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        match inputs[0] {
            [] => lookup_u8_in_place(self.isa, &self.table, output),
            input => lookup_u8(self.isa, &self.table, &input[units], output),
        }
    }

    fn kernel(&self) -> &str {
        "u8_lookup"
    }
}
