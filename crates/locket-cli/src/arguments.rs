//! The command line: what every command understands, and the list of commands.

use clap::{Args, Parser};

use crate::commands::Command;

/// Puts a trained model on a device, and proves that it fits, is right, and leaks nothing.
#[derive(Debug, Parser)]
#[command(
    name = "locket",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    after_help = "Example: locket inspect model.onnx"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Prints one JSON object on standard output instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads that may be used; as many as there are cores if not given
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Instruction set of the kernels: scalar, avx2, avx512 or amx; the best of this machine if not given
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) isa: Option<String>,
    /// Computes every tensor as a whole: no chains of convolutions that run strip by strip
    #[arg(long, global = true)]
    pub(crate) no_depth_first: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Arguments::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let example = format!("locket {}", command.get_name());
            assert!(help.contains(&example), "{}: {help:?}", command.get_name());
        }
    }
}
