//! Folders that are data sets, and folders that are not.

use std::path::Path;

use locket_data::npy::NpyArray;
use locket_data::{Dataset, InputSpec, Preprocess, SampleBuffer};

fn array_set(folder: &Path, rows: usize, labels: &[i32]) {
    let pixels: Vec<u8> = (0..rows * 4).map(|index| index as u8).collect();
    let x = NpyArray::from_elements(&[rows, 2, 2, 1], &pixels).expect("the shape is that of the pixels");
    x.write(&folder.join("x.npy"))
        .expect("a temporary folder can be written");
    let y = NpyArray::from_elements(&[labels.len()], labels).expect("the shape is that of the labels");
    y.write(&folder.join("y.npy"))
        .expect("a temporary folder can be written");
}

/// The error of opening a folder, without the folder's own path.
fn open_error(folder: &Path) -> String {
    let error = Dataset::open(folder).expect_err("not a data set").to_string();
    error
        .replace(&format!("{}/", folder.display()), "")
        .replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn arrays_are_read_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    array_set(folder.path(), 3, &[1, 0, 2]);
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(
        (dataset.len(), dataset.labels(), dataset.label(2)),
        (3, [1, 0, 2].as_slice(), 2)
    );
    assert_eq!(dataset.names(), ["row 0", "row 1", "row 2"]);
    assert!(dataset.class_names().is_empty() && !dataset.is_empty());
    let mut buffer = SampleBuffer::new();
    dataset
        .read(
            2,
            &Preprocess::default(),
            &InputSpec::float32(&[1, 1, 2, 2]),
            &mut buffer,
        )
        .unwrap();
    assert_eq!(buffer.elements::<f32>().unwrap(), [8.0, 9.0, 10.0, 11.0]);
    let error = dataset
        .read(
            1,
            &Preprocess::default(),
            &InputSpec::float32(&[1, 3, 3]),
            &mut buffer,
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sample row 1: the sample has shape [1, 2, 2] in layout NCHW, the model's input [1, 3, 3]"
    );

    std::fs::write(
        folder.path().join("labels.csv"),
        "index,label,source\n0,1,a\n1,0,b\n2,2,c\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("classes.txt"), "cat\ndog\r\nbird\n").unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.names(), ["a", "b", "c"]);
    assert_eq!(dataset.class_names(), ["cat", "dog", "bird"]);
}

#[test]
fn pictures_are_read_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let split = folder.path().join("dev");
    std::fs::create_dir_all(split.join("images")).unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::copy(data.join("png_rgb.png"), split.join("images/a, b.png")).unwrap();
    std::fs::write(split.join("images/broken.png"), b"\x89PNG nothing").unwrap();
    std::fs::write(
        split.join("labels.csv"),
        "path,label\n\"images/a, b.png\",1\nimages/broken.png,0\nnone.png,0\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("classes.txt"), "zero\none\n").unwrap();

    let dataset = Dataset::open(&split).unwrap();
    assert_eq!((dataset.len(), dataset.label(0)), (3, 1));
    assert_eq!(dataset.class_names(), ["zero", "one"], "from one level up");
    let mut buffer = SampleBuffer::new();
    let input = InputSpec::float32(&[1, 3, 9, 13]);
    let expected = NpyArray::read(&data.join("png_rgb.npy")).unwrap();
    dataset
        .read(0, &Preprocess::default(), &input, &mut buffer)
        .unwrap();
    let green: Vec<f32> = expected
        .bytes()
        .iter()
        .skip(1)
        .step_by(3)
        .map(|&sample| f32::from(sample))
        .collect();
    assert_eq!(buffer.elements::<f32>().unwrap()[9 * 13..2 * 9 * 13], green);

    let error = dataset
        .read(1, &Preprocess::default(), &input, &mut buffer)
        .unwrap_err()
        .to_string();
    assert!(error.contains("images/broken.png: png: "), "{error}");
    let error = dataset
        .read(2, &Preprocess::default(), &input, &mut buffer)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot open ") && error.contains("none.png"),
        "{error}"
    );
    // An error leaves the set and the buffer usable.
    dataset
        .read(0, &Preprocess::default(), &input, &mut buffer)
        .unwrap();
}

#[test]
fn labels_are_checked_against_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    array_set(folder.path(), 3, &[1, 0, 12]);
    let dataset = Dataset::open(folder.path()).unwrap();
    dataset.check_labels(13).unwrap();
    let error = dataset.check_labels(10).unwrap_err().to_string();
    assert!(
        error.ends_with("y.npy, row 2: label 12, expected 0 to 9 (10 classes)"),
        "{error}"
    );
    std::fs::write(folder.path().join("classes.txt"), "a\nb\n").unwrap();
    assert_eq!(
        open_error(folder.path()),
        "y.npy, row 2: label 12, expected 0 to 1 (2 classes)"
    );

    let pictures = tempfile::tempdir().unwrap();
    std::fs::write(
        pictures.path().join("labels.csv"),
        "path,label\na.png,0\n\nb.png,7\n",
    )
    .unwrap();
    let error = Dataset::open(pictures.path())
        .unwrap()
        .check_labels(7)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("labels.csv, line 4: label 7, expected 0 to 6 (7 classes)"),
        "{error}"
    );
}

