//! The same once more as a user without rights.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use locket_report::proof::ProofRun;

use super::{super::Options, subject::Subject};
use crate::{context::Context, errors};

/// The user that owns nothing.
const NOBODY: u32 = 65534;

/// Tries everything in a child process that is nobody. It is handed the subject through a pipe: no file of it is opened to others.
pub(super) fn everything_as_nobody(
    subject: &Subject,
    options: &Options,
    context: &Context,
) -> Result<ProofRun> {
    context.note("once more as an ordinary user");
    // The folder that the program lies in may be closed to others.
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let program = folder.path().join("locket");
    let open = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    fs::copy("/proc/self/exe", &program)
        .and_then(|_| open(&program))
        .and_then(|()| open(folder.path()))
        .context("copying the program")?;
    let mut command = Command::new(&program);
    command
        .args(["prove", "--part", "again"])
        .args(["--trials", &options.trials.to_string()])
        .args(["--residue", &options.residue.to_string()])
        .args(["--seed", &options.seed.to_string()]);
    if options.quick {
        command.arg("--quick");
    }
    let mut child = command
        .env_clear()
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting as another user")?;
    // Dropped at the end of the statement, which closes the pipe. If the child is gone, its own words say more than this error.
    let sent = child.stdin.take().map(|mut to| subject.send(&mut to));
    let output = child
        .wait_with_output()
        .context("waiting for the run as another user")?;
    if !output.status.success() {
        let said = errors::one_line(&String::from_utf8_lossy(&output.stderr));
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        bail!(
            "as user {NOBODY}: {}",
            if said.is_empty() {
                "it ended without a word"
            } else {
                said
            }
        );
    }
    if let Some(sent) = sent {
        sent.context("telling the run as another user what to work on")?;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    ProofRun::from_json(text.trim()).context("the run as another user gave no proof")
}
