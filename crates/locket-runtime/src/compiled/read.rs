//! Opens a compiled file.

use std::{cell::RefCell, fs::File, io::Read, path::Path, sync::Arc};

use bytes::Bytes;
use locket_kernels::{Isa, Parts};
use locket_mil::{Function, text};
use locket_ops::{Node, Packs, Precision, registry};
use locket_tensor::{DType, Storage, Tensor, mmap};
use xxhash_rust::xxh3::xxh3_64;

use super::{CompiledError, Description, HEADER_BYTES, MAGIC, Source, Span, VERSION};
use crate::plan::{Plan, PlanError, PlanOptions, fold, plan_folded};

/// Longest description: of programs met so far, the longest has 0.3 MB.
const MAX_DESCRIPTION_BYTES: usize = 64 << 20;

/// Bytes that a constant without data may claim, for each byte of the file: weights are at most this much larger than packed.
const MAX_CLAIM: usize = 32;

/// Whether the file at `path` is a compiled model, by its first bytes. A file that cannot be read is none.
pub fn is_compiled(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == *MAGIC
}

/// A compiled model whose bytes are mapped and whole.
#[derive(Debug)]
pub struct CompiledFile {
    file: Bytes,
    /// Where the data starts in the file.
    start: usize,
    data: Bytes,
    description: Description,
}

impl CompiledFile {
    /// Maps the file at `path` and checks that it is whole, which reads it once.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no compiled model or one of another version, or is damaged.
    pub fn open(path: &Path) -> Result<Self, CompiledError> {
        Self::from_bytes(mmap::map(path)?)
    }

    /// As [`CompiledFile::open`], of bytes that are in memory, from a page's start on.
    ///
    /// # Errors
    ///
    /// If they are no compiled model or one of another version, or damaged.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, CompiledError> {
        let header = Header::of(&bytes)?;
        let description = bytes.slice(HEADER_BYTES..HEADER_BYTES + header.description_bytes);
        check("description", &description, header.description_hash)?;
        let data = bytes.slice(header.start..header.start + header.data_bytes);
        check("data", &data, header.data_hash)?;
        let description = serde_json::from_slice(&description).map_err(|error| CompiledError::Format {
            expected: "a description of this version".to_owned(),
            found: error.to_string(),
        })?;
        Ok(Self {
            file: bytes,
            start: header.start,
            data,
            description,
        })
    }

    /// Where the model comes from.
    pub fn source(&self) -> &Source {
        &self.description.source
    }

    /// Names of the instruction sets that it has kernels for.
    pub fn isas(&self) -> impl Iterator<Item = &str> {
        self.description.targets.iter().map(|target| &*target.isa)
    }

    /// The program, lowered; constants that only packed weights were made of read as zeros.
    pub fn program(&self) -> &str {
        &self.description.program
    }

    /// Plans the model for the fastest instruction set of the file that is at most `options.isa`, with the file's choice between
    /// memory and time and its precision.
    ///
    /// # Errors
    ///
    /// If there is no such instruction set, or the file is not one that was written by this version.
    pub fn plan(&self, options: PlanOptions) -> Result<Plan, CompiledError> {
        let (isa, parts) = self.target(options.isa)?;
        // One stretch of zeros is enough for all constants without data.
        let zeros = RefCell::default();
        let constant = |number, dtype, shape: &[usize]| self.constant(number, dtype, shape, &zeros);
        let function = text::parse_apart(&self.description.program, &constant)?;
        check_types(&function)?;
        let packs = Packs::stored(parts);
        let options = PlanOptions {
            isa,
            lean: self.description.lean,
            precision: if self.description.bf16 {
                Precision::Bf16
            } else {
                Precision::Float32
            },
            ..options
        };
        let plan = plan_folded(&fold(function)?, options, &packs)?;
        match packs.left() {
            0 => Ok(plan),
            left => Err(CompiledError::Surplus { left }),
        }
    }

    fn target(&self, limit: Isa) -> Result<(Isa, Vec<Parts>), CompiledError> {
        let available = Isa::available();
        let usable = available.iter().position(|&isa| isa == limit).unwrap_or(0);
        let target = available[..=usable].iter().rev().find_map(|&isa| {
            let mut targets = self.description.targets.iter();
            Some((isa, targets.find(|target| target.isa == isa.name())?))
        });
        let Some((isa, target)) = target else {
            let found: Vec<&str> = self.isas().collect();
            return Err(CompiledError::Isa {
                found: found.join(", "),
                limit: limit.name().to_owned(),
            });
        };
        let parts = target.parts.iter().map(|parts| {
            Ok(Parts {
                words: parts.words.clone(),
                buffers: parts
                    .buffers
                    .iter()
                    .map(|&span| self.slice(span))
                    .collect::<Result<_, _>>()?,
            })
        });
        Ok((isa, parts.collect::<Result<_, CompiledError>>()?))
    }

    fn slice(&self, span: Span) -> Result<Bytes, CompiledError> {
        let range = range(span, self.data.len()).ok_or_else(|| CompiledError::Format {
            expected: format!("places within {} bytes of data", self.data.len()),
            found: format!("{span:?}"),
        })?;
        Ok(self.data.slice(range))
    }

    fn constant(
        &self,
        number: usize,
        dtype: DType,
        shape: &[usize],
        zeros: &RefCell<Arc<Vec<u8>>>,
    ) -> Result<Tensor, String> {
        let places = &self.description.constants;
        let place = places.get(number).ok_or_else(|| {
            format!(
                "expected one of {} constants, found number {number}",
                places.len()
            )
        })?;
        let Some(span) = *place else {
            let elems = locket_tensor::element_count(shape);
            let bytes = elems
                .and_then(|elems| dtype.packed_bytes(elems))
                .unwrap_or(usize::MAX);
            let limit = self.data.len().saturating_mul(MAX_CLAIM);
            if bytes > limit {
                return Err(format!("a constant without data: expected at most {limit} bytes"));
            }
            let mut zeros = zeros.borrow_mut();
            if zeros.len() < bytes {
                *zeros = Arc::new(vec![0; bytes]);
            }
            let storage = Storage::Placeholder(Arc::clone(&zeros));
            return Tensor::from_storage(dtype, shape, storage, 0).map_err(|error| error.to_string());
        };
        let range = range(span, self.data.len())
            .ok_or_else(|| format!("expected a place in the data, found {span:?}"))?;
        let storage = Storage::File(self.file.clone());
        let tensor = Tensor::from_storage(dtype, shape, storage, self.start + range.start)
            .map_err(|error| error.to_string())?;
        if tensor.bytes().len() != range.len() {
            return Err(format!(
                "expected {} bytes, found {}",
                tensor.bytes().len(),
                range.len()
            ));
        }
        Ok(tensor)
    }
}

