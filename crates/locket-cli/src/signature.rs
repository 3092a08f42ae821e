//! Signed bundles: names, sizes and BLAKE3 hashes of a file or of all files of a folder, under an ed25519 signature.
//!
//! ```text
//! locket bundle 1
//! file HASH BYTES PATH        one line a file, in the order of paths, which are relative and have / in them
//! signed ed25519 PUBLIC-KEY SIGNATURE
//! ```
//!
//! What is signed are the bytes before the last line, so that nothing has to be put in order before it is checked. A signature is that
//! of a key; whose key that is, the one who checks has to know.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// First line, which also keeps a signature from being taken for one of anything else.
const HEAD: &str = "locket bundle 1\n";
const SECRET: &str = "locket ed25519 secret key ";
const PUBLIC: &str = "locket ed25519 public key ";
/// Longest list that is read: some hundred thousand files.
const MOST_BYTES: u64 = 64 << 20;

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// BLAKE3, in hexadecimal.
    pub(crate) hash: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Files by their paths.
pub(crate) type Entries = BTreeMap<String, Entry>;

/// Hashes a file, or all files of a folder.
///
/// # Errors
///
/// If something cannot be read, is a link, or has a name that cannot be written down.
pub(crate) fn entries(path: &Path) -> Result<Entries> {
    let mut found = Entries::new();
    let name = |path: &Path| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| !name.contains(char::is_control));
        name.map(str::to_owned).with_context(|| {
            format!(
                "{}: expected a name in UTF-8 without control characters",
                path.display()
            )
        })
    };
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
            let path = entry.with_context(|| path.display().to_string())?.path();
            collect(&path, name(&path)?, &name, &mut found)?;
        }
    } else {
        collect(path, name(path)?, &name, &mut found)?;
    }
    if found.is_empty() {
        bail!("{}: there is no file in it", path.display());
    }
    Ok(found)
}

fn collect(
    path: &Path,
    place: String,
    name: &dyn Fn(&Path) -> Result<String>,
    found: &mut Entries,
) -> Result<()> {
    let context = || path.display().to_string();
    let kind = fs::symlink_metadata(path).with_context(context)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let place = format!("{place}/{}", name(&path)?);
            collect(&path, place, name, found)?;
        }
    } else if kind.is_file() {
        let mut hasher = blake3::Hasher::new();
        let bytes =
            std::io::copy(&mut File::open(path).with_context(context)?, &mut hasher).with_context(context)?;
        let hash = hasher.finalize().to_hex().to_string();
        found.insert(place, Entry { hash, bytes });
    } else {
        bail!(
            "{}: neither file nor folder, which cannot be signed",
            path.display()
        );
    }
    Ok(())
}

fn list(entries: &Entries) -> String {
    let mut text = HEAD.to_owned();
    for (path, entry) in entries {
        let _ = writeln!(text, "file {} {} {path}", entry.hash, entry.bytes);
    }
    text
}

/// The whole signature file for some files.
pub(crate) fn sign(entries: &Entries, key: &SigningKey) -> String {
    let list = list(entries);
    let signature = key.sign(list.as_bytes());
    let (public, signature) = (hex(key.verifying_key().as_bytes()), hex(&signature.to_bytes()));
    format!("{list}signed ed25519 {public} {signature}\n")
}

