//! `conv` and `locket.conv`: convolution over one or two spatial axes, in groups.
//!
//! `y[n, o, p] = bias[o] + sum over c, t of x[n, g(o) C/G + c, p stride + t dilation - pad] weight[o, c, t]`, zero outside the
//! image. x: `[N, C, L]` or `[N, C, H, W]`; weight: `[O, C / groups, K...]`; bias: `[O]`; y: `[N, O, ...]`; all fp32
//! (fp16 in the reference). Padding as in [`crate::window`]. Since iOS 15; iOS 17 allows a weight of another float type.
//!
//! `locket.conv` adds `residual` (of y's shape) and then clamps to `[clamp_min, clamp_max]`, or, with `activation` `hard_swish`,
//! multiplies by `min(max(y + 3, 0), 6) / 6`. A bias, a residual and an activation change neither sums nor their order.
//!
//! Kernels sum in f32 in an order of their own: their error is bounded by `K * eps` of the sum of magnitudes.

use std::ops::Range;

use locket_kernels::{Activation, ConvF32, ConvGeometry, DepthwiseF32, WinogradF32};
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use crate::{
    Availability, Call, Cost, Layout, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared,
    RowWindow, Signature, Step, Strip,
    ops::{
        activation::hard_swish,
        common::conv_steps::{bf16_step, f32_kernel, float_step},
    },
    packing::Packing,
    window::Window,
};

/// The operator `conv`.
pub static CONV: Conv = Conv { fused: false };

/// The operator `locket.conv`.
pub static FUSED_CONV: Conv = Conv { fused: true };

/// See the module.
#[derive(Debug)]
pub struct Conv {
    fused: bool,
}

/// A convolution's shape.
pub(crate) struct Shape {
    pub(crate) window: Window,
    pub(crate) batch: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) groups: usize,
}

impl Shape {
    /// The shape of a convolution's node; checks what all convolutions share.
    pub(crate) fn of(node: &Node<'_>) -> Result<Self, OpError> {
        let (_, x) = node.ty("x")?;
        let (_, weight) = node.ty("weight")?;
        if x.len() != weight.len() || x.len() < 3 {
            let message = format_args!("expected rank {} as x has, found {weight:?}", x.len());
            return Err(node.param_error("weight", message));
        }
        let window = Window::of(node, x, &weight[2..])?;
        let groups = usize::try_from(node.int("groups", 1)?).unwrap_or(0);
        let (in_channels, out_channels) = (x[1], weight[0]);
        if groups == 0 || weight[1] * groups != in_channels || out_channels % groups != 0 {
            let message =
                format_args!("{groups} groups of weight {weight:?} do not fit {in_channels} input channels");
            return Err(node.param_error("groups", message));
        }
        if let Some((_, bias)) = node.optional_ty("bias")?
            && *bias != [out_channels]
        {
            return Err(node.param_error("bias", format_args!("expected [{out_channels}], found {bias:?}")));
        }
        Ok(Self {
            window,
            batch: x[0],
            in_channels,
            out_channels,
            groups,
        })
    }

    pub(crate) fn output(&self) -> Vec<usize> {
        self.window.output_shape(self.batch, self.out_channels)
    }

    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.out_channels == self.in_channels
    }

    pub(crate) fn geometry(&self) -> ConvGeometry {
        self.window
            .conv(self.batch, self.in_channels, self.out_channels, self.groups)
    }

    /// Multiply-adds and traffic.
    pub(crate) fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: self.geometry().macs(),
            bytes: node.traffic_bytes(),
        }
    }

    /// Sums over the taps of each output element, in `f64`; `sink(index, channel, sum)` takes the results in order.
    pub(crate) fn each_sum(
        &self,
        x: impl Fn(usize) -> f64,
        weight: impl Fn(usize) -> f64,
        mut sink: impl FnMut(usize, usize, f64),
    ) {
        let window = &self.window;
        let ([height, width], [out_height, out_width]) = (window.input, window.output);
        let taps = window.kernel[0] * window.kernel[1];
        let (group_in, group_out) = (self.in_channels / self.groups, self.out_channels / self.groups);
        let mut index = 0;
        for n in 0..self.batch {
            for o in 0..self.out_channels {
                for pixel in 0..out_height * out_width {
                    let mut sum = 0.0;
                    window.taps(pixel / out_width, pixel % out_width, |y, x_at, ky, kx| {
                        for c in 0..group_in {
                            let channel = n * self.in_channels + o / group_out * group_in + c;
                            let tap = (o * group_in + c) * taps + ky * window.kernel[1] + kx;
                            sum += x((channel * height + y) * width + x_at) * weight(tap);
                        }
                    });
                    sink(index, o, sum);
                    index += 1;
                }
            }
        }
    }
}

/// Weights that a step keeps.
const KEPT: [&str; 2] = ["weight", "bias"];

