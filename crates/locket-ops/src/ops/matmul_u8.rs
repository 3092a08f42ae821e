//! `locket.matmul_u8`: a product of matrices of codes, over the last two axes; outer axes broadcast as in [`super::matmul`].
//!
//! x: uint8 `[..., M, K]` with `x_zero_point`; y: uint8 `[..., K, N]` (`[..., N, K]` if `transpose_y`) with `y_zero_point`.
//! Exactly, on every instruction set:
//!
//! `acc = sum of (x - x_zero_point) (y - y_zero_point)` in i32; `t = acc as f32 * multiplier`;
//! for `output_dtype` uint8, `z = clamp(round_half_even(t) + z_zero_point, z_min, z_max)`; for fp32, `z = t`.
//!
//! Made by the pass that lowers MIL's `quantize` and `dequantize` (attention); never written.

use std::ops::Range;

use locket_kernels::{MatmulU8, Output};
use locket_mil::Type;
use locket_tensor::{DType, TensorMut};

use super::matmul::Product;
use crate::{Availability, Call, Cost, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step};

/// The operator `locket.matmul_u8`.
pub static MATMUL_U8: MatmulInt = MatmulInt;

/// See the module.
#[derive(Debug)]
pub struct MatmulInt;

const PARAMS: [Param; 10] = [
    Param::required("x"),
    Param::required("y"),
    Param::attribute("transpose_y"),
    Param::attribute("x_zero_point"),
    Param::attribute("y_zero_point"),
    Param::constant("multiplier"),
    Param::attribute("z_zero_point"),
    Param::attribute("z_min"),
    Param::attribute("z_max"),
    Param::constant("output_dtype"),
];

fn code(node: &Node<'_>, param: &str, default: u8) -> Result<u8, OpError> {
    let value = node.int(param, i64::from(default))?;
    u8::try_from(value).map_err(|_| node.param_error(param, format_args!("expected 0 to 255, found {value}")))
}

fn output_of(node: &Node<'_>) -> Result<Output, OpError> {
    match node.text("output_dtype", "uint8")? {
        "uint8" => Ok(Output::U8 {
            zero_point: code(node, "z_zero_point", 0)?,
            clamp: [code(node, "z_min", 0)?, code(node, "z_max", 255)?],
            residual: None,
        }),
        "fp32" => Ok(Output::F32 {
            clamp: [f32::NEG_INFINITY, f32::INFINITY],
        }),
        other => Err(node.param_error(
            "output_dtype",
            format_args!("expected uint8 or fp32, found {other}"),
        )),
    }
}

fn multiplier(node: &Node<'_>) -> Result<f32, OpError> {
    let value = node.float("multiplier", 1.0)?;
    if value.abs() < 1e20 {
        Ok(value)
    } else {
        Err(node.param_error(
            "multiplier",
            format_args!("expected a number below 1e20, found {value}"),
        ))
    }
}

