//! Labelled samples, preprocessed and in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_data::{Dataset, InputSpec, NpyType, Preprocess, Quantization, SampleBuffer};
use locket_mil::{Function, Type};
use locket_runtime::Plan;
use locket_tensor::{DType, Tensor};

use crate::CompressError;

/// Model inputs and labels. All preprocessed samples are held in memory, so that every variant sees the same bytes.
#[derive(Debug)]
pub struct Samples {
    /// One input tensor for each sample.
    pub inputs: Vec<Tensor>,
    /// The class of each sample.
    pub labels: Vec<usize>,
    /// How many leading outputs of the model are no class.
    pub label_offset: usize,
}

/// What the only input of a function wants: type, shape, and for an integer input its quantisation, which is that of
/// the `dequantize` that reads it.
///
/// # Errors
///
/// If the function has not exactly one input, or one that data cannot be made for.
pub fn input_spec(function: &Function) -> Result<InputSpec, CompressError> {
    let &[input] = function.inputs.as_slice() else {
        let message = format!("expected a model with one input, found {}", function.inputs.len());
        return Err(CompressError::Unsuitable(message));
    };
    let value = function.value(input);
    let Type::Tensor { dtype, shape } = &value.ty else {
        return Err(CompressError::Unsuitable(format!(
            "input {} is no tensor",
            value.name
        )));
    };
    let dtype = sample_type(&value.name, *dtype)?;
    let reader = function
        .operations
        .iter()
        .find(|op| op.kind == "dequantize" && op.input("input") == Some(input));
    let quantization = reader.and_then(|operation| {
        let number = |param: &str| {
            function
                .const_tensor(operation.input(param)?)?
                .to_f32()?
                .first()
                .copied()
        };
        Some(Quantization {
            scale: number("scale")?,
            zero_point: number("zero_point").unwrap_or(0.0) as i32,
        })
    });
    Ok(InputSpec {
        shape: shape.to_vec(),
        dtype,
        quantization,
    })
}

/// What the input of a plan wants, of which nothing is left to say how integers are quantised.
///
/// # Errors
///
/// As [`input_spec`].
pub fn input_spec_of_plan(plan: &Plan) -> Result<InputSpec, CompressError> {
    let [port] = plan.inputs.as_slice() else {
        let message = format!("expected a model with one input, found {}", plan.inputs.len());
        return Err(CompressError::Unsuitable(message));
    };
    Ok(InputSpec {
        shape: port.shape.to_vec(),
        dtype: sample_type(&port.name, port.dtype)?,
        quantization: None,
    })
}

fn sample_type(input: &str, dtype: DType) -> Result<NpyType, CompressError> {
    Ok(match dtype {
        DType::Float32 => NpyType::F32,
        DType::Float16 => NpyType::F16,
        DType::Int8 => NpyType::I8,
        DType::UInt8 => NpyType::U8,
        DType::Int16 => NpyType::I16,
        DType::Int32 => NpyType::I32,
        other => {
            let message = format!("input {input}: samples cannot be made into {other}");
            return Err(CompressError::Unsuitable(message));
        }
    })
}

impl Samples {
    /// Reads and preprocesses the first `limit` samples of a set, on `threads` threads. `progress` is told how many are done.
    ///
    /// # Errors
    ///
    /// The first sample that cannot be read, or does not fit the input.
    pub fn load(
        dataset: &Dataset,
        recipe: &Preprocess,
        function: &Function,
        limit: Option<usize>,
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, CompressError> {
        let spec = input_spec(function)?;
        let dtype = function.ty(function.inputs[0]).dtype().unwrap_or(DType::Float32);
        let count = limit.unwrap_or(usize::MAX).min(dataset.len());
        let done = AtomicUsize::new(0);
        let buffers: Vec<SampleBuffer> = (0..threads.max(1)).map(|_| SampleBuffer::new()).collect();
        let inputs = locket_pool::in_order(count, buffers, |buffer, index| {
            dataset.read(index, recipe, &spec, buffer)?;
            let tensor = Tensor::from_bytes(dtype, &spec.shape, buffer.bytes())
                .map_err(|error| CompressError::Unsuitable(format!("{}: {error}", dataset.names()[index])))?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok::<_, CompressError>(tensor)
        })?;
        Ok(Self {
            inputs,
            labels: dataset.labels()[..count].to_vec(),
            label_offset: recipe.label_offset,
        })
    }

    /// The first `count` samples; tensors are shared, not copied.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Self {
        Self {
            inputs: self.inputs.iter().take(count).cloned().collect(),
            labels: self.labels.iter().take(count).copied().collect(),
            label_offset: self.label_offset,
        }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }
}
