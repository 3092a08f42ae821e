//! What a model file says about itself, as a program's metadata.
//!
//! The file has four fields of its own and a map of the user's keys. A program has one map: the four fields are
//! the keys below, the user's keys stand as they are. A user's key that is spelled like one of the four gets the
//! prefix `userDefined.`, which is taken off again when writing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::schema::Metadata;

/// What the model is for.
pub const DESCRIPTION: &str = "description";
/// Who made it.
pub const AUTHOR: &str = "author";
/// Its licence.
pub const LICENSE: &str = "license";
/// Its own version.
pub const VERSION: &str = "version";
/// The names of a classifier's classes, one a line, in the order of its probabilities.
pub const CLASSES: &str = "locket.classes";

const OWN_KEYS: [&str; 4] = [DESCRIPTION, AUTHOR, LICENSE, VERSION];
const USER_PREFIX: &str = "userDefined.";

/// Makes a program's metadata of a file's.
pub(super) fn from_file(metadata: Option<&Metadata<'_>>) -> BTreeMap<String, String> {
    let Some(metadata) = metadata else {
        return BTreeMap::new();
    };
    let own = [
        (DESCRIPTION, &metadata.short_description),
        (AUTHOR, &metadata.author),
        (LICENSE, &metadata.license),
        (VERSION, &metadata.version),
    ];
    let own = own.into_iter().filter(|(_, text)| !text.is_empty());
    let own = own.map(|(key, text)| (key.to_owned(), text.as_ref().to_owned()));
    let user = metadata.user_defined.iter().map(|(key, text)| {
        let prefix = if OWN_KEYS.contains(&key.as_ref()) {
            USER_PREFIX
        } else {
            ""
        };
        (format!("{prefix}{key}"), text.as_ref().to_owned())
    });
    own.chain(user).collect()
}

/// Makes a file's metadata of a program's.
pub(super) fn to_file(metadata: &BTreeMap<String, String>) -> Metadata<'_> {
    let own = |key: &str| Cow::Borrowed(metadata.get(key).map_or("", String::as_str));
    let user = metadata
        .iter()
        .filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()));
    let user = user.map(|(key, text)| {
        let bare = key
            .strip_prefix(USER_PREFIX)
            .filter(|bare| OWN_KEYS.contains(bare));
        (Cow::Borrowed(bare.unwrap_or(key)), Cow::Borrowed(text.as_str()))
    });
    Metadata {
        short_description: own(DESCRIPTION),
        version: own(VERSION),
        author: own(AUTHOR),
        license: own(LICENSE),
        user_defined: user.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{from_file, to_file};

    #[test]
    fn metadata_survives_a_round_trip() {
        let pairs = [
            ("author", "a"),
            ("license", "l"),
            ("userDefined.author", "u"),
            ("x.y", "z"),
            ("version", "1"),
        ];
        let metadata: BTreeMap<String, String> = pairs
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
            .collect();
        let file = to_file(&metadata);
        assert_eq!(
            (
                file.author.as_ref(),
                file.version.as_ref(),
                file.short_description.as_ref()
            ),
            ("a", "1", "")
        );
        assert_eq!(file.user_defined.get("author").map(AsRef::as_ref), Some("u"));
        assert_eq!(from_file(Some(&file)), metadata);
    }
}
