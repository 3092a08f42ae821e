//! Tests of the wire format: every scalar survives a round trip, and broken bytes are refused where they break.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Context, Field, Message, Text, Writer, decode, encode};
use crate::FormatError;
use crate::limits::Limits;

/// A message with one field of each kind.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sample<'a> {
    unsigned: u64,
    signed: i64,
    flag: bool,
    text: Text<'a>,
    float: Option<f32>,
    double: Option<f64>,
    floats: Vec<f32>,
    ints: Vec<i32>,
    children: BTreeMap<Text<'a>, Self>,
    names: BTreeMap<Text<'a>, Text<'a>>,
    child: Option<Box<Self>>,
}

impl<'a> Message<'a> for Sample<'a> {
    const NAME: &'static str = "Sample";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.unsigned = field.uint64()?,
            2 => self.signed = field.int64()?,
            3 => self.flag = field.bool()?,
            4 => self.text = field.text()?,
            5 => self.float = Some(field.float()?),
            6 => self.double = Some(field.double()?),
            7 => field.floats(&mut self.floats)?,
            8 => field.varints(&mut self.ints, super::low_int32)?,
            9 => field.map_entry(&mut self.children, context)?,
            10 => field.text_entry(&mut self.names, context)?,
            11 => {
                let child = field.message(context)?;
                super::set_once(&mut self.child, Box::new(child), field.offset, Self::NAME)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.uint64(1, self.unsigned);
        out.int64(2, self.signed);
        out.bool(3, self.flag);
        out.text(4, &self.text);
        if let Some(value) = self.float {
            out.float_always(5, value);
        }
        if let Some(value) = self.double {
            out.double_always(6, value);
        }
        out.floats(7, &self.floats);
        out.varints(8, &self.ints, |value| i64::from(value).cast_unsigned());
        out.map(9, &self.children);
        out.text_map(10, &self.names);
        out.message_opt(11, self.child.as_deref());
    }
}

fn sample() -> impl Strategy<Value = Sample<'static>> {
    let leaf = (
        any::<u64>(),
        any::<i64>(),
        any::<bool>(),
        ".{0,200}",
        proptest::option::of(-1e30_f32..1e30),
        proptest::option::of(-1e300_f64..1e300),
        proptest::collection::vec(-1e3_f32..1e3, 0..40),
        proptest::collection::vec(any::<i32>(), 0..40),
        proptest::collection::btree_map(
            ".{0,3}".prop_map(Text::Owned),
            ".{0,3}".prop_map(Text::Owned),
            0..4,
        ),
    )
        .prop_map(
            |(unsigned, signed, flag, text, float, double, floats, ints, names)| Sample {
                unsigned,
                signed,
                flag,
                text: text.into(),
                float,
                double,
                floats,
                ints,
                names,
                ..Sample::default()
            },
        );
    leaf.prop_recursive(3, 12, 3, |inner| {
        let children =
            proptest::collection::btree_map("[a-z]{0,3}".prop_map(Text::Owned), inner.clone(), 0..3);
        (inner.clone(), children, proptest::option::of(inner)).prop_map(|(message, children, child)| Sample {
            children,
            child: child.map(Box::new),
            ..message
        })
    })
}

fn read(bytes: &[u8]) -> Result<Sample<'_>, FormatError> {
    decode(bytes, 0, &mut Context::new(&Limits::small()))
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(message in sample()) {
        let bytes = encode(&message);
        prop_assert_eq!(&read(&bytes).unwrap(), &message);
        prop_assert_eq!(encode(&read(&bytes).unwrap()), bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
    }
}

#[test]
fn bytes_are_those_of_protobuf() {
    let message = Sample {
        unsigned: 300,
        signed: -1,
        text: "ab".into(),
        ints: vec![1, -1],
        ..Sample::default()
    };
    let mut expected = vec![0x08, 0xac, 0x02, 0x10];
    expected.extend([0xff; 9]);
    expected.extend([0x01, 0x22, 0x02, b'a', b'b', 0x42, 0x0b, 0x01]);
    expected.extend([0xff; 9]);
    expected.push(0x01);
    assert_eq!(encode(&message), expected);
}

