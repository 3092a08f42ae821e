//! What a layer multiplies its weight with: one vector of inputs for each row of its result.

use locket_mil::{Function, Operation};
use locket_ops::Node;

/// Where the inputs of a row are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Patches {
    /// A fully connected layer: the row of the operand.
    Vectors {
        /// Inputs of a row.
        inputs: usize,
    },
    /// A convolution: the pixels under the kernel, in each channel.
    Windows(Windows),
}

/// Windows over two spatial axes; one-dimensional ones have a first axis of size 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    channels: usize,
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Rows above and columns to the left that are padding.
    pad: [usize; 2],
}

impl Patches {
    /// The inputs of a layer's rows; `None` if its parameters are not understood.
    pub(crate) fn of(function: &Function, operation: &Operation) -> Option<Self> {
        let node = Node::new(function, operation);
        let (_, x) = node.ty("x").ok()?;
        if operation.kind == "linear" {
            let inputs = *x.last()?;
            return Some(Self::Vectors { inputs });
        }
        let (_, weight) = node.ty("weight").ok()?;
        let (_, y) = node.output_ty(0).ok()?;
        let axes = x.len().checked_sub(2).filter(|axes| (1..=2).contains(axes))?;
        let two = |values: &[usize], filler: usize| -> Option<[usize; 2]> {
            match *values {
                [value] => Some([filler, value]),
                [first, second] => Some([first, second]),
                _ => None,
            }
        };
        let kernel = two(weight.get(2..)?, 1)?;
        let stride = two(&node.sizes("strides", &vec![1; axes]).ok()?, 1)?;
        let dilation = two(&node.sizes("dilations", &vec![1; axes]).ok()?, 1)?;
        let (input, output) = (two(x.get(2..)?, 1)?, two(y.get(2..)?, 1)?);
        let mut pad = [0; 2];
        let pad_type = node.text("pad_type", "valid").ok()?;
        if pad_type == "custom" {
            let values = node.sizes("pad", &vec![0; 2 * axes]).ok()?;
            let starts: Vec<usize> = values.iter().step_by(2).copied().collect();
            pad = two(&starts, 0)?;
        } else if pad_type != "valid" {
            for axis in 0..2 {
                let extent = dilation[axis] * kernel[axis].checked_sub(1)? + 1;
                let span = output[axis].checked_sub(1)? * stride[axis] + extent;
                let total = span.saturating_sub(input[axis]);
                // `same` puts the odd pixel at the end, `same_lower` at the beginning.
                pad[axis] = if pad_type == "same" {
                    total / 2
                } else {
                    total - total / 2
                };
            }
        }
        Some(Self::Windows(Windows {
            channels: x[1],
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
        }))
    }

    /// Inputs of one row, over all groups.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Vectors { inputs } => *inputs,
            Self::Windows(windows) => windows.channels * windows.kernel[0] * windows.kernel[1],
        }
    }

    /// The inputs of some rows of one sample, one row after the other, in the order of the weight's elements: channels,
    /// then the pixels of the kernel. Padding gives 0.
    pub(crate) fn gather(&self, x: &[f32], rows: &[usize]) -> Vec<f32> {
        match self {
            Self::Vectors { inputs } => rows
                .iter()
                .flat_map(|row| x[row * inputs..][..*inputs].iter().copied())
                .collect(),
            Self::Windows(windows) => {
                let mut gathered = Vec::with_capacity(rows.len() * self.width());
                rows.iter().for_each(|&row| windows.push(x, row, &mut gathered));
                gathered
            }
        }
    }
}

