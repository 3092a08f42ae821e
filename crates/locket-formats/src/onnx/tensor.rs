//! Constant tensors of an ONNX file.
//!
//! Every element count is checked against the payload before anything is allocated, so a constant never takes more
//! memory than the file (or the external file beside it) has bytes for.

use bytes::Bytes;
use half::{bf16, f16};
use locket_tensor::{DType, Element, Tensor, TensorError};

use super::proto::TensorProto;
use crate::files::Files;
use crate::limits::Limits;
use crate::{Format, FormatError};

/// What a constant of the file became.
pub(super) enum Constant {
    /// A tensor.
    Tensor(Tensor),
    /// A sound constant that MIL has no type for; says which.
    Foreign(String),
}

/// Where external data may be read from, and how much.
pub(super) struct Source<'a> {
    /// The files beside the model; `None` when the model came alone.
    pub(super) beside: Option<&'a Files>,
    /// The caller's limits.
    pub(super) limits: &'a Limits,
}

/// Names ONNX's element type `code`.
pub(super) fn type_name(code: i32) -> String {
    let name = match code {
        1 => "float",
        2 => "uint8",
        3 => "int8",
        4 => "uint16",
        5 => "int16",
        6 => "int32",
        7 => "int64",
        8 => "string",
        9 => "bool",
        10 => "float16",
        11 => "double",
        12 => "uint32",
        13 => "uint64",
        14 => "complex64",
        15 => "complex128",
        16 => "bfloat16",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        _ => return format!("element type {code}"),
    };
    name.to_owned()
}

/// The element type that ONNX's `code` stands for, where MIL has it.
pub(super) fn dtype(code: i32) -> Option<DType> {
    Some(match code {
        1 => DType::Float32,
        2 => DType::UInt8,
        3 => DType::Int8,
        4 => DType::UInt16,
        5 => DType::Int16,
        6 => DType::Int32,
        7 => DType::Int64,
        9 => DType::Bool,
        10 => DType::Float16,
        11 => DType::Float64,
        12 => DType::UInt32,
        13 => DType::UInt64,
        16 => DType::BFloat16,
        21 => DType::UInt4,
        22 => DType::Int4,
        25 => DType::UInt2,
        _ => return None,
    })
}

/// Reads the constant `proto`, called `place` in errors.
///
/// # Errors
///
/// If the shape and the payload disagree, a limit is exceeded, or external data cannot be had.
pub(super) fn read(proto: &TensorProto, place: &str, source: &Source<'_>) -> Result<Constant, FormatError> {
    let code = proto.data_type.unwrap_or(0);
    let Some(dtype) = dtype(code) else {
        return Ok(Constant::Foreign(type_name(code)));
    };
    let shape = shape(&proto.dims, place, source.limits)?;
    let elems = locket_tensor::element_count(&shape).unwrap_or(usize::MAX);
    let bytes = dtype.packed_bytes(elems).unwrap_or(usize::MAX);
    let tensor = if proto.data_location == Some(1) || !proto.external_data.is_empty() {
        Tensor::of_file(dtype, &shape, read_external(proto, place, bytes, source)?)
    } else if let Some(raw) = &proto.raw_data {
        if raw.len() != bytes {
            return Err(invalid(
                place,
                format!("{bytes} bytes for {dtype} {shape:?}"),
                raw.len(),
            ));
        }
        Tensor::of_file(dtype, &shape, raw.clone())
    } else {
        typed(proto, dtype, &shape, elems, place)?
    };
    let tensor = tensor.map_err(|error| invalid(place, "a sound tensor".to_owned(), error))?;
    if dtype == DType::Bool && tensor.bytes().iter().any(|&byte| byte > 1) {
        return Err(invalid(place, "truth values 0 and 1".to_owned(), "another byte"));
    }
    Ok(Constant::Tensor(tensor))
}

