//! `locket completions`: completions for a shell.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{arguments::Arguments, context::Context};

/// Prints completions for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: locket completions bash > ~/.local/share/bash-completion/completions/locket"
)]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let mut text = Vec::new();
    generate(options.shell, &mut Arguments::command(), "locket", &mut text);
    context.print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}
