//! The `.mlpackage` folder: a manifest, the model file, and weight files beside it.
//!
//! Reading finds the model file through the manifest; [`Files`] keeps every path inside the package.
//!
//! Writing happens in a folder beside the target, which takes the target's place by renaming once it is complete:
//! whoever looks sees the old package or the new one. What is not a package is never replaced. Identifiers in the
//! manifest are derived from the contents, so that equal contents give equal bytes.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::files::Files;
use crate::limits::Limits;
use crate::{Format, FormatError};

/// Path of the model file under `Data/`, as Core ML's own tools choose it.
const MODEL_PATH: &str = "com.apple.CoreML/model.mlmodel";
/// Path of the folder of weight files under `Data/`.
const WEIGHTS_PATH: &str = "com.apple.CoreML/weights";
/// How a program names the weight file.
pub const WEIGHT_FILE_NAME: &str = "@model_path/weights/weight.bin";
/// The prefix of weight file names, which stands for the folder of the model file.
const MODEL_FOLDER_PREFIX: &str = "@model_path/";
/// The folder of a package that everything but the manifest is in.
const DATA: &str = "Data";
const MANIFEST: &str = "Manifest.json";
const AUTHOR: &str = "com.apple.CoreML";
/// Largest manifest that is read; real ones have 600 bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

fn io(path: &Path, source: std::io::Error) -> FormatError {
    FormatError::Io {
        path: path.to_owned(),
        source,
    }
}

fn invalid(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> FormatError {
    FormatError::Invalid {
        format: Format::CoreMl,
        place: place.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

/// A package whose manifest was read.
#[derive(Debug)]
pub struct Package {
    files: Files,
    /// The model file, by its path in the package.
    model: String,
}

impl Package {
    /// Opens the package at `path` and reads its manifest.
    ///
    /// # Errors
    /// When there is no package, its manifest is broken, or it leads outside the package.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, FormatError> {
        let metadata = fs::metadata(path).map_err(|source| io(path, source))?;
        if !metadata.is_dir() {
            return Err(invalid(
                path.display().to_string(),
                "an .mlpackage folder",
                "a file",
            ));
        }
        Self::of(Files::folder(path), limits)
    }

    /// The package that consists of these files; reads its manifest.
    ///
    /// # Errors
    /// When the manifest is missing or broken, or leads outside the package.
    pub fn of(files: Files, limits: &Limits) -> Result<Self, FormatError> {
        let manifest = read_manifest(&files)?;
        let model = format!("{DATA}/{}", model_path(&manifest)?);
        files.get(&model, Format::CoreMl, limits)?;
        Ok(Self { files, model })
    }

    /// Reads the model file.
    ///
    /// # Errors
    /// When it cannot be read or is larger than the limits admit.
    pub fn read_model(&self, limits: &Limits) -> Result<Bytes, FormatError> {
        self.files.get(&self.model, Format::CoreMl, limits)
    }

    /// Reads the weight file that a program calls `name`.
    ///
    /// # Errors
    /// When the name does not start with `@model_path/`, leads outside the folder of the model file, or names
    /// no file, or the file is larger than the limits admit.
    pub fn weight_file(&self, name: &str, limits: &Limits) -> Result<Bytes, FormatError> {
        let relative = name.strip_prefix(MODEL_FOLDER_PREFIX).ok_or_else(|| {
            invalid(
                "name of a weight file",
                format!("`{MODEL_FOLDER_PREFIX}` at its start"),
                format!("`{name}`"),
            )
        })?;
        let folder = self.model.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.files
            .get(&format!("{folder}/{relative}"), Format::CoreMl, limits)
    }
}

fn read_manifest(files: &Files) -> Result<Value, FormatError> {
    let limits = Limits {
        max_file_bytes: MAX_MANIFEST_BYTES,
        ..Limits::default()
    };
    let bytes = files.get(MANIFEST, Format::CoreMl, &limits)?;
    let manifest: Value = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(MANIFEST, "JSON", format!("something else ({error})")))?;
    let version = manifest
        .get("fileFormatVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if version.split('.').next() != Some("1") {
        return Err(invalid(
            format!("{MANIFEST}, fileFormatVersion"),
            "version 1",
            format!("`{version}`"),
        ));
    }
    Ok(manifest)
}

fn model_path(manifest: &Value) -> Result<&str, FormatError> {
    let place = |what: &str| format!("{MANIFEST}, {what}");
    let root = manifest.get("rootModelIdentifier").and_then(Value::as_str);
    let root = root.ok_or_else(|| invalid(place("rootModelIdentifier"), "a string", "none"))?;
    let item = manifest.get("itemInfoEntries").and_then(|items| items.get(root));
    let item = item.ok_or_else(|| invalid(place("itemInfoEntries"), format!("an item `{root}`"), "none"))?;
    let path = item.get("path").and_then(Value::as_str);
    path.ok_or_else(|| invalid(place(&format!("item `{root}`")), "a path", "none"))
}

/// A package that is being written, beside its target.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    folder: PathBuf,
}

