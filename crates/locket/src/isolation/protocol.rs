//! What broker and worker say to each other. Numbers are little-endian; what comes from a worker is checked as a stranger's.

use std::{fmt::Write, time::Duration};

use locket_kernels::Isa;
use locket_runtime::Precision;
use locket_sandbox::SandboxError;
use locket_tensor::DType;

use crate::{Error, FeatureDescription, ModelConfiguration};

/// Asks for the interface.
pub(super) const DESCRIBE: u32 = 1;
/// Asks for a prediction: a header, then the inputs one after another.
pub(super) const PREDICT: u32 = 2;
/// Answers with the interface as text, or the outputs one after another.
pub(super) const DONE: u32 = 3;
/// Answers that the deadline passed: nanoseconds, then the operator that was next.
pub(super) const LATE: u32 = 4;
/// Answers with the reason of a failure.
pub(super) const FAILED: u32 = 5;

/// Bytes before the inputs: the budget in nanoseconds, 0 for none.
pub(super) const HEADER_BYTES: usize = 8;

/// First word of a model worker's role.
const ROLE: &str = "locket.model";
/// Most tensors at either side of an interface that a worker may claim, and most bytes of one.
const MOST_TENSORS: usize = 1024;
const MOST_BYTES: usize = 1 << 30;

/// How the worker is to load the model; carried in its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) threads: usize,
    pub(super) isa: Isa,
    pub(super) precision: Precision,
    pub(super) memory_budget: Option<usize>,
    pub(super) latency_budget: Option<Duration>,
    pub(super) function: Option<String>,
}

impl Settings {
    pub(super) fn of(configuration: &ModelConfiguration) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads: configuration.threads.unwrap_or_else(cores),
            isa: configuration.isa.unwrap_or_else(Isa::best),
            precision: configuration.precision,
            memory_budget: configuration.memory_budget,
            latency_budget: configuration.latency_budget,
            function: configuration.function_name.clone(),
        }
    }

    /// Six words; the last is the function's name, or nothing.
    pub(super) fn role(&self) -> String {
        let precision = match self.precision {
            Precision::Float32 => "float32",
            Precision::Bf16 => "bf16",
        };
        format!(
            "{ROLE} {} {} {precision} {} {} {}",
            self.threads,
            self.isa,
            self.memory_budget.unwrap_or(usize::MAX),
            self.latency_budget.map_or(0, |budget| budget.as_nanos()),
            self.function.as_deref().unwrap_or_default()
        )
    }

    /// The settings of a role; `None` if it is another's.
    pub(super) fn of_role(role: &str) -> Option<Self> {
        let mut words = role.strip_prefix(ROLE)?.strip_prefix(' ')?.splitn(6, ' ');
        Some(Self {
            threads: words.next()?.parse().ok()?,
            isa: Isa::parse(words.next()?)?,
            precision: match words.next()? {
                "bf16" => Precision::Bf16,
                _ => Precision::Float32,
            },
            memory_budget: words.next()?.parse().ok().filter(|&budget| budget < usize::MAX),
            latency_budget: match words.next()?.parse().ok()? {
                0 => None,
                nanoseconds => Some(Duration::from_nanos(nanoseconds)),
            },
            function: words.next().filter(|name| !name.is_empty()).map(str::to_owned),
        })
    }
}

/// Inputs and outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) inputs: Vec<FeatureDescription>,
    pub(super) outputs: Vec<FeatureDescription>,
}

/// Bytes of a tensor; no more than [`MOST_BYTES`] in what [`interface`] has read.
pub(super) fn bytes(feature: &FeatureDescription) -> usize {
    feature
        .dtype
        .packed_bytes(feature.shape.iter().product())
        .unwrap_or(0)
}

impl Interface {
    pub(super) fn input_bytes(&self) -> usize {
        self.inputs.iter().map(bytes).sum()
    }

    pub(super) fn output_bytes(&self) -> usize {
        self.outputs.iter().map(bytes).sum()
    }

    /// A line for each tensor: side, type, dimensions, name.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (side, features) in [("in", &self.inputs), ("out", &self.outputs)] {
            for feature in features {
                let shape: Vec<String> = feature.shape.iter().map(ToString::to_string).collect();
                // Writing to a string does not fail.
                let _ = writeln!(
                    text,
                    "{side} {} {} {}",
                    feature.dtype,
                    shape.join("x"),
                    feature.name
                );
            }
        }
        text
    }
}

