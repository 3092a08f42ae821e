//! Binding of the dimensions that a file leaves open.

use std::collections::BTreeMap;

use locket_mil::{Diagnostic, Severity};
use locket_tensor::DType;

use super::proto::{DimensionProto, ValueInfoProto};
use super::tensor;
use crate::import::{Builder, ReadOptions, Refusal, codes};
use crate::{Format, FormatError};

/// The sizes of named dimensions, those of the caller and those found while binding the inputs.
pub(super) struct Binding<'a> {
    options: &'a ReadOptions,
    symbols: BTreeMap<String, usize>,
}

/// The type of a value as a file states it.
pub(super) type Stated = Option<(DType, Vec<usize>)>;

impl<'a> Binding<'a> {
    /// Takes the caller's sizes.
    pub(super) fn new(options: &'a ReadOptions) -> Self {
        let sizes = options
            .symbols
            .iter()
            .filter_map(|(name, &size)| Some((name.clone(), usize::try_from(size).ok()?)));
        Self {
            options,
            symbols: sizes.collect(),
        }
    }

    /// The concrete type of an input; `None` if it is no tensor of a type that MIL has, which is then reported.
    pub(super) fn input(
        &mut self,
        info: &ValueInfoProto,
        builder: &mut Builder<'_>,
    ) -> Result<Stated, Refusal> {
        let name = info.name.as_deref().unwrap_or("");
        let tensor_type = info.value_type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
        let code = tensor_type.and_then(|ty| ty.elem_type).unwrap_or(0);
        let Some(dtype) = tensor::dtype(code) else {
            let kind = if tensor_type.is_some() {
                tensor::type_name(code)
            } else {
                "no tensor".to_owned()
            };
            builder.report(
                Diagnostic::new(
                    codes::FOREIGN_TYPE,
                    Severity::Error,
                    name,
                    format!("input is {kind}"),
                )
                .why("Core ML takes tensors of numbers and truth values")
                .help("export the model without the step that reads this input"),
            );
            return Ok(None);
        };
        if let Some(shape) = self.options.shapes.get(name) {
            let shape: Result<Vec<usize>, _> = shape.iter().map(|&dim| usize::try_from(dim)).collect();
            let shape =
                shape.map_err(|error| invalid(name, "a shape that fits in memory", &error.to_string()))?;
            return Ok(Some((dtype, shape)));
        }
        let Some(shape) = tensor_type.and_then(|ty| ty.shape.as_ref()) else {
            builder.report(
                Diagnostic::new(
                    codes::OPEN_DIMENSION,
                    Severity::Error,
                    name,
                    "input has no stated rank",
                )
                .why("memory is planned before the program runs, so every shape must be known then")
                .help(format!("give the shape of {name}")),
            );
            return Ok(None);
        };
        if shape.dim.len() > builder.limits().max_rank {
            return Err(invalid(name, "a rank within the limits", &shape.dim.len().to_string()).into());
        }
        let dims = shape
            .dim
            .iter()
            .enumerate()
            .map(|(axis, dim)| self.dimension(name, axis, dim, builder));
        Ok(Some((dtype, dims.collect())))
    }

    fn dimension(
        &mut self,
        input: &str,
        axis: usize,
        dim: &DimensionProto,
        builder: &mut Builder<'_>,
    ) -> usize {
        if let Some(size) = stated_size(dim) {
            return size;
        }
        let symbol = dim.dim_param.as_deref().filter(|symbol| !symbol.is_empty());
        if let Some(&size) = symbol.and_then(|symbol| self.symbols.get(symbol)) {
            return size;
        }
        let batch = self.options.batch.and_then(|batch| usize::try_from(batch).ok());
        let size = match batch {
            Some(batch) if axis == 0 => batch,
            _ => {
                report_open(input, axis, symbol, builder);
                1
            }
        };
        if let Some(symbol) = symbol {
            self.symbols.insert(symbol.to_owned(), size);
        }
        size
    }

    /// The type that the file states for any other value, if it is complete with the sizes bound so far.
    pub(super) fn stated(&self, info: &ValueInfoProto) -> Stated {
        let tensor_type = info.value_type.as_ref()?.tensor_type.as_ref()?;
        let dtype = tensor::dtype(tensor_type.elem_type?)?;
        let dims = tensor_type
            .shape
            .as_ref()?
            .dim
            .iter()
            .map(|dim| stated_size(dim).or_else(|| self.symbols.get(dim.dim_param.as_deref()?).copied()));
        Some((dtype, dims.collect::<Option<Vec<usize>>>()?))
    }
}

fn stated_size(dim: &DimensionProto) -> Option<usize> {
    dim.dim_value
        .and_then(|value| usize::try_from(value).ok())
        .filter(|&size| size > 0)
}

fn report_open(input: &str, axis: usize, symbol: Option<&str>, builder: &mut Builder<'_>) {
    let what = symbol.map_or_else(|| "open".to_owned(), |symbol| format!("called {symbol}"));
    let message = format!("dimension {axis} is {what} and has no size; 1 was assumed");
    builder.report(
        Diagnostic::new(codes::OPEN_DIMENSION, Severity::Error, input, message)
            .why("memory is planned before the program runs, so every shape must be known then")
            .help("give a size for the dimension, or the whole shape of the input"),
    );
}

fn invalid(name: &str, expected: &str, found: &str) -> FormatError {
    FormatError::Invalid {
        format: Format::Onnx,
        place: format!("input {name}"),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}