impl Operator for MatmulInt {
    fn signature(&self) -> Signature {
        Signature {
            name: "locket.matmul_u8",
            params: &PARAMS,
            available: Availability::Internal,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        for param in ["x", "y"] {
            let (dtype, _) = node.ty(param)?;
            if dtype != DType::UInt8 {
                return Err(node.param_error(param, format_args!("expected uint8, found {dtype}")));
            }
        }
        multiplier(node)?;
        let dtype = match output_of(node)? {
            Output::U8 { .. } => DType::UInt8,
            Output::F32 { .. } => DType::Float32,
        };
        Ok(vec![Type::tensor(dtype, &Product::of(node)?.output)])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: Product::of(node).map_or(0, |product| product.macs()),
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let node = &call.node;
        let p = Product::of(node)?;
        let (x, y) = (call.tensor("x")?, call.tensor("y")?);
        let (x, y) = (x.as_slice::<u8>(), y.as_slice::<u8>());
        let zero_points = [code(node, "x_zero_point", 0)?, code(node, "y_zero_point", 0)?].map(i64::from);
        let (multiplier, output) = (multiplier(node)?, output_of(node)?);
        let mut index = 0;
        for &(left, right) in &p.pairs {
            let (x, y) = (&x[left * p.m * p.k..], &y[right * p.k * p.n..]);
            for (m, n) in (0..p.m).flat_map(|m| (0..p.n).map(move |n| (m, n))) {
                let products = (0..p.k).map(|k| {
                    let b = y[if p.transpose_y { n * p.k + k } else { k * p.n + n }];
                    (i64::from(x[m * p.k + k]) - zero_points[0]) * (i64::from(b) - zero_points[1])
                });
                let t = products.sum::<i64>() as i32 as f32 * multiplier;
                match output {
                    Output::F32 { .. } => outputs[0].as_mut_slice::<f32>()[index] = t,
                    Output::U8 {
                        zero_point,
                        clamp: [low, high],
                        ..
                    } => {
                        let code = (t.round_ties_even() as i32).saturating_add(i32::from(zero_point));
                        outputs[0].as_mut_slice::<u8>()[index] =
                            code.clamp(i32::from(low), i32::from(high)) as u8;
                    }
                }
                index += 1;
            }
        }
        Ok(())
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let p = Product::of(node)?;
        if p.n == 0 || p.m == 0 || node.dynamic_inputs(&[]).len() != 2 {
            return Ok(None);
        }
        let zero_points = [code(node, "x_zero_point", 0)?, code(node, "y_zero_point", 0)?];
        let output = output_of(node)?;
        let dims = [p.m, p.k, p.n];
        let kernel = MatmulU8::new(
            prepare.isa,
            dims,
            p.transpose_y,
            zero_points,
            multiplier(node)?,
            output,
        );
        let float = matches!(output, Output::F32 { .. });
        let unit_bytes = p.m * p.n * if float { 4 } else { 1 };
        let (units, scratch) = (p.pairs.len(), kernel.packed_bytes());
        let step = MatmulStep {
            kernel,
            dims,
            y_stride: if p.transpose_y { p.k } else { p.n },
            pairs: p.pairs,
            float,
        };
        Ok(Some(Prepared::new(step, units, unit_bytes).scratch(scratch)))
    }

    fn samples(&self) -> Vec<String> {
        let sample = |x: &str, y: &str, z: &str, rest: &str| {
            format!(
                "func f opset ios17 (%x: uint8{x}, %y: uint8{y}) -> (z: %z) {{
                   %z: {z} = locket.matmul_u8(x=%x, y=%y, x_zero_point=117, y_zero_point=3, {rest})
                 }}"
            )
        };
        let u8s = "multiplier=0.001, z_zero_point=12, z_min=3, z_max=250, output_dtype=\"uint8\"";
        vec![
            sample("[2, 3, 10, 7]", "[2, 3, 7, 20]", "uint8[2, 3, 10, 20]", u8s),
            sample(
                "[3, 4, 64]",
                "[3, 33, 64]",
                "uint8[3, 4, 33]",
                &format!("transpose_y=true, {u8s}"),
            ),
            sample(
                "[2, 17, 18]",
                "[18, 5]",
                "fp32[2, 17, 5]",
                "multiplier=0.25, output_dtype=\"fp32\"",
            ),
            sample("[1, 70]", "[70, 50]", "uint8[1, 50]", u8s),
        ]
    }
}

#[derive(Debug)]
struct MatmulStep {
    kernel: MatmulU8,
    dims: [usize; 3],
    y_stride: usize,
    pairs: Vec<(usize, usize)>,
    float: bool,
}

impl Step for MatmulStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let [m, k, n] = self.dims;
        let unit = m * n * if self.float { 4 } else { 1 };
        let mut last = None;
        for (&(left, right), output) in self.pairs[units].iter().zip(output.chunks_exact_mut(unit)) {
            if last != Some(right) {
                let y = &inputs[1][right * k * n..(right + 1) * k * n];
                self.kernel.pack(y, self.y_stride, scratch);
                last = Some(right);
            }
            let x = &inputs[0][left * m * k..(left + 1) * m * k];
            if self.float {
                self.kernel
                    .run_f32(x, k, scratch, bytemuck::cast_slice_mut(output), 0..m);
            } else {
                self.kernel.run(x, k, scratch, output, 0..m);
            }
        }
    }

    fn kernel(&self) -> &str {
        "u8_matmul"
    }
}
