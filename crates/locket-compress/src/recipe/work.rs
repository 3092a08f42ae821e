//! A function on its way from float to compressed, layer by layer.

use locket_mil::{Function, Operation, Target, ValueId};
use locket_ops::Weight;
use locket_tensor::{DType, Tensor};

use super::{
    Layer, LayerChoice, LayerReport, WeightForm,
    bias::{Correction, correct},
};
use crate::{
    CompressError,
    activations::{Grid, Placement, input_grid, insert},
    calibrate::{Calibration, Curvatures, Patches, Point, Stream},
    weights::{
        Encoded, Matrix, Rounding, Stored, float_tensor, int4, int8, least_scales, palette, palette_int8,
        prune, pruned_int8,
    },
};

/// Elements of the inputs that are looked at for one layer: 128 MiB.
const INPUT_ELEMS: usize = 32 << 20;

/// The function as far as it is, and what was decided about its activations.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) function: Function,
    calibration: Option<&'a Calibration<'a>>,
    /// For each layer, the grid of its operand if it computes on integers.
    operands: Vec<Option<Grid>>,
    /// For each layer, the sum that it is fused with.
    sums: Vec<Option<ValueId>>,
    threads: usize,
}

impl<'a> Work<'a> {
    /// Places `quantize` and `dequantize` for the layers that compute on integers; weights are still as they were.
    pub(super) fn new(
        mut function: Function,
        layers: &[Layer],
        choices: &[LayerChoice],
        calibration: Option<&'a Calibration<'a>>,
        threads: usize,
    ) -> Result<Self, CompressError> {
        let mut work = Self {
            function: function.clone(),
            calibration,
            operands: vec![None; layers.len()],
            sums: vec![None; layers.len()],
            threads: threads.max(1),
        };
        let integer: Vec<bool> = function
            .operations
            .iter()
            .map(|operation| {
                let layer = layers.iter().find(|layer| operation.outputs == [layer.output]);
                layer.is_some_and(|layer| choices[layer.index].activations)
            })
            .collect();
        if !integer.contains(&true) {
            return Ok(work);
        }
        if function
            .operations
            .iter()
            .any(|operation| matches!(&*operation.kind, "quantize" | "dequantize"))
        {
            let message = "its activations are quantised already; apply w8a8 to the float model";
            return Err(CompressError::Unsuitable(message.to_owned()));
        }
        let calibration = calibration.ok_or_else(|| {
            CompressError::Unsuitable(
                "w8a8 needs calibration samples to see the ranges of activations".to_owned(),
            )
        })?;
        let placement = Placement::of(&function, &integer);
        let input = function.inputs[0];
        let [low, high] = calibration.ranges[input.index()].unwrap_or([0.0, 0.0]);
        let fixed = [(input, input_grid(&calibration.input_values, low, high))];
        let grids = placement
            .grids(&calibration.ranges, &fixed)
            .map_err(|id| no_range(&function, id))?;
        let grids: Vec<Option<Grid>> = grids
            .into_iter()
            .enumerate()
            .map(|(index, grid)| grid.map(|grid| storable(&function, ValueId::from_index(index), grid)))
            .collect();
        for layer in layers.iter().filter(|layer| choices[layer.index].activations) {
            let position = producer(&function, layer.output);
            let x = function.operations[position].input("x");
            work.operands[layer.index] = x.and_then(|x| grids[x.index()]);
            work.sums[layer.index] = placement.sum(position);
        }
        insert(&mut function, &grids);
        function.opset = function.opset.max(Target::Ios17);
        work.function = function;
        Ok(work)
    }

    /// Compresses one layer; those before it are done.
    pub(super) fn layer(
        &mut self,
        layer: &Layer,
        choice: LayerChoice,
        mut stream: Option<&mut Stream<'_>>,
    ) -> Result<LayerReport, CompressError> {
        let mut report = LayerReport {
            name: layer.name.clone(),
            done: choice,
            bytes_before: layer.weight_bytes,
            bytes_after: layer.weight_bytes,
            weight_error: 0.0,
            skipped: None,
        };
        if choice.weights == WeightForm::Float {
            return Ok(report);
        }
        let weight = self.dense_weight(layer)?;
        let curvatures = match stream.as_deref_mut() {
            Some(stream) if choice.weights != WeightForm::Float16 => self.curvatures(layer, stream)?,
            _ => None,
        };
        let stored = self
            .encode(layer, choice, &weight, curvatures.as_ref())
            .and_then(|encoded| {
                let dtype = self.weight_type(layer);
                let stored = Stored::new(&encoded, dtype, &layer.weight_shape);
                // A layer on integers needs its weight as integers, larger or not.
                if stored.bytes() >= layer.weight_bytes && !choice.activations {
                    let (after, before) = (stored.bytes(), layer.weight_bytes);
                    return Err(format!(
                        "{} would take {after} bytes, it takes {before} now",
                        choice.weights
                    ));
                }
                Ok((encoded, stored))
            });
        let (encoded, stored) = match stored {
            Ok(both) => both,
            Err(reason) => {
                report.done = LayerChoice::FLOAT;
                report.skipped = Some(reason);
                return Ok(report);
            }
        };
        report.weight_error = weight.relative_error(&encoded.dense());
        report.bytes_after = stored.bytes();
        replace_weight(&mut self.function, layer, &encoded, stored);
        if let (Some(stream), Some(calibration)) = (stream, self.calibration) {
            let bias = self.corrected_bias(layer, calibration, stream)?;
            self.set_bias(layer, &bias);
        }
        Ok(report)
    }

