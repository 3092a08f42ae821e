//! Constants: immediate values are copied, values of a weight file are mapped.

use std::collections::BTreeMap;

use bytes::Bytes;
use half::f16;
use locket_mil::Literal;
use locket_tensor::{DType, Shape, Storage, Tensor, TensorError, packed};

use super::invalid;
use crate::coreml::blob::{BlobFile, BlobType};
use crate::coreml::package::Package;
use crate::coreml::schema::{
    BlobFileValue, DataType, Dimension, Payload, TensorPayload, TensorType, Value, ValueType,
};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// The element type that a data type of the file is in memory; `None` for text and 8-bit floats.
pub(super) fn dtype(data_type: DataType) -> Option<DType> {
    Some(match data_type {
        DataType::Bool => DType::Bool,
        DataType::Float16 => DType::Float16,
        DataType::Float32 => DType::Float32,
        DataType::Float64 => DType::Float64,
        DataType::BFloat16 => DType::BFloat16,
        DataType::Int4 => DType::Int4,
        DataType::Int8 => DType::Int8,
        DataType::Int16 => DType::Int16,
        DataType::Int32 => DType::Int32,
        DataType::Int64 => DType::Int64,
        DataType::UInt1 => DType::UInt1,
        DataType::UInt2 => DType::UInt2,
        DataType::UInt3 => DType::UInt3,
        DataType::UInt4 => DType::UInt4,
        DataType::UInt6 => DType::UInt6,
        DataType::UInt8 => DType::UInt8,
        DataType::UInt16 => DType::UInt16,
        DataType::UInt32 => DType::UInt32,
        DataType::UInt64 => DType::UInt64,
        DataType::String | DataType::Float8E4M3FN | DataType::Float8E5M2 => return None,
    })
}

/// The dimensions of a tensor, each known or not.
///
/// # Errors
/// When the stated rank is not the number of dimensions, or the tensor is over a limit.
pub(super) fn dimensions(
    tensor: &TensorType<'_>,
    place: &str,
    limits: &Limits,
) -> Result<Option<Shape>, FormatError> {
    if usize::try_from(tensor.rank).ok() != Some(tensor.dimensions.len()) {
        let found = format!("{} dimensions", tensor.dimensions.len());
        return Err(invalid(
            place,
            format!("as many dimensions as the rank {}", tensor.rank),
            found,
        ));
    }
    let limit = |what: &str, limit: u64, found: u64| {
        let place = format!("{what} of {place}");
        FormatError::Limit {
            format: Format::CoreMl,
            place,
            limit,
            found,
        }
    };
    if tensor.dimensions.len() > limits.max_rank {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        return Err(limit(
            "rank",
            number(limits.max_rank),
            number(tensor.dimensions.len()),
        ));
    }
    let mut shape = Shape::new();
    let mut elems = 1_u64;
    for dimension in &tensor.dimensions {
        let Dimension::Constant(size) = *dimension else {
            return Ok(None);
        };
        elems = elems.saturating_mul(size);
        // A zero must not hide dimensions whose product would overflow.
        if elems.max(size) > limits.max_tensor_elems {
            return Err(limit("elements", limits.max_tensor_elems, elems.max(size)));
        }
        shape.push(usize::try_from(size).unwrap_or(usize::MAX));
    }
    Ok(Some(shape))
}

/// Makes constants, and keeps the weight files that they are in.
pub(super) struct Constants<'p> {
    package: &'p Package,
    pub(super) limits: &'p Limits,
    files: BTreeMap<String, (Bytes, BlobFile)>,
    copied_bytes: u64,
}

impl<'p> Constants<'p> {
    pub(super) fn new(package: &'p Package, limits: &'p Limits) -> Self {
        Self {
            package,
            limits,
            files: BTreeMap::new(),
            copied_bytes: 0,
        }
    }

    /// Makes a constant of a value; `None` if it is no tensor, or of a type that programs do not have.
    ///
    /// # Errors
    /// When the value's contents are not what its type says.
    pub(super) fn literal(&mut self, value: &Value<'_>, place: &str) -> Result<Option<Literal>, FormatError> {
        let tensor = match &value.value_type {
            Some(ValueType::Tensor(tensor)) => tensor,
            Some(_) => return Ok(None),
            None => return Err(invalid(place, "a type", "none")),
        };
        let data_type = tensor
            .data_type
            .ok_or_else(|| invalid(place, "an element type", "none"))?;
        let shape = dimensions(tensor, place, self.limits)?;
        let shape = shape.ok_or_else(|| invalid(place, "a constant of known shape", "an open dimension"))?;
        let payload = value
            .payload
            .as_ref()
            .ok_or_else(|| invalid(place, "a value", "none"))?;
        let Some(dtype) = dtype(data_type) else {
            return Ok(text(payload, &shape).map(|text| Literal::Text(text.to_owned())));
        };
        match payload {
            Payload::Blob(blob) => self.weight(blob, dtype, &shape, place).map(Some),
            Payload::Tensor(elements) => self.immediate(elements, dtype, &shape, place).map(Some),
            Payload::Tuple(_) | Payload::List(_) | Payload::Dictionary(_) => Err(invalid(
                place,
                "the elements of a tensor",
                "another kind of value",
            )),
        }
    }

