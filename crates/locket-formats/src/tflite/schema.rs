//! The tables of a TFLite file, by field number.

use locket_tensor::DType;

use super::flatbuffer::{Buffer, Table};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// A model: the parts of it that a program needs.
#[derive(Debug)]
pub(super) struct Model<'a> {
    /// The operators that it uses.
    pub(super) codes: Vec<OperatorCode>,
    /// Tensors of the main sub-graph.
    pub(super) tensors: Vec<TensorInfo>,
    /// Tensors that the caller gives.
    pub(super) inputs: Vec<i32>,
    /// Tensors that the caller gets.
    pub(super) outputs: Vec<i32>,
    /// Operators in the order they run.
    pub(super) operators: Vec<OperatorInfo<'a>>,
    /// Contents of constants; empty for tensors that are computed.
    pub(super) buffers: Vec<&'a [u8]>,
    /// Free text.
    pub(super) description: String,
}

/// An operator of the standard set, or a custom one by name.
#[derive(Debug)]
pub(super) struct OperatorCode {
    /// The number in the standard set.
    pub(super) builtin: i32,
    /// The name of a custom operator.
    pub(super) custom: String,
}

/// A tensor, constant or computed.
#[derive(Debug)]
pub(super) struct TensorInfo {
    /// The name.
    pub(super) name: String,
    /// Dimensions; an open one is stated as 1 here and as -1 in `signature`.
    pub(super) shape: Vec<usize>,
    /// Dimensions with -1 for open ones; empty if there are none.
    pub(super) signature: Vec<i32>,
    /// TFLite's number of the element type.
    pub(super) element_type: i8,
    /// Position of the contents.
    pub(super) buffer: usize,
    /// How integers stand for real numbers.
    pub(super) quantization: Option<Quantization>,
    /// True for state that is kept between runs.
    pub(super) is_variable: bool,
    /// True for a constant in a sparse layout.
    pub(super) is_sparse: bool,
}

/// `real = scale * (stored - zero_point)`, with one of each or one for each index of `axis`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantization {
    /// Scales.
    pub(super) scale: Vec<f32>,
    /// Zero points.
    pub(super) zero_point: Vec<i64>,
    /// The axis of the scales.
    pub(super) axis: i32,
}

/// One operator applied to tensors; -1 stands for an absent optional one.
#[derive(Debug)]
pub(super) struct OperatorInfo<'a> {
    /// Position in [`Model::codes`].
    pub(super) code: usize,
    /// Operands.
    pub(super) inputs: Vec<i32>,
    /// Results.
    pub(super) outputs: Vec<i32>,
    /// The operator's own table of options.
    pub(super) options: Option<Table<'a>>,
}

/// The number in old files that says that the number is in another field.
const IN_OTHER_FIELD: i32 = 127;

fn invalid(place: String, expected: &str, found: impl ToString) -> FormatError {
    FormatError::Invalid {
        format: Format::Tflite,
        place,
        expected: expected.to_owned(),
        found: found.to_string(),
    }
}

/// The element type that TFLite's number stands for, where MIL has it.
pub(super) fn dtype(element_type: i8) -> Option<DType> {
    Some(match element_type {
        0 => DType::Float32,
        1 => DType::Float16,
        2 => DType::Int32,
        3 => DType::UInt8,
        4 => DType::Int64,
        6 => DType::Bool,
        7 => DType::Int16,
        9 => DType::Int8,
        10 => DType::Float64,
        12 => DType::UInt64,
        15 => DType::UInt32,
        16 => DType::UInt16,
        17 => DType::Int4,
        18 => DType::BFloat16,
        _ => return None,
    })
}

/// Names TFLite's number of an element type.
pub(super) fn type_name(element_type: i8) -> String {
    match (dtype(element_type), element_type) {
        (Some(dtype), _) => dtype.name().to_owned(),
        (None, 5) => "string".to_owned(),
        (None, 8 | 11) => "complex".to_owned(),
        (None, 13 | 14) => "a resource".to_owned(),
        (None, other) => format!("element type {other}"),
    }
}

impl<'a> Model<'a> {
    /// Reads the main sub-graph and what it refers to.
    ///
    /// # Errors
    ///
    /// If a table is broken, a number points outside its list, or a limit is exceeded.
    pub(super) fn read(buffer: &'a Buffer<'a>, limits: &Limits) -> Result<Self, FormatError> {
        let root = buffer.root()?;
        let many = limits.max_operations.saturating_mul(4);
        let codes = root.tables(1, "operator codes", many)?;
        let codes = codes.iter().map(operator_code).collect::<Result<Vec<_>, _>>()?;
        let buffers = root.tables(4, "buffers", many)?;
        let buffers = buffers
            .iter()
            .map(|table| contents(buffer, table))
            .collect::<Result<Vec<_>, _>>()?;
        let subgraphs = root.tables(2, "sub-graphs", limits.max_operations)?;
        let main = subgraphs
            .first()
            .ok_or_else(|| invalid("the model".to_owned(), "a sub-graph", "none"))?;
        let tensors = main.tables(0, "tensors", many)?;
        let tensors = tensors
            .iter()
            .map(|table| tensor(table, limits))
            .collect::<Result<Vec<_>, _>>()?;
        let operators = main.tables(3, "operators", limits.max_operations)?;
        let operators = operators.iter().map(operator).collect::<Result<Vec<_>, _>>()?;
        let model = Self {
            codes,
            tensors,
            inputs: main.i32s(1)?.unwrap_or_default(),
            outputs: main.i32s(2)?.unwrap_or_default(),
            operators,
            buffers,
            description: root.text(3)?,
        };
        model.check()?;
        Ok(model)
    }