impl Windows {
    fn push(&self, x: &[f32], row: usize, gathered: &mut Vec<f32>) {
        let pixels = self.output[0] * self.output[1];
        let (picture, pixel) = (row / pixels, row % pixels);
        let place = [pixel / self.output[1], pixel % self.output[1]];
        // The coordinate of a tap, if it is not in the padding.
        let at = |axis: usize, tap: usize| {
            (place[axis] * self.stride[axis] + tap * self.dilation[axis])
                .checked_sub(self.pad[axis])
                .filter(|&at| at < self.input[axis])
        };
        for channel in 0..self.channels {
            let plane = &x[(picture * self.channels + channel) * self.input[0] * self.input[1]..];
            for tap_y in 0..self.kernel[0] {
                for tap_x in 0..self.kernel[1] {
                    let value = match (at(0, tap_y), at(1, tap_x)) {
                        (Some(y), Some(x)) => plane[y * self.input[1] + x],
                        _ => 0.0,
                    };
                    gathered.push(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use locket_mil::text;
    use locket_ops::evaluate;
    use locket_tensor::Tensor;

    use super::Patches;

    /// The layer's result from its patches equals the operator's own.
    fn check(x: &str, layer: &str) {
        let source = format!("func main opset ios15 (%x: fp32{x}) -> (y: %y) {{\n{layer}\n}}");
        let function = text::parse(&source).unwrap();
        let id = function.inputs[0];
        let values: Vec<f32> = (0..function.ty(id).elems())
            .map(|n| (n * 7 % 23) as f32 - 11.0)
            .collect();
        let tensor = Tensor::from_slice(function.ty(id).shape().unwrap(), &values).unwrap();
        let operation = &function.operations[0];
        let result = evaluate(&function, operation, &[(id, &tensor)])
            .unwrap()
            .remove(0);
        let patches = Patches::of(&function, operation).unwrap();
        let weight = function.const_tensor(operation.input("weight").unwrap()).unwrap();
        let outs = weight.shape()[0];
        let columns = weight.elems() / outs;
        let linear = operation.kind == "linear";
        let point = super::super::Point::new(&function, operation.outputs[0], linear);
        let rows: Vec<usize> = (0..point.rows()).collect();
        let (inputs, wanted) = (
            patches.gather(&values, &rows),
            point.gather(result.as_slice(), &rows),
        );
        let groups = patches.width() / columns;
        for row in 0..rows.len() {
            for out in 0..outs {
                let group = out / (outs / groups);
                let taken = &inputs[row * patches.width() + group * columns..][..columns];
                let weights = &weight.as_slice::<f32>()[out * columns..][..columns];
                let sum: f32 = taken.iter().zip(weights).map(|(a, b)| a * b).sum();
                assert!(
                    (sum - wanted[row * outs + out]).abs() < 1e-3,
                    "{layer}: row {row}, channel {out}"
                );
            }
        }
    }

    #[test]
    fn patches_times_weights_are_the_layer() {
        check(
            "[2, 3, 7, 6]",
            r#"%w: fp32[4, 3, 3, 2] = ramp(-0.4, 0.05)
            %y: fp32[2, 4, 4, 3] = conv(x=%x, weight=%w, strides=[2, 2], pad_type="same")"#,
        );
        check(
            "[1, 4, 8, 8]",
            r#"%w: fp32[4, 1, 3, 3] = ramp(-0.4, 0.05)
            %y: fp32[1, 4, 8, 8] = conv(x=%x, weight=%w, pad_type="same_lower", groups=4)"#,
        );
        check(
            "[1, 4, 9, 5]",
            r#"%w: fp32[6, 2, 2, 3] = ramp(-0.4, 0.05)
            %y: fp32[1, 6, 8, 4] = conv(x=%x, weight=%w, groups=2, dilations=[2, 1], pad=[1, 0, 0, 1], pad_type="custom")"#,
        );
        check(
            "[1, 3, 11]",
            r#"%w: fp32[5, 3, 4] = ramp(-0.4, 0.05)
            %y: fp32[1, 5, 4] = conv(x=%x, weight=%w, strides=[2], pad_type="valid")"#,
        );
        check(
            "[2, 3, 4]",
            r#"%w: fp32[5, 4] = ramp(-0.4, 0.05)
            %y: fp32[2, 3, 5] = linear(x=%x, weight=%w)"#,
        );
    }
}
