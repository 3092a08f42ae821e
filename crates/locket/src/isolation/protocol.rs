//! What broker and worker say to each other. Numbers are little-endian; what comes from a worker is checked as a stranger's.

use locket_data::{NpyType, Preprocess, Problem, RawSample};
use locket_kernels::Isa;
use locket_runtime::Precision;
use locket_sandbox::SandboxError;
use locket_tensor::DType;

use crate::{Error, FeatureDescription, ModelConfiguration};

/// Asks for the interface.
pub(super) const DESCRIBE: u32 = 1;
/// Asks for a prediction: the inputs one after another, each at a multiple of [`ALIGN`].
pub(super) const PREDICT: u32 = 2;
/// Answers with the interface, or the outputs one after another.
pub(super) const DONE: u32 = 3;
/// Answers that the deadline passed: nanoseconds, then the operator that was next.
pub(super) const LATE: u32 = 4;
/// Answers with the reason of a failure.
pub(super) const FAILED: u32 = 5;
/// Asks for a prediction from a picture: its file.
pub(super) const PICTURE: u32 = 6;
/// Asks for a prediction from elements to be preprocessed: their description, the elements.
pub(super) const SAMPLE: u32 = 8;
/// Answers with the reason why a picture gives no input.
pub(super) const UNREADABLE: u32 = 7;

/// Where inputs lie in a request: as kernels like it.
pub(super) const ALIGN: usize = 64;

/// First word of a model worker's role.
const ROLE: &str = "locket.model";
/// Most tensors at either side of an interface that a worker may claim, most dimensions of one, and most bytes of a side: lengths of
/// messages have 32 bits.
const MOST_TENSORS: usize = 1024;
const MOST_DIMENSIONS: usize = 16;
const MOST_BYTES: usize = 1 << 30;

/// How a worker that cannot start without further files begins to say so; their names follow, with commas between them.
const NEEDS: &str = "locket.needs ";

/// How the worker is to load the model; carried in its role.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) threads: usize,
    pub(super) isa: Isa,
    pub(super) precision: Precision,
    pub(super) depth_first: bool,
    pub(super) memory_budget: Option<usize>,
    pub(super) function: Option<String>,
    pub(super) preprocess: Option<Preprocess>,
    /// Names of the files, in the order in which they are handed over; that of a model that is one file is empty.
    pub(super) files: Vec<String>,
}

impl Settings {
    pub(super) fn of<'a>(
        configuration: &ModelConfiguration,
        files: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let settings = Self {
            threads: configuration.threads.unwrap_or_else(cores),
            isa: configuration.isa.unwrap_or_else(Isa::best),
            precision: configuration.precision,
            depth_first: configuration.depth_first,
            memory_budget: configuration.memory_budget,
            function: configuration.function_name.clone(),
            preprocess: configuration.preprocess.clone(),
            files: files.map(str::to_owned).collect(),
        };
        settings.recipe().map_err(|problem| Error::Preprocess {
            why: problem.to_string(),
        })?;
        Ok(settings)
    }

    fn recipe(&self) -> Result<Option<String>, Problem> {
        self.preprocess.as_ref().map(Preprocess::text).transpose()
    }

    /// A line of words, the last of which is the function's name or nothing; a line with the recipe; a line for each file.
    pub(super) fn role(&self) -> String {
        let precision = match self.precision {
            Precision::Float32 => "float32",
            Precision::Bf16 => "bf16",
        };
        let words = format!(
            "{ROLE} {} {} {precision} {} {} {}",
            self.threads,
            self.isa,
            u8::from(self.depth_first),
            self.memory_budget.unwrap_or(usize::MAX),
            escaped(self.function.as_deref().unwrap_or_default())
        );
        // That it has a text was checked when it was taken.
        let recipe = escaped(&self.recipe().ok().flatten().unwrap_or_default());
        let files = self.files.iter().map(|name| escaped(name));
        [words, recipe]
            .into_iter()
            .chain(files)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The settings of a role; `None` if it is another's.
    pub(super) fn of_role(role: &str) -> Option<Self> {
        let mut lines = role.split('\n');
        let mut words = lines
            .next()?
            .strip_prefix(ROLE)?
            .strip_prefix(' ')?
            .splitn(6, ' ');
        Some(Self {
            threads: words.next()?.parse().ok()?,
            isa: Isa::parse(words.next()?)?,
            precision: match words.next()? {
                "bf16" => Precision::Bf16,
                _ => Precision::Float32,
            },
            depth_first: words.next()? == "1",
            memory_budget: words.next()?.parse().ok().filter(|&budget| budget < usize::MAX),
            function: Some(unescaped(words.next()?)?).filter(|name| !name.is_empty()),
            preprocess: match unescaped(lines.next()?)?.as_str() {
                "" => None,
                recipe => Some(Preprocess::parse(recipe).ok()?),
            },
            files: lines.map(unescaped).collect::<Option<_>>()?,
        })
    }
}

