//! The `locket` program: one file per sub-command.
//!
//! Results go to standard output, notes and progress to standard error. Whatever goes wrong is one line,
//! `error: …`, and exit code 1. A panic is a bug of ours and says so, in one line as well.
#![forbid(unsafe_code)]

mod arguments;
mod arithmetic;
mod budget;
mod commands;
mod context;
mod devices;
mod errors;
mod facts;
mod files;
mod findings;
mod isolation;
mod labelled;
mod log;
mod model;
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    expect(dead_code, reason = "only prove reads manifests")
)]
mod privacy_manifest;
mod signature;
mod steadiness;
mod surroundings;
mod tensors;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{Arc, Mutex},
};

use clap::Parser;
use locket_sandbox::Wipe;

use crate::{arguments::Arguments, context::Context};

/// What is given back is overwritten in workers and proofs, which are this program too. Elsewhere it would cost: loading a model frees
/// as much as it keeps.
#[global_allocator]
static ALLOCATOR: Wipe = Wipe::when_asked();

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    commands::serve_if_requested();
    locket::worker::run_if_requested();
    let bug = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&bug);
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(mut seen) = seen.lock() {
            // The first panic is the cause; later ones, on other threads, follow from it.
            if seen.is_empty() {
                *seen = panic.to_string();
            }
        }
    }));
    let code = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(code) => code,
        Err(_) => {
            let message = bug.lock().map(|seen| seen.clone()).unwrap_or_default();
            let message = errors::one_line(&message);
            errors::report(&format!(
                "this is a bug in locket, please report it with the command: {message}"
            ));
            1
        }
    };
    ExitCode::from(code)
}

fn run() -> u8 {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return errors::usage(&error),
    };
    let outcome = Context::new(&arguments.global).and_then(|context| arguments.command.run(&context));
    match outcome {
        Ok(code) => code,
        Err(error) if errors::is_broken_pipe(&error) => 0,
        Err(error) => {
            errors::report(&errors::chain(&error));
            1
        }
    }
}
