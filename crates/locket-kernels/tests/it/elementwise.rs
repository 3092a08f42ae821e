//! Functions of elements: error bounds over sweeps of all magnitudes, special values, broadcasting, exact integer formulas.

use locket_kernels::{
    AddU8, BinaryF32, Isa, MulU8, UnaryF32, add_u8, binary_f32, mul_u8, unary_f32, unary_f32_in_place,
};

use crate::common::Values;

/// One unit of the bounds in the docs.
const UNIT: f64 = 1.0 / 8_388_608.0;

/// The error function to double precision: its series below 3, its continued fraction above.
fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let mut fraction = 0.0;
        for n in (1..60).rev() {
            fraction = f64::from(n) / 2.0 / (x.abs() + fraction);
        }
        let tail = (-x * x).exp() / (std::f64::consts::PI.sqrt() * (x.abs() + fraction));
        (1.0 - tail).copysign(x)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Inputs of both signs, from subnormal to huge, dense where functions bend.
fn sweep() -> Vec<f32> {
    let mut inputs: Vec<f32> = (0..0x7f80_0000_u32).step_by(40_009).map(f32::from_bits).collect();
    inputs.extend((0..60_000).map(|i| i as f32 * 0.002));
    inputs.extend([
        0.0,
        0.5,
        0.625,
        1.0,
        1.5,
        2.5,
        3.0,
        4.0,
        87.4,
        88.8,
        103.9,
        f32::MIN_POSITIVE,
        f32::MAX,
    ]);
    let negative: Vec<f32> = inputs.iter().map(|x| -x).collect();
    inputs.extend(negative);
    inputs
}

/// An exact function and how far from it a result may be, given input and exact result.
type Exact = (UnaryF32, fn(f64) -> f64, fn(f64, f64) -> f64);

fn relative(units: f64, exact: f64) -> f64 {
    // A subnormal result has no relative precision.
    units * UNIT * exact.abs().max(f64::from(f32::MIN_POSITIVE))
}

fn functions() -> Vec<Exact> {
    use UnaryF32::*;
    vec![
        (Relu, |x| x.max(0.0), |_, _| 0.0),
        (Clamp { low: -1.5, high: 3.0 }, |x| x.clamp(-1.5, 3.0), |_, _| 0.0),
        (Sigmoid, sigmoid, |_, y| relative(2.0, y)),
        (Tanh, f64::tanh, |_, y| relative(2.0, y)),
        (Exp, f64::exp, |_, y| relative(1.0, y)),
        (
            Gelu,
            |x| x * 0.5 * (1.0 + erf(x / 2.0_f64.sqrt())),
            |x, _| 2.0 * UNIT * x.abs().max(1.0),
        ),
        (
            GeluTanh,
            |x| x * sigmoid(2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)),
            |x, _| 2.0 * UNIT * x.abs().max(1.0),
        ),
        (
            Silu,
            |x| x * sigmoid(x),
            |x, y| relative(2.0, y).max(x.abs() * f64::from(f32::MIN_POSITIVE)),
        ),
        (
            HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
            |x| (f64::from(0.2_f32) * x + 0.5).clamp(0.0, 1.0),
            |_, _| 2.0 * UNIT,
        ),
        (
            HardSwish,
            |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            |x, y| relative(3.0, y) + 3.0 * UNIT * x.abs().min(4.0),
        ),
        (
            LeakyRelu { alpha: 0.125 },
            |x| if x < 0.0 { 0.125 * x } else { x },
            |_, _| 1e-45,
        ),
        (
            Elu { alpha: 1.5 },
            |x| if x > 0.0 { x } else { 1.5 * x.exp_m1() },
            |_, y| relative(2.0, y),
        ),
        (
            Softplus,
            |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
            |_, y| relative(2.0, y),
        ),
        (Abs, f64::abs, |_, _| 0.0),
        (Neg, |x| -x, |_, _| 0.0),
        (Square, |x| x * x, |_, y| relative(0.5, y)),
        (Reciprocal, |x| 1.0 / x, |_, y| relative(0.5, y)),
        (Erf, erf, |_, _| 2.0 * UNIT),
        (Floor, f64::floor, |_, _| 0.0),
        (Ceil, f64::ceil, |_, _| 0.0),
        (Round, f64::round_ties_even, |_, _| 0.0),
        (Sign, |x| if x == 0.0 { 0.0 } else { x.signum() }, |_, _| 0.0),
        (Sqrt, f64::sqrt, |_, y| relative(0.5, y)),
        (Rsqrt, |x| 1.0 / x.sqrt(), |_, y| relative(1.0, y)),
        (Log, f64::ln, |_, y| relative(1.0, y).max(UNIT)),
    ]
}

#[test]
fn unary_functions_keep_their_stated_bounds() {
    let inputs = sweep();
    for isa in Isa::available() {
        for (op, exact, bound) in functions() {
            let mut found = vec![0.0; inputs.len()];
            unary_f32(isa, op, &inputs, &mut found);
            let mut worst = 0.0_f64;
            for (&x, &y) in inputs.iter().zip(&found) {
                let expected = exact(x.into());
                if expected.is_nan() {
                    assert!(y.is_nan(), "{isa} {op:?} of {x}: {y} for NaN");
                } else if (expected as f32).is_infinite() {
                    // Where the exact result does not fit, a result that just does is as good.
                    assert!(
                        f64::from(y) == expected.signum() * f64::INFINITY || y.abs() > 3.4e38,
                        "{isa} {op:?} {x}: {y}"
                    );
                } else {
                    let bound = bound(x.into(), expected);
                    let error = (f64::from(y) - expected).abs();
                    worst = worst.max(error / bound.max(1e-300));
                    assert!(
                        error <= bound,
                        "{isa} {op:?} of {x}: {y} for {expected}, {} of bound",
                        error / bound
                    );
                }
            }
            println!("{isa} {op:?}: {worst:.2} of the bound");
        }
    }
}

