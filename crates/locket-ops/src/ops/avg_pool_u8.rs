//! `locket.avg_pool_u8`: the mean of windows of quantised data, requantised. A global mean is a window as large as the image.
//!
//! `sum` of `x - x_zero_point` over the pixels of the window inside the image, in i32; `n` = those pixels, or all taps if padding
//! counts (`exclude_padding_from_average` false); `t = sum as f32 * (multiplier / n as f32)`;
//! `y = clamp(round_half_even(t) + y_zero_point, y_min, y_max)`. x, y: u8 `[N, C, ...]`. Made by passes; never written.

use std::ops::Range;

use locket_kernels::{Isa, MeanU8, PoolGeometry, avg_u8};
use locket_mil::Type;
use locket_tensor::{DType, TensorMut};

use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
    ops::pool::window,
};

/// The operator `locket.avg_pool_u8`.
pub static AVG_POOL_U8: AvgPool = AvgPool;

/// See the module.
#[derive(Debug)]
pub struct AvgPool;

fn numbers(node: &Node<'_>) -> Result<MeanU8, OpError> {
    let code = |param: &str, default: i64| {
        let value = node.int(param, default)?;
        u8::try_from(value)
            .map_err(|_| node.param_error(param, format_args!("expected 0 to 255, found {value}")))
    };
    Ok(MeanU8 {
        multiplier: node.float("multiplier", 1.0)?,
        input_zero_point: code("x_zero_point", 0)?,
        zero_point: code("y_zero_point", 0)?,
        clamp: [code("y_min", 0)?, code("y_max", 255)?],
    })
}

impl Operator for AvgPool {
    fn signature(&self) -> Signature {
        const PARAMS: [Param; 11] = [
            Param::required("x"),
            Param::constant("kernel_sizes"),
            Param::attribute("strides"),
            Param::attribute("pad_type"),
            Param::attribute("pad"),
            Param::attribute("exclude_padding_from_average"),
            Param::constant("x_zero_point"),
            Param::constant("multiplier"),
            Param::constant("y_zero_point"),
            Param::attribute("y_min"),
            Param::attribute("y_max"),
        ];
        Signature {
            name: "locket.avg_pool_u8",
            params: &PARAMS,
            available: Availability::Internal,
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, x) = node.ty("x")?;
        if dtype != DType::UInt8 {
            return Err(node.param_error("x", format_args!("expected uint8, found {dtype}")));
        }
        numbers(node)?;
        Ok(vec![Type::tensor(dtype, &window(node)?.output_shape(x[0], x[1]))])
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        let taps = window(node).map_or(0, |window| window.kernel[0] * window.kernel[1]);
        Cost {
            macs: node.output_elems() * taps as u64,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (window, p) = (window(&call.node)?, numbers(&call.node)?);
        let exclude = call.node.flag("exclude_padding_from_average", false)?;
        let x = call.tensor("x")?;
        let values = x.as_slice::<u8>();
        let ([height, width], [out_height, out_width]) = (window.input, window.output);
        for (index, y) in outputs[0].as_mut_slice::<u8>().iter_mut().enumerate() {
            let (plane, pixel) = (index / (out_height * out_width), index % (out_height * out_width));
            let (mut sum, mut inside) = (0i32, 0usize);
            window.taps(pixel / out_width, pixel % out_width, |y, x, _, _| {
                sum += i32::from(values[(plane * height + y) * width + x]) - i32::from(p.input_zero_point);
                inside += 1;
            });
            let count = if exclude {
                inside
            } else {
                window.kernel[0] * window.kernel[1]
            };
            let t = sum as f32 * (p.multiplier / count as f32);
            let stored = (t.round_ties_even() as i32).saturating_add(i32::from(p.zero_point));
            *y = stored.clamp(i32::from(p.clamp[0]), i32::from(p.clamp[1])) as u8;
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::ChannelsLast
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (window, (_, x)) = (window(node)?, node.ty("x")?);
        let count_padding = !node.flag("exclude_padding_from_average", false)?;
        let geometry = window.pool(x[0], x[1]);
        let units = x[0] * window.output[0] * window.output[1];
        let step = MeanStep {
            isa: prepare.isa,
            geometry,
            numbers: numbers(node)?,
            count_padding,
        };
        Ok(Some(Prepared::new(step, units, x[1])))
    }

    fn samples(&self) -> Vec<String> {
        let sample = |x: &str, y: &str, rest: &str| {
            format!(
                "func f opset ios17 (%x: uint8{x}) -> (y: %y) {{
                   %y: uint8{y} = locket.avg_pool_u8(x=%x, {rest}, x_zero_point=13, multiplier=0.8, y_zero_point=7)
                 }}"
            )
        };
        vec![
            sample("[2, 19, 6, 5]", "[2, 19, 1, 1]", "kernel_sizes=[6, 5]"),
            sample(
                "[1, 3, 7, 7]",
                "[1, 3, 4, 4]",
                "kernel_sizes=[3, 3], strides=[2, 2], pad_type=\"same\"",
            ),
            sample(
                "[1, 3, 7, 7]",
                "[1, 3, 4, 4]",
                "kernel_sizes=[3, 3], strides=[2, 2], pad_type=\"same\", exclude_padding_from_average=true",
            ),
        ]
    }
}

#[derive(Debug)]
struct MeanStep {
    isa: Isa,
    geometry: PoolGeometry,
    numbers: MeanU8,
    count_padding: bool,
}

impl Step for MeanStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        avg_u8(
            self.isa,
            &self.geometry,
            &self.numbers,
            self.count_padding,
            inputs[0],
            output,
            units,
        );
    }

    fn kernel(&self) -> &str {
        "u8_avg_pool"
    }
}