impl Staging {
    /// Prepares to write a package to `target`.
    ///
    /// # Errors
    /// When `target` does not end in `.mlpackage`, is something else than a package, or nothing can be written
    /// beside it.
    pub fn new(target: &Path) -> Result<Self, FormatError> {
        let place = || target.display().to_string();
        let name = target.file_name().and_then(|name| name.to_str());
        let name = name.filter(|name| name.len() > ".mlpackage".len() && name.ends_with(".mlpackage"));
        let name = name.ok_or_else(|| invalid(place(), "a name that ends in .mlpackage", "another"))?;
        check_replaceable(target)?;
        let parent = target.parent().unwrap_or(Path::new(""));
        if !parent.as_os_str().is_empty() && !parent.is_dir() {
            return Err(invalid(
                parent.display().to_string(),
                "a folder to write the package into",
                "none",
            ));
        }
        // Several writers may be at work beside each other: the first free name is taken by creating it.
        for attempt in 0..1000_u32 {
            let folder = parent.join(format!(".{name}.new-{}-{attempt}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let staging = Self {
                        target: target.to_owned(),
                        folder,
                    };
                    let weights = staging.data().join(WEIGHTS_PATH);
                    fs::create_dir_all(&weights).map_err(|source| io(&weights, source))?;
                    return Ok(staging);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(io(&folder, source)),
            }
        }
        Err(invalid(
            parent.display().to_string(),
            "a free name for a temporary folder",
            "none",
        ))
    }

    fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// Where the weight file goes, if there is one.
    #[must_use]
    pub fn weight_file(&self) -> PathBuf {
        self.data().join(WEIGHTS_PATH).join("weight.bin")
    }

    /// Writes the model file and the manifest, and puts the package in the place of its target.
    ///
    /// # Errors
    /// When something cannot be written; the target is then as it was.
    pub fn commit(self, model: &[u8]) -> Result<(), FormatError> {
        let model_file = self.data().join(MODEL_PATH);
        fs::write(&model_file, model).map_err(|source| io(&model_file, source))?;
        let weight_file = self.weight_file();
        let mut items = vec![(
            identifier("model", blake3::hash(model)),
            item("model.mlmodel", MODEL_PATH, "the model: interface and program"),
        )];
        let root = items
            .first()
            .map(|(identifier, _)| identifier.clone())
            .unwrap_or_default();
        if weight_file.exists() {
            let hash = hash_file(&weight_file).map_err(|source| io(&weight_file, source))?;
            items.push((
                identifier("weights", hash),
                item("weights", WEIGHTS_PATH, "the weights of the model"),
            ));
        } else {
            let folder = self.data().join(WEIGHTS_PATH);
            fs::remove_dir(&folder).map_err(|source| io(&folder, source))?;
        }
        items.sort_by(|a, b| a.0.cmp(&b.0));
        // Keys stand in alphabetical order, so that the bytes do not depend on how the JSON library orders them.
        let manifest = json!({
            "fileFormatVersion": "1.0.0",
            "itemInfoEntries": Value::Object(items.into_iter().collect()),
            "rootModelIdentifier": root,
        });
        let manifest_file = self.folder.join(MANIFEST);
        fs::write(&manifest_file, format!("{manifest:#}\n")).map_err(|source| io(&manifest_file, source))?;
        self.replace_target()
    }

