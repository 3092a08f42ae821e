//! Where the test kit is: real models that are not part of the repository.

use std::path::PathBuf;

/// The kit's folder: env `LOCKET_KIT`, else `../shared/kit` beside the repository. Says so and gives `None` if it is
/// missing.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kit");
    let folder = std::env::var_os("LOCKET_KIT").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no test kit at {} (set LOCKET_KIT)", folder.display());
    None
}

/// The models of the kit whose names end with `ending`, sorted.
pub(crate) fn models(ending: &str) -> Vec<PathBuf> {
    let Some(folder) = folder() else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder.join("models")).expect("the kit has models");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    paths.sort();
    paths
}
