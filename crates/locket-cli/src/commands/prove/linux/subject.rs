//! What is proved on: a model, its recipe, and pictures, all in memory, so that another user needs no right to a file.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use locket_sandbox::{Policy, WorkerCommand};
use locket_scenes::{Scene, Split};

use super::{super::Options, work};
use crate::context::Context;

const MODEL: &[u8] = include_bytes!("../../../../../../models/scenes_mobilenet.onnx");
/// The bundled recipe for pictures of any size; it leaves those of the bundled size as they are.
const RECIPE: &str = concat!(
    include_str!("../../../../../../models/scenes_mobilenet.preprocess.toml"),
    "resize_short_side = 64\ncenter_crop = 64\n"
);

/// Side of a drawn scene, in pixels.
const SIDE: u32 = 64;
/// Scenes that are drawn at least.
const SCENES: u64 = 64;
/// Bytes of all pictures together: they are held in memory.
const MOST_BYTES: usize = 256 << 20;
/// Bytes of one picture.
const MOST_PICTURE: u64 = 32 << 20;
/// Most pictures that are taken of a folder, and folders that are gone down.
const MOST_PICTURES: usize = 4096;
const DEPTH: u32 = 8;

/// A model, its recipe, and pictures as files hold them.
#[derive(Debug, Default)]
pub(super) struct Subject {
    /// ONNX or TFLite.
    pub(super) model: Vec<u8>,
    pub(super) recipe: Vec<u8>,
    pub(super) pictures: Vec<Vec<u8>>,
}

/// A subject with what a report says of it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) subject: Subject,
    pub(super) model: String,
    pub(super) pictures: String,
    /// What was left out, one sentence each.
    pub(super) remarks: Vec<String>,
}

impl Named {
    /// Reads what the options name, or takes what is bundled.
    pub(super) fn read(options: &Options, context: &Context) -> Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let (model, recipe, name) = match (&options.model, &options.preprocess) {
            (Some(model), Some(recipe)) => {
                if model.is_dir() {
                    bail!(
                        "{}: expected one file (ONNX or TFLite), found a folder",
                        model.display()
                    );
                }
                (read(model)?, read(recipe)?, model.display().to_string())
            }
            _ => (
                MODEL.to_vec(),
                RECIPE.as_bytes().to_vec(),
                "bundled classifier of scenes".to_owned(),
            ),
        };
        let mut remarks = Vec::new();
        let (pictures, what) = match &options.data {
            Some(folder) => (
                photos(folder, &mut remarks)?,
                format!("photos of {}", folder.display()),
            ),
            None => (scenes(options.residue, context)?, "drawn scenes".to_owned()),
        };
        let mut subject = Subject {
            model,
            recipe,
            pictures,
        };
        let refused = work::drop_refused(&mut subject)?;
        if let Some((count, first)) = refused {
            if subject.pictures.is_empty() {
                bail!("{what}: none of {count} can be used: {first}");
            }
            remarks.push(format!(
                "{count} pictures were left out because the worker refused them, the first with: {first}."
            ));
        }
        let count = subject.pictures.len();
        if options.residue as usize > count {
            remarks.push(format!(
                "Residue was looked for after {} requests with {count} pictures, over and over.",
                options.residue
            ));
        }
        let pictures = format!("{count} {what}");
        Ok(Self {
            subject,
            model: name,
            pictures,
            remarks,
        })
    }
}

impl Subject {
    /// Writes it for [`Subject::receive`].
    pub(super) fn send(&self, to: &mut dyn Write) -> io::Result<()> {
        let count = 2 + self.pictures.len() as u64;
        to.write_all(&count.to_le_bytes())?;
        for part in [&self.model, &self.recipe].into_iter().chain(&self.pictures) {
            to.write_all(&(part.len() as u64).to_le_bytes())?;
            to.write_all(part)?;
        }
        to.flush()
    }

    /// Reads what [`Subject::send`] wrote.
    pub(super) fn receive(from: &mut dyn Read) -> io::Result<Self> {
        let number = |from: &mut dyn Read| {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            Ok::<_, io::Error>(u64::from_le_bytes(bytes))
        };
        let mut parts = Vec::new();
        for _ in 0..number(from)? {
            let length = number(from)?;
            let mut part = Vec::new();
            if from.take(length).read_to_end(&mut part)? as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            parts.push(part);
        }
        let mut parts = parts.into_iter();
        let (Some(model), Some(recipe)) = (parts.next(), parts.next()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        Ok(Self {
            model,
            recipe,
            pictures: parts.collect(),
        })
    }

    /// The command of a worker that works on pictures.
    pub(super) fn worker(&self, policy: Policy) -> io::Result<WorkerCommand> {
        let largest = self.pictures.iter().map(Vec::len).max().unwrap_or(0);
        let mut command = WorkerCommand::own(work::ROLE, work::options(policy, largest));
        for part in [&self.model, &self.recipe] {
            command.map_open_file(unnamed(part)?);
        }
        Ok(command)
    }
}

/// A file without a name that holds these bytes.
fn unnamed(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// As many as are looked for residue of, each another one.
fn scenes(residue: u32, context: &Context) -> Result<Vec<Vec<u8>>> {
    let count = u64::from(residue).clamp(SCENES, MOST_PICTURES as u64);
    let bar = context.progress("drawing scenes", count as usize);
    let pictures = (0..count)
        .map(|index| {
            bar.inc(1);
            let pixels = Scene::sample(Split::Dev.seed(), index).render(SIDE as usize);
            let mut file = Vec::new();
            PngEncoder::new(&mut file).write_image(&pixels, SIDE, SIDE, ExtendedColorType::Rgb8)?;
            Ok(file)
        })
        .collect();
    bar.finish_and_clear();
    pictures
}

fn photos(folder: &Path, remarks: &mut Vec<String>) -> Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    find(folder, DEPTH, &mut paths).with_context(|| folder.display().to_string())?;
    paths.sort();
    let (mut pictures, mut bytes, mut left) = (Vec::new(), 0, 0);
    for path in &paths {
        let length = fs::metadata(path)
            .with_context(|| path.display().to_string())?
            .len();
        if length > MOST_PICTURE || bytes + length as usize > MOST_BYTES || pictures.len() == MOST_PICTURES {
            left += 1;
            continue;
        }
        let picture = fs::read(path).with_context(|| path.display().to_string())?;
        bytes += picture.len();
        pictures.push(picture);
    }
    if pictures.is_empty() {
        bail!(
            "{}: expected JPEG, PNG or WebP files, found none of at most {MOST_PICTURE} bytes",
            folder.display()
        );
    }
    if left > 0 {
        remarks.push(format!(
            "{left} photos were left out: more than is held in memory, or over {MOST_PICTURE} bytes each."
        ));
    }
    Ok(pictures)
}

/// Files that are pictures by their names; what links point to is not followed.
fn find(folder: &Path, depth: u32, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let suffix = path
            .extension()
            .map(|suffix| suffix.to_string_lossy().to_lowercase());
        let is_picture = matches!(suffix.as_deref(), Some("jpg" | "jpeg" | "png" | "webp"));
        if kind.is_dir() && depth > 0 {
            find(&path, depth - 1, paths)?;
        } else if kind.is_file() && is_picture {
            paths.push(path);
        }
    }
    Ok(())
}
