//! A program that uses the library as any other does, in a process of its own, which is looked at from outside for what it and the
//! worker of its model leave of pictures. Only the control in the worker is asked of prove's own worker: the library's keeps nothing.
//!
//! Messages, little-endian: the subject without pictures, then the largest picture as u64; after that requests of a u32 kind, a u64 length
//! and the bytes, each answered by a u32 with the worker's process and a u32 kind of reply.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};
use locket::{Isolation, Model, ModelConfiguration};
use locket_data::Preprocess;
use locket_sandbox::{Broker, Policy, wipe_slice};

use super::{subject::Subject, work};

/// The picture is to be kept in the broker on purpose.
const KEEP_HERE: u32 = 100;
/// It is to be kept in a temporary file on purpose.
const KEEP_FILE: u32 = 101;
/// The file, in the folder of temporary files.
const FILE: &str = "kept";

/// What is done with a picture beside working on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// Nothing: the product.
    Discard,
    /// The worker keeps it until the next request.
    KeepInWorker,
    /// The broker does.
    KeepInBroker,
    /// The broker writes it into a temporary file.
    KeepInFile,
}

/// The other side: a running broker.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Process {
    /// Starts it in a folder of its own.
    pub(super) fn start(subject: &Subject, folder: &Path) -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg0("locket")
            .args(["prove", "--part", "broker"])
            .env_clear()
            .env("TMPDIR", folder)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting a broker")?;
        let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a broker without pipes");
        };
        let without_pictures = Subject {
            model: subject.model.clone(),
            recipe: subject.recipe.clone(),
            pictures: Vec::new(),
        };
        let largest = subject.pictures.iter().map(Vec::len).max().unwrap_or(0) as u64;
        without_pictures
            .send(&mut to)
            .and_then(|()| to.write_all(&largest.to_le_bytes()))
            .context("telling a broker what to work with")?;
        Ok(Self { child, to, from })
    }

    /// The broker's process.
    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Has a picture worked on; the process of its worker.
    pub(super) fn ask(&mut self, picture: &[u8], handling: Handling) -> Result<i32> {
        let kind = match handling {
            Handling::Discard => work::PICTURE,
            Handling::KeepInWorker => work::KEEP,
            Handling::KeepInBroker => KEEP_HERE,
            Handling::KeepInFile => KEEP_FILE,
        };
        let mut answer = [0; 8];
        self.to
            .write_all(&kind.to_le_bytes())
            .and_then(|()| self.to.write_all(&(picture.len() as u64).to_le_bytes()))
            .and_then(|()| self.to.write_all(picture))
            .and_then(|()| self.from.read_exact(&mut answer))
            .context("asking a broker")?;
        let [pid, kind] =
            [0, 4].map(|at| u32::from_le_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]));
        if kind != work::ANSWERED {
            bail!("the worker of a broker refused a picture that it had taken before");
        }
        Ok(pid.cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This side: serves until the pipe is closed.
pub(super) fn serve() -> Result<u8> {
    // Unbuffered, because a buffer of the library would keep what went through it.
    let file = |descriptor: std::os::fd::BorrowedFd<'_>| descriptor.try_clone_to_owned().map(File::from);
    let mut from = file(io::stdin().as_fd())?;
    let mut to = file(io::stdout().as_fd())?;
    let mut subject = Subject::receive(&mut from).context("what to work with")?;
    let largest = number(&mut from)?;
    let mut model = load(&subject)?;
    let mut keeper = None;
    let mut picture = Vec::new();
    let mut kept = Vec::new();
    loop {
        let mut kind = [0; 4];
        if from.read_exact(&mut kind).is_err() {
            return Ok(0);
        }
        let kind = u32::from_le_bytes(kind);
        picture.resize(number(&mut from)? as usize, 0);
        from.read_exact(&mut picture)?;
        kept.clear();
        let _ = fs::remove_file(std::env::temp_dir().join(FILE));
        match kind {
            KEEP_HERE => kept = vec![picture.clone()],
            KEEP_FILE => fs::write(std::env::temp_dir().join(FILE), &picture)?,
            _ => {}
        }
        let (answered, pid) = if kind == work::KEEP {
            // Room is made for the largest.
            subject.pictures = vec![vec![0; largest as usize]];
            let keeper = match &mut keeper {
                Some(keeper) => keeper,
                none => none.insert(Broker::start(subject.worker(Policy::strict())?)?),
            };
            let kind = keeper.request(work::KEEP, &[&picture], work::WITHIN)?.kind;
            (kind == work::ANSWERED, keeper.pid())
        } else {
            (model.predict_image(&picture).is_ok(), model.worker_process())
        };
        wipe_slice(&mut picture);
        std::hint::black_box(&kept);
        let pid = pid.unwrap_or(0).cast_unsigned();
        let kind = if answered { work::ANSWERED } else { 0 };
        to.write_all(&[pid.to_le_bytes(), kind.to_le_bytes()].concat())?;
    }
}

/// The subject's model as the library loads it, in a worker.
fn load(subject: &Subject) -> Result<Model> {
    let path = std::env::temp_dir().join("model");
    fs::write(&path, &subject.model)?;
    let recipe = std::str::from_utf8(&subject.recipe)?;
    let configuration = ModelConfiguration {
        threads: Some(1),
        preprocess: Some(Preprocess::parse(recipe).map_err(|problem| anyhow!("{problem}"))?),
        isolation: Isolation::Worker,
        ..ModelConfiguration::default()
    };
    Ok(Model::load(&path, &configuration)?)
}

fn number(from: &mut File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
