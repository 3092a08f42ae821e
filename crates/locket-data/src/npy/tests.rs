use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{MAX_HEADER_BYTES, NpyArray, NpyHeader, NpyProblem, NpyRows, NpyType};
use crate::DataError;

/// A file with a version 1 header of the given text.
fn file_with(text: &str, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(data);
    file
}

/// `numpy.save` of `numpy.zeros(shape, dtype)`, numpy 2: length and text of the header.
#[test]
fn headers_are_those_of_numpy() {
    let cases: [(NpyType, &[usize], u8, &str, usize); 6] = [
        (
            NpyType::F32,
            &[3, 4],
            0x76,
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
            58,
        ),
        (
            NpyType::F64,
            &[],
            0x76,
            "{'descr': '<f8', 'fortran_order': False, 'shape': (), }",
            62,
        ),
        (
            NpyType::U8,
            &[5],
            0x76,
            "{'descr': '|u1', 'fortran_order': False, 'shape': (5,), }",
            60,
        ),
        (
            NpyType::Bool,
            &[0, 2],
            0x76,
            "{'descr': '|b1', 'fortran_order': False, 'shape': (0, 2), }",
            58,
        ),
        (
            NpyType::I8,
            &[0, 1_000_000],
            0x76,
            "{'descr': '|i1', 'fortran_order': False, 'shape': (0, 1000000), }",
            52,
        ),
        (
            NpyType::F16,
            &[1; 30],
            0xb6,
            "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
             1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), }",
            38,
        ),
    ];
    for (dtype, shape, length, text, spaces) in cases {
        let count: usize = shape.iter().product();
        let array = NpyArray::new(dtype, shape.to_vec(), vec![0; count * dtype.size_bytes()]).unwrap();
        let mut expected = b"\x93NUMPY\x01\x00".to_vec();
        expected.extend([length, 0]);
        expected.extend(text.as_bytes());
        expected.extend(vec![b' '; spaces]);
        expected.push(b'\n');
        expected.extend(array.bytes());
        assert!(array.to_file_bytes() == expected, "{dtype} {shape:?}");
    }
}

#[test]
fn other_spellings_of_a_header_are_read() {
    let texts = [
        "{'shape': (2,), 'fortran_order': False, 'descr': '<i2'}",
        "{\"descr\":\"<i2\",\"fortran_order\":False,\"shape\":(2,)}\n",
        "{'descr': '<i2', 'fortran_order': False, 'shape': (2L,), }",
        "  { 'descr' : '<i2' , 'fortran_order' : False , 'shape' : ( 2 ) , }  \n",
    ];
    for text in texts {
        let array = NpyArray::from_file_bytes(&file_with(text, &[1, 0, 0xfe, 0xff])).expect(text);
        assert_eq!(
            (array.dtype(), array.shape()),
            (NpyType::I16, [2].as_slice()),
            "{text}"
        );
        assert_eq!(array.elements::<i16>().unwrap().as_ref(), [1, -2]);
    }
    let one_byte = file_with("{'descr': '>u1', 'fortran_order': False, 'shape': (1,)}", &[7]);
    assert_eq!(NpyArray::from_file_bytes(&one_byte).unwrap().dtype(), NpyType::U8);
    // Versions 2 and 3 have a 32-bit length.
    for version in [2, 3] {
        let text = "{'descr': '<u2', 'fortran_order': False, 'shape': ()}";
        let mut file = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
        file.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        file.extend(text.as_bytes());
        file.extend([1, 2]);
        assert_eq!(NpyArray::from_file_bytes(&file).unwrap().to_i64().unwrap(), [513]);
    }
}

