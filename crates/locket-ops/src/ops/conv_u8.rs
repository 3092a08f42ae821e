//! `locket.conv_u8` and `locket.linear_u8`: integer convolution and fully connected layer, requantised in one go.
//!
//! x: u8 with `x_zero_point`; weight: int8 constant `[O, C / groups, K...]` (`[N, K]`), symmetric; bias: int32 `[O]`, constant;
//! multiplier: fp32 `[O]`, constant. Exactly, on every instruction set:
//!
//! `acc = bias[o] + sum of (x - x_zero_point) weight` in i32, padding counting as the zero point;
//! `t = acc as f32 * multiplier[o]`; with a residual (u8, of y's shape)
//! `t = t + (residual - residual_zero_point) as f32 * residual_multiplier`, product and sum rounded apart;
//! for `output_dtype` uint8, `y = clamp(round_half_even(t) + y_zero_point, y_min, y_max)`; for fp32, `y = t` clamped to `[clamp_min, clamp_max]`.
//!
//! Made by the pass that lowers MIL's `quantize` and `dequantize`; never written.

use std::{borrow::Cow, ops::Range};

use locket_kernels::{ConvGeometry, ConvU8, DepthwiseU8, Output, Residual, transpose};
use locket_mil::Type;
use locket_tensor::{DType, Tensor, TensorMut};

use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, RowWindow,
    Signature, Step, Strip,
    ops::{conv, linear},
};

/// The operator `locket.conv_u8`.
pub static CONV_U8: ConvInt = ConvInt { linear: false };

/// The operator `locket.linear_u8`.
pub static LINEAR_U8: ConvInt = ConvInt { linear: true };

/// See the module.
#[derive(Debug)]
pub struct ConvInt {
    linear: bool,
}

const PARAMS: [Param; 19] = [
    Param::required("x"),
    Param::constant("weight"),
    Param::constant("bias"),
    Param::constant("x_zero_point"),
    Param::constant("multiplier"),
    Param::attribute("y_zero_point"),
    Param::attribute("y_min"),
    Param::attribute("y_max"),
    Param::attribute("clamp_min"),
    Param::attribute("clamp_max"),
    Param::constant("output_dtype"),
    Param::optional("residual"),
    Param::attribute("residual_zero_point"),
    Param::attribute("residual_multiplier"),
    Param::attribute("strides"),
    Param::attribute("pad_type"),
    Param::attribute("pad"),
    Param::attribute("dilations"),
    Param::attribute("groups"),
];

fn code(node: &Node<'_>, param: &str, default: u8) -> Result<u8, OpError> {
    let value = node.int(param, i64::from(default))?;
    u8::try_from(value).map_err(|_| node.param_error(param, format_args!("expected 0 to 255, found {value}")))
}

/// What the operation does with its sums.
fn output_of(node: &Node<'_>) -> Result<Output, OpError> {
    match node.text("output_dtype", "uint8")? {
        "uint8" => {
            let residual = node.has("residual").then(|| {
                Ok::<_, OpError>(Residual {
                    zero_point: code(node, "residual_zero_point", 0)?,
                    multiplier: node.float("residual_multiplier", 1.0)?,
                })
            });
            Ok(Output::U8 {
                zero_point: code(node, "y_zero_point", 0)?,
                clamp: [code(node, "y_min", 0)?, code(node, "y_max", 255)?],
                residual: residual.transpose()?,
            })
        }
        "fp32" if !node.has("residual") => Ok(Output::F32 {
            clamp: conv::clamp(node)?,
        }),
        other => Err(node.param_error(
            "output_dtype",
            format_args!("expected uint8, or fp32 without residual, found {other}"),
        )),
    }
}

impl ConvInt {
    fn geometry(&self, node: &Node<'_>) -> Result<(ConvGeometry, Vec<usize>), OpError> {
        if self.linear {
            let ([m, k, n], shape) = linear::dims(node)?;
            Ok((ConvGeometry::matmul(m, k, n), shape))
        } else {
            let shape = conv::Shape::of(node)?;
            Ok((shape.geometry(), shape.output()))
        }
    }
}

struct Constants {
    weight: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<f32>,
    x_zero_point: u8,
}

