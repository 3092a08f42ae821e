//! `--isolation`: where a model computes, and what is told of it.

use std::path::Path;

use anyhow::Result;
use locket::{Isolation, Model, ModelConfiguration};
use serde::Serialize;

use crate::context::Context;

/// The options.
#[derive(Debug, clap::Args)]
pub(crate) struct IsolationOptions {
    /// Where the model computes: a worker is a process that can reach nothing, on Linux
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = Where::of(Isolation::default()))]
    isolation: Where,
    /// Goes on with a worker that lacks a wall, and says which
    #[arg(long)]
    allow_degraded: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Where {
    Worker,
    InProcess,
}

impl Where {
    fn of(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Worker => Self::Worker,
            Isolation::InProcess => Self::InProcess,
        }
    }
}

impl IsolationOptions {
    /// How the context's model is to be loaded.
    pub(crate) fn configuration(&self, context: &Context) -> ModelConfiguration {
        let options = context.plan_options();
        ModelConfiguration {
            threads: Some(options.threads),
            isa: Some(options.isa),
            precision: options.precision,
            depth_first: options.depth_first,
            isolation: match self.isolation {
                Where::Worker => Isolation::Worker,
                Where::InProcess => Isolation::InProcess,
            },
            allow_degraded: self.allow_degraded,
            ..ModelConfiguration::default()
        }
    }
}

/// Loads a model.
///
/// # Errors
///
/// If it cannot be read or run; the line names the file.
pub(crate) fn load(path: &Path, configuration: &ModelConfiguration) -> Result<Model> {
    Model::load(path, configuration).map_err(|error| {
        let place = path.display().to_string();
        let is_named = error.to_string().contains(&place);
        let error = anyhow::Error::new(error);
        if is_named { error } else { error.context(place) }
    })
}

/// Where a model computed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    isolation: &'static str,
    /// The walls that the worker lacks, with the reasons; absent if it lacks none.
    #[serde(skip_serializing_if = "String::is_empty")]
    degraded: String,
}

impl Told {
    pub(crate) fn of(model: &Model) -> Self {
        Self {
            isolation: match model.isolation() {
                Isolation::Worker => "worker",
                Isolation::InProcess => "in-process",
            },
            degraded: model.degraded(),
        }
    }

    /// Writes it into the log's entry.
    pub(crate) fn write_down(&self, entry: &mut crate::log::Entry) {
        self.isolation.clone_into(&mut entry.isolation);
        entry.policy = (self.isolation == "worker").then(|| locket_sandbox::STRICT_HASH.to_owned());
    }

    /// A few words for a person.
    pub(crate) fn text(&self) -> String {
        match (self.isolation, self.degraded.as_str()) {
            ("worker", "") => "in a worker".to_owned(),
            ("worker", missing) => format!("in a DEGRADED worker: {missing}"),
            _ => "in this process".to_owned(),
        }
    }
}