#[test]
fn unpacked_repeated_fields_are_read() {
    let message = read(&[0x40, 1, 0x40, 2, 0x3d, 0, 0, 0x80, 0x3f]).unwrap();
    assert_eq!((message.ints, message.floats), (vec![1, 2], vec![1.0]));
}

#[test]
fn broken_bytes_are_refused_where_they_break() {
    let cases: &[(&[u8], &str)] = &[
        (&[0x08], "byte 1: expected a varint, found the end of the message"),
        (
            &[0x08, 0x80],
            "byte 1: expected a varint, found the end of the message",
        ),
        (
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            "byte 1: expected a varint of 64 bits",
        ),
        (
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 129, 1],
            "byte 1: expected a varint of",
        ),
        (&[0x00], "byte 0: expected a field number, found 0"),
        (&[0x0b], "byte 0: expected wire type 0, 1, 2 or 5, found 3"),
        (
            &[0x08, 1, 0x22, 5, b'a'],
            "byte 3: expected a length of at most 1 bytes, found 5",
        ),
        (
            &[0x22, 2, b'a', 0xff],
            "byte 3: expected UTF-8 text, found other bytes",
        ),
        (
            &[0x0a, 0],
            "byte 0: expected a varint in field 1, found a length-delimited field",
        ),
        (
            &[0x3a, 3, 0, 0, 0],
            "byte 2: expected packed values of 4 bytes each, found 3 bytes",
        ),
        (
            &[0x29, 0, 0, 0, 0, 0, 0, 0, 0],
            "byte 0: expected a float in field 5, found a 64-bit field",
        ),
        (
            &[0x5a, 0, 0x5a, 0],
            "byte 2: expected Sample once, found a second one",
        ),
        (
            &[0x52, 3, 0x0a, 1, b'k', 0x52, 3, 0x0a, 1, b'k'],
            "byte 5: expected each map key once, found `k` twice",
        ),
        (&[0x5a, 4, 0x5a, 2, 0x08, 0x80], "byte 5: expected a varint"),
    ];
    for (bytes, expected) in cases {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{bytes:?}: {error}");
    }
}

#[test]
fn nesting_is_bounded() {
    let mut bytes = Vec::new();
    for _ in 0..40 {
        let mut out = Writer::default();
        out.bytes(11, &bytes);
        out.nested(11, |_| {});
        bytes = out.into_bytes();
        bytes.truncate(bytes.len() - 2);
        if bytes.is_empty() {
            bytes = vec![0x5a, 0];
        }
    }
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, FormatError::Limit { limit: 32, .. }), "{error}");
}

#[test]
fn the_number_of_messages_is_bounded() {
    let limits = Limits {
        max_operations: 1,
        ..Limits::small()
    };
    let bytes: Vec<u8> = (0..100).flat_map(|key| [0x4a, 3, 0x0a, 1, key]).collect();
    let error = decode::<Sample<'_>>(&bytes, 0, &mut Context::new(&limits)).unwrap_err();
    assert!(matches!(error, FormatError::Limit { limit: 64, .. }), "{error}");
}

#[test]
fn unknown_fields_are_skipped_and_remembered() {
    let mut context = Context::new(&Limits::small());
    let bytes = [0x08, 7, 0x78, 1, 0x5a, 4, 0x7a, 2, 1, 2];
    let message: Sample<'_> = decode(&bytes, 100, &mut context).unwrap();
    assert_eq!(message.unsigned, 7);
    let notes: Vec<_> = context
        .unknown_fields()
        .iter()
        .map(|note| (note.message, note.field, note.offset))
        .collect();
    assert_eq!(notes, [("Sample", 15, 102), ("Sample", 15, 106)]);
    assert_eq!(context.unknown_count(), 2);
}
