//! Everything once more as a user without rights, when the tests run as root.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use super::PROBE;

/// A user that owns nothing; not the one that a worker of root becomes.
const NOBODY: u32 = 65533;

#[test]
fn all_tests_pass_as_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the tests run as an ordinary user already");
        return;
    }
    // The folder of the build may be closed to others.
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: &Path, name: &str| {
        let to = folder.path().join(name);
        fs::copy(from, &to).expect("copied");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("open to all");
        to
    };
    let tests = copy(&std::env::current_exe().expect("a path"), "tests");
    let probe = copy(Path::new(env!("CARGO_BIN_EXE_locket-sandbox-probe")), "probe");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
    let output = Command::new(tests)
        .env(PROBE, probe)
        .env("RUST_BACKTRACE", "0")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("the tests start");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("test result: ok"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
