//! What a worker says of its walls before it is given anything.

use std::fmt::Write as _;

use crate::policy::{Layer, Layers};

/// How a layer came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is up as a whole.
    Enforced,
    /// It is not, or not as a whole; why, in one line.
    Missing(String),
    /// The policy does not ask for it.
    NotAsked,
}

/// A layer and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerReport {
    /// Which.
    pub layer: Layer,
    /// Whether it is up.
    pub status: Status,
    /// What the kernel said: numbers of namespaces, the version of Landlock, bytes of memory.
    pub detail: String,
}

/// What a worker says when it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Every layer, in the order of [`Layer::ALL`].
    pub layers: Vec<LayerReport>,
    /// Hash of the policy's text with the layers that are up and the filter that was loaded; equals [`crate::Policy::hash`] if and
    /// only if nothing is missing.
    pub policy_hash: String,
    /// Release of the kernel.
    pub kernel: String,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// Longest report that is looked at, in bytes.
pub(crate) const REPORT_MAX: usize = 4096;

impl Readiness {
    /// What of the asked layers is missing: each with its reason, one line; empty if nothing.
    pub fn missing(&self, asked: Layers) -> String {
        let mut text = String::new();
        for report in &self.layers {
            let reason = match &report.status {
                Status::Missing(reason) => reason.as_str(),
                Status::NotAsked if asked.has(report.layer) => "was not put up",
                _ => continue,
            };
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{separator}layer {}: {reason}", report.layer.name());
        }
        text
    }

    /// The layers that are up.
    pub fn enforced(&self) -> Layers {
        let up = self
            .layers
            .iter()
            .filter(|report| report.status == Status::Enforced);
        Layers::of(&up.map(|report| report.layer).collect::<Vec<_>>())
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("kernel {}\npolicy {}\n", one_line(&self.kernel), self.policy_hash);
        for report in &self.layers {
            let (word, reason) = match &report.status {
                Status::Enforced => ("enforced", ""),
                Status::NotAsked => ("not-asked", ""),
                Status::Missing(reason) => ("missing", reason.as_str()),
            };
            let (name, detail) = (report.layer.name(), one_line(&report.detail));
            let _ = writeln!(text, "{name}\t{word}\t{}\t{detail}", one_line(reason));
        }
        text.truncate(text.floor_char_boundary(REPORT_MAX));
        text
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    /// Reads what [`Readiness::encode`] wrote, or says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "a report that is not text".to_owned())?;
        let mut lines = text.lines();
        let mut field = |name: &str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .map(|value| value.chars().filter(|c| !c.is_control()).collect::<String>())
                .ok_or(format!("a report without {name}"))
        };
        let kernel = field("kernel")?;
        let policy_hash = field("policy")?;
        let mut layers = Vec::new();
        for layer in Layer::ALL {
            let line = lines
                .next()
                .ok_or(format!("a report without layer {}", layer.name()))?;
            let mut columns = line.split('\t').map(str::to_owned);
            let mut column = || columns.next().unwrap_or_default();
            let (name, word, reason, detail) = (column(), column(), column(), column());
            let status = match word.as_str() {
                "enforced" => Status::Enforced,
                "not-asked" => Status::NotAsked,
                "missing" => Status::Missing(reason),
                _ => {
                    return Err(format!(
                        "a report with an unknown status of layer {}",
                        layer.name()
                    ));
                }
            };
            if name != layer.name() {
                return Err(format!("a report without layer {}", layer.name()));
            }
            layers.push(LayerReport {
                layer,
                status,
                detail,
            });
        }
        Ok(Self {
            layers,
            policy_hash,
            kernel,
        })
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
