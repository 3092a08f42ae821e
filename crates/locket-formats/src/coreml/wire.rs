//! The protobuf wire format, by field number: a reader that borrows from the input and a writer whose bytes are
//! a function of the message alone.
//!
//! Only what the Core ML schema uses is here: varints, 32- and 64-bit fields, length-delimited fields, packed
//! scalars and maps with string keys. Groups are refused. What the messages mean is said in
//! [`schema`](super::schema).
//!
//! Invariants: no read outside the given bytes; nesting and the number of messages are bounded by [`Context`];
//! every error carries the offset of the offending byte from the start of the file. A singular message that
//! comes twice is refused instead of merged: no writer does that, and two parsers would disagree about it.

mod field;
mod writer;

use std::borrow::Cow;

use crate::limits::Limits;
use crate::{Format, FormatError};

use field::Cursor;

pub use field::Field;
pub(crate) use field::low_int32;
pub use writer::Writer;

/// Text of a message: borrowed from the file when reading, borrowed or owned when writing.
pub type Text<'a> = Cow<'a, str>;

/// How many messages are decoded for each operation that the limits admit; real programs need about twenty.
const MESSAGES_PER_OPERATION: u64 = 64;

/// How many unknown fields are remembered one by one; the others are only counted.
const REMEMBERED_UNKNOWN_FIELDS: usize = 16;

/// Makes the error for bytes that are not what the format demands.
pub(crate) fn broken(offset: u64, expected: impl Into<String>, found: impl Into<String>) -> FormatError {
    FormatError::Bytes {
        format: Format::CoreMl,
        offset,
        expected: expected.into(),
        found: found.into(),
    }
}

/// A field that a message has in the file and not in our schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// The message that holds it.
    pub message: &'static str,
    /// Its field number.
    pub field: u32,
    /// Where its tag is, in bytes from the start of the file.
    pub offset: u64,
}

/// What decoding may still cost, and what it has skipped.
#[derive(Debug)]
pub struct Context {
    depth_left: usize,
    messages_left: u64,
    max_depth: u64,
    max_messages: u64,
    unknown: Vec<UnknownField>,
    unknown_count: u64,
}

impl Context {
    /// Starts a decoding that keeps within `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let max_messages = u64::try_from(limits.max_operations)
            .unwrap_or(u64::MAX)
            .saturating_mul(MESSAGES_PER_OPERATION);
        Self {
            depth_left: limits.max_depth,
            messages_left: max_messages,
            max_depth: u64::try_from(limits.max_depth).unwrap_or(u64::MAX),
            max_messages,
            unknown: Vec::new(),
            unknown_count: 0,
        }
    }

    /// The first unknown fields that were skipped, in file order.
    #[must_use]
    pub fn unknown_fields(&self) -> &[UnknownField] {
        &self.unknown
    }

    /// How many unknown fields were skipped in all.
    #[must_use]
    pub fn unknown_count(&self) -> u64 {
        self.unknown_count
    }

    fn enter(&mut self, message: &'static str) -> Result<(), FormatError> {
        let over = |place: String, limit: u64| FormatError::Limit {
            format: Format::CoreMl,
            place,
            limit,
            found: limit.saturating_add(1),
        };
        self.depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or_else(|| over(format!("nesting of messages ({message})"), self.max_depth))?;
        self.messages_left = self
            .messages_left
            .checked_sub(1)
            .ok_or_else(|| over(format!("number of messages ({message})"), self.max_messages))?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth_left = self.depth_left.saturating_add(1);
    }

    fn note(&mut self, message: &'static str, field: u32, offset: u64) {
        self.unknown_count = self.unknown_count.saturating_add(1);
        if self.unknown.len() < REMEMBERED_UNKNOWN_FIELDS {
            self.unknown.push(UnknownField {
                message,
                field,
                offset,
            });
        }
    }
}

/// A message of the schema.
pub trait Message<'a>: Default {
    /// The message's name in errors and notes.
    const NAME: &'static str;

    /// Takes one field; `false` says that the schema has no such field.
    ///
    /// # Errors
    /// When the field's wire type or contents are not what the schema demands.
    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError>;

    /// Appends the fields in the order of their numbers.
    fn encode(&self, out: &mut Writer);
}

/// Decodes a message from `bytes`, which start at `base` in the file.
///
/// # Errors
/// When the bytes are no such message, or one of the context's limits is passed.
pub fn decode<'a, M: Message<'a>>(
    bytes: &'a [u8],
    base: u64,
    context: &mut Context,
) -> Result<M, FormatError> {
    context.enter(M::NAME)?;
    let mut message = M::default();
    let mut cursor = Cursor::new(bytes, base);
    while let Some(field) = cursor.next_field()? {
        let (number, offset) = (field.number, field.offset);
        if !message.field(field, context)? {
            context.note(M::NAME, number, offset);
        }
    }
    context.leave();
    Ok(message)
}

/// Encodes a message.
#[must_use]
pub fn encode<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut out = Writer::default();
    message.encode(&mut out);
    out.into_bytes()
}

/// Stores a value that a message may have only once.
///
/// # Errors
/// When `slot` is already filled.
pub(crate) fn set_once<T>(
    slot: &mut Option<T>,
    value: T,
    offset: u64,
    what: &'static str,
) -> Result<(), FormatError> {
    if slot.is_some() {
        return Err(broken(offset, format!("{what} once"), "a second one"));
    }
    *slot = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests;
