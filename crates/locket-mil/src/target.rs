//! Deployment targets, which are also MIL's operator sets.

use std::fmt;

/// The oldest system that a program must run on; fixes the operator set and the specification version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// iOS 15, macOS 12, watchOS 8: specification 6, opset CoreML5.
    Ios15,
    /// iOS 16, macOS 13, watchOS 9: specification 7, opset CoreML6.
    Ios16,
    /// iOS 17, macOS 14, watchOS 10: specification 8, opset CoreML7.
    Ios17,
    /// iOS 18, macOS 15, watchOS 11: specification 9, opset CoreML8.
    Ios18,
    /// iOS 26, macOS 26, watchOS 26: specification 10, opset CoreML9.
    Ios26,
}

impl Target {
    /// All targets, oldest first.
    pub const ALL: [Self; 5] = [Self::Ios15, Self::Ios16, Self::Ios17, Self::Ios18, Self::Ios26];

    /// Core ML's specification version.
    pub fn spec_version(self) -> i32 {
        match self {
            Self::Ios15 => 6,
            Self::Ios16 => 7,
            Self::Ios17 => 8,
            Self::Ios18 => 9,
            Self::Ios26 => 10,
        }
    }

    /// The target of a specification version.
    pub fn from_spec_version(version: i32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|target| target.spec_version() == version)
    }

    /// The operator set's name in a file, such as `CoreML6`.
    pub fn opset(self) -> &'static str {
        match self {
            Self::Ios15 => "CoreML5",
            Self::Ios16 => "CoreML6",
            Self::Ios17 => "CoreML7",
            Self::Ios18 => "CoreML8",
            Self::Ios26 => "CoreML9",
        }
    }

    /// The target of an operator set's name.
    pub fn from_opset(opset: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.opset() == opset)
    }

    /// The short name that commands take, such as `ios16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ios15 => "ios15",
            Self::Ios16 => "ios16",
            Self::Ios17 => "ios17",
            Self::Ios18 => "ios18",
            Self::Ios26 => "ios26",
        }
    }

    /// The systems, for a person.
    pub fn systems(self) -> &'static str {
        match self {
            Self::Ios15 => "iOS 15, macOS 12, watchOS 8",
            Self::Ios16 => "iOS 16, macOS 13, watchOS 9",
            Self::Ios17 => "iOS 17, macOS 14, watchOS 10",
            Self::Ios18 => "iOS 18, macOS 15, watchOS 11",
            Self::Ios26 => "iOS 26, macOS 26, watchOS 26",
        }
    }

    /// The target that [`Target::name`] names.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|target| target.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