const NUMBERS: &str = "expected a tensor of numbers";

const PARAMS: [Param; 12] = [
    Param::required("x"),
    Param::required("weight"),
    Param::optional("bias"),
    Param::attribute("strides"),
    Param::attribute("pad_type"),
    Param::attribute("pad"),
    Param::attribute("dilations"),
    Param::attribute("groups"),
    Param::optional("residual"),
    Param::attribute("clamp_min"),
    Param::attribute("clamp_max"),
    Param::attribute("activation"),
];

impl Operator for Conv {
    fn signature(&self) -> Signature {
        if self.fused {
            Signature {
                name: "locket.conv",
                params: &PARAMS,
                available: Availability::Internal,
            }
        } else {
            let available = Availability::From(Target::Ios15);
            Signature {
                name: "conv",
                params: const { PARAMS.split_at(8).0 },
                available,
            }
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, _) = node.ty("x")?;
        if !dtype.is_float() {
            return Err(node.param_error("x", format_args!("expected a float type, found {dtype}")));
        }
        let output = Shape::of(node)?.output();
        if let Some((_, residual)) = node.optional_ty("residual")?
            && *residual != *output
        {
            return Err(node.param_error(
                "residual",
                format_args!("expected {output:?}, found {residual:?}"),
            ));
        }
        Ok(vec![Type::tensor(dtype, &output)])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Shape::of(node).map(|shape| shape.cost(node)).unwrap_or_default()
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let node = &call.node;
        let shape = Shape::of(node)?;
        let numbers = |tensor: locket_tensor::TensorRef<'_>| {
            tensor
                .to_tensor()
                .to_f32()
                .ok_or_else(|| node.error("expected tensors of numbers"))
        };
        let (x, weight) = (numbers(call.tensor("x")?)?, numbers(call.tensor("weight")?)?);
        let bias = call.optional("bias")?.map(numbers).transpose()?;
        let residual = call.optional("residual")?.map(numbers).transpose()?;
        let activation = activation(node)?;
        let mut result = vec![0f32; outputs[0].elems()];
        shape.each_sum(
            |at| f64::from(x[at]),
            |at| f64::from(weight[at]),
            |index, channel, sum| {
                let bias = bias.as_ref().map_or(0.0, |bias| f64::from(bias[channel]));
                let residual = residual
                    .as_ref()
                    .map_or(0.0, |residual| f64::from(residual[index]));
                result[index] = activate((sum + bias + residual) as f32, activation);
            },
        );
        store(&mut outputs[0], &result);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        match (Shape::of(node), node.ty("x")) {
            (Ok(shape), Ok((DType::Float32, _))) if ConvF32::reads_planes(&shape.geometry()) => {
                LayoutRule::ChannelsLastOrPlanes
            }
            _ => LayoutRule::ChannelsLast,
        }
    }

    fn kept_weights(&self) -> &'static [&'static str] {
        &KEPT
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let shape = Shape::of(node)?;
        let (dtype, _) = node.ty("x")?;
        let Some(weight) = node.weight("weight").filter(|_| dtype == DType::Float32) else {
            return Err(node.param_error("weight", "must be known before the program runs, with x of fp32"));
        };
        let activation = activation(node)?;
        let (_, weight_shape) = node.ty("weight")?;
        let geometry = shape.geometry();
        let residual = node.has("residual");
        let (isa, packs) = (prepare.isa, prepare.packs);
        if shape.is_depthwise() && !residual {
            let fresh = packs.unless_stored(node, &KEPT, || {
                let dense = weight.expand().and_then(|tensor| tensor.to_f32());
                let dense = dense.ok_or_else(|| node.param_error("weight", NUMBERS))?;
                let bias = kept_floats(node, "bias")?;
                Ok(DepthwiseF32::new(
                    isa,
                    geometry.clone(),
                    &dense,
                    bias.as_deref(),
                    activation,
                ))
            })?;
            let kernel = packs.kernel(node, fresh, |parts| {
                DepthwiseF32::stored(isa, geometry, activation, parts)
            })?;
            let rows = kernel.geometry().out_pixels();
            let bytes = kernel.weight_bytes();
            return Ok(Some(
                Prepared::new(DepthwiseStep { kernel }, rows, shape.out_channels * 4).weights(bytes),
            ));
        }
        let fresh = packs.unless_stored(node, &KEPT, || {
            let packing = Packing::of(&weight, weight_shape);
            let packing = packing.ok_or_else(|| node.param_error("weight", NUMBERS))?;
            Ok((packing, kept_floats(node, "bias")?))
        })?;
        let fresh = fresh.as_ref();
        let of_planes = ConvF32::reads_planes(&geometry) && prepare.layout("x") == Layout::RowMajor;
        if let Some(prepared) = bf16_step(prepare, &geometry, fresh, activation)? {
            return Ok(Some(prepared));
        }
        if !of_planes && !prepare.lean && WinogradF32::suits(&geometry) {
            let dense = fresh.map(|(packing, bias)| (packing.dense(), bias));
            if packs.decide(node, dense.as_ref().map(|(dense, _)| dense.is_some()))? {
                let fresh = dense.and_then(|(dense, bias)| {
                    Some(WinogradF32::new(
                        isa,
                        geometry.clone(),
                        &dense?,
                        bias.as_deref(),
                        activation,
                    ))
                });
                let kernel = packs.kernel(node, fresh, |parts| {
                    WinogradF32::stored(isa, geometry, activation, parts)
                })?;
                return Ok(Some(winograd_step(kernel, residual)));
            }
        }
        let kernel = f32_kernel(prepare, &geometry, fresh, activation)?;
        let kernel = if of_planes { kernel.of_planes() } else { kernel };
        Ok(Some(float_step(kernel, residual)))
    }

    fn samples(&self) -> Vec<String> {
        if self.fused { fused_samples() } else { samples() }
    }
}

