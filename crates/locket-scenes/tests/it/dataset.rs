//! Data set files.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use locket_scenes::{CLASSES, Scene, Split, write_dataset};

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("locket-scenes-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Splits a version 1 `.npy` file into its header text and its data.
fn npy(bytes: &[u8]) -> (&str, &[u8]) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(end % 64, 0);
    (
        std::str::from_utf8(&bytes[10..end]).expect("the header is text"),
        &bytes[end..],
    )
}

#[test]
fn files_hold_the_scenes_of_the_range() {
    let folder = Folder::new("range");
    let mut calls = Vec::new();
    write_dataset(&folder.0, 11, 30..173, 8, |done, all| calls.push((done, all))).unwrap();
    assert_eq!(calls, [(64, 143), (128, 143), (143, 143)]);

    let read = |name: &str| fs::read(folder.0.join(name)).unwrap();
    let (x, y) = (read("x.npy"), read("y.npy"));
    let (head, pixels) = npy(&x);
    assert_eq!(
        head.trim_end(),
        "{'descr': '|u1', 'fortran_order': False, 'shape': (143, 8, 8, 3), }"
    );
    let (head, labels) = npy(&y);
    assert_eq!(
        head.trim_end(),
        "{'descr': '<i4', 'fortran_order': False, 'shape': (143,), }"
    );
    let table = String::from_utf8(read("labels.csv")).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("path,label,caption"));
    assert_eq!((pixels.len(), labels.len()), (143 * 192, 143 * 4));
    for (index, (picture, label)) in (30..).zip(pixels.chunks_exact(192).zip(labels.chunks_exact(4))) {
        let scene = Scene::sample(11, index);
        assert_eq!(picture, scene.render(8), "picture {index}");
        assert_eq!(label, (scene.label() as i32).to_le_bytes(), "label {index}");
        let line = format!("scene-{index:06},{},\"{}\"", scene.label(), scene.caption());
        assert_eq!(lines.next(), Some(line.as_str()));
    }
    assert_eq!(lines.next(), None);
    assert_eq!(
        String::from_utf8(read("classes.txt"))
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        CLASSES
    );

    let mut names: Vec<_> = fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["classes.txt", "labels.csv", "x.npy", "y.npy"],
        "nothing else is left behind"
    );
}

#[test]
fn writing_twice_gives_the_same_bytes() {
    let folder = Folder::new("twice");
    let mut files = Vec::new();
    for _ in 0..2 {
        write_dataset(&folder.0, Split::Calib.seed(), 0..70, 16, |_, _| {}).unwrap();
        files.push(["x.npy", "y.npy", "labels.csv"].map(|name| fs::read(folder.0.join(name)).unwrap()));
    }
    assert!(files[0] == files[1]);
}

#[test]
fn mistakes_are_told() {
    let folder = Folder::new("mistakes");
    let cases = [
        (5..5, 64, "expected a range with scenes in it, found 5..5"),
        (0..3, 0, "expected a picture size of 1 to 4096 pixels, found 0"),
        (
            0..3,
            5000,
            "expected a picture size of 1 to 4096 pixels, found 5000",
        ),
    ];
    for (range, size, message) in cases {
        let error = write_dataset(&folder.0, 1, range, size, |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), message);
    }
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("file");
    fs::write(&file, b"in the way").unwrap();
    let error = write_dataset(&file, 1, 0..3, 8, |_, _| {}).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot write {}: ", file.display())),
        "{error}"
    );
}