/// Weight, bias and multiplier, of the right types and lengths.
fn checked<'a>(node: &Node<'a>, channels: usize) -> Result<[&'a Tensor; 3], OpError> {
    let typed = |param: &str, dtype: DType| {
        let tensor = node.tensor(param).filter(|tensor| tensor.dtype() == dtype);
        tensor.ok_or_else(|| node.param_error(param, format_args!("expected a constant of {dtype}")))
    };
    let tensors = [
        typed("weight", DType::Int8)?,
        typed("bias", DType::Int32)?,
        typed("multiplier", DType::Float32)?,
    ];
    for (param, tensor) in ["bias", "multiplier"].into_iter().zip(&tensors[1..]) {
        let found = tensor.elems();
        if found != channels {
            return Err(node.param_error(param, format_args!("expected {channels} numbers, found {found}")));
        }
    }
    Ok(tensors)
}

fn constants(node: &Node<'_>, channels: usize) -> Result<Constants, OpError> {
    let [weight, bias, multiplier] = checked(node, channels)?;
    Ok(Constants {
        weight: weight.as_slice().to_vec(),
        bias: bias.as_slice().to_vec(),
        multiplier: multiplier.as_slice().to_vec(),
        x_zero_point: code(node, "x_zero_point", 0)?,
    })
}