/// `clamp_min` and `clamp_max`, without bounds where they are absent.
pub(crate) fn clamp(node: &Node<'_>) -> Result<[f32; 2], OpError> {
    Ok([
        node.float("clamp_min", f32::NEG_INFINITY)?,
        node.float("clamp_max", f32::INFINITY)?,
    ])
}

/// What is done with sums at last.
pub(crate) fn activation(node: &Node<'_>) -> Result<Activation, OpError> {
    match node.text("activation", "")? {
        "" => Ok(Activation::Clamp(clamp(node)?)),
        "hard_swish" => Ok(Activation::HardSwish),
        other => Err(node.param_error("activation", format_args!("expected hard_swish, found {other}"))),
    }
}

/// One value, as [`Activation`] says.
pub(crate) fn activate(value: f32, activation: Activation) -> f32 {
    match activation {
        Activation::Clamp([low, high]) => clamp_one(value, low, high),
        Activation::HardSwish => hard_swish(value.into()) as f32,
    }
}

fn clamp_one(value: f32, low: f32, high: f32) -> f32 {
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}

/// How a convolution's rows depend on each other; `None` for several images, which are no one image's rows.
pub(crate) fn row_window(geometry: &ConvGeometry, in_bytes: usize, out_bytes: usize) -> Option<RowWindow> {
    (geometry.batch == 1).then_some(RowWindow {
        in_rows: geometry.in_height,
        in_row_bytes: geometry.in_width * geometry.in_channels * in_bytes,
        out_rows: geometry.out_height,
        out_row_bytes: geometry.out_width * geometry.out_channels * out_bytes,
        row_units: geometry.out_width,
        kernel: geometry.kernel[0],
        stride: geometry.stride[0],
        dilation: geometry.dilation[0],
        pad: geometry.pad[0],
    })
}

/// The shape of a strip; `None` for a single pixel, for which weights are packed in another way.
pub(crate) fn strip_of(geometry: &ConvGeometry, strip: Strip) -> Option<ConvGeometry> {
    let geometry = geometry.strip(strip.in_rows, strip.out_rows, strip.pad);
    (geometry.out_pixels() > 1 && strip.in_rows > 0).then_some(geometry)
}

/// Writes floats into an output of fp32 or fp16.
pub(crate) fn store(output: &mut TensorMut<'_>, values: &[f32]) {
    if output.dtype == DType::Float16 {
        for (target, &value) in output.as_mut_slice::<half::f16>().iter_mut().zip(values) {
            *target = half::f16::from_f32(value);
        }
    } else {
        output.as_mut_slice::<f32>().copy_from_slice(values);
    }
}

/// The numbers of an optional weight that a step keeps.
pub(crate) fn kept_floats(node: &Node<'_>, param: &str) -> Result<Option<Vec<f32>>, OpError> {
    if !node.has(param) {
        return Ok(None);
    }
    let values = node
        .weight(param)
        .and_then(|weight| weight.expand())
        .and_then(|tensor| tensor.to_f32());
    values
        .map(Some)
        .ok_or_else(|| node.param_error(param, "must be known before the program runs"))
}

/// A step around a convolution by strips of rows.
fn winograd_step(kernel: WinogradF32, residual: bool) -> Prepared {
    let geometry = kernel.geometry();
    let row_bytes = geometry.out_width * geometry.out_channels * 4;
    let (strips, bytes, scratch) = (kernel.strips(), kernel.weight_bytes(), kernel.scratch_elems() * 4);
    Prepared::new(
        WinogradStep { kernel, residual },
        strips,
        WinogradF32::STRIP_ROWS * row_bytes,
    )
    .weights(bytes)
    .scratch(scratch)
}