/// The planner takes types as they are declared: what readers of other formats infer, a stranger may have written here.
fn check_types(function: &Function) -> Result<(), CompiledError> {
    for operation in &function.operations {
        let node = Node::new(function, operation);
        let inferred = registry::find(&node)
            .and_then(|operator| operator.infer(&node))
            .map_err(PlanError::from)?;
        let declared = operation.outputs.iter().map(|&id| function.ty(id));
        if !declared.eq(inferred.iter()) {
            let declared: Vec<String> = operation
                .outputs
                .iter()
                .map(|&id| function.ty(id).to_string())
                .collect();
            return Err(CompiledError::Format {
                expected: format!("{} to give {inferred:?}", operation.label()),
                found: declared.join(", "),
            });
        }
    }
    Ok(())
}

fn range([start, len]: Span, limit: usize) -> Option<std::ops::Range<usize>> {
    let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
    let end = start.checked_add(len)?;
    (end <= limit).then_some(start..end)
}

fn check(part: &'static str, bytes: &[u8], expected: u64) -> Result<(), CompiledError> {
    match xxh3_64(bytes) {
        found if found == expected => Ok(()),
        found => Err(CompiledError::Damaged {
            part,
            expected,
            found,
        }),
    }
}

struct Header {
    description_bytes: usize,
    description_hash: u64,
    data_bytes: usize,
    data_hash: u64,
    start: usize,
}

impl Header {
    fn of(bytes: &[u8]) -> Result<Self, CompiledError> {
        let error = |expected: &str, found: String| CompiledError::Format {
            expected: expected.to_owned(),
            found,
        };
        let found = format!("a file of {} bytes", bytes.len());
        let Some(head) = bytes.get(..HEADER_BYTES).filter(|head| head.starts_with(MAGIC)) else {
            return Err(error("a compiled model", found));
        };
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let version = word(8) as u32;
        if version != VERSION {
            let found = format!("version {version}; compile the model again");
            return Err(error(&format!("version {VERSION} of the format"), found));
        }
        let size = |at: usize| usize::try_from(word(at)).unwrap_or(usize::MAX);
        let header = Self {
            description_bytes: size(16),
            description_hash: word(24),
            data_bytes: size(32),
            data_hash: word(40),
            start: size(48),
        };
        let description_end = HEADER_BYTES.saturating_add(header.description_bytes);
        let end = header.start.saturating_add(header.data_bytes);
        if header.description_bytes > MAX_DESCRIPTION_BYTES
            || description_end > header.start
            || end != bytes.len()
        {
            return Err(error(
                &format!("a file of {end} bytes, as its header says"),
                found,
            ));
        }
        Ok(header)
    }
}
