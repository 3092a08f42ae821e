//! `matmul`: a product of matrices, over the last two axes; outer axes broadcast.
//!
//! x: `[..., M, K]` (`[..., K, M]` if `transpose_x`), y: `[..., K, N]` (`[..., N, K]` if `transpose_y`), result
//! `[..., M, N]`; fp32, fp16 and int32 in the reference. An operand of rank 1 is a row (x) or a column (y) whose axis vanishes
//! from the result. Since iOS 15.
//!
//! Both operands may be known only at run time (attention); the right one is packed into scratch, matrix by matrix.

use std::ops::Range;

use locket_kernels::MatmulF32;
use locket_mil::{Target, Type};
use locket_tensor::{DType, Tensor, TensorMut};

use crate::{
    Availability, Call, Cost, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
    ops::conv::store,
};

/// The operator `matmul`.
pub static MATMUL: Matmul = Matmul;

/// See the module.
#[derive(Debug)]
pub struct Matmul;

/// What a product does, with outer axes broadcast to one list of matrices.
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
    transpose_x: bool,
    pub(crate) transpose_y: bool,
    /// For each matrix of the result, which matrix of x and of y it is the product of.
    pub(crate) pairs: Vec<(usize, usize)>,
    pub(crate) output: Vec<usize>,
}

impl Product {
    /// Multiply-adds.
    pub(crate) fn macs(&self) -> u64 {
        self.pairs.len() as u64 * (self.m * self.k * self.n) as u64
    }

    pub(crate) fn of(node: &Node<'_>) -> Result<Self, OpError> {
        let ((_, x), (_, y)) = (node.ty("x")?, node.ty("y")?);
        if x.is_empty() || y.is_empty() {
            return Err(node.error("expected operands of rank 1 and more"));
        }
        let transpose_x = node.flag("transpose_x", false)? && x.len() > 1;
        let transpose_y = node.flag("transpose_y", false)? && y.len() > 1;
        let full_x: Vec<usize> = if x.len() == 1 { vec![1, x[0]] } else { x.to_vec() };
        let full_y: Vec<usize> = if y.len() == 1 { vec![y[0], 1] } else { y.to_vec() };
        let (outer_x, [a, b]) = split(&full_x);
        let (outer_y, [c, d]) = split(&full_y);
        let (m, k) = if transpose_x { (b, a) } else { (a, b) };
        let (inner, n) = if transpose_y { (d, c) } else { (c, d) };
        if k != inner {
            return Err(node.error(format_args!("inner axes differ: {x:?} and {y:?}")));
        }
        let outer = broadcast(outer_x, outer_y)
            .ok_or_else(|| node.error(format_args!("outer axes do not broadcast: {x:?} and {y:?}")))?;
        let count = outer.iter().product::<usize>();
        let pairs = (0..count)
            .map(|index| (source(index, &outer, outer_x), source(index, &outer, outer_y)))
            .collect();
        let mut output = outer;
        if x.len() > 1 {
            output.push(m);
        }
        if y.len() > 1 {
            output.push(n);
        }
        Ok(Self {
            m,
            k,
            n,
            transpose_x,
            transpose_y,
            pairs,
            output,
        })
    }
}

fn split(shape: &[usize]) -> (&[usize], [usize; 2]) {
    let (outer, inner) = shape.split_at(shape.len() - 2);
    (outer, [inner[0], inner[1]])
}

fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (left, right) if left == right => Some(left),
            (1, other) | (other, 1) => Some(other),
            _ => None,
        })
        .collect()
}

/// The index within `shape` that broadcasts to `index` within `outer`.
fn source(mut index: usize, outer: &[usize], shape: &[usize]) -> usize {
    let (mut result, mut stride) = (0, 1);
    for axis in (0..outer.len()).rev() {
        let position = index % outer[axis];
        index /= outer[axis];
        if let Some(at) = (axis + shape.len()).checked_sub(outer.len()) {
            result += if shape[at] == 1 { 0 } else { position * stride };
            stride *= shape[at];
        }
    }
    result
}

