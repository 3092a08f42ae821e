//! The steps of reductions on fp32, in any layout, summed in `f64`.

use std::ops::Range;

use locket_kernels::{Isa, global_mean_f32};
use locket_tensor::{DType, Shape};

use super::{
    common::{
        block::block,
        lines::{Lines, Operand, Source, physical_strides},
    },
    reduce::Reduced,
};
use crate::{Layout, Prepare, Prepared, Step};

/// How elements are combined, and what is made of the combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Mean,
    LogSum,
    SumAbsolute,
    SumSquare,
    RootSumSquare,
    Product,
    Largest,
    Smallest,
}

impl Fold {
    fn finish(self, value: f64, count: usize) -> f64 {
        match self {
            Self::Mean => value / count as f64,
            Self::LogSum => value.ln(),
            Self::RootSumSquare => value.sqrt(),
            // Over nothing at all.
            Self::Largest | Self::Smallest if count == 0 => f64::NAN,
            _ => value,
        }
    }

    fn kernel(self) -> &'static str {
        match self {
            Self::Sum => "f32_reduce_sum",
            Self::Mean => "f32_reduce_mean",
            Self::LogSum => "f32_reduce_log_sum",
            Self::SumAbsolute => "f32_reduce_l1_norm",
            Self::SumSquare => "f32_reduce_sum_square",
            Self::RootSumSquare => "f32_reduce_l2_norm",
            Self::Product => "f32_reduce_prod",
            Self::Largest => "f32_reduce_max",
            Self::Smallest => "f32_reduce_min",
        }
    }
}

/// The step of a reduction of `x`; `None` for other types than fp32.
pub(super) fn prepare(prepare: &Prepare<'_>, fold: Fold, reduced: &Reduced) -> Option<Prepared> {
    let operand = Operand::of(prepare, "x")?;
    let (dtype, shape) = prepare.node.ty("x").ok()?;
    let (_, result) = prepare.node.output_ty(prepare.output).ok()?;
    let Source::Input(_) = operand.source else {
        return None;
    };
    if dtype != DType::Float32 {
        return None;
    }
    let own = physical_strides(shape, operand.layout);
    let kept = (0..shape.len()).filter(|axis| !reduced.axes.contains(axis));
    let under: Shape = if result.len() == shape.len() {
        let strides = own.iter().enumerate();
        strides
            .map(|(axis, &stride)| if reduced.axes.contains(&axis) { 0 } else { stride })
            .collect()
    } else {
        kept.map(|axis| own[axis]).collect()
    };
    let mut group: Vec<(usize, usize)> = reduced
        .axes
        .iter()
        .map(|&axis| (own[axis], shape[axis]))
        .collect();
    group.sort_unstable_by(|a, b| b.cmp(a));
    let dims: Shape = group.iter().map(|&(_, dim)| dim).collect();
    let strides: Shape = group.iter().map(|&(stride, _)| stride).collect();
    let lines = Lines::new(result, prepare.output_layout(), [under]);
    let elems = result.iter().product();
    let (inner, _) = lines.inner();
    let image = block(shape, operand.layout, &reduced.axes)
        .filter(|&[_, length, inner]| fold == Fold::Mean && length > 0 && inner > 1)
        .filter(|_| match result.len() == shape.len() {
            true => operand.layout == prepare.output_layout(),
            // The kept axes must be in the same order on both sides.
            false => {
                let order = operand.layout.order(shape.len());
                let kept = order.iter().filter(|axis| !reduced.axes.contains(axis));
                result.len() < 3 && kept.is_sorted()
            }
        });
    let step = ReduceStep {
        isa: prepare.isa,
        fold,
        lines,
        group: Lines::new(&dims, Layout::RowMajor, [strides]),
        image,
    };
    Some(Prepared::new(step, elems, 4).grain(inner.max(16)))
}

#[derive(Debug)]
struct ReduceStep {
    isa: Isa,
    fold: Fold,
    /// The output, and where in x the first element of each group is.
    lines: Lines<1>,
    /// The elements of a group, from its first.
    group: Lines<1>,
    /// `[outer, length, inner]` for a mean that the kernel for images computes.
    image: Option<[usize; 3]>,
}

/// Outputs whose sums are carried at once: with as many inputs they fill some cache lines.
const WIDTH: usize = 64;

