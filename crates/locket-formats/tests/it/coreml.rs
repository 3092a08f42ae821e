//! Core ML packages, from files and back.

mod kit;

use std::path::PathBuf;

/// Where the test kit is; `None` if there is none, which is then said.
fn kit() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kit");
    let path = std::env::var_os("LOCKET_KIT").map_or_else(beside, PathBuf::from);
    if path.join("models").is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no test kit at {} (set LOCKET_KIT)", path.display());
    None
}