/// Checks `dims` against the limits.
pub(super) fn shape(dims: &[i64], place: &str, limits: &Limits) -> Result<Vec<usize>, FormatError> {
    if dims.len() > limits.max_rank {
        return Err(over(place, "rank", limits.max_rank, dims.len()));
    }
    let mut elems = 1u64;
    let mut shape = Vec::with_capacity(dims.len());
    for &dim in dims {
        let size =
            usize::try_from(dim).map_err(|_| invalid(place, "dimensions of zero or more".to_owned(), dim))?;
        elems = elems.saturating_mul(u64::try_from(size).unwrap_or(u64::MAX));
        shape.push(size);
    }
    if elems > limits.max_tensor_elems {
        let place = format!("elements of {place}");
        return Err(FormatError::Limit {
            format: Format::Onnx,
            place,
            limit: limits.max_tensor_elems,
            found: elems,
        });
    }
    Ok(shape)
}

type TensorResult = Result<Tensor, TensorError>;

/// Reads the elements from the field that ONNX prescribes for `dtype`.
fn typed(
    proto: &TensorProto,
    dtype: DType,
    shape: &[usize],
    elems: usize,
    place: &str,
) -> Result<TensorResult, FormatError> {
    let bad = |value: &dyn std::fmt::Display| invalid(place, format!("a value of type {dtype}"), value);
    let check = |found: usize| {
        if found == elems {
            return Ok(());
        }
        Err(invalid(
            place,
            format!("{elems} elements for shape {shape:?}"),
            found,
        ))
    };
    let ints = &proto.int32_data;
    Ok(match dtype {
        DType::Float32 => {
            check(proto.float_data.len())?;
            Tensor::from_slice(shape, &proto.float_data)
        }
        DType::Float64 => {
            check(proto.double_data.len())?;
            Tensor::from_slice(shape, &proto.double_data)
        }
        DType::Int64 => {
            check(proto.int64_data.len())?;
            Tensor::from_slice(shape, &proto.int64_data)
        }
        DType::UInt64 => {
            check(proto.uint64_data.len())?;
            Tensor::from_slice(shape, &proto.uint64_data)
        }
        DType::UInt32 => {
            check(proto.uint64_data.len())?;
            narrow::<_, u32>(&proto.uint64_data, shape).map_err(|value| bad(&value))?
        }
        DType::Int32 => {
            check(ints.len())?;
            Tensor::from_slice(shape, ints)
        }
        DType::Int16 => {
            check(ints.len())?;
            narrow::<_, i16>(ints, shape).map_err(|value| bad(&value))?
        }
        DType::UInt16 => {
            check(ints.len())?;
            narrow::<_, u16>(ints, shape).map_err(|value| bad(&value))?
        }
        DType::Int8 => {
            check(ints.len())?;
            narrow::<_, i8>(ints, shape).map_err(|value| bad(&value))?
        }
        DType::UInt8 => {
            check(ints.len())?;
            narrow::<_, u8>(ints, shape).map_err(|value| bad(&value))?
        }
        DType::Float16 | DType::BFloat16 => {
            check(ints.len())?;
            let bits: Result<Vec<u16>, _> = ints.iter().map(|&value| u16::try_from(value)).collect();
            let bits = bits.map_err(|error| bad(&error))?;
            if dtype == DType::Float16 {
                let values: Vec<f16> = bits.into_iter().map(f16::from_bits).collect();
                Tensor::from_slice(shape, &values)
            } else {
                let values: Vec<bf16> = bits.into_iter().map(bf16::from_bits).collect();
                Tensor::from_slice(shape, &values)
            }
        }
        _ => packed_or_bool(ints, dtype, shape, place)?,
    })
}

/// Truth values, one to a number, and 2-bit and 4-bit codes, several to a number.
fn packed_or_bool(
    ints: &[i32],
    dtype: DType,
    shape: &[usize],
    place: &str,
) -> Result<TensorResult, FormatError> {
    let elems = locket_tensor::element_count(shape).unwrap_or(usize::MAX);
    let expected = dtype.packed_bytes(elems).unwrap_or(usize::MAX);
    if ints.len() != expected {
        return Err(invalid(
            place,
            format!("{expected} numbers for {dtype} {shape:?}"),
            ints.len(),
        ));
    }
    let bytes: Result<Vec<u8>, _> = ints.iter().map(|&value| u8::try_from(value & 0xff)).collect();
    let bytes = bytes.map_err(|error| invalid(place, "bytes".to_owned(), error))?;
    Ok(Tensor::from_bytes(dtype, shape, &bytes))
}

