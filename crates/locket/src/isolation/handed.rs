//! Which files a worker is handed: opened here, parsed there.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use locket_formats::{Format, files::open_in};

use crate::Error;

/// Most files of a model: each takes a descriptor here and in the worker.
const MOST_FILES: usize = 64;
/// Deepest folder of a package; those of Core ML's own tools are two folders deep.
const DEEPEST: usize = 8;

/// Open files by the names under which the worker knows them; the name of a model that is one file is empty.
#[derive(Debug)]
pub(super) struct Handed {
    folder: PathBuf,
    files: Vec<(String, File)>,
}

impl Handed {
    /// A model's file, or all files of a package.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let opening = |source| Error::Io {
            what: format!("opening {}", path.display()),
            source,
        };
        if path.is_dir() {
            // Tells whether it has a manifest and looks at nothing else.
            locket_formats::detect(path)?;
            let mut handed = Self {
                folder: path.to_owned(),
                files: Vec::new(),
            };
            handed.add(files_below(path, path, DEEPEST)?, Format::CoreMl)?;
            return Ok(handed);
        }
        let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Self {
            folder: parent.unwrap_or(Path::new(".")).to_owned(),
            files: vec![(String::new(), File::open(path).map_err(opening)?)],
        })
    }

    /// Opens further files of the model's folder.
    pub(super) fn add(&mut self, names: Vec<String>, format: Format) -> Result<(), Error> {
        let found = self.files.len() + names.len();
        if found > MOST_FILES {
            return Err(Error::NoWorker {
                path: self.folder.clone(),
                why: format!("a worker takes a model of at most {MOST_FILES} files, found {found}"),
            });
        }
        for name in names {
            let file = open_in(&self.folder, &name, format)?;
            self.files.push((name, file));
        }
        Ok(())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }

    /// The files, opened once more.
    pub(super) fn open(&self) -> std::io::Result<Vec<File>> {
        self.files.iter().map(|(_, file)| file.try_clone()).collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        let lengths = self.files.iter().map(|(_, file)| file.metadata());
        lengths
            .filter_map(Result::ok)
            .fold(0, |sum, metadata| sum.saturating_add(metadata.len()))
    }
}

/// Names of the files in a folder and those in it, relative to `root`, in order.
fn files_below(root: &Path, folder: &Path, deepest: usize) -> Result<Vec<String>, Error> {
    let looking = |source| Error::Io {
        what: format!("looking into {}", folder.display()),
        source,
    };
    let refused = |why: &str| Error::NoWorker {
        path: folder.to_owned(),
        why: why.to_owned(),
    };
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(looking)?;
    paths.sort();
    let mut names = Vec::new();
    for path in paths {
        let kind = std::fs::metadata(&path).map_err(looking)?;
        if kind.is_dir() {
            if deepest == 0 {
                return Err(refused("the folders of the package are too deep"));
            }
            names.extend(files_below(root, &path, deepest - 1)?);
        } else if kind.is_file() {
            let parts = path.strip_prefix(root).unwrap_or(&path).iter();
            let parts: Option<Vec<&str>> = parts.map(|part| part.to_str()).collect();
            names.push(
                parts
                    .ok_or_else(|| refused("a file of the package has a name that is no UTF-8"))?
                    .join("/"),
            );
        }
        if names.len() > MOST_FILES {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::Handed;

    #[test]
    fn a_package_is_handed_over_with_all_its_files_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("m.mlpackage");
        std::fs::create_dir_all(package.join("Data/deep")).unwrap();
        let error = Handed::of(&package).unwrap_err().to_string();
        assert!(error.contains("no Manifest.json"), "{error}");
        std::fs::write(package.join("Manifest.json"), "{}").unwrap();
        std::fs::write(package.join("Data/deep/weights"), "1234").unwrap();
        let handed = Handed::of(&package).unwrap();
        let names: Vec<&str> = handed.names().collect();
        assert_eq!(names, ["Data/deep/weights", "Manifest.json"]);
        assert_eq!(handed.bytes(), 6);
        for n in 0..64 {
            std::fs::write(package.join(format!("Data/{n}")), "").unwrap();
        }
        let error = Handed::of(&package).unwrap_err().to_string();
        assert!(error.contains("at most 64 files"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_a_package_is_not_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("m.mlpackage");
        std::fs::create_dir(&package).unwrap();
        std::fs::write(package.join("Manifest.json"), "{}").unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), package.join("link")).unwrap();
        let error = Handed::of(&package).unwrap_err().to_string();
        assert!(error.contains("a link that leads elsewhere"), "{error}");
    }
}
