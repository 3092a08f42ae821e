//! The files of a model by their names: a folder on disk, or what somebody else opened.
//!
//! Names come from other files, so they are hostile: a name that is absolute, has `..` in it, or is a link to elsewhere gives no
//! file. A file is mapped once, however often it is asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::limits::Limits;
use crate::{Format, FormatError, file};

/// The files of a model by their names, which are relative and have `/` between their parts.
#[derive(Debug, Clone)]
pub struct Files {
    /// Where files that are not open yet lie, if anywhere.
    folder: Option<PathBuf>,
    open: RefCell<BTreeMap<String, Bytes>>,
}

impl Files {
    /// Those in a folder and the folders in it.
    #[must_use]
    pub fn folder(path: &Path) -> Self {
        Self {
            folder: Some(path.to_owned()),
            open: RefCell::default(),
        }
    }

    /// These, and no other.
    #[must_use]
    pub fn given(files: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        Self {
            folder: None,
            open: RefCell::new(files.into_iter().collect()),
        }
    }

    /// The contents of the file `name` of a model of the format.
    ///
    /// # Errors
    ///
    /// If the name leads elsewhere, there is no such file, or it cannot be read or is over the limit.
    pub fn get(&self, name: &str, format: Format, limits: &Limits) -> Result<Bytes, FormatError> {
        if let Some(bytes) = self.open.borrow().get(name) {
            file::check_size(bytes.len(), format, limits)?;
            return Ok(bytes.clone());
        }
        let Some(folder) = &self.folder else {
            check_name(name).map_err(|found| elsewhere(name, format, found))?;
            return Err(FormatError::Invalid {
                format,
                place: format!("path `{name}`"),
                expected: "a file that was handed over".to_owned(),
                found: "none".to_owned(),
            });
        };
        let bytes = file::file_bytes(&confined(folder, name, format)?, format, limits)?;
        self.open.borrow_mut().insert(name.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// Opens the file `name` of the folder, for another process that is to read it.
///
/// # Errors
///
/// If the name leads elsewhere, or there is no such file.
pub fn open_in(folder: &Path, name: &str, format: Format) -> Result<File, FormatError> {
    let path = confined(folder, name, format)?;
    File::open(&path).map_err(|source| FormatError::Io { path, source })
}

/// The path of a file of the folder, from which neither its name nor a link may lead away.
pub(crate) fn confined(folder: &Path, name: &str, format: Format) -> Result<PathBuf, FormatError> {
    check_name(name).map_err(|found| elsewhere(name, format, found))?;
    let resolve = |path: &Path| {
        path.canonicalize().map_err(|source| FormatError::Io {
            path: path.to_owned(),
            source,
        })
    };
    let resolved = resolve(&folder.join(name))?;
    if resolved.starts_with(resolve(folder)?) {
        return Ok(resolved);
    }
    Err(elsewhere(name, format, "a link that leads elsewhere"))
}

fn check_name(name: &str) -> Result<(), &'static str> {
    // Each part must be a plain name: `Path` itself passes over `.` and over what is empty.
    let is_plain = |part: &str| {
        let mut components = Path::new(part).components();
        matches!(components.next(), Some(Component::Normal(whole)) if whole == part)
    };
    // A backslash would be a separator on another system: refuse it here too.
    if name.contains(['\\', '\0']) || !name.split('/').all(is_plain) {
        return Err("one that leads elsewhere");
    }
    Ok(())
}

fn elsewhere(name: &str, format: Format, found: &str) -> FormatError {
    let expected = match format {
        Format::CoreMl => "a path inside the package",
        Format::Onnx | Format::Tflite => "a path in the folder of the model",
    };
    FormatError::Invalid {
        format,
        place: format!("path `{name}`"),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Files;
    use crate::Format;
    use crate::limits::Limits;

    fn get(files: &Files, name: &str) -> Result<Vec<u8>, String> {
        let found = files.get(name, Format::Onnx, &Limits::small());
        found
            .map(|bytes| bytes.to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_do_not_lead_out_of_a_folder_nor_to_what_was_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("model");
        std::fs::create_dir_all(inner.join("deep")).unwrap();
        std::fs::write(inner.join("deep/w.bin"), b"weights").unwrap();
        std::fs::write(inner.join("empty"), b"").unwrap();
        std::fs::write(folder.path().join("secret"), b"secret").unwrap();
        let on_disk = Files::folder(&inner);
        let given = Files::given([
            ("deep/w.bin".to_owned(), Bytes::from_static(b"weights")),
            ("empty".to_owned(), Bytes::new()),
        ]);
        for files in [&on_disk, &given] {
            assert_eq!(get(files, "deep/w.bin").unwrap(), b"weights");
            assert_eq!(get(files, "empty").unwrap(), b"");
            assert!(get(files, "missing").is_err());
            for name in [
                "../secret",
                "/etc/passwd",
                "deep/../w",
                "a\\b",
                "",
                "deep/./w.bin",
                "deep//w.bin",
            ] {
                let error = get(files, name).unwrap_err();
                assert!(error.contains("leads elsewhere"), "{name}: {error}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("model");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("w.bin"), b"weights").unwrap();
        std::fs::write(folder.path().join("secret"), b"secret").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), inner.join("out")).unwrap();
        std::os::unix::fs::symlink("w.bin", inner.join("in")).unwrap();
        let files = Files::folder(&inner);
        assert_eq!(get(&files, "in").unwrap(), b"weights");
        assert!(get(&files, "out").unwrap_err().contains("a link that leads"));
        assert!(super::open_in(&inner, "out", Format::Onnx).is_err());
    }
}