fn narrow<From: Copy, To: Element + TryFrom<From>>(
    values: &[From],
    shape: &[usize],
) -> Result<TensorResult, From> {
    let narrowed: Result<Vec<To>, From> = values
        .iter()
        .map(|&value| To::try_from(value).map_err(|_| value))
        .collect();
    Ok(Tensor::from_slice(shape, &narrowed?))
}

fn external<'a>(proto: &'a TensorProto, key: &str) -> Option<&'a str> {
    let entries = &proto.external_data;
    let found = entries.iter().find(|entry| entry.key.as_deref() == Some(key));
    found.and_then(|entry| entry.value.as_deref())
}

/// The file beside the model that the constant's data is in, if it is.
pub(super) fn external_file(proto: &TensorProto) -> Option<&str> {
    external(proto, "location")
}

/// Reads `expected` bytes from the file beside the model that `proto` names.
fn read_external(
    proto: &TensorProto,
    place: &str,
    expected: usize,
    source: &Source<'_>,
) -> Result<Bytes, FormatError> {
    let number = |key: &str| match external(proto, key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| invalid(place, format!("a number as external {key}"), text)),
    };
    let location = external_file(proto)
        .ok_or_else(|| invalid(place, "the location of its external data".to_owned(), "none"))?;
    let Some(beside) = source.beside else {
        return Err(FormatError::Unsupported {
            format: Format::Onnx,
            place: place.to_owned(),
            why: format!("its data is in another file, {location:?}, and the model was given as bytes"),
            help: "read the model by its path".to_owned(),
        });
    };
    let offset = number("offset")?.unwrap_or(0);
    let wanted = u64::try_from(expected).unwrap_or(u64::MAX);
    if let Some(length) = number("length")?
        && length != wanted
    {
        return Err(invalid(place, format!("{wanted} bytes of external data"), length));
    }
    let file = beside.get(location, Format::Onnx, source.limits)?;
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| Some(start..start.checked_add(expected)?));
    let range = range.filter(|range| range.end <= file.len()).ok_or_else(|| {
        invalid(
            place,
            format!("{wanted} bytes at {offset} of {location}"),
            format!("a file of {} bytes", file.len()),
        )
    })?;
    Ok(file.slice(range))
}

fn invalid(place: &str, expected: String, found: impl ToString) -> FormatError {
    FormatError::Invalid {
        format: Format::Onnx,
        place: place.to_owned(),
        expected,
        found: found.to_string(),
    }
}