/// Text without control characters and commas, which mean something around it.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '%' | ',' | '\0'..='\x1f' | '\x7f' => format!("%{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut whole = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        whole.push(char::from(u8::from_str_radix(code, 16).ok()?));
        whole.push_str(rest);
    }
    Some(whole)
}

/// What a worker says that cannot start without these files.
pub(super) fn needs<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| escaped(name)).collect();
    format!("{NEEDS}{}", names.join(","))
}

/// The names of the files that a worker asks for in such words: those of a stranger.
pub(super) fn needed(reason: &str) -> Option<Vec<String>> {
    reason.strip_prefix(NEEDS)?.split(',').map(unescaped).collect()
}

/// Inputs and outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) inputs: Vec<FeatureDescription>,
    pub(super) outputs: Vec<FeatureDescription>,
    /// Bytes of weights, tensors and scratch: only shown.
    pub(super) peak_bytes: u64,
    /// Threads that compute.
    pub(super) threads: usize,
}

/// Bytes of a tensor; no more than [`MOST_BYTES`] in an interface that was checked.
pub(super) fn bytes(feature: &FeatureDescription) -> usize {
    feature
        .dtype
        .packed_bytes(feature.shape.iter().product())
        .unwrap_or(0)
}

/// Bytes of its room in a request.
pub(super) fn room(feature: &FeatureDescription) -> usize {
    bytes(feature).next_multiple_of(ALIGN)
}

impl Interface {
    /// Bytes of a request with all inputs.
    pub(super) fn request_bytes(&self) -> usize {
        self.inputs.iter().map(room).sum()
    }

    pub(super) fn output_bytes(&self) -> usize {
        self.outputs.iter().map(bytes).sum()
    }