    fn replace_target(&self) -> Result<(), FormatError> {
        check_replaceable(&self.target)?;
        let renamed = |from: &Path, to: &Path| fs::rename(from, to).map_err(|source| io(to, source));
        if !self.target.exists() {
            return renamed(&self.folder, &self.target);
        }
        let mut old = self.folder.clone().into_os_string();
        old.push("-old");
        let old = PathBuf::from(old);
        renamed(&self.target, &old)?;
        if let Err(error) = renamed(&self.folder, &self.target) {
            renamed(&old, &self.target)?;
            return Err(error);
        }
        fs::remove_dir_all(&old).map_err(|source| io(&old, source))
    }
}

impl Drop for Staging {
    /// Removes what was written if it did not take the target's place.
    fn drop(&mut self) {
        // After a rename there is nothing left to remove; a failure here has nobody to go to.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Checks that `target` is free, or a package that may be replaced.
fn check_replaceable(target: &Path) -> Result<(), FormatError> {
    let metadata = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io(target, source)),
        Ok(metadata) => metadata,
    };
    let found = if metadata.is_symlink() {
        "a symbolic link"
    } else if !metadata.is_dir() {
        "a file"
    } else if read_manifest(&Files::folder(target)).is_err() {
        "a folder without the manifest of a package"
    } else {
        return Ok(());
    };
    Err(invalid(
        target.display().to_string(),
        "nothing, or an .mlpackage to replace",
        found,
    ))
}

fn item(name: &str, path: &str, description: &str) -> Value {
    json!({ "author": AUTHOR, "description": description, "name": name, "path": path })
}

fn hash_file(path: &Path) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    Ok(hasher.finalize())
}