    /// Checks that every number points into its list.
    fn check(&self) -> Result<(), FormatError> {
        let is_tensor = |index: i32| usize::try_from(index).is_ok_and(|index| index < self.tensors.len());
        for &index in self.inputs.iter().chain(&self.outputs) {
            if !is_tensor(index) {
                return Err(invalid(
                    "the sub-graph".to_owned(),
                    "inputs and outputs that are tensors",
                    index,
                ));
            }
        }
        for (position, operator) in self.operators.iter().enumerate() {
            let place = || format!("operator {position}");
            if operator.code >= self.codes.len() {
                return Err(invalid(
                    place(),
                    "the position of an operator code",
                    operator.code,
                ));
            }
            if let Some(index) = operator
                .inputs
                .iter()
                .find(|&&index| index != -1 && !is_tensor(index))
            {
                return Err(invalid(place(), "inputs that are tensors", index));
            }
            if let Some(index) = operator.outputs.iter().find(|&&index| !is_tensor(index)) {
                return Err(invalid(place(), "outputs that are tensors", index));
            }
        }
        let outside = self
            .tensors
            .iter()
            .find(|tensor| tensor.buffer >= self.buffers.len());
        match outside {
            Some(tensor) if tensor.buffer != 0 => Err(invalid(
                format!("tensor {}", tensor.name),
                "the position of a buffer",
                tensor.buffer,
            )),
            _ => Ok(()),
        }
    }

    /// Tensor `index`, which [`Model::read`] has checked to exist.
    pub(super) fn tensor(&self, index: i32) -> Option<&TensorInfo> {
        self.tensors.get(usize::try_from(index).ok()?)
    }

    /// Contents of a constant; `None` for a tensor that is computed.
    pub(super) fn contents(&self, tensor: &TensorInfo) -> Option<&'a [u8]> {
        self.buffers
            .get(tensor.buffer)
            .copied()
            .filter(|bytes| !bytes.is_empty())
    }
}

fn operator_code(table: &Table<'_>) -> Result<OperatorCode, FormatError> {
    let old = i32::from(table.i8(0, 0)?);
    let new = table.i32(3, 0)?;
    let builtin = if old >= IN_OTHER_FIELD { new } else { old.max(new) };
    Ok(OperatorCode {
        builtin,
        custom: table.text(1)?,
    })
}

fn contents<'a>(buffer: &'a Buffer<'a>, table: &Table<'a>) -> Result<&'a [u8], FormatError> {
    // Contents of large models are behind the tables, at an offset from the start of the file.
    let (offset, size) = (table.u64(1, 0)?, table.u64(2, 0)?);
    if offset > 1 {
        let place = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        let (offset, size) = place.ok_or_else(|| {
            invalid(
                format!("buffer at {}", table.offset()),
                "an offset in the file",
                offset,
            )
        })?;
        return buffer.slice(offset, size);
    }
    Ok(table.bytes(0)?.unwrap_or_default())
}

fn tensor(table: &Table<'_>, limits: &Limits) -> Result<TensorInfo, FormatError> {
    let name = table.text(3)?;
    let dims = table.i32s(0)?.unwrap_or_default();
    let over = |what: &str, limit: u64, found: u64| FormatError::Limit {
        format: Format::Tflite,
        place: format!("{what} of tensor {name}"),
        limit,
        found,
    };
    let as_u64 = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    if dims.len() > limits.max_rank {
        return Err(over("rank", as_u64(limits.max_rank), as_u64(dims.len())));
    }
    let shape: Result<Vec<usize>, _> = dims.iter().map(|&dim| usize::try_from(dim)).collect();
    let shape = shape.map_err(|_| {
        invalid(
            format!("tensor {name}"),
            "dimensions of zero or more",
            format!("{dims:?}"),
        )
    })?;
    let elems = locket_tensor::element_count(&shape).map_or(u64::MAX, as_u64);
    if elems > limits.max_tensor_elems {
        return Err(over("elements", limits.max_tensor_elems, elems));
    }
    let buffer = table.u32(2, 0)?;
    Ok(TensorInfo {
        shape,
        signature: table.i32s(7)?.unwrap_or_default(),
        element_type: table.i8(1, 0)?,
        buffer: usize::try_from(buffer).unwrap_or(usize::MAX),
        quantization: table
            .table(4)?
            .map(|table| quantization(&table))
            .transpose()?
            .flatten(),
        is_variable: table.flag(5, false)?,
        is_sparse: table.table(6)?.is_some(),
        name,
    })
}

fn quantization(table: &Table<'_>) -> Result<Option<Quantization>, FormatError> {
    let scale = table.f32s(2)?.unwrap_or_default();
    if scale.is_empty() {
        return Ok(None);
    }
    let zero_point = table.i64s(3)?.unwrap_or_default();
    Ok(Some(Quantization {
        scale,
        zero_point,
        axis: table.i32(6, 0)?,
    }))
}

fn operator<'a>(table: &Table<'a>) -> Result<OperatorInfo<'a>, FormatError> {
    let code = table.u32(0, 0)?;
    Ok(OperatorInfo {
        code: usize::try_from(code).unwrap_or(usize::MAX),
        inputs: table.i32s(1)?.unwrap_or_default(),
        outputs: table.i32s(2)?.unwrap_or_default(),
        options: table.table(4)?,
    })
}
