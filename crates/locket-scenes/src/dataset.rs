//! Writes scenes as a labelled data set: pictures and labels as `.npy`, captions as CSV, class names as text.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::attributes::CLASSES;
use crate::render::MAX_SIZE;
use crate::scene::Scene;

/// A named part of the bundled data. Parts have different seeds, so they share no scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For choosing between trained models; nothing that is reported is measured on it.
    Validation,
    /// For calibrating quantisation.
    Calib,
    /// For measuring.
    Dev,
}

impl Split {
    /// Every split.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Calib, Self::Dev];

    /// The split's name, also the usual name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Calib => "calib",
            Self::Dev => "dev",
        }
    }

    /// The seed of the split's scenes.
    pub fn seed(self) -> u64 {
        match self {
            Self::Train => 0x7261_696e,
            Self::Validation => 0x7661_6c69,
            Self::Calib => 0x6361_6c69,
            Self::Dev => 0x0064_6576,
        }
    }
}

/// Scenes rendered between two calls of `progress`.
const BATCH: u64 = 64;

/// Writes the scenes `range` of the data set `seed` into the folder `dir`, which is made if it is not there.
///
/// Files: `x.npy` uint8 `[n, size, size, 3]`, `y.npy` int32 `[n]`, `labels.csv` with the columns path, label and
/// caption (the path of scene 123 is `scene-000123`), and `classes.txt`, one name a line. Each file is written
/// under another name first, so a file with its final name is whole. `progress` gets the number of scenes done
/// and the number of all, at least once per 64 scenes.
///
/// # Errors
/// If the range is empty or too long, if `size` is not in `1..=`[`MAX_SIZE`], or if a file cannot be written.
pub fn write_dataset(
    dir: &Path,
    seed: u64,
    range: Range<u64>,
    size: usize,
    mut progress: impl FnMut(u64, u64),
) -> io::Result<()> {
    let count = checked_count(&range, size)?;
    fs::create_dir_all(dir).map_err(|error| in_file(dir, &error))?;
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8)) as u64;
    replace(dir, "x.npy", |file| {
        file.write_all(&npy_header("|u1", &format!("({count}, {size}, {size}, 3)")))?;
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start.saturating_add(BATCH));
            for picture in render_batch(seed, start..end, size, threads) {
                file.write_all(&picture)?;
            }
            progress(end - range.start, count);
            start = end;
        }
        Ok(())
    })?;
    replace(dir, "y.npy", |file| {
        file.write_all(&npy_header("<i4", &format!("({count},)")))?;
        for index in range.clone() {
            file.write_all(&(Scene::sample(seed, index).label() as i32).to_le_bytes())?;
        }
        Ok(())
    })?;
    replace(dir, "labels.csv", |file| {
        file.write_all(b"path,label,caption\n")?;
        for index in range.clone() {
            let scene = Scene::sample(seed, index);
            // A caption can hold a comma, never a quotation mark or a line break.
            writeln!(file, "scene-{index:06},{},\"{}\"", scene.label(), scene.caption())?;
        }
        Ok(())
    })?;
    replace(dir, "classes.txt", |file| {
        for name in CLASSES {
            writeln!(file, "{name}")?;
        }
        Ok(())
    })
}

fn checked_count(range: &Range<u64>, size: usize) -> io::Result<u64> {
    let refuse = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    if range.start >= range.end {
        return refuse(format!(
            "expected a range with scenes in it, found {}..{}",
            range.start, range.end
        ));
    }
    if !(1..=MAX_SIZE).contains(&size) {
        return refuse(format!(
            "expected a picture size of 1 to {MAX_SIZE} pixels, found {size}"
        ));
    }
    Ok(range.end - range.start)
}

/// Renders scenes on several threads, and gives them back in order.
fn render_batch(seed: u64, range: Range<u64>, size: usize, threads: u64) -> Vec<Vec<u8>> {
    let share = (range.end - range.start).div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut parts = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let part = start..range.end.min(start.saturating_add(share));
            start = part.end;
            parts.push(scope.spawn(move || {
                part.map(|index| Scene::sample(seed, index).render(size))
                    .collect::<Vec<_>>()
            }));
        }
        parts
            .into_iter()
            .flat_map(|part| part.join().expect("rendering a valid size does not panic"))
            .collect()
    })
}

/// The head of a version 1.0 `.npy` file, padded so that the data starts at a multiple of 64 bytes.
fn npy_header(dtype: &str, shape: &str) -> Vec<u8> {
    let mut text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    let unpadded = 10 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

/// Writes a file under a temporary name beside its place, then moves it there.
fn replace(
    dir: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let (temporary, place): (PathBuf, PathBuf) = (dir.join(format!("{name}.partial")), dir.join(name));
    let written = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(&mut file)?;
        file.flush()
    });
    written
        .and_then(|()| fs::rename(&temporary, &place))
        .map_err(|error| {
            // The first error is the one to tell; a leftover that cannot be removed adds nothing.
            let _ = fs::remove_file(&temporary);
            in_file(&place, &error)
        })
}

fn in_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
}
