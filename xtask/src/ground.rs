//! What every measuring command stands on: the test kit, the program, the machine, and the page that is written.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Where the test kit is: `LOCKET_KIT`, or beside the repository.
pub(crate) fn kit(root: &Path) -> PathBuf {
    let beside = root.parent().unwrap_or(root).join("shared").join("kit");
    std::env::var_os("LOCKET_KIT").map_or(beside, PathBuf::from)
}

/// Builds the program and gives its path.
pub(crate) fn program(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(&cargo)
        .args(["build", "--release", "--quiet", "-p", "locket-cli"])
        .current_dir(root)
        .status()
        .context("cargo build")?;
    if !status.success() {
        bail!("cargo build --release -p locket-cli failed");
    }
    let metadata = crate::tidy::metadata(root)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata: no target directory")?;
    Ok(Path::new(target).join("release").join("locket"))
}

/// The processor, its cores, the system, and what it has for 8-bit kernels.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let has = |flag: &str| info.split_whitespace().any(|word| word == flag);
    let best = if has("amx_int8") {
        "AVX-512 VNNI and AMX"
    } else if has("avx512_vnni") {
        "AVX-512 VNNI"
    } else if has("avx2") {
        "AVX2"
    } else {
        "no AVX2"
    };
    format!("{name}, {cores} cores, {best}, {}", std::env::consts::OS)
}

/// Writes a page whole or not at all.
pub(crate) fn write_page(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&partial, text)?;
        fs::rename(&partial, path)
    };
    written().with_context(|| path.display().to_string())
}