#[test]
fn bad_files_say_what_is_wrong() {
    let with = |descr: &str, order: &str, shape: &str| {
        file_with(
            &format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"),
            &[0; 8],
        )
    };
    let deep = format!("({})", "1,".repeat(65));
    let cases = [
        (
            b"PK\x03\x04".to_vec(),
            "not a .npy file: it does not start with the bytes \\x93NUMPY",
        ),
        (
            b"\x93NUMP".to_vec(),
            "truncated: the header needs 8 bytes, the file has 5",
        ),
        (
            b"\x93NUMPY\x01\x00\x76".to_vec(),
            "truncated: the header needs 10 bytes, the file has 9",
        ),
        (
            b"\x93NUMPY\x01\x00\x76\x00{".to_vec(),
            "truncated: the header needs 128 bytes, the file has 11",
        ),
        (
            b"\x93NUMPY\x04\x00\x76\x00".to_vec(),
            "unknown .npy version 4.0, expected 1.0, 2.0 or 3.0",
        ),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "header of 4294967295 bytes, at most 65536 are read",
        ),
        (
            with("'>f4'", "False", "(2,)"),
            "element type '>f4' is big-endian, expected little-endian",
        ),
        (
            with("'<c8'", "False", "(1,)"),
            "element type '<c8' is not supported",
        ),
        (
            with("[('x', '<f4')]", "False", "(2,)"),
            "element type 'a structure' is not supported",
        ),
        (
            with("'<f4'", "True", "(2, 1)"),
            "the array is in Fortran order, expected C order",
        ),
        (
            with("'<f4'", "False", "(3,)"),
            "shape [3] of float32 needs 12 bytes of data, found 8",
        ),
        (
            with("'<f4'", "False", "(1,)"),
            "shape [1] of float32 needs 4 bytes of data, found 8",
        ),
        (
            with("'<f4'", "False", "(-1,)"),
            "header, byte 61: expected a dimension, 0 or more",
        ),
        (
            with("'<f4'", "False", "(99999999999999999999,)"),
            "header, byte 61: expected a dimension that fits in 64 bits",
        ),
        (
            with("'<f4'", "False", "(4294967296, 4294967296)"),
            "shape [4294967296, 4294967296] of float32 has too many",
        ),
        (
            with("'<f4'", "False", &deep),
            "the shape has more than 64 dimensions",
        ),
        (
            with("'<f4'", "0", "(2,)"),
            "header, byte 44: expected True or False",
        ),
        (
            with("'|b1'", "False", "(8, 1), 'x': 1"),
            "header, byte 68: expected the key descr, fortran_order or shape",
        ),
        (
            file_with("{'descr': '<f4', 'shape': (2,)}", &[0; 8]),
            "header, byte 41: expected the key fortran_order",
        ),
        (
            file_with("{'shape': (2,), 'shape': (2,)}", &[0; 8]),
            "header, byte 26: expected each key once",
        ),
        (file_with("[]", &[]), "header, byte 10: expected '{'"),
    ];
    for (file, expected) in cases {
        let problem = NpyArray::from_file_bytes(&file).unwrap_err().to_string();
        assert!(problem.starts_with(expected), "{problem}\nexpected {expected}");
    }
    let problem = NpyArray::new(NpyType::Bool, vec![2], vec![1, 2]).unwrap_err();
    assert_eq!(problem, NpyProblem::InvalidBool { index: 1, found: 2 });
}

#[test]
fn elements_are_viewed_and_converted() {
    let array = NpyArray::from_elements(&[3], &[1.5_f32, -2.0, 70000.0]).unwrap();
    assert_eq!(array.elements::<f32>().unwrap().as_ref(), [1.5, -2.0, 70000.0]);
    let wrong = array.elements::<i32>().unwrap_err().to_string();
    assert_eq!(wrong, "elements are float32, expected int32");
    assert_eq!(
        array.to_i64().unwrap_err().to_string(),
        "elements are float32, expected int64"
    );
    let half = NpyArray::from_elements(&[2], &[half::f16::from_f32(0.5), half::f16::NEG_INFINITY]).unwrap();
    assert_eq!(half.to_f32(), [0.5, f32::NEG_INFINITY]);
    let integers = NpyArray::from_elements(&[2], &[i64::MIN, 3]).unwrap();
    assert_eq!(integers.to_f32(), [-9_223_372_036_854_775_808.0, 3.0]);
    assert_eq!(integers.to_i64().unwrap(), [i64::MIN, 3]);
    let flags = NpyArray::new(NpyType::Bool, vec![2], vec![0, 1]).unwrap();
    assert_eq!(
        (flags.to_f32(), flags.to_i64().unwrap()),
        (vec![0.0, 1.0], vec![0, 1])
    );
}

#[test]
fn rows_are_read_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.npy");
    let elements: Vec<i16> = (0..24).collect();
    NpyArray::from_elements(&[4, 2, 3], &elements)
        .unwrap()
        .write(&path)
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["rows.npy"], "the temporary file is gone");

    let rows = NpyRows::open(&path).unwrap();
    assert_eq!(
        (rows.rows(), rows.row_shape(), rows.row_bytes()),
        (4, [2, 3].as_slice(), 12)
    );
    let mut buffer = [0; 24];
    rows.read(1..3, &mut buffer).unwrap();
    assert_eq!(bytemuck::pod_collect_to_vec::<u8, i16>(&buffer), elements[6..18]);
    let error = |result: Result<(), DataError>| result.unwrap_err().to_string();
    assert!(error(rows.read(3..5, &mut buffer)).ends_with("rows.npy: rows 3 to 5 of an array with 4 rows"));
    assert!(error(rows.read(0..1, &mut buffer)).ends_with("a buffer of 24 bytes for rows of 12 bytes"));

    // Shortened after it was opened: an error of the read, not garbage.
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(140)
        .unwrap();
    assert!(matches!(rows.read(2..4, &mut buffer), Err(DataError::Io { .. })));
    for result in [
        NpyRows::open(&path).map(|_| ()),
        NpyArray::read(&path).map(|_| ()),
    ] {
        assert!(error(result).ends_with("shape [4, 2, 3] of int16 needs 48 bytes of data, found 12"));
    }
}

