//! Writes a compiled file.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use bytes::Bytes;
use locket_mil::{Function, ValueId, text};
use locket_ops::{Packs, Precision, Record};
use locket_tensor::Tensor;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::{
    ALIGN, CompiledError, Description, HEADER_BYTES, MAGIC, Span, StoredParts, Target, VERSION, hash::Chunked,
};
use crate::plan::{Folded, PlanError, PlanOptions, fold, plan_folded};

/// Where a compiled model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name of the model's file.
    pub file: String,
    /// Hash of its content, if it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Writes the compiled form of a function to a file, as [`write`] does; a file that is there is replaced once the new one is whole.
///
/// # Errors
///
/// As [`write`].
pub fn save(
    function: &Function,
    targets: &[PlanOptions],
    source: Source,
    path: &Path,
) -> Result<(), CompiledError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let written = File::create(partial)
        .map_err(CompiledError::from)
        .and_then(|file| write(function, targets, source, &mut BufWriter::new(file)))
        .and_then(|()| Ok(fs::rename(partial, path)?));
    if written.is_err() {
        // Nothing is left of it; that it may not be there is no further error.
        let _ = fs::remove_file(partial);
    }
    written
}

/// Writes the compiled form of a function as it was read, with kernels for the instruction sets of `targets`. The options of all
/// targets must agree in whether they are lean and in their precision; numbers of threads do not matter, they are chosen when the file is opened.
///
/// # Errors
///
/// If the function cannot be planned, or `output` cannot be written.
pub fn write(
    function: &Function,
    targets: &[PlanOptions],
    source: Source,
    output: &mut dyn Write,
) -> Result<(), CompiledError> {
    let mut function = function.clone();
    locket_passes::simplify(&mut function);
    locket_passes::lower(&mut function);
    let folded = fold(function)?;
    let records = targets
        .iter()
        .map(|&options| {
            let packs = Packs::recording();
            plan_folded(&folded, options, &packs)?;
            Ok(packs.into_record())
        })
        .collect::<Result<Vec<Record>, PlanError>>()?;
    let needed = needed(&folded, &records);
    let stripped = stripped(&folded);
    let mut data = Data::default();
    let mut constants = Vec::new();
    let program = text::print_apart(&stripped, &mut |id, tensor| {
        constants.push(needed[id.index()].then(|| data.place(Piece::Constant(tensor.clone()))));
        constants.len() - 1
    });
    let lean = targets.iter().any(|options| options.lean);
    let bf16 = targets.iter().any(|options| options.precision == Precision::Bf16);
    let targets = targets.iter().zip(records).map(|(options, record)| Target {
        isa: options.isa.name().to_owned(),
        parts: record
            .parts
            .into_iter()
            .map(|parts| StoredParts {
                words: parts.words,
                buffers: parts
                    .buffers
                    .into_iter()
                    .map(|buffer| data.place(Piece::Packed(buffer)))
                    .collect(),
            })
            .collect(),
    });
    let description = Description {
        locket: env!("CARGO_PKG_VERSION").to_owned(),
        source,
        targets: targets.collect(),
        lean,
        bf16,
        constants,
        program,
    };
    emit(&description, &data, output)
}

/// For each value, whether its data is read other than to be packed.
fn needed(folded: &Folded, records: &[Record]) -> Vec<bool> {
    let function = &folded.function;
    let mut needed = vec![false; function.values().len()];
    for output in &function.outputs {
        needed[output.value.index()] = true;
    }
    // Backwards, so that a constexpr operation knows whether its result is needed.
    for (operation, live) in function.operations.iter().zip(&folded.live).rev() {
        let packed = |param: &str| {
            let entry = |record: &Record| {
                let same = |&(result, name): &(ValueId, &str)| {
                    name == param && operation.outputs.first() == Some(&result)
                };
                record.packed.iter().any(same)
            };
            records.iter().all(entry)
        };
        for (param, arg) in &operation.inputs {
            let reads = if *live {
                !packed(param)
            } else {
                operation.outputs.iter().any(|id| needed[id.index()])
            };
            if reads {
                arg.values().iter().for_each(|id| needed[id.index()] = true);
            }
        }
    }
    needed
}

/// The function without operations that were computed; those whose results stay compressed remain.
fn stripped(folded: &Folded) -> Function {
    let mut function = folded.function.clone();
    let mut live = folded.live.iter();
    let known = folded.function.values();
    function.operations.retain(|operation| {
        let is_literal =
            |id: &ValueId| matches!(known[id.index()].definition, locket_mil::Definition::Constant(_));
        live.next() == Some(&true) || !operation.outputs.iter().any(is_literal)
    });
    function
}

enum Piece {
    Constant(Tensor),
    Packed(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Constant(tensor) => tensor.bytes(),
            Self::Packed(bytes) => bytes,
        }
    }
}

/// What the data section will hold.
#[derive(Default)]
struct Data {
    pieces: Vec<Piece>,
    len: usize,
}

impl Data {
    fn place(&mut self, piece: Piece) -> Span {
        let (start, len) = (self.len, piece.bytes().len());
        self.len = (start + len).next_multiple_of(ALIGN);
        self.pieces.push(piece);
        [start as u64, len as u64]
    }

    /// Calls `sink` with the whole section, piece by piece.
    fn each(&self, mut sink: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        for piece in &self.pieces {
            let bytes = piece.bytes();
            sink(bytes)?;
            sink(&[0; ALIGN][..bytes.len().next_multiple_of(ALIGN) - bytes.len()])?;
        }
        Ok(())
    }
}

fn emit(description: &Description, data: &Data, output: &mut dyn Write) -> Result<(), CompiledError> {
    let text = serde_json::to_vec(description).map_err(std::io::Error::from)?;
    let mut hash = Chunked::new();
    data.each(|bytes| {
        hash.update(bytes);
        Ok(())
    })?;
    let start = (HEADER_BYTES + text.len()).next_multiple_of(ALIGN);
    output.write_all(MAGIC)?;
    output.write_all(&VERSION.to_le_bytes())?;
    output.write_all(&[0; 4])?;
    for number in [
        text.len() as u64,
        XxHash3_64::oneshot(&text),
        data.len as u64,
        hash.digest(),
        start as u64,
        0,
    ] {
        output.write_all(&number.to_le_bytes())?;
    }
    output.write_all(&text)?;
    output.write_all(&[0; ALIGN][..start - HEADER_BYTES - text.len()])?;
    data.each(|bytes| output.write_all(bytes))?;
    Ok(output.flush()?)
}
