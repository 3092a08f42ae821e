//! `cargo xtask release` builds the programs so that their bytes depend on the sources and the compiler alone; `cargo xtask reproducible`
//! does so twice, in different folders, and compares.
//!
//! What would otherwise get in are paths: of the sources, of cargo's registry and of the compiler's library, in messages of panics and in
//! line tables. They cannot be taken out by a file in the repository, which knows none of them, so that this command gives them.

mod sections;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::ground;
use sections::first_difference;

/// Packages and programs of a release.
const PROGRAMS: [(&str, &str); 2] = [("locket-cli", "locket"), ("locket", "locket-worker")];
/// What a user's surroundings could change a build with.
const REMOVED: [&str; 9] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "CFLAGS",
    "CC",
    "RUSTC_WRAPPER",
];

/// Builds the programs of the working tree for a release and prints their hashes.
///
/// # Errors
///
/// If something does not build.
pub(crate) fn release(root: &Path) -> Result<()> {
    let metadata = crate::tidy::metadata(root)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata: no target directory")?;
    let target = Path::new(target).join("reproducible");
    for program in build(root, &target)? {
        let bytes = read(&program)?;
        writeln!(io::stdout(), "{}  {}", hash(&bytes), program.display())?;
    }
    Ok(())
}

/// Builds the last commit twice, in different folders, and compares the programs byte by byte.
///
/// # Errors
///
/// If something does not build, or differs.
pub(crate) fn run(root: &Path) -> Result<()> {
    let commit = git(root, &["rev-parse", "HEAD"])?;
    if !git(root, &["status", "--porcelain"])?.is_empty() {
        writeln!(io::stderr(), "note: what is not committed is not built")?;
    }
    let folder = Temporary::new()?;
    let mut built = Vec::new();
    // Paths of different length, so that one that gets in also moves what stands behind it.
    for place in ["one", "another/place"] {
        let sources = folder.0.join(place);
        clone(root, &commit, &sources)?;
        writeln!(io::stderr(), "building in {}", sources.display())?;
        built.push(build(&sources, &sources.join("target"))?);
    }
    writeln!(
        io::stdout(),
        "commit {commit}, {}, {}",
        compiler()?,
        ground::machine()
    )?;
    let mut different = 0;
    for (first, second) in built[0].iter().zip(&built[1]) {
        let (one, other) = (read(first)?, read(second)?);
        let name = first.file_name().unwrap_or_default().to_string_lossy();
        let (hashes, bytes) = ((hash(&one), hash(&other)), one.len());
        match first_difference(&one, &other) {
            None => writeln!(
                io::stdout(),
                "{name}: the same {bytes} bytes twice, SHA-256 {}",
                hashes.0
            )?,
            Some(place) => {
                different += 1;
                writeln!(
                    io::stdout(),
                    "{name}: differs first in {place}: {} and {}",
                    hashes.0,
                    hashes.1
                )?;
            }
        }
    }
    if different > 0 {
        bail!(
            "{different} of {} programs depend on where they are built",
            PROGRAMS.len()
        );
    }
    Ok(())
}

/// A folder that is removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("locket-reproducible-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Left behind, it costs nothing but room.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn clone(root: &Path, commit: &str, to: &Path) -> Result<()> {
    let (from, place) = (root.display().to_string(), to.display().to_string());
    git(root, &["clone", "--quiet", "--no-checkout", &from, &place])?;
    git(to, &["checkout", "--quiet", "--detach", commit]).map(drop)
}

/// Builds a release of some sources and gives the programs, in the order of [`PROGRAMS`].
fn build(sources: &Path, target: &Path) -> Result<Vec<PathBuf>> {
    let maps = path_maps(sources)?;
    let rust_flags: Vec<String> = maps
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={from}={to}"))
        .collect();
    let c_flags: Vec<String> = maps
        .iter()
        .map(|(from, to)| format!("-ffile-prefix-map={from}={to}"))
        .collect();
    let mut command = Command::new(cargo());
    command
        .args(["build", "--release", "--locked"])
        .current_dir(sources);
    for (package, program) in PROGRAMS {
        command.args(["--package", package, "--bin", program]);
    }
    for name in REMOVED {
        command.env_remove(name);
    }
    // Inherited from the cargo that runs this: it would overrule the flags.
    command
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags.join("\u{1f}"))
        .env("CFLAGS", c_flags.join(" "))
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", git(sources, &["log", "-1", "--format=%ct"])?)
        .env("TZ", "UTC")
        .env("LC_ALL", "C");
    let status = command.status().context("cargo build")?;
    if !status.success() {
        bail!("cargo build --release failed in {}", sources.display());
    }
    let programs = PROGRAMS.map(|(_, program)| target.join("release").join(program));
    Ok(programs.to_vec())
}

/// Folders of this machine and what stands for them in the programs. The later of two that fit counts, for the compiler.
fn path_maps(sources: &Path) -> Result<Vec<(String, String)>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::home_dir()?;
        Some(home.join(".cargo"))
    });
    let home = home.context("no home folder and no CARGO_HOME")?;
    let verbose = output(Command::new(rustc()).arg("-vV"), "rustc -vV")?;
    let commit = verbose
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .context("rustc -vV: no commit-hash")?;
    let sysroot = output(
        Command::new(rustc()).args(["--print", "sysroot"]),
        "rustc --print sysroot",
    )?;
    // Where the library's sources are installed, the compiler names them; otherwise it names this.
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust");
    let text = |path: &Path| path.display().to_string();
    Ok(vec![
        (text(&home), "/cargo".to_owned()),
        (text(&library), format!("/rustc/{commit}")),
        (text(sources), "/locket".to_owned()),
    ])
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())
}

fn compiler() -> Result<String> {
    output(Command::new(rustc()).arg("--version"), "rustc --version")
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let what = format!("git {}", arguments.join(" "));
    output(Command::new("git").args(arguments).current_dir(folder), &what)
}

/// What a program prints, without blanks at its ends.
fn output(command: &mut Command, what: &str) -> Result<String> {
    let output = command.output().with_context(|| what.to_owned())?;
    if !output.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
