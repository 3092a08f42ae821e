use std::{fs, path::Path};

use super::{Entry, MOST_LINE_BYTES, RunOutcome, append, check, zeros};

fn entry(predictions: u64) -> Entry {
    Entry {
        time: "2026-11-30T12:00:00Z".to_owned(),
        command: "run".to_owned(),
        model: "blake3:00".to_owned(),
        isolation: "worker".to_owned(),
        policy: Some("a325".to_owned()),
        memory_bytes: Some(1 << 20),
        latency_ms: Some(2.5),
        predictions,
        outcome: RunOutcome::Done,
        ..Entry::default()
    }
}

/// A log of three entries, its bytes and its hashes.
fn three(path: &Path) -> (Vec<u8>, Vec<String>) {
    let hashes = (1..=3).map(|count| append(path, &entry(count)).expect("a fresh file"));
    let hashes = hashes.collect();
    (fs::read(path).expect("just written"), hashes)
}

#[test]
fn a_changed_byte_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (bytes, hashes) = three(&path);
    let checked = check(&path, None).expect("readable");
    assert_eq!((checked.entries, checked.predictions, checked.failed), (3, 6, 0));
    assert_eq!((&checked.head, &checked.broken), (&hashes[2], &None));
    let mut line = 1;
    for at in 0..bytes.len() {
        for bit in [1, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            fs::write(&path, changed).expect("writable");
            let broken = check(&path, None).expect("readable").broken;
            assert_eq!(
                broken.map(|(line, _)| line),
                Some(line),
                "bit {bit:#x} of byte {at}"
            );
        }
        line += u64::from(bytes[at] == b'\n');
    }
}

#[test]
fn lines_that_are_taken_away_added_or_moved_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (bytes, _) = three(&path);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let long = vec![b' '; MOST_LINE_BYTES + 9];
    let cases: [(&[&[u8]], u64); 6] = [
        (&[lines[1], lines[2]], 1),
        (&[lines[0], lines[2]], 2),
        (&[lines[0], lines[2], lines[1]], 2),
        (&[lines[0], lines[1], lines[1], lines[2]], 3),
        (&[lines[0], b"\n", lines[1], lines[2]], 2),
        (&[lines[0], &long], 2),
    ];
    for (lines, expected) in cases {
        fs::write(&path, lines.concat()).expect("writable");
        let broken = check(&path, None).expect("readable").broken;
        assert_eq!(broken.map(|(line, _)| line), Some(expected));
    }
}

#[test]
fn a_cut_is_seen_in_a_line_and_otherwise_by_who_knows_the_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (bytes, hashes) = three(&path);
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("writable");
        let checked = check(&path, Some(&hashes[2])).expect("readable");
        let whole = length == 0 || bytes[length - 1] == b'\n';
        assert_eq!(checked.broken.is_none(), whole, "cut at {length}");
        assert_eq!(checked.after_known, None, "cut at {length}");
        // A log that ends within a line is not gone on with, and stays as it is.
        if !whole {
            let error = append(&path, &entry(9)).expect_err("no end");
            assert!(format!("{error:#}").contains("has no end"), "{error:#}");
            assert_eq!(fs::read(&path).expect("readable"), &bytes[..length]);
        }
    }
    fs::write(&path, &bytes).expect("writable");
    for (known, after) in [(&hashes[2], Some(0)), (&hashes[0], Some(2)), (&zeros(), None)] {
        assert_eq!(check(&path, Some(known)).expect("readable").after_known, after);
    }
}

#[test]
fn many_can_append_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for count in 0..16 {
                    append(&path, &entry(count)).expect("appended");
                }
            });
        }
    });
    let checked = check(&path, None).expect("readable");
    assert_eq!((checked.entries, checked.broken), (128, None));
}
