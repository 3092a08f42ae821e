//! A worker for programs that are none themselves: what `ModelConfiguration::worker` may name. Whatever it gives back to the allocator
//! is overwritten.
#![forbid(unsafe_code)]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use locket_sandbox::Wipe;

#[global_allocator]
static ALLOCATOR: Wipe = Wipe::new();

fn main() -> ExitCode {
    locket::worker::run_if_requested();
    // With the error stream closed there is nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "error: this program is started by Locket, as the worker of another one"
    );
    ExitCode::from(2)
}
