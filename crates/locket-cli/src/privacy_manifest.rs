//! Apple's privacy manifest, `PrivacyInfo.xcprivacy`: writing the one that a package has, reading anybody's.
//!
//! A package that Locket writes is data and holds no code, so that its manifest says no to everything. It belongs to the resources of the
//! app or the framework that the package is part of: there Xcode looks for it, not in the package.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use locket_report::proof::{CATEGORIES, Manifest};
use serde::Deserialize;

use crate::files;

/// The name that Xcode demands.
const NAME: &str = "PrivacyInfo.xcprivacy";
/// Longest manifest that is read; real ones have some thousand bytes.
const MOST_BYTES: u64 = 256 << 10;
/// Most lists and dictionaries in it: they can lie in each other, and the reader goes down by recursion.
const MOST_NODES: usize = 256;

const NOTHING: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>NSPrivacyTracking</key>
	<false/>
	<key>NSPrivacyTrackingDomains</key>
	<array/>
	<key>NSPrivacyCollectedDataTypes</key>
	<array/>
	<key>NSPrivacyAccessedAPITypes</key>
	<array/>
</dict>
</plist>
"#;

/// A manifest's keys; what is missing is declared by nobody.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys {
    #[serde(rename = "NSPrivacyTracking")]
    tracking: bool,
    #[serde(rename = "NSPrivacyTrackingDomains")]
    domains: Vec<String>,
    #[serde(rename = "NSPrivacyCollectedDataTypes")]
    collected: Vec<Collected>,
    #[serde(rename = "NSPrivacyAccessedAPITypes")]
    accessed: Vec<Accessed>,
}

#[derive(Deserialize)]
struct Collected {
    #[serde(rename = "NSPrivacyCollectedDataType")]
    name: String,
}

#[derive(Deserialize)]
struct Accessed {
    #[serde(rename = "NSPrivacyAccessedAPIType")]
    category: String,
}

/// Where the manifest of a package goes: beside it.
///
/// # Errors
///
/// If a manifest that says something else is there: it may be that of an app.
pub(crate) fn place(package: &Path) -> Result<PathBuf> {
    let path = package.with_file_name(NAME);
    if path.exists() && read_text(&path)? != NOTHING {
        bail!(
            "{}: a manifest with other content is there, it is not replaced",
            path.display()
        );
    }
    Ok(path)
}

/// Writes the manifest of something that holds no code.
///
/// # Errors
///
/// If it cannot be written.
pub(crate) fn write(path: &Path) -> Result<()> {
    files::write(path, NOTHING)
}

/// Reads a manifest; what the program imports is for the caller to add.
///
/// # Errors
///
/// If it cannot be read, is no property list in XML, or is none that Apple would take.
pub(crate) fn read(path: &Path) -> Result<Manifest> {
    let text = read_text(path)?;
    parse(&text, path.display().to_string()).with_context(|| path.display().to_string())
}

fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| path.display().to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        bail!(
            "{}: expected a manifest of at most {MOST_BYTES} bytes, found more",
            path.display()
        );
    }
    String::from_utf8(bytes).ok().with_context(|| {
        format!(
            "{}: expected a property list in XML, found no text",
            path.display()
        )
    })
}

fn parse(text: &str, file: String) -> Result<Manifest> {
    let nodes = text.matches("<array").count() + text.matches("<dict").count();
    if nodes > MOST_NODES {
        bail!("expected at most {MOST_NODES} lists and dictionaries, found {nodes}");
    }
    let value =
        plist::Value::from_reader_xml(Cursor::new(text)).context("expected a property list in XML")?;
    let keys: Keys = plist::from_value(&value).context("expected a privacy manifest")?;
    if keys.tracking && keys.domains.is_empty() {
        bail!("NSPrivacyTracking is true: expected at least one of NSPrivacyTrackingDomains, found none");
    }
    let accessed: Vec<String> = keys.accessed.into_iter().map(|entry| entry.category).collect();
    let unknown = |name: &&String| CATEGORIES.iter().all(|category| category.name != name.as_str());
    if let Some(name) = accessed.iter().find(unknown) {
        let known: Vec<&str> = CATEGORIES.iter().map(|category| category.name).collect();
        bail!(
            "NSPrivacyAccessedAPIType: expected one of {}, found {name}",
            known.join(", ")
        );
    }
    Ok(Manifest {
        file,
        tracking: keys.tracking,
        tracking_domains: keys.domains,
        collected: keys.collected.into_iter().map(|entry| entry.name).collect(),
        accessed,
        imports: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use locket_report::proof::Manifest;

    use super::{MOST_NODES, NOTHING, parse};

    fn list(inside: &str) -> String {
        format!("<plist version=\"1.0\"><dict>{inside}</dict></plist>")
    }

    #[test]
    fn what_is_written_says_no_to_everything() {
        let read = parse(NOTHING, String::new()).expect("a manifest");
        assert_eq!(read, Manifest::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = list(
            "<key>NSPrivacyTracking</key><true/>\
             <key>NSPrivacyTrackingDomains</key><array><string>a.example</string></array>\
             <key>NSPrivacyCollectedDataTypes</key><array><dict>\
               <key>NSPrivacyCollectedDataType</key><string>NSPrivacyCollectedDataTypePhotosorVideos</string>\
               <key>NSPrivacyCollectedDataTypeLinked</key><false/></dict></array>\
             <key>NSPrivacyAccessedAPITypes</key><array><dict>\
               <key>NSPrivacyAccessedAPIType</key><string>NSPrivacyAccessedAPICategoryDiskSpace</string>\
               <key>NSPrivacyAccessedAPITypeReasons</key><array><string>E174.1</string></array></dict></array>",
        );
        let read = parse(&text, "f".to_owned()).expect("a manifest");
        let text = |text: &str| vec![text.to_owned()];
        let expected = Manifest {
            file: "f".to_owned(),
            tracking: true,
            tracking_domains: text("a.example"),
            collected: text("NSPrivacyCollectedDataTypePhotosorVideos"),
            accessed: text("NSPrivacyAccessedAPICategoryDiskSpace"),
            imports: Vec::new(),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let deep = MOST_NODES + 1;
        let cases = [
            ("no plist at all".to_owned(), "property list"),
            (NOTHING[..NOTHING.len() / 2].to_owned(), "property list"),
            (
                list("<key>NSPrivacyTracking</key><string>no</string>"),
                "privacy manifest",
            ),
            (list("<key>NSPrivacyTracking</key><true/>"), "at least one"),
            (
                list(
                    "<key>NSPrivacyAccessedAPITypes</key><array><dict><key>NSPrivacyAccessedAPIType</key><string>Camera</string></dict></array>",
                ),
                "found Camera",
            ),
            (
                list(&format!(
                    "<key>x</key>{}{}",
                    "<array>".repeat(deep),
                    "</array>".repeat(deep)
                )),
                "at most 256",
            ),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", parse(&text, String::new()).expect_err(&text));
            assert!(error.contains(expected), "{error}");
        }
        // The deepest that is taken does not end the stack.
        let deep = MOST_NODES - 1;
        let text = list(&format!(
            "<key>x</key>{}{}",
            "<array>".repeat(deep),
            "</array>".repeat(deep)
        ));
        assert_eq!(
            parse(&text, String::new()).expect("unknown keys are no matter"),
            Manifest::default()
        );
        for at in 0..NOTHING.len() {
            let mut bytes = NOTHING.as_bytes().to_vec();
            bytes[at] ^= 4;
            // Changed files are read or refused; none of them is a panic.
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = parse(&text, String::new());
            }
        }
    }
}