    /// The function with the layer's weight in each of these forms, and the bytes that it takes in a file; the function here stays
    /// as it is. `None` for forms that do not suit.
    pub(super) fn alternatives(
        &mut self,
        layer: &Layer,
        forms: &[Option<LayerChoice>],
        stream: &mut Stream<'_>,
    ) -> Result<Vec<Option<(u64, Function)>>, CompressError> {
        let weight = self.dense_weight(layer)?;
        let curvatures = self.curvatures(layer, stream)?;
        let made = forms.iter().map(|form| {
            let form = (*form)?;
            let encoded = self.encode(layer, form, &weight, curvatures.as_ref()).ok()?;
            let stored = Stored::new(&encoded, self.weight_type(layer), &layer.weight_shape);
            let bytes = stored.bytes();
            let mut function = self.function.clone();
            replace_weight(&mut function, layer, &encoded, stored);
            Some((bytes, function))
        });
        Ok(made.collect())
    }

    fn corrected_bias(
        &self,
        layer: &Layer,
        calibration: &Calibration<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<Vec<f32>, CompressError> {
        let targets = &calibration.targets[layer.index];
        let looked_at = self.sums[layer.index].unwrap_or(layer.output);
        let target = targets
            .iter()
            .find(|target| target.point.value == looked_at)
            .unwrap_or(&targets[0]);
        let correction = Correction {
            function: &self.function,
            position: producer(&self.function, layer.output),
            target,
            rows: calibration.rows,
            bias: self.bias(layer),
        };
        correct(&correction, stream)
    }

    /// How much errors in the layer's weight cost, from what the layers before it give now. `None` if the samples say nothing
    /// about that.
    fn curvatures(
        &self,
        layer: &Layer,
        stream: &mut Stream<'_>,
    ) -> Result<Option<Curvatures>, CompressError> {
        let Some(calibration) = self.calibration else {
            return Ok(None);
        };
        let position = producer(&self.function, layer.output);
        let operation = &self.function.operations[position];
        let columns = layer.weight_elems / layer.weight_shape[0].max(1);
        let (Some(patches), Some(x)) = (Patches::of(&self.function, operation), operation.input("x")) else {
            return Ok(None);
        };
        let width = patches.width();
        if columns == 0 || width != columns * layer.groups {
            return Ok(None);
        }
        let point = Point::new(&self.function, layer.output, layer.kind == "linear");
        let rows = calibration
            .rows
            .narrowed(calibration.samples.len(), width, INPUT_ELEMS);
        let gathered = stream.advance(&self.function, position, &[x], &|sample, values: &[Tensor]| {
            let values = values[0].to_f32().unwrap_or_default();
            patches.gather(&values, &rows.of(&point, sample))
        })?;
        let mut inputs = gathered.concat();
        let isa = calibration.options.plan.isa;
        Ok(Curvatures::of(
            &mut inputs,
            layer.groups,
            columns,
            layer.weight_shape[0],
            isa,
        ))
    }

    fn weight_type(&self, layer: &Layer) -> DType {
        let operation = &self.function.operations[producer(&self.function, layer.output)];
        let weight = operation.input("weight").expect("a layer has a weight");
        self.function.ty(weight).dtype().unwrap_or(DType::Float32)
    }

    fn dense_weight(&self, layer: &Layer) -> Result<Matrix, CompressError> {
        let operation = &self.function.operations[producer(&self.function, layer.output)];
        let dense = operation
            .input("weight")
            .and_then(|id| Weight::of(&self.function, id))
            .and_then(|weight| weight.expand())
            .and_then(|tensor| tensor.to_f32());
        let values = dense.ok_or_else(|| {
            CompressError::Unsuitable(format!("{}: its weight cannot be expanded", layer.name))
        })?;
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            let message = format!(
                "{}: a weight is {bad}, only finite numbers can be compressed",
                layer.name
            );
            return Err(CompressError::Unsuitable(message));
        }
        Ok(Matrix::of(&layer.weight_shape, values))
    }

