//! Tensors from and to `.npy` files, and tensors made up for measurements.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use half::f16;
use locket::FeatureDescription;
use locket_data::{NpyArray, NpyType};
use locket_runtime::plan::Port;
use locket_tensor::{AlignedBytes, DType, Storage, Tensor};

/// Token ids of made-up inputs are below this.
const TOKENS: u64 = 30_000;

/// The `.npy` type of an element type; `None` where there is none.
pub(crate) fn npy_type(dtype: DType) -> Option<NpyType> {
    Some(match dtype {
        DType::Bool => NpyType::Bool,
        DType::UInt8 => NpyType::U8,
        DType::Int8 => NpyType::I8,
        DType::UInt16 => NpyType::U16,
        DType::Int16 => NpyType::I16,
        DType::UInt32 => NpyType::U32,
        DType::Int32 => NpyType::I32,
        DType::UInt64 => NpyType::U64,
        DType::Int64 => NpyType::I64,
        DType::Float16 => NpyType::F16,
        DType::Float32 => NpyType::F32,
        DType::Float64 => NpyType::F64,
        _ => return None,
    })
}

/// Dimensions as `[1, 3, 224, 224]`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    format!("{shape:?}")
}

/// Reads the tensor for an input from a file, and checks that it fits.
///
/// # Errors
///
/// If it cannot be read, or has another type or shape than the input.
pub(crate) fn read_input(path: &Path, port: &FeatureDescription) -> Result<Tensor> {
    let array = NpyArray::read(path)?;
    let expected = npy_type(port.dtype);
    if expected != Some(array.dtype()) {
        bail!(
            "{}: input {} expects {} {}, found {}{}",
            path.display(),
            port.name,
            expected.map_or_else(|| port.dtype.to_string(), |dtype| dtype.to_string()),
            shape_text(&port.shape),
            array.dtype(),
            type_help(expected, array.dtype()),
        );
    }
    if array.shape() != port.shape {
        bail!(
            "{}: input {} expects shape {}, found {}{}",
            path.display(),
            port.name,
            shape_text(&port.shape),
            shape_text(array.shape()),
            shape_help(&port.shape, array.shape()),
        );
    }
    let (_, shape, bytes) = array.into_parts();
    Tensor::from_bytes(port.dtype, &shape, &bytes).with_context(|| path.display().to_string())
}

fn type_help(expected: Option<NpyType>, found: NpyType) -> String {
    match (expected, found) {
        (Some(NpyType::F32), NpyType::F64) => {
            "; numpy makes float64 by default, use x.astype('float32')".to_owned()
        }
        (Some(expected), _) => format!("; in numpy: x.astype('{expected}')"),
        (None, _) => String::new(),
    }
}

/// A hint if the dimensions are the expected ones in another order, or lack the batch.
fn shape_help(expected: &[usize], found: &[usize]) -> String {
    if let [1, rest @ ..] = expected
        && rest == found
    {
        return "; in numpy: x[None] adds the batch dimension".to_owned();
    }
    match (expected, found) {
        ([n, c, h, w], [fn_, fh, fw, fc]) if [n, c, h, w] == [fn_, fc, fh, fw] => {
            return "; channels are last, in numpy: x.transpose(0, 3, 1, 2)".to_owned();
        }
        ([n, h, w, c], [fn_, fc, fh, fw]) if [n, h, w, c] == [fn_, fh, fw, fc] => {
            return "; channels are first, in numpy: x.transpose(0, 2, 3, 1)".to_owned();
        }
        _ => {}
    }
    let sorted = |shape: &[usize]| {
        let mut shape = shape.to_vec();
        shape.sort_unstable();
        shape
    };
    if sorted(expected) == sorted(found) {
        return "; the dimensions are in another order, transpose the array".to_owned();
    }
    String::new()
}

/// Writes a tensor to a `.npy` file.
///
/// # Errors
///
/// If the type is none that `.npy` has, or the file cannot be written.
pub(crate) fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    let Some(dtype) = npy_type(tensor.dtype()) else {
        bail!("{}: {} cannot be stored as .npy", path.display(), tensor.dtype());
    };
    let array = NpyArray::new(dtype, tensor.shape().to_vec(), tensor.bytes().to_vec())?;
    Ok(array.write(path)?)
}

