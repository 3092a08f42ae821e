//! `locket prove` where there is a sandbox: as this user, and started as root as another one too.

mod broker;
mod print;
mod residue;
mod subject;
mod tried;
mod user;
mod work;

use std::{fs, path::Path, time::Instant};

use anyhow::{Context as _, Result};
use locket_report::{
    proof::{CATEGORIES, CategoryImports, Imports, Manifest, Proof, ProofRun},
    proof_html,
};
use locket_sandbox::{Policy, STRICT_HASH, Wipe, attempts, covert, imports, trials, worker};

use self::subject::{Named, Subject};
use super::{Options, Part};
use crate::{context::Context, privacy_manifest, surroundings};

/// Confidence of every bound.
const CONFIDENCE: f64 = 0.99;
/// What opens, accepts or names a connection, or looks a name up.
const NETWORK_FUNCTIONS: [&str; 12] = [
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "sendto",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_r",
    "res_query",
    "getifaddrs",
];
/// What no wall stops.
const OPEN: [&str; 8] = [
    "The answer itself goes to whoever asked: what it says of a picture is not judged here, but by locket leakage.",
    "Time, length of the reply and size of the memory can carry bits; the table says how many.",
    "A fault of the kernel could open every wall; two or more stand in the way of most attempts, but they are all the kernel's.",
    "Processor time, context switches and faults of pages are shown by /proc to every process; caches and power are shared by all.",
    "A process of the same user can read the memory of a worker that it started, as it can read the broker's.",
    "Some attempts are stopped by a single layer: the rows of the matrix with 1 in the last column.",
    "The program that asks has the pictures as well; what it does with them is its own affair.",
    "Swap: a worker's memory may be written to it under pressure, unless the system has none or encrypts it.",
];

/// Becomes a worker of a proof, if this process was started as one.
pub(crate) fn serve_if_requested() {
    if !worker::requested() {
        return;
    }
    Wipe::ask();
    match worker::role().as_str() {
        attempts::ROLE => attempts::serve(),
        trials::ROLE => trials::serve(),
        covert::ROLE => covert::serve(),
        work::ROLE => work::serve(),
        _ => {}
    }
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    Wipe::ask();
    match options.part {
        Some(Part::Broker) => broker::serve(),
        Some(Part::Again) => {
            let subject = Subject::receive(&mut std::io::stdin().lock()).context("reading standard input")?;
            let run = tried::everything(&subject, options, context)?;
            context.print(&run.to_json())?;
            Ok(0)
        }
        None => prove(options, context),
    }
}

fn prove(options: &Options, context: &Context) -> Result<u8> {
    let started = Instant::now();
    let manifest = options
        .manifest
        .as_deref()
        .map(privacy_manifest::read)
        .transpose()?;
    fs::create_dir_all(&options.output).with_context(|| format!("creating {}", options.output.display()))?;
    let Named {
        subject,
        model,
        pictures,
        remarks,
    } = Named::read(options, context)?;
    let mut runs: Vec<ProofRun> = vec![tried::everything(&subject, options, context)?];
    let mut not_measured = remarks;
    if rustix::process::geteuid().is_root() {
        runs.push(user::everything_as_nobody(&subject, options, context)?);
    } else {
        not_measured.push("Started as an ordinary user, so that nothing was tried as root.".to_owned());
    }
    if options.quick {
        not_measured.push("What each layer stops alone: left out by --quick.".to_owned());
    }
    not_measured.push(
        "Attackers who choose what they do next by what they see; other kernels and machines than this one."
            .to_owned(),
    );
    let imported = own_imports()?;
    let proof = Proof {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        date: surroundings::date(),
        command_line: surroundings::command_line(),
        machine: surroundings::machine(),
        model,
        pictures,
        confidence: CONFIDENCE,
        seed: options.seed,
        policy_text: Policy::strict().text(),
        policy_hash: STRICT_HASH.to_owned(),
        imports: network_imports(&imported),
        manifest: manifest.map(|manifest| Manifest {
            imports: category_imports(&imported),
            ..manifest
        }),
        runs,
        open: OPEN.map(str::to_owned).to_vec(),
        not_measured,
        ..Proof::default()
    };
    write(&options.output.join("prove.json"), &proof.to_json())?;
    write(&options.output.join("prove.html"), &proof_html(&proof))?;
    if context.json {
        context.print_json(&print::Outcome::of(&proof))?;
    } else {
        context.print(&print::text(&proof, context))?;
        context.note(&format!(
            "{} and prove.html written in {:.1} s",
            options.output.join("prove.json").display(),
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(u8::from(!proof.holds()))
}

fn own_imports() -> Result<Vec<String>> {
    let program = fs::read("/proc/self/exe").context("reading the running program")?;
    Ok(imports(&program).unwrap_or_default())
}

/// Those of some names that are imported.
fn found(names: &[&str], imported: &[String]) -> Vec<String> {
    let is_one = |name: &&&str| imported.iter().any(|found| found == *name);
    names
        .iter()
        .filter(is_one)
        .map(|name| (*name).to_owned())
        .collect()
}

fn network_imports(imported: &[String]) -> Imports {
    Imports {
        all: imported.len() as u64,
        looked_for: NETWORK_FUNCTIONS.map(str::to_owned).to_vec(),
        found: found(&NETWORK_FUNCTIONS, imported),
    }
}

fn category_imports(imported: &[String]) -> Vec<CategoryImports> {
    let of = |category: &locket_report::proof::Category| CategoryImports {
        category: category.name.to_owned(),
        found: found(category.functions, imported),
    };
    CATEGORIES.iter().map(of).collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("writing {}", path.display()))
}