#[test]
fn what_is_no_data_set_says_why() {
    let write = |name: &'static str, text: &'static str| {
        move |folder: &Path| std::fs::write(folder.join(name), text).unwrap()
    };
    let arrays = |rows: usize, labels: &'static [i32]| move |folder: &Path| array_set(folder, rows, labels);
    let cases: Vec<(Box<dyn Fn(&Path)>, &str)> = vec![
        (
            Box::new(|_| ()),
            "FOLDER: holds neither labels.csv nor x.npy and y.npy",
        ),
        (
            Box::new(write("labels.csv", "path,label\n")),
            "FOLDER: the set is empty, expected at least one sample",
        ),
        (
            Box::new(write("labels.csv", "path\na.png\n")),
            "labels.csv, line 1: no column 'label', found: path",
        ),
        (
            Box::new(write("labels.csv", "path,label\na.png,0\n../../secret,1\n")),
            "labels.csv, line 3: path '../../secret' leaves the folder, expected a relative path without '..'",
        ),
        (
            Box::new(write("labels.csv", "path,label\n/etc/passwd,1\n")),
            "labels.csv, line 2: path '/etc/passwd' leaves the folder, expected a relative path without '..'",
        ),
        (
            Box::new(write("x.npy", "no array")),
            "x.npy: not a .npy file: it does not start with the bytes \\x93NUMPY",
        ),
        (
            Box::new(arrays(0, &[])),
            "FOLDER: the set is empty, expected at least one sample",
        ),
        (
            Box::new(arrays(3, &[0, 1])),
            "FOLDER: x.npy has 3 rows, y.npy 2 labels",
        ),
        (
            Box::new(arrays(2, &[0, -1])),
            "y.npy: row 1: label -1, expected a whole number from 0",
        ),
        (
            Box::new(move |folder| {
                array_set(folder, 2, &[0, 0]);
                std::fs::remove_file(folder.join("y.npy")).unwrap();
            }),
            "cannot open y.npy: No such file or directory (os error 2)",
        ),
        (
            Box::new(move |folder| {
                array_set(folder, 2, &[0, 0]);
                let labels = NpyArray::from_elements(&[2], &[0.0_f32, 1.0]).unwrap();
                labels.write(&folder.join("y.npy")).unwrap();
            }),
            "y.npy: labels are float32, expected whole numbers (such as int32)",
        ),
        (
            Box::new(move |folder| {
                array_set(folder, 2, &[0, 0]);
                let labels = NpyArray::from_elements(&[1, 2], &[0_u8, 1]).unwrap();
                labels.write(&folder.join("y.npy")).unwrap();
            }),
            "y.npy: labels have shape [1, 2], expected [n]",
        ),
        (
            Box::new(move |folder| {
                array_set(folder, 2, &[0, 3]);
                std::fs::write(folder.join("labels.csv"), "path,label\na,0\nb,2\n").unwrap();
            }),
            "labels.csv, line 3: label 2, but y.npy has 3 for this sample",
        ),
        (
            Box::new(move |folder| {
                array_set(folder, 2, &[0, 3]);
                std::fs::write(folder.join("labels.csv"), "path,label\na,0\n").unwrap();
            }),
            "labels.csv: 1 rows, but y.npy has 2 labels",
        ),
        (
            Box::new(move |folder| {
                array_set(folder, 2, &[0, 1]);
                std::fs::write(folder.join("classes.txt"), "a\n\nb\n").unwrap();
            }),
            "classes.txt: line 2 is empty, expected a class name",
        ),
    ];
    for (make, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        assert_eq!(open_error(folder.path()), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Dataset::open(&file).unwrap_err().to_string();
    assert!(
        error.contains("not a folder, expected one with labels.csv and pictures, or x.npy and y.npy"),
        "{error}"
    );
    let error = Dataset::open(&folder.path().join("missing"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot open ") && error.contains("missing"),
        "{error}"
    );
}

/// Sets are shared by threads.
#[test]
fn threads_read_the_same_set() {
    let folder = tempfile::tempdir().unwrap();
    array_set(folder.path(), 60, &[0; 60]);
    let dataset = Dataset::open(folder.path()).unwrap();
    let (recipe, input) = (Preprocess::default(), InputSpec::float32(&[4]));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (dataset, recipe, input) = (&dataset, &recipe, &input);
            scope.spawn(move || {
                let mut buffer = SampleBuffer::new();
                for index in (thread..60).step_by(3) {
                    dataset.read(index, recipe, input, &mut buffer).unwrap();
                    assert_eq!(buffer.elements::<f32>().unwrap()[0], (index * 4) as f32);
                }
            });
        }
    });
}
