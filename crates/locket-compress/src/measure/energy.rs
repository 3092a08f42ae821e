//! Energy of a prediction, modelled: there is no meter, so that operations and bytes are counted and priced.
//!
//! Prices are those of M. Horowitz, *Computing's energy problem (and what we can do about it)*, ISSCC 2014, figure 1.1.9, for 45 nm at
//! 0.9 V. Newer processes take less for all of it, and caches keep part of the traffic from DRAM; what is compared are variants of one
//! model under the same prices, not devices.

use locket_mil::{Dialect, Function, Operation, ValueId};
use locket_ops::{Node, Weight, registry};
use locket_runtime::plan::Plan;
use locket_tensor::DType;

use crate::recipe::stored_bytes;

/// Picojoules of a multiply-add in float32: 3.7 to multiply, 0.9 to add.
const FLOAT32_PJ: f64 = 4.6;
/// Picojoules of a multiply-add of 8-bit integers: 0.2 to multiply, 0.1 to add in 32 bits.
const INT8_PJ: f64 = 0.3;
/// Picojoules of a byte from or to DRAM: 1300 for 8 bytes, the lower end of what is given.
const BYTE_PJ: f64 = 1300.0 / 8.0;

/// Microjoules of one prediction of a function by a plan of it: its multiply-adds by their arithmetic, and the bytes that the plan's steps
/// read and write, each priced as if it came from DRAM.
pub fn energy_uj(function: &Function, plan: &Plan) -> f64 {
    let mut lowered = function.clone();
    locket_passes::simplify(&mut lowered);
    locket_passes::lower(&mut lowered);
    let (mut arithmetic_pj, mut unread_bytes) = (0.0, 0);
    for operation in &lowered.operations {
        let node = Node::new(&lowered, operation);
        // What is made of constants is made once, when the plan is.
        if node.dynamic_inputs(&[]).is_empty() {
            continue;
        }
        let macs = registry::find(&node).map_or(0, |operator| operator.cost(&node).macs);
        arithmetic_pj += macs as f64 * price(&lowered, operation);
        unread_bytes += operation
            .input_values()
            .map(|id| unread(&lowered, id))
            .sum::<u64>();
    }
    let bytes = plan.cost().bytes.saturating_sub(unread_bytes);
    (arithmetic_pj + bytes as f64 * BYTE_PJ) / 1e6
}

/// Operators of our own on bytes compute in integers; `quantize` and `dequantize`, which are MIL's, multiply floats.
fn price(function: &Function, operation: &Operation) -> f64 {
    let first = operation.input("x").and_then(|id| function.ty(id).dtype());
    if operation.dialect() == Dialect::Locket && first == Some(DType::UInt8) {
        INT8_PJ
    } else {
        FLOAT32_PJ
    }
}

/// Bytes of a weight's type that are in no memory: float weights stay as compressed as they are stored, those of integers are expanded.
fn unread(function: &Function, id: ValueId) -> u64 {
    let ty = function.ty(id);
    let is_float = ty.dtype().is_some_and(DType::is_float);
    if is_float && Weight::of(function, id).is_some() {
        (ty.bytes() as u64).saturating_sub(stored_bytes(function, id))
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;
    use locket_mil::text;
    use locket_runtime::{PlanOptions, Precision, compile};

    use super::{BYTE_PJ, FLOAT32_PJ, INT8_PJ, energy_uj};

    fn check(function: &str, macs: u64, mac_pj: f64, bytes: u64) {
        let function = text::parse(function).expect("a function");
        let options = PlanOptions {
            isa: Isa::SCALAR,
            threads: 1,
            lean: true,
            precision: Precision::Float32,
            depth_first: false,
            hand_over_ns: PlanOptions::HAND_OVER_NS,
        };
        let plan = compile(&function, options).expect("a plan").plan;
        let expected = (macs as f64 * mac_pj + bytes as f64 * BYTE_PJ) / 1e6;
        let found = energy_uj(&function, &plan);
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn operations_are_priced_by_their_arithmetic_and_bytes_all_alike() {
        // 70 x 37 weights, inputs and outputs in four bytes.
        check(
            "func f opset ios17 (%x: fp32[1, 37]) -> (y: %y) {
               %w: fp32[70, 37] = ramp(-1.0, 0.001)
               %y: fp32[1, 70] = linear(x=%x, weight=%w)
             }",
            70 * 37,
            FLOAT32_PJ,
            4 * (37 + 70 * 37 + 70),
        );
        // Weights and inputs in one byte; a bias and a factor for each output in four, as the outputs are, and one zero point.
        check(
            "func f opset ios17 (%x: uint8[1, 37]) -> (y: %y) {
               %w: int8[70, 37] = ramp(-120, 15)
               %b: int32[70] = ramp(-300, 50)
               %m: fp32[70] = ramp(0.0007, 0.0001)
               %y: fp32[1, 70] = locket.linear_u8(x=%x, weight=%w, bias=%b, x_zero_point=117, multiplier=%m, output_dtype=\"fp32\")
             }",
            70 * 37,
            INT8_PJ,
            37 + 70 * 37 + 3 * 4 * 70 + 4,
        );
    }

    #[test]
    fn compressed_weights_are_read_as_they_are_stored() {
        // Two weights a byte, and a scale for each output.
        check(
            "func f opset ios18 (%x: fp32[1, 36]) -> (y: %y) {
               %q: int4[70, 36] = fill(1)
               %s: fp32[70, 1] = fill(0.5)
               %w: fp32[70, 36] = constexpr_blockwise_shift_scale(data=%q, scale=%s)
               %y: fp32[1, 70] = linear(x=%x, weight=%w)
             }",
            70 * 36,
            FLOAT32_PJ,
            4 * 36 + 70 * 36 / 2 + 4 * 70 + 4 * 70,
        );
    }
}