impl Operator for Matmul {
    fn signature(&self) -> Signature {
        const PARAMS: [Param; 4] = [
            Param::required("x"),
            Param::required("y"),
            Param::attribute("transpose_x"),
            Param::attribute("transpose_y"),
        ];
        Signature {
            name: "matmul",
            params: &PARAMS,
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let ((dtype, _), (other, _)) = (node.ty("x")?, node.ty("y")?);
        if dtype != other {
            return Err(node.param_error("y", format_args!("expected {dtype} as x has, found {other}")));
        }
        Ok(vec![Type::tensor(dtype, &Product::of(node)?.output)])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        let macs = Product::of(node).map_or(0, |product| product.macs());
        Cost {
            macs,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let node = &call.node;
        let p = Product::of(node)?;
        let numbers = |param: &str| {
            call.tensor(param)?
                .to_tensor()
                .to_f32()
                .ok_or_else(|| node.param_error(param, "expected numbers"))
        };
        let (x, y) = (numbers("x")?, numbers("y")?);
        let mut result = Vec::with_capacity(p.pairs.len() * p.m * p.n);
        for &(left, right) in &p.pairs {
            let (x, y) = (&x[left * p.m * p.k..], &y[right * p.k * p.n..]);
            for m in 0..p.m {
                for n in 0..p.n {
                    let a = |k: usize| x[if p.transpose_x { k * p.m + m } else { m * p.k + k }];
                    let b = |k: usize| y[if p.transpose_y { n * p.k + k } else { k * p.n + n }];
                    result.push((0..p.k).map(|k| f64::from(a(k)) * f64::from(b(k))).sum::<f64>() as f32);
                }
            }
        }
        match outputs[0].dtype {
            DType::Int32 => {
                for (target, value) in outputs[0].as_mut_slice::<i32>().iter_mut().zip(result) {
                    *target = value as i32;
                }
            }
            _ => store(&mut outputs[0], &result),
        }
        Ok(())
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let p = Product::of(node)?;
        let (dtype, _) = node.ty("x")?;
        if dtype != DType::Float32 || p.transpose_x || p.n == 0 || p.m == 0 {
            return Ok(None);
        }
        let constant = |param: &str| node.tensor(param).cloned();
        let kernel = MatmulF32::new(prepare.isa, [p.m, p.k, p.n], p.transpose_y, 1.0);
        let (units, bytes, scratch) = (p.pairs.len(), p.m * p.n * 4, kernel.packed_elems() * 4);
        let step = MatmulStep {
            kernel,
            dims: [p.m, p.k, p.n],
            y_stride: if p.transpose_y { p.k } else { p.n },
            pairs: p.pairs,
            x: constant("x"),
            y: constant("y"),
        };
        let bytes_of = |tensor: &Option<Tensor>| tensor.as_ref().map_or(0, |tensor| tensor.bytes().len());
        let held = bytes_of(&step.x) + bytes_of(&step.y);
        Ok(Some(
            Prepared::new(step, units, bytes).scratch(scratch).weights(held),
        ))
    }

    fn samples(&self) -> Vec<String> {
        let sample = |x: &str, y: &str, out: &str, rest: &str| {
            format!(
                "func f opset ios15 (%x: fp32{x}, %z: fp32{y}) -> (y: %y) {{
                   %y: fp32{out} = matmul(x=%x, y=%z{rest})
                 }}"
            )
        };
        vec![
            sample("[2, 3, 10, 7]", "[2, 3, 7, 20]", "[2, 3, 10, 20]", ""),
            sample("[3, 4, 6]", "[3, 5, 6]", "[3, 4, 5]", ", transpose_y=true"),
            sample("[6, 4]", "[2, 6, 5]", "[2, 4, 5]", ", transpose_x=true"),
            sample("[6]", "[6, 5]", "[5]", ""),
            sample("[4, 6]", "[6]", "[4]", ""),
            "func f opset ios15 (%x: fp32[2, 4, 6]) -> (y: %y) {
               %w: fp32[6, 9] = ramp(-1.0, 0.2)
               %y: fp32[2, 4, 9] = matmul(x=%x, y=%w)
             }"
            .to_owned(),
        ]
    }
}

#[derive(Debug)]
struct MatmulStep {
    kernel: MatmulF32,
    dims: [usize; 3],
    y_stride: usize,
    pairs: Vec<(usize, usize)>,
    /// Operands that are constant; others are given.
    x: Option<Tensor>,
    y: Option<Tensor>,
}

fn held(operand: &Option<Tensor>) -> Option<&[f32]> {
    operand.as_ref().map(Tensor::as_slice)
}

impl Step for MatmulStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let [m, k, n] = self.dims;
        let mut given = inputs.iter().map(|bytes| bytemuck::cast_slice::<u8, f32>(bytes));
        let x = held(&self.x).or_else(|| given.next()).unwrap_or_default();
        let y = held(&self.y).or_else(|| given.next()).unwrap_or_default();
        let packed: &mut [f32] = bytemuck::cast_slice_mut(scratch);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        let mut last = None;
        for (&(left, right), output) in self.pairs[units].iter().zip(output.chunks_exact_mut(m * n)) {
            if last != Some(right) {
                self.kernel
                    .pack(&y[right * k * n..(right + 1) * k * n], self.y_stride, packed);
                last = Some(right);
            }
            self.kernel
                .run(&x[left * m * k..(left + 1) * m * k], k, packed, output, n, 0..m);
        }
    }

    fn kernel(&self) -> &str {
        "f32_matmul"
    }
}