#[test]
fn files_that_cannot_be_rows_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scalar.npy");
    NpyArray::from_elements(&[], &[1_u8])
        .unwrap()
        .write(&path)
        .unwrap();
    let error = NpyRows::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("scalar.npy: the array is a scalar (shape []), expected at least one dimension"));
    assert!(matches!(
        NpyArray::read(folder.path()),
        Err(DataError::NotAFile { .. })
    ));
    let missing = NpyArray::read(&folder.path().join("none.npy"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("cannot open ") && missing.contains("none.npy: "),
        "{missing}"
    );
    let array = NpyArray::from_elements(&[], &[1_u8]).unwrap();
    let error = array
        .write(&folder.path().join("no-folder/x.npy"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot write "), "{error}");
}

/// 4 TiB promised by 128 bytes: refused before anything of that size is allocated.
#[test]
fn sizes_are_checked_against_the_file_before_allocating() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.npy");
    let file = file_with(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (549755813888,), }",
        &[],
    );
    std::fs::write(&path, file).unwrap();
    assert!(matches!(
        NpyArray::read(&path),
        Err(DataError::Npy {
            problem: NpyProblem::WrongDataSize { .. },
            ..
        })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arrays_survive_a_file(
        dtype in prop::sample::select(&NpyType::ALL),
        shape in prop::collection::vec(0_usize..4, 0..6),
        seed in any::<u8>(),
    ) {
        let size = shape.iter().product::<usize>() * dtype.size_bytes();
        let byte = |index: usize| (index as u8).wrapping_mul(31).wrapping_add(seed);
        let limit = if dtype == NpyType::Bool { 1 } else { 255 };
        let array = NpyArray::new(dtype, shape, (0..size).map(|index| byte(index) & limit).collect()).unwrap();
        let file = array.to_file_bytes();
        prop_assert_eq!(NpyHeader::parse(&file).unwrap().data_offset_bytes % 64, 0);
        prop_assert_eq!(NpyArray::from_file_bytes(&file).unwrap(), array);
    }

    #[test]
    fn damaged_files_are_arrays_or_errors(
        changes in prop::collection::vec((0_usize..134, any::<u8>()), 1..6),
        length in 0_usize..140,
    ) {
        let mut file = NpyArray::from_elements(&[2, 1], &[1_i16, 2]).unwrap().to_file_bytes();
        for (position, byte) in changes {
            if let Some(target) = file.get_mut(position) {
                *target = byte;
            }
        }
        file.truncate(length);
        if let Ok(array) = NpyArray::from_file_bytes(&file) {
            prop_assert_eq!(array.bytes().len(), array.shape().iter().product::<usize>() * array.dtype().size_bytes());
        }
    }

    #[test]
    fn any_header_text_is_parsed_or_refused(text in "[{}()\\[\\]:,' L0-9a-zFT<>|_\n]{0,60}") {
        prop_assert!(NpyArray::from_file_bytes(&file_with(&text, &[])).is_err() || text.contains("descr"));
    }
}

#[test]
fn the_longest_header_is_read_and_no_longer_one() {
    let padded = |length: usize| {
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }";
        let mut file = b"\x93NUMPY\x02\x00".to_vec();
        file.extend(u32::try_from(length).unwrap().to_le_bytes());
        file.extend(text.bytes().chain(std::iter::repeat(b' ')).take(length));
        file.push(9);
        file
    };
    assert_eq!(
        NpyArray::from_file_bytes(&padded(MAX_HEADER_BYTES))
            .unwrap()
            .bytes(),
        [9]
    );
    let problem = NpyArray::from_file_bytes(&padded(MAX_HEADER_BYTES + 1)).unwrap_err();
    assert_eq!(
        problem,
        NpyProblem::HeaderTooLong {
            found_bytes: MAX_HEADER_BYTES as u64 + 1
        }
    );
}
