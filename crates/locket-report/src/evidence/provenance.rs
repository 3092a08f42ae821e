//! Where the figures come from: tool, machine, source model and data, enough to repeat the run.

use serde::{Deserialize, Serialize};

/// What produced the evidence, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the tool, for example `0.1.0`.
    pub tool_version: String,
    /// Commit of the tool, if it was built from a checkout.
    #[serde(default)]
    pub commit: Option<String>,
    /// Date of the run as the caller wants it printed, for example `2026-03-01`.
    pub date: String,
    /// The command as it was typed.
    pub command_line: String,
    /// The machine on which measured figures were measured.
    pub machine: Machine,
    /// Threads that inference used.
    pub threads: u32,
    /// Seed of every random choice.
    pub seed: u64,
    /// The model that was read.
    pub source: SourceModel,
    /// The package that was written, if one was.
    #[serde(default)]
    pub package: Option<Artefact>,
    /// The data used, each with its role.
    #[serde(default)]
    pub data_sets: Vec<DataSet>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub cpu: String,
    /// Logical cores available to the process.
    pub cores: u32,
    /// Instruction set that the kernels used, for example `AVX-512 VNNI`.
    pub instruction_set: String,
    /// Main memory in bytes, if known.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Operating system kernel, for example `Linux 6.1`.
    pub kernel: String,
}

/// The model that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceModel {
    /// File name as given.
    pub path: String,
    /// Hash of the file's bytes, with the name of the hash: `blake3:…`.
    pub hash: String,
    /// Format, for example `ONNX opset 13`.
    pub format: String,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Number of parameters.
    pub parameters: u64,
    /// Multiply-adds of one inference.
    pub macs: u64,
    /// Inputs in order.
    #[serde(default)]
    pub inputs: Vec<TensorSignature>,
    /// Outputs in order.
    #[serde(default)]
    pub outputs: Vec<TensorSignature>,
}

/// Name and type of an input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSignature {
    /// Name in the source.
    pub name: String,
    /// Element type, for example `float32`.
    pub dtype: String,
    /// Dimensions, outermost first; `None` is flexible.
    pub shape: Vec<Option<u64>>,
}

/// A file that the run wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// File or folder name.
    pub path: String,
    /// Hash of the content, with the name of the hash.
    pub hash: String,
    /// Size on disk in bytes.
    pub file_bytes: u64,
}

/// A data set and what it was used for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSet {
    /// Name or folder.
    pub name: String,
    /// Its use, for example `calibration`, `search`, `certificate`.
    pub role: String,
    /// Number of samples used.
    pub samples: u64,
    /// Hash of the samples, if taken.
    #[serde(default)]
    pub hash: Option<String>,
}