impl Operator for ConvInt {
    fn signature(&self) -> Signature {
        let name = if self.linear {
            "locket.linear_u8"
        } else {
            "locket.conv_u8"
        };
        Signature {
            name,
            params: &PARAMS,
            available: Availability::Internal,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, _) = node.ty("x")?;
        if dtype != DType::UInt8 {
            return Err(node.param_error("x", format_args!("expected uint8, found {dtype}")));
        }
        let (geometry, shape) = self.geometry(node)?;
        checked(node, geometry.out_channels)?;
        let dtype = match output_of(node)? {
            Output::U8 { .. } => DType::UInt8,
            Output::F32 { .. } => DType::Float32,
        };
        Ok(vec![Type::tensor(dtype, &shape)])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        let macs = self.geometry(node).map_or(0, |(geometry, _)| geometry.macs());
        Cost {
            macs,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let node = &call.node;
        let (geometry, _) = self.geometry(node)?;
        let fixed = constants(node, geometry.out_channels)?;
        let output = output_of(node)?;
        let x = call.tensor("x")?.as_slice::<u8>();
        let residual = call.optional("residual")?.map(|tensor| tensor.as_slice::<u8>());
        let zero = f64::from(fixed.x_zero_point);
        let mut finish = |index: usize, channel: usize, sum: f64| {
            // Sums of at most 2^31 are exact in f64, so this is the integer sum.
            let acc = (sum as i64 + i64::from(fixed.bias[channel])) as i32;
            let mut t = acc as f32 * fixed.multiplier[channel];
            match output {
                Output::F32 { clamp: [low, high] } => {
                    outputs[0].as_mut_slice::<f32>()[index] = t.max(low).min(high);
                }
                Output::U8 {
                    zero_point,
                    clamp: [low, high],
                    residual: scale,
                } => {
                    if let (Some(residual), Some(scale)) = (residual, scale) {
                        let difference = i32::from(residual[index]) - i32::from(scale.zero_point);
                        t += difference as f32 * scale.multiplier;
                    }
                    let y = (t.round_ties_even() as i32).saturating_add(i32::from(zero_point));
                    outputs[0].as_mut_slice::<u8>()[index] = y.clamp(i32::from(low), i32::from(high)) as u8;
                }
            }
        };
        if self.linear {
            let ([rows, inputs, outs], _) = linear::dims(node)?;
            for index in 0..rows * outs {
                let (row, n) = (index / outs, index % outs);
                let products = (0..inputs).map(|k| {
                    (f64::from(x[row * inputs + k]) - zero) * f64::from(fixed.weight[n * inputs + k])
                });
                finish(index, n, products.sum());
            }
        } else {
            let shape = conv::Shape::of(node)?;
            shape.each_sum(
                |at| f64::from(x[at]) - zero,
                |at| f64::from(fixed.weight[at]),
                finish,
            );
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        if self.linear {
            LayoutRule::RowMajor
        } else {
            LayoutRule::ChannelsLast
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (geometry, _) = self.geometry(node)?;
        let output = output_of(node)?;
        let (_, weight_shape) = node.ty("weight")?;
        let taps: usize = weight_shape[2..].iter().product();
        let depthwise = geometry.groups > 1
            && geometry.groups == geometry.in_channels
            && geometry.out_channels == geometry.in_channels
            && !matches!(
                output,
                Output::U8 {
                    residual: Some(_),
                    ..
                }
            );
        let (isa, packs) = (prepare.isa, prepare.packs);
        let zero = code(node, "x_zero_point", 0)?;
        let fresh = packs.unless_stored(node, &["weight", "bias", "multiplier"], || {
            let [weight, bias, multiplier] = checked(node, geometry.out_channels)?;
            let weight = taps_first(weight.as_slice(), weight_shape[1], taps);
            Ok((weight, bias.as_slice(), multiplier.as_slice()))
        })?;
        let shape = || geometry.clone();
        if depthwise {
            let fresh = fresh.map(|(weight, bias, multiplier)| {
                DepthwiseU8::new(isa, shape(), &weight, bias, zero, multiplier, output)
            });
            let kernel = packs.kernel(node, fresh, |parts| {
                DepthwiseU8::stored(isa, shape(), zero, output, parts)
            })?;
            return Ok(Some(depthwise_step(kernel, output)));
        }
        let fresh = fresh.map(|(weight, bias, multiplier)| {
            ConvU8::new(isa, shape(), &weight, bias, zero, multiplier, output)
        });
        let kernel = packs.kernel(node, fresh, |parts| {
            ConvU8::stored(isa, shape(), zero, output, parts)
        })?;
        Ok(Some(conv_step(kernel, output)))
    }

    fn samples(&self) -> Vec<String> {
        if self.linear {
            linear_samples()
        } else {
            conv_samples()
        }
    }
}

/// From `[N][C][taps]` to `[N][taps][C]`.
fn taps_first(codes: &[i8], channels: usize, taps: usize) -> Cow<'_, [i8]> {
    if taps == 1 {
        return Cow::Borrowed(codes);
    }
    let mut turned = vec![0; codes.len()];
    let rows = codes.len() / (channels * taps).max(1);
    transpose([rows, channels, taps], codes, &mut turned);
    Cow::Owned(turned)
}

fn width(output: Output) -> usize {
    if matches!(output, Output::F32 { .. }) {
        4
    } else {
        1
    }
}

fn depthwise_step(kernel: DepthwiseU8, output: Output) -> Prepared {
    let (pixels, channels) = (kernel.geometry().out_pixels(), kernel.geometry().out_channels);
    let bytes = kernel.weight_bytes();
    Prepared::new(
        DepthwiseStep {
            kernel,
            float: width(output) == 4,
        },
        pixels,
        channels * width(output),
    )
    .weights(bytes)
}

fn conv_step(kernel: ConvU8, output: Output) -> Prepared {
    let geometry = kernel.geometry();
    let (pixels, channels) = (geometry.out_pixels(), geometry.out_channels);
    let residual = matches!(
        output,
        Output::U8 {
            residual: Some(_),
            ..
        }
    );
    let columns = (pixels == 1 && !residual && geometry.groups == 1).then(|| kernel.column_grain().max(1));
    let (bytes, scratch) = (kernel.weight_bytes(), kernel.scratch_elems());
    let step = ConvStep {
        kernel,
        float: width(output) == 4,
        residual,
        columns,
    };
    let (units, unit_bytes) = match columns {
        Some(grain) => (channels.div_ceil(grain), grain * width(output)),
        None => (pixels, channels * width(output)),
    };
    Prepared::new(step, units, unit_bytes)
        .weights(bytes)
        .scratch(scratch)
}

#[derive(Debug)]
struct ConvStep {
    kernel: ConvU8,
    float: bool,
    residual: bool,
    /// For a single output pixel: the channels of a unit.
    columns: Option<usize>,
}

impl Step for ConvStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let channels = self.kernel.geometry().out_channels;
        if let Some(grain) = self.columns {
            let columns = units.start * grain..(units.end * grain).min(channels);
            if self.float {
                self.kernel
                    .run_columns_f32(inputs[0], bytemuck::cast_slice_mut(output), columns, scratch);
            } else {
                self.kernel.run_columns(inputs[0], output, columns, scratch);
            }
        } else if self.float {
            self.kernel
                .run_f32(inputs[0], bytemuck::cast_slice_mut(output), units, scratch);
        } else {
            let residual = self
                .residual
                .then(|| &inputs[1][units.start * channels..units.end * channels]);
            self.kernel.run(inputs[0], residual, output, units, scratch);
        }
    }

    fn kernel(&self) -> &str {
        self.kernel.kernel_name()
    }

