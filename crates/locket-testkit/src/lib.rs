//! Helpers for tests: the test kit's place, comparison with a named tolerance, programs of the machine.
//!
//! The kit holds real models and labelled data that are no part of the repository. It is looked for at `LOCKET_KIT`, else
//! at `../shared/kit` beside the repository; a test that needs it and does not find it says so and ends.
#![forbid(unsafe_code)]

mod compare;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Once,
};

pub use compare::{Difference, Tolerance, assert_close, difference};

/// The environment variable that names the folder of the kit.
pub const KIT_VARIABLE: &str = "LOCKET_KIT";

/// The folder of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folder of the test kit; says once on standard error that tests are skipped if there is none.
pub fn kit() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let named = std::env::var_os(KIT_VARIABLE).map(PathBuf::from);
    let folder = named.or_else(|| {
        repository()
            .parent()
            .map(|parent| parent.join("shared").join("kit"))
    });
    let found = folder.filter(|folder| folder.join("kit.json").is_file());
    if found.is_none() {
        SAID.call_once(|| say(&format!("skipped: no test kit (set {KIT_VARIABLE})")));
    }
    found
}

/// A Python that the environment variable `variable` names, such as one that has coremltools; `None`, and a line on
/// standard error, if there is none.
pub fn python(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| !path.as_os_str().is_empty());
    if found.is_none() {
        say(&format!("skipped: no Python at {variable}"));
    }
    found
}

/// Writes a line past the capture of the test harness, so that a skipped test is seen.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_found() {
        assert!(super::repository().join("Cargo.toml").is_file());
        assert!(super::repository().join("crates").join("locket-testkit").is_dir());
    }
}