/// The files that a signature file lists, if it is signed by the key; nothing of it is believed before that.
///
/// # Errors
///
/// If it is no such file, or not signed by the key.
pub(crate) fn signed_entries(text: &str, key: &VerifyingKey) -> Result<Entries> {
    let (list, last) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once("\nsigned ed25519 "))
        .context("expected a list of files and a signature, found something else")?;
    let list = format!("{list}\n");
    let (public, signature) = last
        .split_once(' ')
        .context("expected a key and a signature in the last line")?;
    if unhex::<32>(public) != Some(*key.as_bytes()) {
        bail!("signed by another key than the one given");
    }
    let signature = unhex::<64>(signature).context("expected a signature of 64 bytes")?;
    key.verify_strict(list.as_bytes(), &Signature::from_bytes(&signature))
        .ok()
        .context("the signature does not fit: the list was changed after it was signed")?;
    let lines = list
        .strip_prefix(HEAD)
        .context("expected a list of version 1")?
        .lines();
    let entry = |line: &str| {
        let mut words = line.strip_prefix("file ")?.splitn(3, ' ');
        let (hash, bytes, path) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let hash = hash.to_owned();
        Some((path.to_owned(), Entry { hash, bytes }))
    };
    lines
        .map(|line| entry(line).with_context(|| format!("expected a file in the list, found {line}")))
        .collect()
}

/// Reads a signature file.
///
/// # Errors
///
/// If it cannot be read, is too long, or is no text.
pub(crate) fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    read.with_context(|| path.display().to_string())?;
    Ok(text)
}

/// Makes a key and writes it to a file that only its owner may read, and its public half beside it. Nothing is replaced.
///
/// # Errors
///
/// If one of the files is there already, or cannot be written.
pub(crate) fn make_key(secret: &Path, public: &Path) -> Result<SigningKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .ok()
        .context("the system has no random numbers")?;
    let key = SigningKey::from_bytes(&seed);
    let write = |path: &Path, text: String, mode: u32| {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let written = options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| path.display().to_string())
    };
    // The public half first: if it is there already, no secret is made.
    write(
        public,
        format!("{PUBLIC}{}\n", hex(key.verifying_key().as_bytes())),
        0o644,
    )?;
    write(secret, format!("{SECRET}{}\n", hex(&seed)), 0o600)?;
    Ok(key)
}

/// Reads a secret key.
///
/// # Errors
///
/// If the file cannot be read or is none.
pub(crate) fn secret_key(path: &Path) -> Result<SigningKey> {
    let bytes = key_bytes(path, SECRET, "a secret key, such as locket sign --new-key writes")?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// Reads a public key.
///
/// # Errors
///
/// If the file cannot be read or is none.
pub(crate) fn public_key(path: &Path) -> Result<VerifyingKey> {
    const WHAT: &str = "a public key, such as locket sign --new-key writes beside the secret one";
    let key = VerifyingKey::from_bytes(&key_bytes(path, PUBLIC, WHAT)?).ok();
    key.filter(|key| !key.is_weak())
        .with_context(|| format!("{}: expected {WHAT}", path.display()))
}

fn key_bytes(path: &Path, head: &str, what: &str) -> Result<[u8; 32]> {
    let text = read(path)?;
    let bytes = text.trim_end().strip_prefix(head).and_then(unhex);
    bytes.with_context(|| format!("{}: expected {what}", path.display()))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::{Entries, Entry, hex, sign, signed_entries, unhex};

    fn entries() -> Entries {
        let entry = |bytes| Entry {
            hash: "00".repeat(32),
            bytes,
        };
        [
            ("model.mlmodel".to_owned(), entry(7)),
            ("weights/a b.bin".to_owned(), entry(0)),
        ]
        .into()
    }

    #[test]
    fn a_signature_is_that_of_its_key_and_of_every_byte() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = sign(&entries(), &key);
        let public = key.verifying_key();
        assert_eq!(signed_entries(&text, &public).expect("as signed"), entries());
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(signed_entries(&text, &other).is_err());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(signed_entries(&changed, &public).is_err(), "byte {at}");
            assert!(signed_entries(&text[..at], &public).is_err(), "cut at {at}");
        }
    }

    /// The first test of RFC 8032, section 7.1: an empty message.
    #[test]
    fn signatures_are_those_of_the_standard() {
        use ed25519_dalek::Signer;
        let secret =
            unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("32 bytes");
        let key = SigningKey::from_bytes(&secret);
        assert_eq!(
            hex(key.verifying_key().as_bytes()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert_eq!(
            hex(&key.sign(b"").to_bytes()),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
    }
}
