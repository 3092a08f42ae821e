//! The device profiles of `devices/*.toml`, part of the program.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::budget;

/// The profiles: name and text.
const PROFILES: [(&str, &str); 6] = [
    (
        "watch-series-7",
        include_str!("../../../devices/watch-series-7.toml"),
    ),
    ("watch-ultra", include_str!("../../../devices/watch-ultra.toml")),
    ("iphone-12", include_str!("../../../devices/iphone-12.toml")),
    (
        "iphone-15-pro",
        include_str!("../../../devices/iphone-15-pro.toml"),
    ),
    (
        "raspberry-pi-4",
        include_str!("../../../devices/raspberry-pi-4.toml"),
    ),
    ("host", include_str!("../../../devices/host.toml")),
];

/// How a figure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Observed by this project, or by the source, on the device.
    Measured,
    /// Stated by the maker or in a named place.
    Published,
    /// Computed from other figures; it may be wrong.
    Modelled,
}

impl Kind {
    /// The kind as a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Modelled => "modelled",
        }
    }
}

/// One thing that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// What it is about.
    pub(crate) name: String,
    /// The value with its unit.
    pub(crate) value: String,
    /// How it is known.
    pub(crate) kind: Kind,
    /// Who says so.
    pub(crate) source: String,
}

/// A budget, and why it is what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    /// The value with its unit.
    pub(crate) value: String,
    /// Why this one.
    pub(crate) source: String,
}

/// Budgets that are proposed for a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    /// Weights, tensors and scratch together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Choice>,
    /// The slowest prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Choice>,
    /// The frame that the latency is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frame: Option<Choice>,
}

impl Budgets {
    /// The budgets that are there, with their names.
    pub(crate) fn figures(&self) -> Vec<(&'static str, &Choice)> {
        [
            ("memory", &self.memory),
            ("latency", &self.latency),
            ("frame", &self.frame),
        ]
        .into_iter()
        .filter_map(|(name, choice)| Some((name, choice.as_ref()?)))
        .collect()
    }

    /// The memory budget in bytes.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        budget::bytes(&self.memory.as_ref()?.value).ok()
    }

    /// The latency budget in milliseconds.
    pub(crate) fn latency_ms(&self) -> Option<f64> {
        let time = budget::duration(&self.latency.as_ref()?.value).ok()?;
        Some(time.as_secs_f64() * 1e3)
    }
}

/// A device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// The name that commands take.
    pub(crate) name: String,
    /// One sentence.
    pub(crate) description: String,
    /// What is not known and would be worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unknown: Option<String>,
    /// What Locket proposes to keep to.
    #[serde(default)]
    pub(crate) budgets: Budgets,
    /// What is known.
    #[serde(default, rename = "figure")]
    pub(crate) figures: Vec<Figure>,
}

/// All profiles, in the order of the list.
///
/// # Errors
///
/// If one cannot be parsed, which the tests rule out.
pub(crate) fn all() -> Result<Vec<Device>> {
    PROFILES
        .iter()
        .map(|(name, text)| toml::from_str(text).with_context(|| format!("devices/{name}.toml")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, PROFILES, all};
    use crate::budget;

    #[test]
    fn profiles_are_sound() {
        let all = all().unwrap();
        for (device, (name, _)) in all.iter().zip(PROFILES) {
            assert_eq!(device.name, name);
            for (what, choice) in device.budgets.figures() {
                let parsed = match what {
                    "memory" => budget::bytes(&choice.value).map(|_| ()),
                    _ => budget::positive_duration(&choice.value).map(|_| ()),
                };
                assert_eq!(parsed, Ok(()), "{name}: {what}");
                assert!(!choice.source.is_empty(), "{name}: {what}");
            }
            for figure in &device.figures {
                assert!(figure.source.len() > 10, "{name}: {} has no source", figure.name);
            }
        }
    }

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../devices");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut listed: Vec<String> = PROFILES.iter().map(|(name, _)| format!("{name}.toml")).collect();
        listed.sort();
        assert_eq!(files, listed);
    }

    #[test]
    fn a_computed_figure_is_called_modelled() {
        for device in all().unwrap() {
            for figure in &device.figures {
                let computed = ["estimate", "assumed", "derived", "computed"];
                if computed.iter().any(|word| figure.source.contains(word)) {
                    assert_eq!(figure.kind, Kind::Modelled, "{}: {}", device.name, figure.name);
                }
            }
        }
    }
}
