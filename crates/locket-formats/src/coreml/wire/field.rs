//! Reading: fields one after the other, and their contents.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::writer::Writer;
use super::{Context, Message, Text, broken, decode, set_once};
use crate::FormatError;

/// The largest field number that protobuf has.
const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Self {
        Self {
            bytes,
            position: 0,
            base,
        }
    }

    fn offset(&self) -> u64 {
        self.base
            .saturating_add(u64::try_from(self.position).unwrap_or(u64::MAX))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(count)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let offset = self.offset();
        let taken = self.take(N).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
        taken.ok_or_else(|| broken(offset, format!("{N} bytes"), "the end of the message"))
    }

    fn varint(&mut self) -> Result<u64, FormatError> {
        let offset = self.offset();
        let mut value = 0_u64;
        for shift in (0..64_u32).step_by(7) {
            let [byte] = self
                .fixed::<1>()
                .map_err(|_| broken(offset, "a varint", "the end of the message"))?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits
                .checked_shl(shift)
                .filter(|s| s.checked_shr(shift) == Some(bits));
            value |= shifted.ok_or_else(|| broken(offset, "a varint of 64 bits", "a larger one"))?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken(offset, "a varint of at most ten bytes", "a longer one"))
    }

    pub(super) fn next_field(&mut self) -> Result<Option<Field<'a>>, FormatError> {
        if self.position == self.bytes.len() {
            return Ok(None);
        }
        let offset = self.offset();
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3)
            .ok()
            .filter(|n| (1..=MAX_FIELD_NUMBER).contains(&u64::from(*n)));
        let number = number.ok_or_else(|| broken(offset, "a field number", format!("{}", tag >> 3)))?;
        let raw = match tag & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(self.fixed()?),
            2 => {
                let length_offset = self.offset();
                let length = self.varint()?;
                let start = self.offset();
                let taken = usize::try_from(length).ok().and_then(|length| self.take(length));
                let bytes = taken.ok_or_else(|| {
                    let left = self.bytes.len().saturating_sub(self.position);
                    broken(
                        length_offset,
                        format!("a length of at most {left} bytes"),
                        format!("{length}"),
                    )
                })?;
                Raw::Bytes(bytes, start)
            }
            5 => Raw::Fixed32(self.fixed()?),
            other => return Err(broken(offset, "wire type 0, 1, 2 or 5", format!("{other}"))),
        };
        Ok(Some(Field { number, raw, offset }))
    }
}

#[derive(Debug, Clone, Copy)]
enum Raw<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8], u64),
    Fixed32([u8; 4]),
}

/// One field as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The field number.
    pub number: u32,
    /// Where the tag is, in bytes from the start of the file.
    pub offset: u64,
    raw: Raw<'a>,
}

impl<'a> Field<'a> {
    fn mismatch(&self, expected: &str) -> FormatError {
        let found = match self.raw {
            Raw::Varint(_) => "a varint",
            Raw::Fixed64(_) => "a 64-bit field",
            Raw::Bytes(..) => "a length-delimited field",
            Raw::Fixed32(_) => "a 32-bit field",
        };
        broken(self.offset, format!("{expected} in field {}", self.number), found)
    }

    /// Reads a `uint64`, or the bits of any other varint.
    pub fn uint64(&self) -> Result<u64, FormatError> {
        match self.raw {
            Raw::Varint(value) => Ok(value),
            _ => Err(self.mismatch("a varint")),
        }
    }

    /// Reads an `int64`.
    pub fn int64(&self) -> Result<i64, FormatError> {
        self.uint64().map(u64::cast_signed)
    }

    /// Reads an `int32`; more than 32 bits are cut off, as protobuf demands.
    pub fn int32(&self) -> Result<i32, FormatError> {
        self.uint64().map(low_int32)
    }

    /// Reads a `bool`.
    pub fn bool(&self) -> Result<bool, FormatError> {
        self.uint64().map(|value| value != 0)
    }