    /// Checks what both sides take for granted: the number of tensors and their bytes.
    pub(super) fn check(&self) -> Result<(), String> {
        for (side, features) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if features.len() > MOST_TENSORS {
                return Err(format!(
                    "the model has {} {side}; a worker takes at most {MOST_TENSORS}",
                    features.len()
                ));
            }
            let bytes = features.iter().try_fold(0_usize, |sum, feature| {
                let elems = feature
                    .shape
                    .iter()
                    .try_fold(1_usize, |elems, &size| elems.checked_mul(size))?;
                sum.checked_add(feature.dtype.packed_bytes(elems)?)
            });
            if bytes.is_none_or(|bytes| bytes > MOST_BYTES) {
                return Err(format!(
                    "the model's {side} take more than the {MOST_BYTES} bytes that a worker takes"
                ));
            }
            let narrow = features.iter().find(|feature| feature.dtype.bits() < 8);
            if let Some(feature) = narrow {
                return Err(format!(
                    "{} has type {}, which no worker takes",
                    feature.name, feature.dtype
                ));
            }
        }
        Ok(())
    }

    /// The peak in 64 bits, number of inputs, inputs, number of outputs, outputs. A tensor is its type, its dimensions and its name, each
    /// after its length; all other numbers have 32 bits.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.peak_bytes.to_le_bytes().to_vec();
        put_number(&mut bytes, self.threads);
        for features in [&self.inputs, &self.outputs] {
            put_number(&mut bytes, features.len());
            for feature in features {
                put_text(&mut bytes, &feature.dtype.to_string());
                put_number(&mut bytes, feature.shape.len());
                for &size in &feature.shape {
                    put_number(&mut bytes, size);
                }
                put_text(&mut bytes, &feature.name);
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (peak_bytes, mut bytes) = bytes.split_first_chunk()?;
        let peak_bytes = u64::from_le_bytes(*peak_bytes);
        let threads = take_number(&mut bytes)?;
        let mut side = || {
            let features = take_number(&mut bytes).filter(|&count| count <= MOST_TENSORS)?;
            (0..features)
                .map(|_| take_feature(&mut bytes))
                .collect::<Option<Vec<_>>>()
        };
        let interface = Self {
            inputs: side()?,
            outputs: side()?,
            peak_bytes,
            threads,
        };
        bytes.is_empty().then_some(interface)
    }
}

/// Sizes fit: a checked interface has no dimension above [`MOST_BYTES`], and a name is part of a file.
fn put_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len());
    bytes.extend(text.as_bytes());
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = take_number(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn take_feature(bytes: &mut &[u8]) -> Option<FeatureDescription> {
    let dtype = DType::parse(&take_text(bytes)?)?;
    let dimensions = take_number(bytes).filter(|&count| count <= MOST_DIMENSIONS)?;
    let shape = (0..dimensions)
        .map(|_| take_number(bytes))
        .collect::<Option<_>>()?;
    let name = take_text(bytes)?;
    Some(FeatureDescription { name, dtype, shape })
}

pub(super) fn malformed(what: &str) -> Error {
    Error::Worker(SandboxError::Malformed {
        what: what.to_owned(),
    })
}

/// Reads an interface that a worker told.
pub(super) fn interface(kind: u32, bytes: &[u8]) -> Result<Interface, Error> {
    if kind != DONE {
        return Err(malformed(&words(bytes)));
    }
    let interface = Interface::decode(bytes).ok_or_else(|| malformed("an interface that is none"))?;
    interface.check().map_err(|problem| malformed(&problem))?;
    Ok(interface)
}

/// At most a line of what a worker says in words.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

/// What comes before the elements of a sample: their type and shape.
pub(super) fn describe_sample(sample: RawSample<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_text(&mut bytes, sample.dtype.name());
    put_number(&mut bytes, sample.shape.len());
    for &size in sample.shape {
        put_number(&mut bytes, size);
    }
    bytes
}

/// The type and shape of a sample, and its elements.
pub(super) fn sample(mut bytes: &[u8]) -> Option<(NpyType, Vec<usize>, &[u8])> {
    let name = take_text(&mut bytes)?;
    let dtype = NpyType::ALL.into_iter().find(|dtype| dtype.name() == name)?;
    let dimensions = take_number(&mut bytes).filter(|&count| count <= MOST_DIMENSIONS)?;
    let shape = (0..dimensions)
        .map(|_| take_number(&mut bytes))
        .collect::<Option<_>>()?;
    Some((dtype, shape, bytes))
}

/// What a worker answered to a prediction.
pub(super) enum Answer<'a> {
    /// All outputs, one after another.
    Outputs(&'a [u8]),
    /// The deadline passed; the operator that was next.
    Late(String),
    /// The picture cannot be used; why.
    Unreadable(String),
}

/// Reads an answer.
pub(super) fn answer(kind: u32, bytes: &[u8], output_bytes: usize) -> Result<Answer<'_>, Error> {
    match kind {
        DONE if bytes.len() == output_bytes => Ok(Answer::Outputs(bytes)),
        LATE => Ok(Answer::Late(words(bytes))),
        UNREADABLE => Ok(Answer::Unreadable(words(bytes))),
        FAILED => Err(malformed(&words(bytes))),
        _ => Err(malformed("an answer of another length or kind than asked for")),
    }
}