/// Made-up inputs, the same on every run: floats in [0, 1); 32 and 64-bit integers are token ids below 30000, masks
/// and the second input onward ones; other integers below 100.
///
/// # Errors
///
/// If an input has an element type that numbers cannot be made for.
pub(crate) fn random_inputs(ports: &[Port]) -> Result<Vec<Tensor>> {
    ports
        .iter()
        .enumerate()
        .map(|(index, port)| random(index, port))
        .collect()
}

fn random(index: usize, port: &Port) -> Result<Tensor> {
    let elems: usize = port.shape.iter().product();
    let mut state = 7 + index as u64;
    let mut below = |limit: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(state >> 11) * u128::from(limit)) >> 53) as u64
    };
    let is_mask = index > 0 || port.name.contains("mask");
    // Written in place: what measures memory should not measure its own input twice.
    let mut bytes = AlignedBytes::zeroed(port.dtype.packed_bytes(elems).unwrap_or(0));
    let target = bytes.as_mut_slice();
    match port.dtype {
        DType::Float32 => each(target, || unit(below(1 << 24)).to_le_bytes()),
        // Steps of 2^-11: a float16 holds each of them, and none rounds up to one.
        DType::Float16 => each(target, || {
            f16::from_f32(below(1 << 11) as f32 / 2048.0).to_le_bytes()
        }),
        DType::Int32 | DType::UInt32 => {
            each(target, || {
                (if is_mask { 1 } else { below(TOKENS) as u32 }).to_le_bytes()
            });
        }
        DType::Int64 | DType::UInt64 => {
            each(target, || (if is_mask { 1 } else { below(TOKENS) }).to_le_bytes());
        }
        DType::Int16 | DType::UInt16 => each(target, || (below(100) as u16).to_le_bytes()),
        DType::Int8 | DType::UInt8 => each(target, || [below(100) as u8]),
        DType::Bool => target.fill(1),
        other => bail!("input {}: no inputs can be made up for {other}", port.name),
    }
    let storage = Storage::Owned(Arc::new(bytes));
    Ok(Tensor::from_storage(port.dtype, &port.shape, storage, 0)?)
}

fn each<const WIDTH: usize>(target: &mut [u8], mut make: impl FnMut() -> [u8; WIDTH]) {
    let (elements, _) = target.as_chunks_mut();
    elements.fill_with(&mut make);
}

fn unit(n: u64) -> f32 {
    n as f32 / (1u64 << 24) as f32
}

/// A file name for an output: letters, digits, `-`, `_` and `.` stay, all else becomes `_`; never empty, never hidden.
pub(crate) fn file_stem(name: &str) -> String {
    const LONGEST: usize = 100;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let stem: String = name
        .chars()
        .take(LONGEST)
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    match stem.chars().next() {
        None => "output".to_owned(),
        Some('.') => format!("_{}", &stem[1..]),
        Some(_) => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::{file_stem, shape_help};

    #[test]
    fn output_names_become_file_names() {
        for (name, expected) in [
            ("prob", "prob"),
            ("a/b:0", "a_b_0"),
            ("../../etc", "_._.._etc"),
            ("", "output"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(file_stem(name), expected, "{name}");
        }
    }

    #[test]
    fn a_wrong_order_of_dimensions_gets_a_hint() {
        for (expected, found, hint) in [
            (&[1, 3, 8, 9][..], &[1, 8, 9, 3][..], "transpose(0, 3, 1, 2)"),
            (&[1, 8, 9, 3], &[1, 3, 8, 9], "transpose(0, 2, 3, 1)"),
            (&[1, 3, 8, 9], &[3, 8, 9], "x[None]"),
            (&[4, 5], &[5, 4], "another order"),
        ] {
            assert!(
                shape_help(expected, found).contains(hint),
                "{expected:?} {found:?}"
            );
        }
        assert_eq!(shape_help(&[1, 2], &[3, 4]), "");
    }
}