#[test]
fn nan_and_infinities_pass_as_stated() {
    let cases: [(UnaryF32, [f32; 2]); 9] = [
        (UnaryF32::Relu, [f32::INFINITY, 0.0]),
        (UnaryF32::Sigmoid, [1.0, 0.0]),
        (UnaryF32::Tanh, [1.0, -1.0]),
        (UnaryF32::Exp, [f32::INFINITY, 0.0]),
        (UnaryF32::Elu { alpha: 1.0 }, [f32::INFINITY, -1.0]),
        (UnaryF32::Softplus, [f32::INFINITY, 0.0]),
        (UnaryF32::Erf, [1.0, -1.0]),
        (UnaryF32::Log, [f32::INFINITY, f32::NAN]),
        (UnaryF32::Clamp { low: -2.0, high: 2.0 }, [2.0, -2.0]),
    ];
    for isa in Isa::available() {
        for (op, expected) in cases {
            for len in 0..=65 {
                let mut data: Vec<f32> = (0..len)
                    .map(|i| [f32::INFINITY, f32::NEG_INFINITY, f32::NAN][i % 3])
                    .collect();
                unary_f32_in_place(isa, op, &mut data);
                for (i, &y) in data.iter().enumerate() {
                    let expected = [expected[0], expected[1], f32::NAN][i % 3];
                    assert!(
                        y == expected || y.is_nan() && expected.is_nan(),
                        "{isa} {op:?} {i} of {len}: {y}"
                    );
                }
            }
        }
        for op in functions().into_iter().map(|(op, _, _)| op) {
            let mut data = [f32::NAN];
            unary_f32_in_place(isa, op, &mut data);
            assert!(data[0].is_nan(), "{isa} {op:?} of NaN is {}", data[0]);
        }
    }
}

#[test]
fn binary_functions_broadcast_and_propagate_nan() {
    use BinaryF32::*;
    let plain = |op: BinaryF32, a: f32, b: f32| match op {
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div => a / b,
        Max if a.is_nan() || b.is_nan() => f32::NAN,
        Min if a.is_nan() || b.is_nan() => f32::NAN,
        Max => a.max(b),
        Min => a.min(b),
        Pow => a.powf(b),
    };
    for isa in Isa::available() {
        for op in [Add, Sub, Mul, Div, Max, Min, Pow] {
            for (len, shorter) in [
                (0, 0),
                (1, 1),
                (7, 7),
                (63, 63),
                (65, 1),
                (60, 3),
                (96, 32),
                (85, 17),
            ] {
                let mut values = Values::new(6);
                let mut long = values.f32s(len);
                let mut short = values.f32s(shorter);
                if len > 40 {
                    long[33] = f32::NAN;
                    long[7] = f32::INFINITY;
                }
                if let Some(last) = short.last_mut().filter(|_| len % 2 == 1) {
                    *last = 2.0;
                }
                let mut found = vec![0.0; len];
                for swapped in [false, true] {
                    let (a, b) = if swapped { (&short, &long) } else { (&long, &short) };
                    binary_f32(isa, op, a, b, &mut found);
                    for i in 0..len {
                        let (x, y) = (a[i % a.len()], b[i % b.len()]);
                        let expected = plain(op, x, y);
                        assert!(
                            found[i].to_bits() == expected.to_bits()
                                || found[i].is_nan() && expected.is_nan(),
                            "{isa} {op:?} {x} {y}: {} for {expected}",
                            found[i]
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn quantised_sums_and_products_are_exactly_their_formulas() {
    for isa in Isa::available() {
        for len in (0..70).chain([255, 1000]) {
            let mut values = Values::new(7 + len as u64);
            let (a, b) = (values.u8s(len), values.u8s(len));
            let add = AddU8 {
                input_zero_points: [values.below(256) as u8, values.below(256) as u8],
                multipliers: [values.f32(), values.f32()],
                zero_point: values.below(256) as u8,
                clamp: [5, 244],
            };
            let mut found = vec![0; len];
            add_u8(isa, &add, Some(&a), &b, &mut found);
            let mut in_place = a.clone();
            add_u8(isa, &add, None, &b, &mut in_place);
            assert_eq!(in_place, found, "{isa} in place");
            for i in 0..len {
                let scaled = |x: u8, k: usize| {
                    (i32::from(x) - i32::from(add.input_zero_points[k])) as f32 * add.multipliers[k]
                };
                let t = scaled(a[i], 0) + scaled(b[i], 1);
                let expected = (t.round_ties_even() as i32 + i32::from(add.zero_point)).clamp(5, 244);
                assert_eq!(i32::from(found[i]), expected, "{isa} {add:?} {} {}", a[i], b[i]);
            }
            let mul = MulU8 {
                input_zero_points: add.input_zero_points,
                multiplier: 0.013,
                zero_point: add.zero_point,
                clamp: [0, 255],
            };
            for period in [len, 1, 5]
                .into_iter()
                .filter(|&period| period > 0 && len > 0 && len % period == 0)
            {
                mul_u8(isa, &mul, &a, &b[..period], &mut found);
                for i in 0..len {
                    let [x, y] = [(a[i], 0), (b[i % period], 1)]
                        .map(|(x, k)| i32::from(x) - i32::from(mul.input_zero_points[k]));
                    let t = (x * y) as f32 * mul.multiplier;
                    let expected = (t.round_ties_even() as i32 + i32::from(mul.zero_point)).clamp(0, 255);
                    assert_eq!(i32::from(found[i]), expected, "{isa} {mul:?} {} {period}", a[i]);
                }
            }
        }
    }
}
