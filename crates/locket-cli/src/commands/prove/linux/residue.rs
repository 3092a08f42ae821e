//! What is left of pictures after their requests, in the worker, in the broker, and in files.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use locket_report::proof::{Residue, ResiduePlace};
use locket_sandbox::{
    Broker, Policy,
    residue::{Windows, scan},
};

use super::{
    broker::{Handling, Process},
    subject::Subject,
    work,
};
use crate::context::Context;

/// Looks after each of `count` pictures; they are taken again from the front if there are fewer.
///
/// Who looks is neither the broker nor the worker, and has the pixels from a third process, so that nothing it knows lies where it looks.
pub(super) fn look(subject: &Subject, count: u32, context: &Context) -> Result<Residue> {
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let mut process = Process::start(subject, folder.path())?;
    let mut reference = Broker::start(subject.worker(Policy::strict())?)?;
    let mut found = Residue {
        pictures: count.into(),
        windows: 0,
        places: [
            (
                "worker",
                "all memory that it can write, once it waits for the next request",
            ),
            ("broker", "all memory that it can write"),
            ("files", "the broker's folders, of work and of temporary files"),
        ]
        .map(|(name, what)| ResiduePlace {
            name: name.to_owned(),
            what: what.to_owned(),
            ..ResiduePlace::default()
        })
        .to_vec(),
    };
    let pictures = subject.pictures.iter().cycle();
    let bar = context.progress("residue", count as usize);
    for picture in pictures.take(count as usize) {
        let windows = windows(&mut reference, picture)?;
        found.windows += windows.len() as u64;
        let worker = process.ask(picture, Handling::Discard)?;
        wait_for_rest(worker)?;
        let places = [
            memory(worker, &windows)?,
            memory(process.pid(), &windows)?,
            files(folder.path(), &windows).context("looking through files")?,
        ];
        for (place, (windows, scanned)) in found.places.iter_mut().zip(places) {
            place.found += windows;
            place.scanned_bytes += scanned;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    // The controls: the same pictures, kept.
    let picture = subject.pictures.first().context("a picture")?;
    let windows = windows(&mut reference, picture)?;
    let worker = process.ask(picture, Handling::KeepInWorker)?;
    found.places[0].control = memory(worker, &windows)?.0;
    process.ask(picture, Handling::KeepInBroker)?;
    found.places[1].control = memory(process.pid(), &windows)?.0;
    process.ask(picture, Handling::KeepInFile)?;
    found.places[2].control = files(folder.path(), &windows).context("looking through files")?.0;
    Ok(found)
}

/// Windows of the file, of its pixels and of the model's input.
fn windows(reference: &mut Broker, picture: &[u8]) -> Result<Windows> {
    let reply = reference.request(work::SHOW, &[picture], work::WITHIN)?;
    let mut content = work::spread(picture);
    content.extend(reply.bytes);
    Ok(Windows::of(&content))
}

/// Longest time until a worker has discarded what it worked on, which it does while its answer is on the way.
const DISCARDED_WITHIN: Duration = Duration::from_secs(1);

/// Waits until a process waits itself: a worker does so for the next request, when nothing of the last one is left to discard.
fn wait_for_rest(pid: i32) -> Result<()> {
    let started = Instant::now();
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the state of a worker")?;
        // The name before it can hold anything, also spaces and parentheses.
        let state = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().next());
        if state == Some("S") {
            return Ok(());
        }
        if started.elapsed() > DISCARDED_WITHIN {
            bail!("the worker is not at rest after {} s", DISCARDED_WITHIN.as_secs());
        }
        std::thread::yield_now();
    }
}

/// Windows found in a process, and bytes looked through.
fn memory(pid: i32, windows: &Windows) -> Result<(u64, u64)> {
    let residue = scan(pid, windows, &[]).with_context(|| format!("reading the memory of process {pid}"))?;
    Ok((residue.places, residue.scanned_bytes))
}

/// Windows found in the files of a folder, and bytes looked through.
fn files(folder: &Path, windows: &Windows) -> io::Result<(u64, u64)> {
    let (mut found, mut scanned) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (more, bytes) = if entry.file_type()?.is_dir() {
            files(&entry.path(), windows)?
        } else {
            let content = fs::read(entry.path())?;
            (windows.count(&content), content.len() as u64)
        };
        found += more;
        scanned += bytes;
    }
    Ok((found, scanned))
}