impl ReduceStep {
    /// Outputs whose inputs lie side by side, as the outputs do.
    fn side_by_side(
        &self,
        input: &[f32],
        start: usize,
        output: &mut [f32],
        unit: f64,
        add: impl Fn(f64, f32) -> f64,
    ) {
        let count = self.group.elems();
        for (piece, output) in output.chunks_mut(WIDTH).enumerate() {
            let mut sums = [unit; WIDTH];
            let sums = &mut sums[..output.len()];
            let start = start + piece * WIDTH;
            let (_, [step]) = self.group.inner();
            self.group.for_each(0..count, 1, |run, [from]| {
                for at in 0..run.len() {
                    let line = &input[start + from + at * step..][..sums.len()];
                    for (sum, &x) in sums.iter_mut().zip(line) {
                        *sum = add(*sum, x);
                    }
                }
            });
            for (y, &sum) in output.iter_mut().zip(&*sums) {
                *y = self.fold.finish(sum, count) as f32;
            }
        }
    }

    /// One output: its group, in eight interleaved sums where it lies together.
    fn one(
        &self,
        input: &[f32],
        start: usize,
        unit: f64,
        add: &impl Fn(f64, f32) -> f64,
        join: &impl Fn(f64, f64) -> f64,
    ) -> f32 {
        let count = self.group.elems();
        let (_, [step]) = self.group.inner();
        let mut sums = [unit; 8];
        self.group.for_each(0..count, 1, |run, [from]| {
            let from = start + from;
            if step == 1 {
                let (eights, rest) = input[from..from + run.len()].as_chunks::<8>();
                for eight in eights {
                    for (sum, &x) in sums.iter_mut().zip(eight) {
                        *sum = add(*sum, x);
                    }
                }
                for (sum, &x) in sums.iter_mut().zip(rest) {
                    *sum = add(*sum, x);
                }
            } else {
                for at in 0..run.len() {
                    sums[0] = add(sums[0], input[from + at * step]);
                }
            }
        });
        let total = sums[1..].iter().fold(sums[0], |total, &sum| join(total, sum));
        self.fold.finish(total, count) as f32
    }

    fn reduce(
        &self,
        units: Range<usize>,
        input: &[f32],
        output: &mut [f32],
        unit: f64,
        add: impl Fn(f64, f32) -> f64,
        join: impl Fn(f64, f64) -> f64,
    ) {
        let (length, [step]) = self.lines.inner();
        self.lines.for_each(units, 1, |run, [start]| {
            let output = &mut output[run];
            if step == 1 && length > 1 {
                return self.side_by_side(input, start, output, unit, &add);
            }
            for (at, y) in output.iter_mut().enumerate() {
                *y = self.one(input, start + at * step, unit, &add, &join);
            }
        });
    }
}

impl Step for ReduceStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let input: &[f32] = bytemuck::cast_slice(inputs[0]);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        if let Some([_, length, inner]) = self.image
            && units.start.is_multiple_of(inner)
            && units.end.is_multiple_of(inner)
        {
            let (first, last) = (units.start / inner, units.end / inner);
            let images = &input[first * length * inner..last * length * inner];
            return global_mean_f32(self.isa, [last - first, length, inner], images, output);
        }
        let larger = |a: f64, b: f64| if a > b || a.is_nan() { a } else { b };
        let smaller = |a: f64, b: f64| if a < b || a.is_nan() { a } else { b };
        let plus = |a: f64, b: f64| a + b;
        match self.fold {
            Fold::Sum | Fold::Mean | Fold::LogSum => {
                self.reduce(units, input, output, 0.0, |sum, x| sum + f64::from(x), plus);
            }
            Fold::SumAbsolute => {
                self.reduce(units, input, output, 0.0, |sum, x| sum + f64::from(x.abs()), plus);
            }
            Fold::SumSquare | Fold::RootSumSquare => {
                let add = |sum: f64, x: f32| sum + f64::from(x) * f64::from(x);
                self.reduce(units, input, output, 0.0, add, plus);
            }
            Fold::Product => {
                self.reduce(units, input, output, 1.0, |p, x| p * f64::from(x), |a, b| a * b);
            }
            Fold::Largest => {
                let add = |max, x| larger(max, f64::from(x));
                self.reduce(units, input, output, f64::NEG_INFINITY, add, larger);
            }
            Fold::Smallest => {
                let add = |min, x| smaller(min, f64::from(x));
                self.reduce(units, input, output, f64::INFINITY, add, smaller);
            }
        }
    }

    fn kernel(&self) -> &str {
        self.fold.kernel()
    }
}