fn over(place: &str, what: &str, limit: usize, found: usize) -> FormatError {
    FormatError::Limit {
        format: Format::Onnx,
        place: format!("{what} of {place}"),
        limit: u64::try_from(limit).unwrap_or(u64::MAX),
        found: u64::try_from(found).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use locket_tensor::{DType, Tensor};

    use super::{Constant, Source, read};
    use crate::files::Files;
    use crate::limits::Limits;
    use crate::onnx::proto::{StringStringEntry, TensorProto};

    fn read_with(proto: &TensorProto, folder: Option<&std::path::Path>) -> Result<Tensor, String> {
        let beside = folder.map(Files::folder);
        let source = Source {
            beside: beside.as_ref(),
            limits: &Limits::small(),
        };
        match read(proto, "w", &source).map_err(|error| error.to_string())? {
            Constant::Tensor(tensor) => Ok(tensor),
            Constant::Foreign(name) => Err(format!("foreign {name}")),
        }
    }

    fn proto(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto {
            data_type: Some(data_type),
            dims: dims.to_vec(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn typed_fields_are_read_by_element_type() {
        let ints = |code, values: &[i32]| TensorProto {
            int32_data: values.to_vec(),
            ..proto(code, &[i64::try_from(values.len()).unwrap()])
        };
        let cases = [
            (ints(3, &[-128, 127]), DType::Int8, vec![-128, 127]),
            (ints(2, &[0, 255]), DType::UInt8, vec![0, 255]),
            (ints(5, &[-300, 7]), DType::Int16, vec![-300, 7]),
            (ints(9, &[1, 0, 1]), DType::Bool, vec![1, 0, 1]),
            (
                TensorProto {
                    int32_data: vec![0x1f],
                    ..proto(22, &[2])
                },
                DType::Int4,
                vec![-1, 1],
            ),
            (
                TensorProto {
                    uint64_data: vec![7],
                    ..proto(12, &[1])
                },
                DType::UInt32,
                vec![7],
            ),
            (
                TensorProto {
                    int64_data: vec![-9],
                    ..proto(7, &[])
                },
                DType::Int64,
                vec![-9],
            ),
        ];
        for (proto, dtype, values) in cases {
            let tensor = read_with(&proto, None).unwrap();
            assert_eq!((tensor.dtype(), tensor.to_i64().unwrap()), (dtype, values));
        }
        let half = read_with(&ints(10, &[0x3c00]), None).unwrap();
        assert_eq!(half.to_f32().unwrap(), [1.0]);
    }

    #[test]
    fn payload_and_shape_must_agree() {
        let raw = |bytes: &'static [u8]| Some(bytes.into());
        let cases = [
            (
                TensorProto {
                    raw_data: raw(b"abc"),
                    ..proto(1, &[1])
                },
                "expected 4 bytes for fp32 [1], found 3",
            ),
            (
                TensorProto {
                    float_data: vec![1.0],
                    ..proto(1, &[2])
                },
                "expected 2 elements for shape [2], found 1",
            ),
            (proto(1, &[-1]), "expected dimensions of zero or more, found -1"),
            (proto(1, &[1 << 40]), "at most 4194304, found 1099511627776"),
            (proto(1, &[i64::MAX, i64::MAX]), "at most 4194304"),
            (proto(1, &[1; 9]), "rank of w: at most 8, found 9"),
            (
                TensorProto {
                    int32_data: vec![300],
                    ..proto(2, &[1])
                },
                "a value of type uint8, found 300",
            ),
            (
                TensorProto {
                    raw_data: raw(&[2]),
                    ..proto(9, &[1])
                },
                "truth values",
            ),
            (proto(8, &[1]), "foreign string"),
        ];
        for (proto, expected) in cases {
            let message = read_with(&proto, None).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn external_data_stays_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("model");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("w.bin"), [0, 0, 1, 2, 3]).unwrap();
        std::fs::write(folder.path().join("secret"), [0; 8]).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), inner.join("link")).unwrap();
        let external = |location: &str, offset: &str| {
            let pair = |key: &str, value: &str| StringStringEntry {
                key: Some(key.to_owned()),
                value: Some(value.to_owned()),
            };
            TensorProto {
                external_data: vec![pair("location", location), pair("offset", offset)],
                data_location: Some(1),
                ..proto(2, &[3])
            }
        };
        let tensor = read_with(&external("w.bin", "2"), Some(&inner)).unwrap();
        assert_eq!(tensor.bytes(), [1, 2, 3]);
        let cases = [
            ("../secret", "0", "in the folder of the model"),
            ("/etc/passwd", "0", "in the folder of the model"),
            ("link", "0", "in the folder of the model"),
            ("", "0", "in the folder of the model"),
            ("w.bin", "3", "3 bytes at 3 of w.bin, found a file of 5 bytes"),
            ("w.bin", "18446744073709551615", "a file of 5 bytes"),
            ("w.bin", "x", "a number as external offset, found x"),
        ];
        for (location, offset, expected) in cases {
            let message = read_with(&external(location, offset), Some(&inner)).unwrap_err();
            assert!(message.contains(expected), "{location}: {message}");
        }
        let message = read_with(&external("w.bin", "0"), None).unwrap_err();
        assert!(message.contains("read the model by its path"), "{message}");
    }
}
