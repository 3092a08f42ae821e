//! Opens a compiled file.

use std::{cell::RefCell, fs::File, io::Read, path::Path, sync::Arc};

use bytes::Bytes;
use locket_kernels::{Isa, Parts};
use locket_mil::{Function, text};
use locket_ops::{Node, Packs, Precision, registry};
use locket_pool::Apart;
use locket_tensor::{DType, Storage, Tensor, mmap};
use twox_hash::XxHash3_64;

use super::{CompiledError, Description, HEADER_BYTES, MAGIC, Source, Span, VERSION, hash};
use crate::plan::{Plan, PlanError, PlanOptions, fold, plan_folded};

/// Longest description: of programs met so far, the longest has 0.3 MB.
const MAX_DESCRIPTION_BYTES: usize = 64 << 20;

/// Data that takes longer to hash than a thread to start.
const WORTH_A_THREAD_BYTES: usize = 1 << 20;

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
    /// Whether planning gives back what only loading needed. Who hands over bytes may be one that can open no file any more.
    gives_back: bool,
}

impl CompiledFile {
    /// Maps the file at `path` and checks that it is whole, which reads it once. The data of a lean file is not yet resident then.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no compiled model or one of another version, or is damaged.
    pub fn open(path: &Path) -> Result<Self, CompiledError> {
        let (compiled, data) = Self::unchecked_of(path)?;
        compiled.check(data)?;
        Ok(compiled)
    }

    /// Opens the file at `path` and plans it, as [`CompiledFile::open`] and [`CompiledFile::plan`] do; with more than one thread
    /// both at a time.
    ///
    /// # Errors
    ///
    /// As theirs.
    pub fn load(path: &Path, options: PlanOptions) -> Result<(Self, Plan), CompiledError> {
        let (compiled, data) = Self::unchecked_of(path)?;
        let plan = if options.threads > 1 && compiled.data.len() >= WORTH_A_THREAD_BYTES {
            compiled.check_while(data, options.threads - 1, || compiled.plan(options))??
        } else {
            compiled.check(data)?;
            compiled.plan(options)?
        };
        Ok((compiled, plan))
    }

    fn unchecked_of(path: &Path) -> Result<(Self, Data), CompiledError> {
        let file = File::open(path)?;
        let (compiled, hash) = Self::unchecked(mmap::map_file(&file)?)?;
        let gives_back = compiled.description.lean;
        let file = gives_back.then_some(file);
        Ok((
            Self {
                gives_back,
                ..compiled
            },
            Data { hash, file },
        ))
    }

    /// As [`CompiledFile::open`], of bytes that are in memory, from a page's start on.
    ///
    /// # Errors
    ///
    /// If they are no compiled model or one of another version, or damaged.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, CompiledError> {
        let (compiled, hash) = Self::unchecked(bytes)?;
        compiled.check(Data { hash, file: None })?;
        Ok(compiled)
    }

    /// With the hash that its data must have.
    fn unchecked(bytes: Bytes) -> Result<(Self, u64), CompiledError> {
        let header = Header::of(&bytes)?;
        let description = bytes.slice(HEADER_BYTES..HEADER_BYTES + header.description_bytes);
        check(
            "description",
            XxHash3_64::oneshot(&description),
            header.description_hash,
        )?;
        let description = serde_json::from_slice(&description).map_err(|error| CompiledError::Format {
            expected: "a description of this version".to_owned(),
            found: error.to_string(),
        })?;
        let compiled = Self {
            data: bytes.slice(header.start..header.start + header.data_bytes),
            file: bytes,
            start: header.start,
            description,
            gives_back: false,
        };
        Ok((compiled, header.data_hash))
    }

    fn check(&self, data: Data) -> Result<(), CompiledError> {
        self.check_while(data, 0, || ())
    }

    /// Does something and checks the data: on `helpers` threads meanwhile, and on this one after it.
    fn check_while<T>(
        &self,
        data: Data,
        helpers: usize,
        work: impl FnOnce() -> T,
    ) -> Result<T, CompiledError> {
        let start = self.start as u64;
        let here = Apart::here();
        let (made, found) = match data.file {
            Some(file) if helpers > 0 => std::thread::scope(|scope| {
                let reader = here.spawn(scope, 1, move || hash::by_reading(file, start));
                let made = work();
                let found = reader.join();
                let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                (made, found)
            }),
            Some(file) => (work(), hash::by_reading(file, start)),
            None => {
                let shared = &hash::Shared::new(&self.data);
                let made = std::thread::scope(|scope| {
                    for helper in 0..helpers {
                        here.spawn(scope, helper + 1, || shared.work());
                    }
                    let made = work();
                    shared.work();
                    made
                });
                (made, Ok(shared.digest()))
            }
        };
        check("data", found?, data.hash)?;
        Ok(made)
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
            0 => {}
            left => return Err(CompiledError::Surplus { left }),
        }
        if self.gives_back {
            mmap::release_code();
        }
        Ok(plan)
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

fn check(part: &'static str, found: u64, expected: u64) -> Result<(), CompiledError> {
    if found == expected {
        return Ok(());
    }
    Err(CompiledError::Damaged {
        part,
        expected,
        found,
    })
}

/// What the data of a file must be.
struct Data {
    hash: u64,
    /// Where to read it, if not in the mapping.
    file: Option<File>,
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