#[derive(Debug)]
struct WinogradStep {
    kernel: WinogradF32,
    residual: bool,
}

impl Step for WinogradStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let geometry = self.kernel.geometry();
        let strip = WinogradF32::STRIP_ROWS * geometry.out_width * geometry.out_channels;
        let residual = self
            .residual
            .then(|| &bytemuck::cast_slice::<u8, f32>(inputs[1])[units.start * strip..]);
        self.kernel.run(
            bytemuck::cast_slice(inputs[0]),
            residual,
            bytemuck::cast_slice_mut(output),
            units,
            bytemuck::cast_slice_mut(scratch),
        );
    }

    fn kernel(&self) -> &str {
        self.kernel.kernel_name()
    }
}

#[derive(Debug)]
struct DepthwiseStep {
    kernel: DepthwiseF32,
}

impl Step for DepthwiseStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        self.kernel.run(
            bytemuck::cast_slice(inputs[0]),
            bytemuck::cast_slice_mut(output),
            units,
        );
    }

    fn kernel(&self) -> &str {
        self.kernel.kernel_name()
    }

    fn row_window(&self) -> Option<RowWindow> {
        row_window(self.kernel.geometry(), 4, 4)
    }

    fn strip(&self, strip: Strip) -> Option<Box<dyn Step>> {
        let geometry = strip_of(self.kernel.geometry(), strip)?;
        Some(Box::new(Self {
            kernel: self.kernel.with_rows(geometry),
        }))
    }
}

fn sample(kind: &str, x: &str, weight: &str, y: &str, rest: &str) -> String {
    format!(
        "func f opset ios15 (%x: fp32{x}) -> (y: %y) {{
           %w: fp32{weight} = ramp(-1.0, 0.13)
           %y: fp32{y} = {kind}(x=%x, weight=%w{rest})
         }}"
    )
}

fn samples() -> Vec<String> {
    let bias = "func f opset ios15 (%x: fp32[1, 8, 5, 5]) -> (y: %y) {
           %w: fp32[16, 8, 1, 1] = ramp(-1.0, 0.13)
           %b: fp32[16] = ramp(-0.5, 0.1)
           %y: fp32[1, 16, 5, 5] = conv(x=%x, weight=%w, bias=%b)
         }";
    vec![
        bias.to_owned(),
        sample(
            "conv",
            "[2, 3, 9, 8]",
            "[5, 3, 3, 3]",
            "[2, 5, 5, 4]",
            ", strides=[2, 2], pad_type=\"same\"",
        ),
        sample(
            "conv",
            "[1, 4, 7, 7]",
            "[6, 2, 3, 3]",
            "[1, 6, 5, 5]",
            ", groups=2",
        ),
        sample(
            "conv",
            "[1, 20, 6, 7]",
            "[20, 1, 3, 3]",
            "[1, 20, 6, 7]",
            ", groups=20, pad_type=\"custom\", pad=[1, 1, 1, 1]",
        ),
        sample(
            "conv",
            "[1, 3, 8, 8]",
            "[4, 3, 3, 3]",
            "[1, 4, 4, 4]",
            ", dilations=[2, 2]",
        ),
        sample(
            "conv",
            "[1, 6, 11]",
            "[7, 6, 3]",
            "[1, 7, 5]",
            ", strides=[2], pad_type=\"valid\"",
        ),
        sample("conv", "[1, 33, 1, 1]", "[50, 33, 1, 1]", "[1, 50, 1, 1]", ""),
    ]
}

fn fused_samples() -> Vec<String> {
    let residual = "func f opset ios15 (%x: fp32[1, 8, 5, 5], %r: fp32[1, 16, 5, 5]) -> (y: %y) {
           %w: fp32[16, 8, 3, 3] = ramp(-1.0, 0.13)
           %b: fp32[16] = ramp(-0.5, 0.1)
           %y: fp32[1, 16, 5, 5] = locket.conv(x=%x, weight=%w, bias=%b, pad_type=\"same\", residual=%r, clamp_min=0.0)
         }";
    let clamp = ", pad_type=\"same\", clamp_min=0.0, clamp_max=6.0";
    vec![
        residual.to_owned(),
        sample(
            "locket.conv",
            "[1, 3, 9, 8]",
            "[5, 3, 3, 3]",
            "[1, 5, 9, 8]",
            clamp,
        ),
        sample(
            "locket.conv",
            "[1, 17, 6, 7]",
            "[17, 1, 3, 3]",
            "[1, 17, 6, 7]",
            &format!(", groups=17{clamp}"),
        ),
        sample(
            "locket.conv",
            "[2, 3, 9, 8]",
            "[5, 3, 3, 3]",
            "[2, 5, 5, 4]",
            ", pad_type=\"same\", strides=[2, 2], activation=\"hard_swish\"",
        ),
    ]
}