/// Derives an identifier from what it stands for: a UUID of version 8, which is free to be a hash.
fn identifier(role: &str, contents: blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(role.as_bytes()).update(contents.as_bytes());
    let hash = hasher.finalize();
    let text: Vec<char> = hash.to_hex().chars().collect();
    let part =
        |range: std::ops::Range<usize>| -> String { text.get(range).unwrap_or_default().iter().collect() };
    // The digits after `8` and after `8`/`9`/`a`/`b` are free; the variant is always written as `8`.
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0..8),
        part(8..12),
        part(12..15),
        part(15..18),
        part(18..30)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Package, Staging, WEIGHT_FILE_NAME, identifier};
    use crate::limits::Limits;

    fn write(target: &Path, model: &[u8], weights: Option<&[u8]>) {
        let staging = Staging::new(target).unwrap();
        if let Some(weights) = weights {
            fs::write(staging.weight_file(), weights).unwrap();
        }
        staging.commit(model).unwrap();
    }

    fn entries(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        entries
    }

    #[test]
    fn a_package_is_read_back_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m.mlpackage");
        write(&target, b"one", Some(b"weights"));
        let first = fs::read(target.join("Manifest.json")).unwrap();
        write(&target, b"two", None);
        let limits = Limits::default();
        let package = Package::open(&target, &limits).unwrap();
        assert_eq!(&package.read_model(&limits).unwrap()[..], b"two");
        assert!(package.weight_file(WEIGHT_FILE_NAME, &limits).is_err());
        write(&target, b"one", Some(b"weights"));
        assert_eq!(fs::read(target.join("Manifest.json")).unwrap(), first);
        let package = Package::open(&target, &limits).unwrap();
        let weights = package.weight_file(WEIGHT_FILE_NAME, &limits).unwrap();
        assert_eq!(&weights[..], b"weights");
        assert_eq!(entries(folder.path()), ["m.mlpackage"]);
    }

    #[test]
    fn what_is_no_package_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m.mlpackage");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("thesis.txt"), "years").unwrap();
        let error = Staging::new(&target).unwrap_err().to_string();
        assert!(
            error.contains("found a folder without the manifest of a package"),
            "{error}"
        );
        let file = folder.path().join("f.mlpackage");
        fs::write(&file, "years").unwrap();
        assert!(
            Staging::new(&file)
                .unwrap_err()
                .to_string()
                .contains("found a file")
        );
        let error = Staging::new(&folder.path().join("m.mlmodel"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected a name that ends in .mlpackage"),
            "{error}"
        );
        let error = Staging::new(&folder.path().join("none/m.mlpackage"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("none: expected a folder to write the package into"),
            "{error}"
        );
        assert_eq!(entries(folder.path()), ["f.mlpackage", "m.mlpackage"]);
    }

    #[test]
    fn an_abandoned_package_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Staging::new(&folder.path().join("m.mlpackage")).unwrap());
        assert!(entries(folder.path()).is_empty());
    }

    #[test]
    fn paths_do_not_leave_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m.mlpackage");
        write(&target, b"one", Some(b"weights"));
        fs::write(folder.path().join("secret"), "x").unwrap();
        let limits = Limits::default();
        let package = Package::open(&target, &limits).unwrap();
        let names = [
            "../../../../secret",
            "/etc/passwd",
            "weights/../../x",
            "a\\b",
            "",
            "./weights/weight.bin",
        ];
        for name in names {
            assert!(
                package
                    .weight_file(&format!("@model_path/{name}"), &limits)
                    .is_err(),
                "{name}"
            );
        }
        assert!(package.weight_file("weights/weight.bin", &limits).is_err());
        let manifest = fs::read_to_string(target.join("Manifest.json")).unwrap();
        let evil = manifest.replace("com.apple.CoreML/model.mlmodel", "../../secret");
        fs::write(target.join("Manifest.json"), evil).unwrap();
        let error = Package::open(&target, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("path `Data/../../secret`"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_leave_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m.mlpackage");
        write(&target, b"one", Some(b"weights"));
        let weights = target.join("Data/com.apple.CoreML/weights/weight.bin");
        fs::remove_file(&weights).unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), &weights).unwrap();
        let error = Package::open(&target, &Limits::default())
            .unwrap()
            .weight_file(WEIGHT_FILE_NAME, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("a link that leads elsewhere"), "{error}");
    }

    #[test]
    fn broken_manifests_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m.mlpackage");
        write(&target, b"one", None);
        let cases = [
            ("{", "Manifest.json: expected JSON"),
            ("{}", "fileFormatVersion: expected version 1"),
            (
                r#"{"fileFormatVersion": "2.0"}"#,
                "expected version 1, found `2.0`",
            ),
            (
                r#"{"fileFormatVersion": "1.0"}"#,
                "rootModelIdentifier: expected a string",
            ),
            (
                r#"{"fileFormatVersion": "1.0", "rootModelIdentifier": "a"}"#,
                "expected an item `a`",
            ),
            (
                r#"{"fileFormatVersion": "1.0", "rootModelIdentifier": "a", "itemInfoEntries": {"a": 1}}"#,
                "item `a`: expected a path",
            ),
        ];
        for (manifest, expected) in cases {
            fs::write(target.join("Manifest.json"), manifest).unwrap();
            let error = Package::open(&target, &Limits::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{manifest}: {error}");
        }
        assert!(Package::open(&folder.path().join("none.mlpackage"), &Limits::default()).is_err());
    }

    #[test]
    fn identifiers_are_lower_case_uuids() {
        let first = identifier("model", blake3::hash(b"x"));
        assert_eq!(first.len(), 36);
        assert!(first.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-')));
        assert_eq!(
            first.split('-').map(str::len).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        assert_ne!(first, identifier("weights", blake3::hash(b"x")));
    }
}
