//! Where the test kit is: real models that are not part of the repository.

use std::path::PathBuf;

/// The models of the kit whose names end with `ending`, sorted.
pub(crate) fn models(ending: &str) -> Vec<PathBuf> {
    let Some(folder) = locket_testkit::kit() else {
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
