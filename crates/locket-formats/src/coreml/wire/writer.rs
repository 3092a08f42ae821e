//! Writing: fields in the order in which they are given, lengths in front.

use std::collections::BTreeMap;

use super::field::map_message;
use super::{Message, Text};

/// Collects the bytes of a message. Scalar methods leave out the default value, as proto3 does; those that end
/// in `_always` are for members of a oneof and for map entries, whose presence carries meaning.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// The bytes written so far.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.bytes.push(low & 0x7f);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.varint((u64::from(number) << 3) | wire_type);
    }

    /// Writes a `uint64`.
    pub fn uint64(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.uint64_always(number, value);
        }
    }

    /// Writes a `uint64` that is present even when 0.
    pub fn uint64_always(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    /// Writes an `int64` or, sign-extended, an `int32`.
    pub fn int64(&mut self, number: u32, value: i64) {
        self.uint64(number, value.cast_unsigned());
    }

    /// Writes an `int64` or `int32` that is present even when 0.
    pub fn int64_always(&mut self, number: u32, value: i64) {
        self.uint64_always(number, value.cast_unsigned());
    }

    /// Writes a `bool`.
    pub fn bool(&mut self, number: u32, value: bool) {
        self.uint64(number, u64::from(value));
    }

    /// Writes a `float` that is present even when 0.
    pub fn float_always(&mut self, number: u32, value: f32) {
        self.tag(number, 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a `double` that is present even when 0.
    pub fn double_always(&mut self, number: u32, value: f64) {
        self.tag(number, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes `bytes`.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        if !value.is_empty() {
            self.nested(number, |out| out.bytes.extend_from_slice(value));
        }
    }

    /// Writes a `string`.
    pub fn text(&mut self, number: u32, value: &str) {
        self.bytes(number, value.as_bytes());
    }

    /// Writes a `string` that is present even when empty.
    pub fn text_always(&mut self, number: u32, value: &str) {
        self.nested(number, |out| out.bytes.extend_from_slice(value.as_bytes()));
    }

    /// Writes a message, present even when it has no fields.
    pub fn message<'a, M: Message<'a>>(&mut self, number: u32, message: &M) {
        self.nested(number, |out| message.encode(out));
    }

    /// Writes a message if there is one.
    pub fn message_opt<'a, M: Message<'a>>(&mut self, number: u32, message: Option<&M>) {
        if let Some(message) = message {
            self.message(number, message);
        }
    }

    /// Writes a map from strings to messages, in the order of its keys.
    pub fn map<'a, M: Message<'a>>(&mut self, number: u32, map: &BTreeMap<Text<'a>, M>) {
        for (key, value) in map {
            self.nested(number, |out| map_message(out, key, Some(value)));
        }
    }

    /// Writes a map from strings to strings, in the order of its keys.
    pub fn text_map(&mut self, number: u32, map: &BTreeMap<Text<'_>, Text<'_>>) {
        for (key, value) in map {
            self.nested(number, |out| {
                out.text_always(1, key);
                out.text_always(2, value);
            });
        }
    }

    /// Writes packed `float`s.
    pub fn floats(&mut self, number: u32, values: &[f32]) {
        self.packed(number, values, |out, value| {
            out.bytes.extend_from_slice(&value.to_le_bytes());
        });
    }

    /// Writes packed `double`s.
    pub fn doubles(&mut self, number: u32, values: &[f64]) {
        self.packed(number, values, |out, value| {
            out.bytes.extend_from_slice(&value.to_le_bytes());
        });
    }

    /// Writes packed varints, each converted by `convert`.
    pub fn varints<T: Copy>(&mut self, number: u32, values: &[T], convert: impl Fn(T) -> u64) {
        self.packed(number, values, |out, value| out.varint(convert(value)));
    }

    fn packed<T: Copy>(&mut self, number: u32, values: &[T], write: impl Fn(&mut Self, T)) {
        if !values.is_empty() {
            self.nested(number, |out| values.iter().for_each(|value| write(out, *value)));
        }
    }

    /// Writes a length-delimited field whose contents `write` appends.
    pub fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.tag(number, 2);
        let start = self.bytes.len();
        write(self);
        let length = self.bytes.len().saturating_sub(start);
        let mut prefix = Self::default();
        prefix.varint(u64::try_from(length).unwrap_or(u64::MAX));
        // The length is known only now: it is spliced in front of the contents.
        self.bytes.splice(start..start, prefix.bytes);
    }
}
