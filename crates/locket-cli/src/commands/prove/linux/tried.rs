//! Everything that is tried as one user, and how it came out, as plain data.

use std::time::Instant;

use anyhow::{Context as _, Result};
use locket_report::proof::{
    Accidents, CovertChannel, Escape, EscapeColumn, EscapeOutcome, EscapeRow, Fate, Hostile, MistakeRow,
    ProofRun, WallRow, Walls,
};
use locket_sandbox::{
    Broker, Layer, Policy, Program, Status,
    accidents::{AccidentOptions, accidents},
    attempts::{Configuration, MatrixOptions, Outcome, matrix},
    covert,
    trials::{TrialOptions, trials},
};

use super::{super::Options, CONFIDENCE, residue, subject::Subject, work};
use crate::context::Context;

/// Bytes of the message that is sent through what stays open, and of a short one.
const MESSAGE: usize = 512;
const SHORT_MESSAGE: usize = 64;

/// Tries everything, as the user who runs this.
pub(super) fn everything(subject: &Subject, options: &Options, context: &Context) -> Result<ProofRun> {
    let started = Instant::now();
    let user = rustix::process::geteuid();
    let run = ProofRun {
        user: if user.is_root() {
            "root".to_owned()
        } else {
            format!("user {}", user.as_raw())
        },
        walls: walls(subject)?,
        escape: escape(options, context)?,
        hostile: hostile(options, context)?,
        accidents: mistakes(subject, options, context)?,
        residue: match options.residue {
            0 => None,
            count => Some(residue::look(subject, count, context)?),
        },
        covert: channels(options, context)?,
        seconds: 0.0,
    };
    Ok(ProofRun {
        seconds: started.elapsed().as_secs_f64(),
        ..run
    })
}

/// What a running worker says of itself.
fn walls(subject: &Subject) -> Result<Walls> {
    let broker = Broker::start(subject.worker(Policy::strict())?)?;
    let readiness = broker
        .readiness()
        .context("the worker said nothing of its walls")?;
    let row = |report: &locket_sandbox::LayerReport| WallRow {
        name: report.layer.name().to_owned(),
        status: match &report.status {
            Status::Enforced => "enforced".to_owned(),
            Status::Missing(why) => why.clone(),
            Status::NotAsked => "not asked for".to_owned(),
        },
        detail: report.detail.clone(),
    };
    Ok(Walls {
        policy_hash: readiness.policy_hash.clone(),
        layers: readiness.layers.iter().map(row).collect(),
    })
}

fn escape(options: &Options, context: &Context) -> Result<Escape> {
    let mut whole = MatrixOptions::whole();
    if options.quick {
        whole.configurations = vec![Configuration::all(), Configuration::product()];
    }
    let bar = context.progress("attempts", whole.attempts.len());
    let found = matrix(&whole, &mut |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let is_layer = |name: &str| Layer::ALL.iter().any(|layer| layer.name() == name);
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Reached => EscapeOutcome {
            fate: Fate::Reached,
            how: String::new(),
        },
        Outcome::Blocked(how) => EscapeOutcome {
            fate: Fate::Blocked,
            how: how.clone(),
        },
        Outcome::Untried(how) => EscapeOutcome {
            fate: Fate::Untried,
            how: how.clone(),
        },
    };
    let columns = found.configurations.iter().map(|configuration| EscapeColumn {
        name: configuration.name.clone(),
        whole: !is_layer(&configuration.name),
    });
    let rows = found.rows.iter().map(|row| EscapeRow {
        family: row.family.to_string(),
        name: row.name.to_owned(),
        what: row.what.to_owned(),
        not_testable: match &row.control {
            Outcome::Reached => None,
            Outcome::Blocked(why) | Outcome::Untried(why) => Some(why.clone()),
        },
        outcomes: row.outcomes.iter().map(outcome).collect(),
        walls: row.walls as u64,
    });
    Ok(Escape {
        columns: columns.collect(),
        rows: rows.collect(),
    })
}

fn hostile(options: &Options, context: &Context) -> Result<Hostile> {
    let bar = context.progress("hostile workers", options.trials as usize);
    let trial_options = TrialOptions {
        program: Program::Own,
        count: options.trials,
        seed: options.seed,
        confidence: CONFIDENCE,
    };
    let found = trials(&trial_options, &mut |done, _| bar.set_position(done.into()))?;
    bar.finish_and_clear();
    Ok(Hostile {
        trials: found.count.into(),
        hits: found.hits.into(),
        calls: found.calls,
        ended: (found.died + found.hung).into(),
        controls: (found.controls.0.into(), found.controls.1.into()),
        upper_bound: found.upper_bound,
    })
}

fn mistakes(subject: &Subject, options: &Options, context: &Context) -> Result<Accidents> {
    let bar = context.progress("mistakes", options.trials as usize);
    let accident_options = AccidentOptions {
        worker: &|policy| subject.worker(policy),
        stages: &work::STAGES,
        pictures: &subject.pictures,
        count: options.trials,
        seed: options.seed,
        confidence: CONFIDENCE,
    };
    let found = accidents(&accident_options, &mut |done, _| bar.set_position(done.into()))?;
    bar.finish_and_clear();
    let rows = found.mistakes.iter().map(|mistake| MistakeRow {
        name: mistake.name.to_owned(),
        what: mistake.what.to_owned(),
        controls: mistake.controls.into(),
        trials: mistake.trials.into(),
        hits: mistake.hits.into(),
        killed: mistake.killed.into(),
        answered: mistake.answered.into(),
    });
    Ok(Accidents {
        trials: found.count.into(),
        hits: found.hits.into(),
        killed: found.killed.into(),
        failed: found.failed.into(),
        answered: (found.answered.into(), found.right.into()),
        clean: (found.clean.0.into(), found.clean.1.into()),
        stages: found.stages.iter().map(|&stage| stage.to_owned()).collect(),
        mistakes: rows.collect(),
        upper_bound: found.upper_bound,
    })
}

fn channels(options: &Options, context: &Context) -> Result<Vec<CovertChannel>> {
    let spinner = context.spinner("channels that stay open");
    let found = covert::measure(
        &Program::Own,
        options.seed,
        if options.quick { SHORT_MESSAGE } else { MESSAGE },
    )?;
    spinner.finish_and_clear();
    let channel = |channel: covert::Channel| CovertChannel {
        name: channel.name.to_owned(),
        what: channel.what.to_owned(),
        setting: channel.setting,
        symbols: channel.symbols.into(),
        symbols_per_second: channel.symbols_per_second,
        bits_per_symbol: channel.bits_per_symbol,
        error_rate: channel.error_rate,
        bits_per_second: channel.bits_per_second,
    };
    Ok(found.into_iter().map(channel).collect())
}