/// Checks that tensors fit the interface.
pub(super) fn check<'a>(
    role: &'static str,
    features: &[FeatureDescription],
    given: impl ExactSizeIterator<Item = (DType, &'a [usize])>,
) -> Result<(), Error> {
    let expected = features
        .iter()
        .map(|feature| (&*feature.name, feature.dtype, &*feature.shape));
    Ok(locket_runtime::check_tensors(role, expected, given)?)
}

#[cfg(test)]
mod tests {
    use super::{DONE, FAILED, Interface, Settings, interface, needed, needs};
    use crate::{DType, FeatureDescription, ModelConfiguration, Preprocess};

    #[test]
    fn settings_and_interfaces_come_back_as_they_were() {
        let configuration = ModelConfiguration {
            threads: Some(3),
            memory_budget: Some(17),
            function_name: Some("a name\nof 2, lines: 100%".to_owned()),
            preprocess: Some(Preprocess {
                mean: vec![0.1, 123.675, 1e-30],
                ..Preprocess::default()
            }),
            ..ModelConfiguration::default()
        };
        for configuration in [configuration, ModelConfiguration::default()] {
            let settings =
                Settings::of(&configuration, ["", "a\nb", "c,%d", "\u{e9}\u{7f}"].into_iter()).unwrap();
            assert_eq!(Settings::of_role(&settings.role()), Some(settings));
        }
        for other in [
            "locket.other 1 scalar",
            "locket.model 1 scalar float32 1 7 %zz\n",
            "",
        ] {
            assert_eq!(Settings::of_role(other), None, "{other}");
        }
        let names = ["a,b".to_owned(), "c/d%".to_owned()];
        assert_eq!(needed(&needs(&names)).unwrap(), names);
        assert_eq!(needed("out of memory"), None);
        let feature = |name: &str, shape: &[usize]| FeatureDescription {
            name: name.to_owned(),
            dtype: DType::Float32,
            shape: shape.to_vec(),
        };
        let whole = Interface {
            inputs: vec![feature("an image\nout fp32 1 x", &[1, 3, 2])],
            outputs: vec![feature("scalar", &[]), feature("", &[0])],
            peak_bytes: 1 << 40,
            threads: 3,
        };
        let bytes = whole.encode();
        assert_eq!(interface(DONE, &bytes).unwrap(), whole);
        for length in 0..bytes.len() {
            assert!(interface(DONE, &bytes[..length]).is_err(), "{length}");
        }
        assert!(interface(FAILED, &bytes).is_err());
        let longer = [&bytes[..], &[0]].concat();
        assert!(interface(DONE, &longer).is_err());
    }

    #[test]
    fn interfaces_that_take_too_much_are_refused() {
        let of = |features: Vec<FeatureDescription>| Interface {
            inputs: features,
            ..Interface::default()
        };
        let feature = |dtype, shape: &[usize]| FeatureDescription {
            name: "x".to_owned(),
            dtype,
            shape: shape.to_vec(),
        };
        let float = |shape: &[usize]| feature(DType::Float32, shape);
        for (wrong, why) in [
            (of(vec![float(&[1 << 28]), float(&[1])]), "take more than"),
            (of(vec![float(&[1 << 31; 3])]), "take more than"),
            (of(vec![float(&[1]); 1025]), "1025 inputs"),
            (of(vec![feature(DType::UInt4, &[2])]), "no worker takes"),
        ] {
            let error = wrong.check().unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(interface(DONE, &wrong.encode()).is_err());
        }
    }
}
