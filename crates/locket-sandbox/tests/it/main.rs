//! The boundary, with workers that break every rule.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod accidents;
mod covert;
mod due;
mod failures;
mod lockdown;
mod nobody;
mod policy;
mod residue;
mod trials;
mod walls;
mod wiping;

use std::{path::Path, time::Duration};

use locket_sandbox::{Broker, Options, Program, WorkerCommand};

/// Long enough for a machine that does other things, for waits that are expected to succeed.
const PATIENCE: Duration = Duration::from_secs(20);
/// For waits that are expected to fail.
const SHORT: Duration = Duration::from_millis(60);

fn options() -> Options {
    Options {
        request_bytes: 8 << 10,
        reply_bytes: 8 << 10,
        memory_bytes: 256 << 20,
        ready_within: PATIENCE,
        ..Options::default()
    }
}

/// The environment variable that names another copy of the worker's program.
const PROBE: &str = "LOCKET_SANDBOX_PROBE";

fn program() -> Program {
    let built = || Path::new(env!("CARGO_BIN_EXE_locket-sandbox-probe")).to_owned();
    Program::Path(std::env::var_os(PROBE).map_or_else(built, Into::into))
}

fn probe(role: &str, options: Options) -> WorkerCommand {
    WorkerCommand::new(program(), role, options)
}

fn start(options: Options) -> Broker {
    Broker::start(probe("misbehave", options)).expect("a worker starts")
}
