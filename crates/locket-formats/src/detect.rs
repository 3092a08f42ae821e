//! Which format a file has, by its content.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use bytes::Bytes;

use crate::files::Files;
use crate::limits::Limits;
use crate::{Format, FormatError, Import, ReadOptions, coreml, onnx, tflite};

/// Fields at the top of a protobuf message that are looked at before giving up.
const MAX_FIELDS: usize = 4096;
/// The highest field number of an ONNX model; Core ML's own model files have higher ones.
const MAX_ONNX_FIELD: u64 = 99;

/// Says which format the file or folder at `path` has.
///
/// # Errors
///
/// If it cannot be read, or is of no format that is read here; the help says how to get one.
pub fn detect(path: &Path) -> Result<Format, FormatError> {
    let io = |source| FormatError::Io {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(io)?.is_dir() {
        let has_manifest = path.join("Manifest.json").is_file();
        let why = "the folder has no Manifest.json, so it is no .mlpackage";
        return if has_manifest {
            Ok(Format::CoreMl)
        } else {
            Err(unknown(path, why, "give a model file or a .mlpackage"))
        };
    }
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut head = Vec::new();
    file.by_ref().take(8).read_to_end(&mut head).map_err(io)?;
    if tflite::is_tflite(&head) {
        return Ok(Format::Tflite);
    }
    let known = match head.as_slice() {
        [] => Some(("the file is empty", "export the model again")),
        [b'P', b'K', 3, 4, ..] => Some((
            "it is a zip archive, such as PyTorch and Keras write",
            "export it to ONNX",
        )),
        [b'L', b'O', b'C', b'K', b'E', b'T', b'\r', b'\n'] => Some((
            "it is a compiled model, from which only plans can be made",
            "give the model that it was compiled from; run, bench and profile take compiled ones",
        )),
        [0x89, b'H', b'D', b'F', ..] => Some((
            "it is an HDF5 file, such as Keras writes",
            "export it to ONNX or TFLite",
        )),
        _ => None,
    };
    if let Some((why, help)) = known {
        return Err(unknown(path, why, help));
    }
    file.rewind().map_err(io)?;
    let length = file.get_ref().metadata().map_err(io)?.len();
    match fields(&mut file, length).map_err(io)? {
        Fields::Onnx => Ok(Format::Onnx),
        Fields::CoreMlModel => {
            let why = "it is a Core ML .mlmodel file, which holds no ML Program";
            Err(unknown(
                path,
                why,
                "convert the original model, or save it as an ML Program .mlpackage",
            ))
        }
        Fields::Other => Err(unknown(
            path,
            "it is neither ONNX, TFLite nor a .mlpackage",
            "give a model file",
        )),
    }
}

/// Reads the model at `path`, of whichever format it is.
///
/// # Errors
///
/// As [`detect`] and the reader of the format found.
pub fn read(path: &Path, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    match detect(path)? {
        Format::CoreMl => coreml::import(path, options, limits),
        Format::Onnx => onnx::read(path, options, limits),
        Format::Tflite => tflite::read(path, options, limits),
    }
}

/// Reads the model in `bytes`: ONNX or TFLite, told apart by content. Constants stay slices of them. External data of ONNX is refused.
///
/// # Errors
///
/// If they are of neither format, broken, or over a limit.
pub fn read_bytes(bytes: Bytes, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    read_given(bytes, None, options, limits)
}

/// As [`read_bytes`], with external data of ONNX in the files beside it.
///
/// # Errors
///
/// As [`read_bytes`].
pub fn read_given(
    bytes: Bytes,
    beside: Option<&Files>,
    options: &ReadOptions,
    limits: &Limits,
) -> Result<Import, FormatError> {
    if tflite::is_tflite(bytes.get(..8).unwrap_or(&bytes)) {
        return tflite::read_bytes(&bytes, options, limits);
    }
    let nameless = Path::new("the model");
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let found = fields(&mut Cursor::new(&*bytes), length).map_err(|source| FormatError::Io {
        path: nameless.to_owned(),
        source,
    })?;
    match found {
        Fields::Onnx => onnx::read_given(bytes, beside, options, limits),
        Fields::CoreMlModel | Fields::Other => Err(unknown(
            nameless,
            "it is neither ONNX nor TFLite",
            "give such a model file",
        )),
    }
}

fn unknown(path: &Path, why: &str, help: &str) -> FormatError {
    FormatError::UnknownFormat {
        path: path.to_owned(),
        why: why.to_owned(),
        help: help.to_owned(),
    }
}

enum Fields {
    Onnx,
    CoreMlModel,
    Other,
}

/// Looks at the field numbers at the top of a protobuf message, skipping what is in them.
fn fields(file: &mut (impl Read + Seek), length: u64) -> std::io::Result<Fields> {
    let mut has_graph = false;
    for _ in 0..MAX_FIELDS {
        let at = file.stream_position()?;
        if at == length {
            return Ok(if has_graph { Fields::Onnx } else { Fields::Other });
        }
        let Some(tag) = varint(file)? else {
            return Ok(Fields::Other);
        };
        let (field, wire) = (tag >> 3, tag & 7);
        if field > MAX_ONNX_FIELD && wire == 2 {
            return Ok(Fields::CoreMlModel);
        }
        let skipped = match wire {
            0 => varint(file)?.map(|_| 0),
            1 => Some(8),
            2 => varint(file)?,
            5 => Some(4),
            _ => None,
        };
        let Some(skipped) = skipped.filter(|_| field > 0) else {
            return Ok(Fields::Other);
        };
        has_graph |= field == 7 && wire == 2;
        let left = length.saturating_sub(file.stream_position()?);
        match i64::try_from(skipped) {
            Ok(step) if skipped <= left => file.seek_relative(step)?,
            // A truncated ONNX file is still one: its reader says where it breaks.
            _ => return Ok(if has_graph { Fields::Onnx } else { Fields::Other }),
        }
    }
    Ok(if has_graph { Fields::Onnx } else { Fields::Other })
}

/// The next number, `None` if there is none or it is too long.
fn varint(file: &mut impl Read) -> std::io::Result<Option<u64>> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0u8];
        if file.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let [byte] = byte;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::detect;
    use crate::Format;

    #[test]
    fn formats_are_told_apart_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("x.mlpackage");
        std::fs::create_dir(&package).unwrap();
        assert!(
            detect(&package)
                .unwrap_err()
                .to_string()
                .contains("no Manifest.json")
        );
        std::fs::write(package.join("Manifest.json"), "{}").unwrap();
        assert_eq!(detect(&package).unwrap(), Format::CoreMl);
        let cases: [(&[u8], Result<Format, &str>); 10] = [
            (&[0x1c, 0, 0, 0, b'T', b'F', b'L', b'3', 0], Ok(Format::Tflite)),
            (&[0x08, 0x08, 0x12, 0x01, b'p', 0x3a, 0x00], Ok(Format::Onnx)),
            (&[0x08, 0x08, 0x3a, 0x7f, 0x00], Ok(Format::Onnx)),
            (&[0x08, 0x01, 0x12, 0x00, 0xa2, 0x1f, 0x00], Err(".mlmodel")),
            (b"PK\x03\x04rest", Err("zip archive")),
            (b"\x89HDF\r\n", Err("HDF5")),
            (b"LOCKET\r\n\x01", Err("compiled model")),
            (b"", Err("empty")),
            (b"hello, world", Err("neither ONNX")),
            (&[0x08, 0x08], Err("neither ONNX")),
        ];
        for (bytes, expected) in cases {
            let path = folder.path().join("model.bin");
            std::fs::write(&path, bytes).unwrap();
            match (detect(&path), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{bytes:?}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, expected) => panic!("{bytes:?}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
