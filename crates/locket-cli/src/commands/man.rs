//! `locket man`: manual pages.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use crate::{arguments::Arguments, context::Context};

/// Prints the manual page, or writes one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket man | man -l -")]
pub(crate) struct Options {
    /// Writes locket.1 and a page for each command to this folder instead
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let command = Arguments::command();
    let Some(folder) = &options.output_dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        context.print(&String::from_utf8_lossy(&page))?;
        return Ok(0);
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    clap_mangen::generate_to(command, folder).with_context(|| folder.display().to_string())?;
    Ok(0)
}
