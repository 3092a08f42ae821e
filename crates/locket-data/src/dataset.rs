//! A labelled set: a folder with `x.npy` and `y.npy`, or with `labels.csv` and pictures.
//!
//! - `x.npy` `[n, ..]` holds one sample a row, channels last, and `y.npy` `[n]` its class, counted from 0. A `labels.csv`
//!   beside them is optional; it gives names (column `path` or `source`) and must agree with `y.npy`.
//! - Without arrays, `labels.csv` (columns `path`, `label`) names picture files, relative to the folder and inside it.
//! - `classes.txt`, one name a line, in the folder or one level up, is optional.
//!
//! Labels are checked when the set is opened, samples when they are read. Reading takes `&self`: threads may share a set.

use std::path::{Component, Path, PathBuf};

use crate::csv::{LabelRow, read_labels, read_optional_names};
use crate::error::{DataError, read_limited};
use crate::image::{MAX_FILE_BYTES, decode};
use crate::npy::{NpyArray, NpyRows, NpyType};
use crate::preprocess::{InputSpec, Preprocess, RawSample, SampleBuffer};

/// Largest `classes.txt`.
const MAX_CLASSES_BYTES: u64 = 16 * 1024 * 1024;

/// A labelled set that was opened and checked; it is never empty.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    source: Source,
    labels: Vec<usize>,
    names: Vec<String>,
    /// Where each label stands, for errors: lines of `labels.csv`, or nothing where the row of `y.npy` says it.
    lines: Vec<usize>,
    class_names: Vec<String>,
}

/// A sample before anything is made of it.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// A row of an array.
    Row(RawSample<'a>),
    /// The bytes of a picture's file.
    Picture(&'a [u8]),
}

#[derive(Debug)]
enum Source {
    Array(NpyRows),
    Pictures,
}

impl Dataset {
    /// Opens a folder. Reads labels and names, and of the samples only their number.
    ///
    /// # Errors
    ///
    /// [`DataError::Dataset`] if the folder holds no set, an empty one, or one whose parts do not match;
    /// [`DataError::LabelOutOfRange`] if `classes.txt` has fewer classes; the errors of its files.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let metadata = std::fs::metadata(folder).map_err(DataError::io("open", folder))?;
        let problem = |problem: &str| DataError::Dataset {
            path: folder.to_owned(),
            problem: problem.to_owned(),
        };
        if !metadata.is_dir() {
            return Err(problem(
                "not a folder, expected one with labels.csv and pictures, or x.npy and y.npy",
            ));
        }
        let mut dataset = match (folder.join("x.npy").exists(), folder.join("labels.csv").exists()) {
            (true, _) => Self::open_arrays(folder)?,
            (false, true) => Self::open_pictures(folder)?,
            (false, false) => return Err(problem("holds neither labels.csv nor x.npy and y.npy")),
        };
        if dataset.is_empty() {
            return Err(problem("the set is empty, expected at least one sample"));
        }
        dataset.class_names = read_class_names(folder)?;
        if !dataset.class_names.is_empty() {
            dataset.check_labels(dataset.class_names.len())?;
        }
        Ok(dataset)
    }

    fn open_arrays(folder: &Path) -> Result<Self, DataError> {
        let rows = NpyRows::open(&folder.join("x.npy"))?;
        let labels_path = folder.join("y.npy");
        let labels = read_label_array(&labels_path)?;
        let count = labels.len();
        if rows.rows() != count {
            let problem = format!("x.npy has {} rows, y.npy {count} labels", rows.rows());
            return Err(DataError::Dataset {
                path: folder.to_owned(),
                problem,
            });
        }
        let table_path = folder.join("labels.csv");
        let table = if table_path.exists() {
            read_optional_names(&table_path)?
        } else {
            Vec::new()
        };
        if !table.is_empty() {
            check_table(&table_path, &table, &labels)?;
        }
        let names = (0..count).map(|index| match table.get(index) {
            Some(row) if !row.path.is_empty() => row.path.clone(),
            _ => format!("row {index}"),
        });
        Ok(Self {
            folder: folder.to_owned(),
            source: Source::Array(rows),
            names: names.collect(),
            labels,
            lines: Vec::new(),
            class_names: Vec::new(),
        })
    }

    fn open_pictures(folder: &Path) -> Result<Self, DataError> {
        let table_path = folder.join("labels.csv");
        let mut dataset = Self {
            folder: folder.to_owned(),
            source: Source::Pictures,
            labels: Vec::new(),
            names: Vec::new(),
            lines: Vec::new(),
            class_names: Vec::new(),
        };
        for LabelRow { line, path, label } in read_labels(&table_path)? {
            // A table from elsewhere must not make us open files outside the set.
            if !Path::new(&path)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
            {
                let problem =
                    format!("path '{path}' leaves the folder, expected a relative path without '..'");
                return Err(DataError::Csv {
                    path: table_path,
                    line,
                    problem,
                });
            }
            dataset.names.push(path);
            dataset.labels.push(label);
            dataset.lines.push(line);
        }
        Ok(dataset)
    }

    /// Number of samples, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always `false` for a set that was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Class of sample `index`, counted from 0.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`Self::len`].
    #[must_use]
    pub fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    /// The classes of all samples.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The names of all samples: file names, or `row 17` where an array has none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names of the classes; empty if the set does not tell.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Checks that every label is below `classes`, the number of classes that a model tells apart.
    ///
    /// # Errors
    ///
    /// [`DataError::LabelOutOfRange`] with the line or row of the first label that is not.
    pub fn check_labels(&self, classes: usize) -> Result<(), DataError> {
        let Some(index) = self.labels.iter().position(|&label| label >= classes) else {
            return Ok(());
        };
        let (file, place) = match self.lines.get(index) {
            Some(line) => ("labels.csv", format!("line {line}")),
            None => ("y.npy", format!("row {index}")),
        };
        let found = i64::try_from(self.labels[index]).unwrap_or(i64::MAX);
        Err(DataError::LabelOutOfRange {
            path: self.folder.join(file),
            place,
            found,
            classes,
        })
    }

    /// Reads sample `index` as it is stored, into `file`.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] if it cannot be read.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`Self::len`].
    pub fn stored<'a>(&'a self, index: usize, file: &'a mut Vec<u8>) -> Result<Stored<'a>, DataError> {
        match &self.source {
            Source::Array(rows) => {
                file.resize(rows.row_bytes(), 0);
                rows.read(index..index + 1, file)?;
                Ok(Stored::Row(RawSample {
                    dtype: rows.dtype(),
                    shape: rows.row_shape(),
                    bytes: file,
                }))
            }
            Source::Pictures => {
                read_limited(&self.folder.join(&self.names[index]), MAX_FILE_BYTES, file)?;
                Ok(Stored::Picture(file))
            }
        }
    }

    /// Reads sample `index` and makes the model's input of it, in `buffer`.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] or [`DataError::Image`] if it cannot be read, [`DataError::Sample`] if it does not fit.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`Self::len`].
    pub fn read(
        &self,
        index: usize,
        recipe: &Preprocess,
        input: &InputSpec,
        buffer: &mut SampleBuffer,
    ) -> Result<(), DataError> {
        let name = &self.names[index];
        // Taken out for the time of the call, so that the sample may borrow them while the buffer is written.
        let mut file = std::mem::take(&mut buffer.file);
        let mut picture = std::mem::take(&mut buffer.picture);
        let mut apply = |sample: RawSample<'_>| {
            let applied = recipe.apply(sample, input, buffer);
            applied.map_err(|problem| DataError::Sample {
                sample: name.clone(),
                problem,
            })
        };
        let result = match self.stored(index, &mut file) {
            Ok(Stored::Row(sample)) => apply(sample),
            Ok(Stored::Picture(bytes)) => decode(bytes, &mut picture)
                .map_err(|problem| DataError::Image {
                    path: self.folder.join(name),
                    problem,
                })
                .and_then(|()| {
                    apply(RawSample {
                        dtype: NpyType::U8,
                        shape: &[picture.height, picture.width, 3],
                        bytes: &picture.pixels,
                    })
                }),
            Err(error) => Err(error),
        };
        buffer.file = file;
        buffer.picture = picture;
        result
    }
}