    fn row_window(&self) -> Option<RowWindow> {
        let whole = self.columns.is_none();
        conv::row_window(self.kernel.geometry(), 1, if self.float { 4 } else { 1 }).filter(|_| whole)
    }

    fn strip(&self, strip: Strip) -> Option<Box<dyn Step>> {
        let geometry = conv::strip_of(self.kernel.geometry(), strip)?;
        Some(Box::new(Self {
            kernel: self.kernel.with_rows(geometry),
            ..*self
        }))
    }
}

#[derive(Debug)]
struct DepthwiseStep {
    kernel: DepthwiseU8,
    float: bool,
}

impl Step for DepthwiseStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        if self.float {
            self.kernel
                .run_f32(inputs[0], bytemuck::cast_slice_mut(output), units);
        } else {
            self.kernel.run(inputs[0], output, units);
        }
    }

    fn kernel(&self) -> &str {
        self.kernel.kernel_name()
    }

    fn row_window(&self) -> Option<RowWindow> {
        conv::row_window(self.kernel.geometry(), 1, if self.float { 4 } else { 1 })
    }

    fn strip(&self, strip: Strip) -> Option<Box<dyn Step>> {
        let geometry = conv::strip_of(self.kernel.geometry(), strip)?;
        Some(Box::new(Self {
            kernel: self.kernel.with_rows(geometry),
            float: self.float,
        }))
    }
}

fn conv_samples() -> Vec<String> {
    let sample = |x: &str, weight: &str, channels: usize, y: &str, rest: &str| {
        format!(
            "func f opset ios17 (%x: uint8{x}) -> (y: %y) {{
               %w: int8{weight} = ramp(-120, 15)
               %b: int32[{channels}] = ramp(-300, 50)
               %m: fp32[{channels}] = ramp(0.0007, 0.0001)
               %y: {y} = locket.conv_u8(x=%x, weight=%w, bias=%b, x_zero_point=117, multiplier=%m, {rest})
             }}"
        )
    };
    let u8s = "y_zero_point=11, y_min=11, y_max=250, output_dtype=\"uint8\"";
    vec![
        sample("[1, 8, 6, 5]", "[16, 8, 1, 1]", 16, "uint8[1, 16, 6, 5]", u8s),
        sample("[1, 3, 9, 9]", "[5, 3, 3, 3]", 5, "uint8[1, 5, 5, 5]", &format!("{u8s}, strides=[2, 2], pad_type=\"same\"")),
        sample("[2, 20, 6, 6]", "[20, 1, 3, 3]", 20, "uint8[2, 20, 6, 6]", &format!("{u8s}, groups=20, pad_type=\"same\"")),
        sample("[1, 6, 5, 5]", "[4, 6, 3, 3]", 4, "fp32[1, 4, 3, 3]", "output_dtype=\"fp32\", clamp_min=0.0"),
        "func f opset ios17 (%x: uint8[1, 6, 4, 4], %r: uint8[1, 7, 4, 4]) -> (y: %y) {
           %w: int8[7, 6, 3, 3] = ramp(-120, 15)
           %b: int32[7] = ramp(-300, 50)
           %m: fp32[7] = ramp(0.0007, 0.0001)
           %y: uint8[1, 7, 4, 4] = locket.conv_u8(x=%x, weight=%w, bias=%b, x_zero_point=3, multiplier=%m, output_dtype=\"uint8\", y_zero_point=100, residual=%r, residual_zero_point=90, residual_multiplier=0.77, pad_type=\"same\")
         }".to_owned(),
    ]
}

fn linear_samples() -> Vec<String> {
    let sample = |x: &str, k: usize, n: usize, y: &str, rest: &str| {
        format!(
            "func f opset ios17 (%x: uint8{x}) -> (y: %y) {{
               %w: int8[{n}, {k}] = ramp(-120, 15)
               %b: int32[{n}] = ramp(-300, 50)
               %m: fp32[{n}] = ramp(0.0007, 0.0001)
               %y: {y} = locket.linear_u8(x=%x, weight=%w, bias=%b, x_zero_point=117, multiplier=%m, {rest})
             }}"
        )
    };
    vec![
        sample("[1, 37]", 37, 70, "fp32[1, 70]", "output_dtype=\"fp32\""),
        sample(
            "[3, 5, 8]",
            8,
            20,
            "uint8[3, 5, 20]",
            "output_dtype=\"uint8\", y_zero_point=128",
        ),
    ]
}
