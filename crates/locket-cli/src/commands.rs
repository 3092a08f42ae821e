//! The commands: one file each, and one line each in the list below.

use anyhow::Result;

use crate::context::Context;

mod bench;
mod check;
mod compile;
mod completions;
mod compress;
mod convert;
mod demo;
mod devices;
mod eval;
mod hwbench;
mod inspect;
mod leakage;
mod log;
mod man;
mod optimize;
mod profile;
mod prove;
mod run;
mod sign;
mod verify;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use prove::serve_if_requested;

/// Makes the sub-commands: each module has `Options`, whose documentation is the help, and `run`, which gives the exit code.
macro_rules! commands {
    ($($name:ident: $module:ident,)*) => {
        /// A command with its options.
        #[derive(Debug, clap::Subcommand)]
        pub(crate) enum Command {
            $($name($module::Options),)*
        }

        impl Command {
            /// Runs the command and gives its exit code.
            ///
            /// # Errors
            ///
            /// Whatever keeps it from giving a result.
            pub(crate) fn run(&self, context: &Context) -> Result<u8> {
                match self {
                    $(Self::$name(options) => $module::run(options, context),)*
                }
            }
        }
    };
}

commands! {
    Inspect: inspect,
    Check: check,
    Convert: convert,
    Compile: compile,
    Run: run,
    Eval: eval,
    Profile: profile,
    Bench: bench,
    Hwbench: hwbench,
    Compress: compress,
    Optimize: optimize,
    Leakage: leakage,
    Prove: prove,
    Sign: sign,
    Verify: verify,
    Log: log,
    Demo: demo,
    Devices: devices,
    Completions: completions,
    Man: man,
}
