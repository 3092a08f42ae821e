//! Counts the messages of an ONNX file before they are decoded.
//!
//! A decoded message takes some hundred bytes even when it takes two in the file, so a small hostile file
//! could ask for a hundred times its size. This walk touches no payload, allocates nothing, and refuses such a
//! file first. It is also where a broken wire format is found with its byte offset.

use crate::limits::Limits;
use crate::{Format, FormatError};

/// What a message is, as far as its children matter.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Sparse,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Tensor,
    Leaf,
}

impl Message {
    /// The kind of the child message or string in `field`, `None` for plain payload.
    fn child(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Node, 5) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22) => Self::Sparse,
            (Self::Graph, 11..=13) => Self::ValueInfo,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 14 | 25)
            | (Self::Node, 1 | 2)
            | (Self::Attribute, 9)
            | (Self::Shape, 1)
            | (Self::Tensor, 6 | 13) => Self::Leaf,
            _ => return None,
        })
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    messages: u64,
    max_messages: u64,
    max_depth: usize,
}

/// Messages and strings that a file may hold for each operation that it may hold.
const MESSAGES_PER_OPERATION: u64 = 16;

/// Checks the wire format of `bytes` and the number of messages in it.
///
/// # Errors
///
/// [`FormatError::Bytes`] for a broken wire format, [`FormatError::Limit`] for too many or too deeply nested messages.
pub(super) fn scan(bytes: &[u8], limits: &Limits) -> Result<(), FormatError> {
    let operations = u64::try_from(limits.max_operations).unwrap_or(u64::MAX);
    let mut scan = Scan {
        bytes,
        messages: 0,
        max_messages: operations.saturating_mul(MESSAGES_PER_OPERATION),
        max_depth: limits.max_depth,
    };
    scan.message(Message::Model, 0, bytes.len(), 0)
}

impl Scan<'_> {
    fn message(&mut self, kind: Message, start: usize, end: usize, depth: usize) -> Result<(), FormatError> {
        self.messages = self.messages.saturating_add(1);
        if self.messages > self.max_messages {
            return Err(limit_error(
                "messages and strings",
                self.max_messages,
                self.messages,
            ));
        }
        if depth > self.max_depth {
            let as_u64 = |n| u64::try_from(n).unwrap_or(u64::MAX);
            return Err(limit_error(
                "depth of nested messages",
                as_u64(self.max_depth),
                as_u64(depth),
            ));
        }
        if matches!(kind, Message::Leaf) {
            return Ok(());
        }
        let mut at = start;
        while at < end {
            let tag_at = at;
            let tag = self.varint(&mut at, end)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => {
                    self.varint(&mut at, end)?;
                }
                1 => at = self.skip(at, 8, end)?,
                5 => at = self.skip(at, 4, end)?,
                2 => {
                    let length_at = at;
                    let length = self.varint(&mut at, end)?;
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    let next = self.skip(at, length, end).map_err(|_| {
                        bytes_error(
                            length_at,
                            &format!("a length of at most {}", end.saturating_sub(at)),
                            length,
                        )
                    })?;
                    if let Some(child) = kind.child(field) {
                        self.message(child, at, next, depth.saturating_add(1))?;
                    }
                    at = next;
                }
                wire => return Err(bytes_error(tag_at, "wire type 0, 1, 2 or 5", wire)),
            }
        }
        Ok(())
    }

    fn skip(&self, at: usize, count: usize, end: usize) -> Result<usize, FormatError> {
        match at.checked_add(count) {
            Some(next) if next <= end => Ok(next),
            _ => Err(bytes_error(
                at,
                &format!("{count} more bytes"),
                end.saturating_sub(at),
            )),
        }
    }

    fn varint(&self, at: &mut usize, end: usize) -> Result<u64, FormatError> {
        let start = *at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = if *at < end { self.bytes.get(*at) } else { None };
            let Some(&byte) = byte else {
                return Err(bytes_error(start, "a number", "the end of its message"));
            };
            *at = at.saturating_add(1);
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(bytes_error(start, "a number of at most 10 bytes", "a longer one"))
    }
}

fn limit_error(place: &str, limit: u64, found: u64) -> FormatError {
    FormatError::Limit {
        format: Format::Onnx,
        place: place.to_owned(),
        limit,
        found,
    }
}

fn bytes_error(offset: usize, expected: &str, found: impl ToString) -> FormatError {
    FormatError::Bytes {
        format: Format::Onnx,
        offset: u64::try_from(offset).unwrap_or(u64::MAX),
        expected: expected.to_owned(),
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::scan;
    use crate::limits::Limits;

    #[test]
    fn broken_wire_is_reported_with_its_offset() {
        let cases: [(&[u8], &str); 5] = [
            (&[0x08], "byte 1: expected a number, found the end of its message"),
            (&[0x0b, 0x01], "byte 0: expected wire type 0, 1, 2 or 5, found 3"),
            (
                &[0x3a, 0x05, 0x00],
                "byte 1: expected a length of at most 1, found 5",
            ),
            (&[0x0d, 0, 0], "byte 1: expected 4 more bytes, found 2"),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                "at most 10 bytes",
            ),
        ];
        for (bytes, expected) in cases {
            let message = scan(bytes, &Limits::small()).unwrap_err().to_string();
            assert!(message.contains(expected), "{bytes:?}: {message}");
        }
    }

    #[test]
    fn a_file_of_empty_nodes_is_over_the_limit() {
        let limits = Limits {
            max_operations: 4,
            ..Limits::small()
        };
        let nodes: Vec<u8> = [0x0a, 0x00].repeat(100);
        let mut file = vec![0x3a, u8::try_from(nodes.len() & 0x7f).unwrap() | 0x80, 1];
        file.extend(&nodes);
        let message = scan(&file, &limits).unwrap_err().to_string();
        assert!(
            message.contains("messages and strings: at most 64, found 65"),
            "{message}"
        );
    }
}