/// Reads `y.npy`: whole numbers from 0, `[n]` or `[n, 1]`.
fn read_label_array(path: &Path) -> Result<Vec<usize>, DataError> {
    let array = NpyArray::read(path)?;
    if !matches!(array.shape(), [_] | [_, 1]) {
        let problem = format!("labels have shape {:?}, expected [n]", array.shape());
        return Err(DataError::Dataset {
            path: path.to_owned(),
            problem,
        });
    }
    let values = array.to_i64().map_err(|_| DataError::Dataset {
        path: path.to_owned(),
        problem: format!(
            "labels are {}, expected whole numbers (such as int32)",
            array.dtype()
        ),
    })?;
    let label = |(row, value): (usize, i64)| {
        usize::try_from(value).map_err(|_| DataError::Dataset {
            path: path.to_owned(),
            problem: format!("row {row}: label {value}, expected a whole number from 0"),
        })
    };
    values.into_iter().enumerate().map(label).collect()
}

/// Checks that a table beside arrays tells the same as the arrays.
fn check_table(path: &Path, table: &[LabelRow], labels: &[usize]) -> Result<(), DataError> {
    if table.len() != labels.len() {
        let problem = format!("{} rows, but y.npy has {} labels", table.len(), labels.len());
        return Err(DataError::Dataset {
            path: path.to_owned(),
            problem,
        });
    }
    match table.iter().zip(labels).find(|(row, label)| row.label != **label) {
        None => Ok(()),
        Some((row, label)) => {
            let problem = format!("label {}, but y.npy has {label} for this sample", row.label);
            Err(DataError::Csv {
                path: path.to_owned(),
                line: row.line,
                problem,
            })
        }
    }
}

/// Reads `classes.txt` of the folder or of the one above; none is no class name.
fn read_class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let above = folder.join("..").join("classes.txt");
    let Some(path) = [folder.join("classes.txt"), above]
        .into_iter()
        .find(|path| path.exists())
    else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    read_limited(&path, MAX_CLASSES_BYTES, &mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| DataError::Dataset {
        path: path.clone(),
        problem: "not UTF-8 text".to_owned(),
    })?;
    // An empty line in the middle would shift all names below it.
    let names: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    match names.iter().position(String::is_empty) {
        Some(index) if !text.trim().is_empty() => Err(DataError::Dataset {
            path,
            problem: format!("line {} is empty, expected a class name", index + 1),
        }),
        _ => Ok(names),
    }
}