    /// The compressed weight, or why there is none.
    fn encode(
        &self,
        layer: &Layer,
        choice: LayerChoice,
        weight: &Matrix,
        curvatures: Option<&Curvatures>,
    ) -> Result<Encoded, String> {
        let form = choice.weights;
        let rounding = Rounding {
            curvatures,
            dtype: self.weight_type(layer),
            threads: self.threads,
        };
        let pruned = matches!(form, WeightForm::Pruned { .. } | WeightForm::PrunedInt8 { .. });
        if pruned && !choice.activations && weight.values.iter().all(|&value| value == 0.0) {
            return Err("its weight is zero throughout".to_owned());
        }
        match form {
            WeightForm::Float => Err("it is left in float".to_owned()),
            WeightForm::Float16 => {
                if self.weight_type(layer) == DType::Float16 {
                    return Err("its weight is float16 already".to_owned());
                }
                let narrow: Vec<half::f16> = weight
                    .values
                    .iter()
                    .map(|&value| half::f16::from_f32(value))
                    .collect();
                match narrow.iter().all(|value| value.is_finite()) {
                    true => Ok(Encoded::Float16(narrow)),
                    false => Err("a weight is beyond the range of float16".to_owned()),
                }
            }
            WeightForm::Int8 => Ok(int8(weight, self.least_scales(layer).as_deref(), rounding)),
            WeightForm::Int4 => Ok(int4(weight, &layer.weight_shape, rounding)),
            WeightForm::Palette { bits, group } => {
                let groups = group.map_or(1, |group| weight.rows / usize::from(group));
                Ok(match choice.activations {
                    true => palette_int8(
                        weight,
                        bits,
                        groups,
                        self.least_scales(layer).as_deref(),
                        rounding,
                    ),
                    false => palette(weight, bits, groups, rounding),
                })
            }
            WeightForm::Pruned { percent } => Ok(Encoded::Sparse(prune(weight, percent, rounding).values)),
            WeightForm::PrunedInt8 { percent } => {
                let pruned = prune(weight, percent, rounding);
                Ok(pruned_int8(
                    &pruned,
                    self.least_scales(layer).as_deref(),
                    rounding.dtype,
                ))
            }
        }
    }

    /// The least scale of each row with which the bias is still a 32-bit integer; `None` if the layer computes on floats.
    fn least_scales(&self, layer: &Layer) -> Option<Vec<f32>> {
        self.operands[layer.index].map(|grid| least_scales(&self.bias(layer), grid.scale))
    }

    /// The bias of a layer; zeros if it has none.
    fn bias(&self, layer: &Layer) -> Vec<f32> {
        let operation = &self.function.operations[producer(&self.function, layer.output)];
        let stored = operation
            .input("bias")
            .and_then(|id| Weight::of(&self.function, id))
            .and_then(|weight| weight.expand())
            .and_then(|tensor| tensor.to_f32());
        let channels = layer.weight_shape[0];
        stored
            .filter(|bias| bias.len() == channels)
            .unwrap_or_else(|| vec![0.0; channels])
    }

    fn set_bias(&mut self, layer: &Layer, bias: &[f32]) {
        let position = producer(&self.function, layer.output);
        let dtype = self.function.ty(layer.output).dtype().unwrap_or(DType::Float32);
        let old = self.function.operations[position].input("bias");
        let name = match old {
            Some(id) => self.function.value(id).name.clone(),
            None => format!("{}_bias", self.function.value(layer.output).name),
        };
        let id = self
            .function
            .add_constant(&name, float_tensor(dtype, &[bias.len()], bias));
        bind_bias(&mut self.function.operations[position], id);
    }
}

/// Puts a compressed weight in the place of the one before.
fn replace_weight(function: &mut Function, layer: &Layer, encoded: &Encoded, stored: Stored) {
    let position = producer(function, layer.output);
    let old = function.operations[position]
        .input("weight")
        .expect("a layer has a weight");
    let name = function.value(old).name.clone();
    let (operations, new) = stored.add(function, &name);
    function.operations[position].set_input("weight", new);
    function.operations.splice(position..position, operations);
    function.opset = function.opset.max(encoded.target());
}

/// Binds `bias` behind `weight`, where MIL has it.
fn bind_bias(operation: &mut Operation, id: ValueId) {
    operation.remove_input("bias");
    let place = operation.inputs.iter().position(|(param, _)| param == "weight");
    let place = place.map_or(operation.inputs.len(), |place| place + 1);
    operation.inputs.insert(place, ("bias".into(), id.into()));
}

/// The position of the operation that makes a layer's result.
pub(super) fn producer(function: &Function, output: ValueId) -> usize {
    function
        .operations
        .iter()
        .position(|operation| operation.outputs.contains(&output))
        .expect("layers are operations of the function")
}

/// The grid as it can be stored: a scale in float16 is rounded, and not to zero.
fn storable(function: &Function, id: ValueId, grid: Grid) -> Grid {
    if function.ty(id).dtype() != Some(DType::Float16) {
        return grid;
    }
    let narrow = half::f16::from_f32(grid.scale).clamp(half::f16::MIN_POSITIVE_SUBNORMAL, half::f16::MAX);
    Grid {
        scale: narrow.to_f32(),
        ..grid
    }
}

fn no_range(function: &Function, id: ValueId) -> CompressError {
    let name = &function.value(id).name;
    CompressError::Unsuitable(format!("calibration has seen no value of {name}"))
}