fn malformed(what: &str) -> Error {
    Error::Worker(SandboxError::Malformed {
        what: what.to_owned(),
    })
}

/// Reads an interface that a worker told.
pub(super) fn interface(text: &[u8]) -> Result<Interface, Error> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("an interface that is no text"))?;
    let mut interface = Interface::default();
    for line in text.lines() {
        let feature = || {
            let mut words = line.splitn(4, ' ');
            let side = words.next()?;
            let dtype = DType::parse(words.next()?).filter(|dtype| dtype.bits() >= 8)?;
            let shape = words.next()?;
            let shape: Vec<usize> = match shape {
                "" => Vec::new(),
                _ => shape
                    .split('x')
                    .map(|size| size.parse().ok())
                    .collect::<Option<_>>()?,
            };
            let elems = shape
                .iter()
                .try_fold(1usize, |elems, &size| elems.checked_mul(size))?;
            dtype.packed_bytes(elems).filter(|&bytes| bytes <= MOST_BYTES)?;
            let name = words.next()?.to_owned();
            Some((side, FeatureDescription { name, dtype, shape }))
        };
        match feature() {
            Some(("in", feature)) => interface.inputs.push(feature),
            Some(("out", feature)) => interface.outputs.push(feature),
            _ => return Err(malformed("a line of the interface")),
        }
    }
    if interface.inputs.len().max(interface.outputs.len()) > MOST_TENSORS {
        return Err(malformed("an interface of too many tensors"));
    }
    Ok(interface)
}

/// What comes before the inputs.
pub(super) fn header(budget: Option<Duration>) -> [u8; HEADER_BYTES] {
    let nanoseconds = budget.map_or(0, |budget| u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX));
    nanoseconds.to_le_bytes()
}

/// What a worker answered to a prediction.
pub(super) enum Answer<'a> {
    /// All outputs, one after another.
    Outputs(&'a [u8]),
    /// The deadline passed: the time taken, and the operator that was next.
    Late(Duration, String),
}

/// Reads an answer.
pub(super) fn answer(kind: u32, bytes: &[u8], output_bytes: usize) -> Result<Answer<'_>, Error> {
    match kind {
        DONE if bytes.len() == output_bytes => Ok(Answer::Outputs(bytes)),
        LATE => {
            let (elapsed, operator) = bytes
                .split_first_chunk()
                .ok_or_else(|| malformed("a short answer"))?;
            let operator = String::from_utf8_lossy(operator).chars().take(200).collect();
            Ok(Answer::Late(
                Duration::from_nanos(u64::from_le_bytes(*elapsed)),
                operator,
            ))
        }
        FAILED => Err(malformed(
            &String::from_utf8_lossy(bytes)
                .chars()
                .take(200)
                .collect::<String>(),
        )),
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
    use super::{Interface, Settings, interface};
    use crate::{DType, FeatureDescription, ModelConfiguration};

    #[test]
    fn settings_and_interfaces_come_back_as_they_were() {
        let configuration = ModelConfiguration {
            threads: Some(3),
            memory_budget: Some(17),
            latency_budget: Some(std::time::Duration::from_micros(5)),
            function_name: Some("a name".to_owned()),
            ..ModelConfiguration::default()
        };
        for configuration in [configuration, ModelConfiguration::default()] {
            let settings = Settings::of(&configuration);
            assert_eq!(Settings::of_role(&settings.role()), Some(settings));
        }
        assert_eq!(Settings::of_role("locket.other 1 scalar"), None);
        let feature = |name: &str, shape: &[usize]| FeatureDescription {
            name: name.to_owned(),
            dtype: DType::Float32,
            shape: shape.to_vec(),
        };
        let whole = Interface {
            inputs: vec![feature("an image", &[1, 3, 2])],
            outputs: vec![feature("scalar", &[]), feature("", &[0])],
        };
        assert_eq!(interface(whole.text().as_bytes()).unwrap(), whole);
        for wrong in [
            "in fp32 1x2",
            "up fp32 1 x",
            "in fp32 99999999999x99999999999 x",
            "in fp32 9999999999 x",
            "\u{0}",
        ] {
            assert!(interface(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