    /// Reads a `float`.
    pub fn float(&self) -> Result<f32, FormatError> {
        match self.raw {
            Raw::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.mismatch("a float")),
        }
    }

    /// Reads a `double`.
    pub fn double(&self) -> Result<f64, FormatError> {
        match self.raw {
            Raw::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(self.mismatch("a double")),
        }
    }

    /// Reads `bytes` and says where in the file they start.
    pub fn bytes(&self) -> Result<(&'a [u8], u64), FormatError> {
        match self.raw {
            Raw::Bytes(bytes, start) => Ok((bytes, start)),
            _ => Err(self.mismatch("bytes")),
        }
    }

    /// Reads a `string`, which must be UTF-8.
    pub fn text(&self) -> Result<Text<'a>, FormatError> {
        let (bytes, start) = self.bytes()?;
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
            let at = u64::try_from(error.valid_up_to()).unwrap_or(u64::MAX);
            broken(start.saturating_add(at), "UTF-8 text", "other bytes")
        })
    }

    /// Reads a message.
    pub fn message<M: Message<'a>>(&self, context: &mut Context) -> Result<M, FormatError> {
        let (bytes, start) = self.bytes()?;
        decode(bytes, start, context)
    }

    /// Reads a message into `slot`, which must be empty.
    pub fn message_once<M: Message<'a>>(
        &self,
        slot: &mut Option<M>,
        context: &mut Context,
    ) -> Result<(), FormatError> {
        let message = self.message(context)?;
        set_once(slot, message, self.offset, M::NAME)
    }

    /// Reads an entry of a map from strings to messages; a key that comes twice is refused.
    pub fn map_entry<M: Message<'a>>(
        &self,
        map: &mut BTreeMap<Text<'a>, M>,
        context: &mut Context,
    ) -> Result<(), FormatError> {
        let entry: MapEntry<'a, M> = self.message(context)?;
        self.insert(map, entry.key, entry.value.unwrap_or_default())
    }

    /// Reads an entry of a map from strings to strings; a key that comes twice is refused.
    pub fn text_entry(
        &self,
        map: &mut BTreeMap<Text<'a>, Text<'a>>,
        context: &mut Context,
    ) -> Result<(), FormatError> {
        let entry: TextEntry<'a> = self.message(context)?;
        self.insert(map, entry.key, entry.value)
    }

    fn insert<V>(&self, map: &mut BTreeMap<Text<'a>, V>, key: Text<'a>, value: V) -> Result<(), FormatError> {
        if map.contains_key(&key) {
            return Err(broken(self.offset, "each map key once", format!("`{key}` twice")));
        }
        map.insert(key, value);
        Ok(())
    }

    /// Appends the values of a repeated `float`, packed or not.
    pub fn floats(&self, values: &mut Vec<f32>) -> Result<(), FormatError> {
        match self.raw {
            Raw::Fixed32(bytes) => values.push(f32::from_le_bytes(bytes)),
            Raw::Bytes(bytes, start) => {
                values.extend(
                    fixed_chunks(bytes, start)?
                        .iter()
                        .copied()
                        .map(f32::from_le_bytes),
                );
            }
            _ => return Err(self.mismatch("floats")),
        }
        Ok(())
    }

    /// Appends the values of a repeated `double`, packed or not.
    pub fn doubles(&self, values: &mut Vec<f64>) -> Result<(), FormatError> {
        match self.raw {
            Raw::Fixed64(bytes) => values.push(f64::from_le_bytes(bytes)),
            Raw::Bytes(bytes, start) => {
                values.extend(
                    fixed_chunks(bytes, start)?
                        .iter()
                        .copied()
                        .map(f64::from_le_bytes),
                );
            }
            _ => return Err(self.mismatch("doubles")),
        }
        Ok(())
    }

    /// Appends the values of a repeated varint field, packed or not, each converted by `convert`.
    pub fn varints<T>(&self, values: &mut Vec<T>, convert: impl Fn(u64) -> T) -> Result<(), FormatError> {
        match self.raw {
            Raw::Varint(value) => values.push(convert(value)),
            Raw::Bytes(bytes, start) => {
                let mut cursor = Cursor::new(bytes, start);
                while cursor.position < bytes.len() {
                    values.push(convert(cursor.varint()?));
                }
            }
            _ => return Err(self.mismatch("varints")),
        }
        Ok(())
    }
}

/// Takes the low 32 bits of a varint as an `int32`.
pub(crate) fn low_int32(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn fixed_chunks<const N: usize>(bytes: &[u8], start: u64) -> Result<&[[u8; N]], FormatError> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(chunks);
    }
    Err(broken(
        start,
        format!("packed values of {N} bytes each"),
        format!("{} bytes", bytes.len()),
    ))
}

#[derive(Debug)]
struct MapEntry<'a, M> {
    key: Text<'a>,
    value: Option<M>,
}

impl<M> Default for MapEntry<'_, M> {
    fn default() -> Self {
        Self {
            key: Text::default(),
            value: None,
        }
    }
}

impl<'a, M: Message<'a>> Message<'a> for MapEntry<'a, M> {
    const NAME: &'static str = M::NAME;

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.key = field.text()?,
            2 => field.message_once(&mut self.value, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        map_message(out, &self.key, self.value.as_ref());
    }
}

#[derive(Debug, Default)]
struct TextEntry<'a> {
    key: Text<'a>,
    value: Text<'a>,
}

impl<'a> Message<'a> for TextEntry<'a> {
    const NAME: &'static str = "map entry";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.key = field.text()?,
            2 => self.value = field.text()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text_always(1, &self.key);
        out.text_always(2, &self.value);
    }
}

pub(super) fn map_message<'a, M: Message<'a>>(out: &mut Writer, key: &str, value: Option<&M>) {
    // Protobuf libraries write both fields of an entry even where they hold the default.
    out.text_always(1, key);
    out.nested(2, |out| {
        if let Some(value) = value {
            value.encode(out);
        }
    });
}