    fn weight(
        &mut self,
        blob: &BlobFileValue<'_>,
        dtype: DType,
        shape: &Shape,
        place: &str,
    ) -> Result<Literal, FormatError> {
        let name = blob.file_name.as_ref();
        if !self.files.contains_key(name) {
            let file = self.open(name)?;
            self.files.insert(name.to_owned(), file);
        }
        let Some((mapped, file)) = self.files.get(name) else {
            return Err(invalid(place, "a weight file", "none"));
        };
        let (mapped, record) = (mapped.clone(), file.record(blob.offset));
        let record = record.ok_or_else(|| {
            invalid(
                place,
                format!("the offset of a record of {name}"),
                format!("{}", blob.offset),
            )
        })?;
        if Some(record.blob_type) != BlobType::of(dtype) {
            return Err(invalid(
                place,
                format!("a record of {dtype}"),
                format!("one of {:?}", record.blob_type),
            ));
        }
        let elems = shape.iter().fold(1_u64, |n, dim| {
            n.saturating_mul(u64::try_from(*dim).unwrap_or(u64::MAX))
        });
        if record.elems != elems {
            let found = format!("{} in the record at byte {}", record.elems, record.offset);
            return Err(invalid(place, format!("{elems} elements"), found));
        }
        let start = record.data.start;
        if dtype == DType::Bool {
            let bytes = mapped.get(record.data.clone()).unwrap_or_default().to_vec();
            return self.copied(dtype, shape, &bytes, place);
        }
        let tensor = Tensor::from_storage(dtype, shape, Storage::File(mapped), start);
        tensor
            .map(Literal::Tensor)
            .map_err(|error| mismatch(place, &error))
    }

    fn open(&self, name: &str) -> Result<(Bytes, BlobFile), FormatError> {
        let mapped = self.package.weight_file(name, self.limits)?;
        let file = BlobFile::parse(&mapped)?;
        Ok((mapped, file))
    }

    fn immediate(
        &mut self,
        elements: &TensorPayload<'_>,
        dtype: DType,
        shape: &Shape,
        place: &str,
    ) -> Result<Literal, FormatError> {
        let bytes = immediate_bytes(elements, dtype);
        let bytes = bytes.ok_or_else(|| {
            invalid(
                place,
                format!("{dtype} in the field that the format keeps it in"),
                "another field, or out of range",
            )
        })?;
        self.copied(dtype, shape, &bytes, place)
    }

    fn copied(
        &mut self,
        dtype: DType,
        shape: &Shape,
        bytes: &[u8],
        place: &str,
    ) -> Result<Literal, FormatError> {
        self.copied_bytes = self
            .copied_bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.copied_bytes > self.limits.max_constant_bytes {
            return Err(FormatError::Limit {
                format: Format::CoreMl,
                place: "bytes of all constants".to_owned(),
                limit: self.limits.max_constant_bytes,
                found: self.copied_bytes,
            });
        }
        if dtype == DType::Bool && bytes.iter().any(|byte| *byte > 1) {
            return Err(invalid(place, "truth values of 0 or 1", "another number"));
        }
        let tensor = Tensor::from_bytes(dtype, shape, bytes).map_err(|error| mismatch(place, &error))?;
        if dtype.is_packed() && packed::pack(&tensor.codes(), dtype.bits()) != bytes {
            return Err(invalid(place, "padding bits that are 0", "others"));
        }
        Ok(Literal::Tensor(tensor))
    }
}

fn mismatch(place: &str, error: &TensorError) -> FormatError {
    invalid(place, "as many elements as the type says", error.to_string())
}

/// The text of a rank-0 string.
fn text<'v>(payload: &'v Payload<'_>, shape: &Shape) -> Option<&'v str> {
    match payload {
        Payload::Tensor(TensorPayload::Strings(strings)) if shape.is_empty() => match &strings[..] {
            [text] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The elements as packed bytes; `None` if the format does not keep `dtype` in this field, or a number is out of
/// its range. A short or long list gives short or long bytes.
fn immediate_bytes(elements: &TensorPayload<'_>, dtype: DType) -> Option<Vec<u8>> {
    Some(match (elements, dtype) {
        (TensorPayload::Empty, _) => Vec::new(),
        (TensorPayload::Floats(values), DType::Float32) => {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        (TensorPayload::Doubles(values), DType::Float64) => {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        (TensorPayload::Ints(values), DType::Int32) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        (TensorPayload::Ints(values), DType::Int16) => {
            collect(values, |v| i16::try_from(v).ok().map(i16::to_le_bytes))?
        }
        (TensorPayload::Ints(values), DType::UInt16) => {
            collect(values, |v| u16::try_from(v).ok().map(u16::to_le_bytes))?
        }
        (TensorPayload::LongInts(values), DType::Int64 | DType::UInt64) => {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        (TensorPayload::Bools(values), DType::Bool) => values.iter().map(|v| u8::from(*v)).collect(),
        (
            TensorPayload::Bytes(bytes),
            DType::Float16
            | DType::BFloat16
            | DType::Int8
            | DType::UInt8
            | DType::UInt32
            | DType::Int4
            | DType::UInt1
            | DType::UInt2
            | DType::UInt3
            | DType::UInt4
            | DType::UInt6,
        ) => bytes.to_vec(),
        // Some writers keep a half-precision scalar as the float that it is.
        (TensorPayload::Floats(values), DType::Float16) => values
            .iter()
            .flat_map(|v| f16::from_f32(*v).to_le_bytes())
            .collect(),
        _ => return None,
    })
}

fn collect<const N: usize>(values: &[i32], convert: impl Fn(i32) -> Option<[u8; N]>) -> Option<Vec<u8>> {
    values.iter().try_fold(Vec::new(), |mut bytes, value| {
        bytes.extend(convert(*value)?);
        Some(bytes)
    })
}
