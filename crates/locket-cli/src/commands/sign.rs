//! `locket sign`: a signature over a model's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use locket_report::units;
use serde::Serialize;

use crate::{context::Context, signature};

/// Signs a model: names, sizes and hashes of all its files, with a key of your own
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: locket sign model.mlpackage --key my.key   (the key: locket sign --new-key my.key)"
)]
pub(crate) struct Options {
    /// A file or a folder
    #[arg(required_unless_present = "new_key")]
    model: Option<PathBuf>,
    /// The secret key
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,
    /// Makes a key: the secret one in FILE, the public one in FILE.pub
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "model", "output"])]
    new_key: Option<PathBuf>,
    /// Where the signature goes; beside the model, with .locket-sig at its end, if not given
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    public_key: String,
    file: String,
    files: usize,
    bytes: u64,
}

/// The usual place of a signature.
pub(super) fn place(model: &Path) -> PathBuf {
    // Without the slash that shells put behind folders.
    let mut name = model.components().as_path().as_os_str().to_owned();
    name.push(".locket-sig");
    PathBuf::from(name)
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let outcome = match (&options.new_key, &options.model, &options.key) {
        (Some(secret), ..) => new_key(secret)?,
        (None, Some(model), Some(key)) => sign(model, key, options.output.as_deref())?,
        _ => bail!("expected a model and --key, or --new-key"),
    };
    if context.json {
        context.print_json(&outcome)?;
    } else if outcome.files == 0 {
        context.print(&format!("{}: public key {}\n", outcome.file, outcome.public_key))?;
    } else {
        let (files, bytes) = (outcome.files, units::bytes(outcome.bytes));
        context.print(&format!(
            "{}: {files} files, {bytes}, signed with {}\n",
            outcome.file, outcome.public_key
        ))?;
    }
    Ok(0)
}

fn new_key(secret: &Path) -> Result<Outcome> {
    let mut public = secret.as_os_str().to_owned();
    public.push(".pub");
    let key = signature::make_key(secret, Path::new(&public))?;
    Ok(Outcome {
        public_key: signature::hex(key.verifying_key().as_bytes()),
        file: Path::new(&public).display().to_string(),
        files: 0,
        bytes: 0,
    })
}

fn sign(model: &Path, key: &Path, output: Option<&Path>) -> Result<Outcome> {
    let key = signature::secret_key(key)?;
    let output = output.map_or_else(|| place(model), Path::to_owned);
    if model.is_dir() && output.starts_with(model) {
        bail!(
            "{}: expected a place outside the folder that is signed",
            output.display()
        );
    }
    let entries = signature::entries(model)?;
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, signature::sign(&entries, &key))
        .and_then(|()| fs::rename(&partial, &output))
        .with_context(|| format!("writing {}", output.display()))?;
    Ok(Outcome {
        public_key: signature::hex(key.verifying_key().as_bytes()),
        file: output.display().to_string(),
        files: entries.len(),
        bytes: entries.values().map(|entry| entry.bytes).sum(),
    })
}
