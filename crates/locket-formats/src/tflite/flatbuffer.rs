//! Checked access to a flatbuffer.
//!
//! A flatbuffer is a web of relative offsets, each of which may point anywhere in a hostile file. Every offset,
//! table layout and vector length is checked against the file before it is followed, and errors say at which byte what
//! was expected. Several offsets may point at one vector; so that this cannot multiply the work, all vectors read
//! together may not be longer than a fixed multiple of the file.

use std::cell::Cell;

use crate::{Format, FormatError};

/// How often the whole file may be read as vectors.
const READS_OF_THE_FILE: u64 = 16;
/// Bytes that vectors of even the smallest file may have.
const SMALLEST_BUDGET: u64 = 1 << 16;

/// The bytes of a file, with the budget for reading vectors.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    bytes: &'a [u8],
    budget: Cell<u64>,
}

/// A table: fields by number, each of which may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a Buffer<'a>,
    at: usize,
    vtable: usize,
    vtable_bytes: usize,
    table_bytes: usize,
}

/// A vector: `length` elements from byte `at` on.
#[derive(Debug, Clone, Copy)]
struct Vector {
    at: usize,
    length: usize,
}

fn error(offset: usize, expected: impl Into<String>, found: impl ToString) -> FormatError {
    FormatError::Bytes {
        format: Format::Tflite,
        offset: u64::try_from(offset).unwrap_or(u64::MAX),
        expected: expected.into(),
        found: found.to_string(),
    }
}

impl<'a> Buffer<'a> {
    /// Takes the bytes of a file.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let budget = length
            .saturating_mul(READS_OF_THE_FILE)
            .saturating_add(SMALLEST_BUDGET);
        Self {
            bytes,
            budget: Cell::new(budget),
        }
    }

    /// The root table.
    pub(super) fn root(&'a self) -> Result<Table<'a>, FormatError> {
        let at = self.follow(0)?;
        self.table(at)
    }

    /// `count` bytes from `at` on, anywhere in the file.
    pub(super) fn slice(&self, at: usize, count: usize) -> Result<&'a [u8], FormatError> {
        let part = at.checked_add(count).and_then(|end| self.bytes.get(at..end));
        part.ok_or_else(|| {
            error(
                at,
                format!("{count} bytes"),
                format!("{} to the end", self.bytes.len().saturating_sub(at)),
            )
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], FormatError> {
        let part = self.slice(at, N)?;
        part.try_into()
            .map_err(|_| error(at, format!("{N} bytes"), part.len()))
    }

    fn u16(&self, at: usize) -> Result<usize, FormatError> {
        Ok(usize::from(u16::from_le_bytes(self.array(at)?)))
    }

    fn u32(&self, at: usize) -> Result<usize, FormatError> {
        let value = u32::from_le_bytes(self.array(at)?);
        usize::try_from(value).map_err(|_| error(at, "an offset that fits in memory", value))
    }

    /// The place that the offset at `at` points to.
    fn follow(&self, at: usize) -> Result<usize, FormatError> {
        let offset = self.u32(at)?;
        let target = at
            .checked_add(offset)
            .filter(|&target| offset != 0 && target < self.bytes.len());
        target.ok_or_else(|| error(at, "an offset into the file", offset))
    }

    fn table(&'a self, at: usize) -> Result<Table<'a>, FormatError> {
        let back = i32::from_le_bytes(self.array(at)?);
        let signed = i64::try_from(at)
            .ok()
            .and_then(|at| at.checked_sub(i64::from(back)));
        let vtable = signed.and_then(|vtable| usize::try_from(vtable).ok());
        let vtable = vtable.ok_or_else(|| error(at, "the offset of a table's layout", back))?;
        let vtable_bytes = self.u16(vtable)?;
        let table_bytes = self.u16(vtable.saturating_add(2))?;
        if vtable_bytes < 4 || vtable_bytes.checked_rem(2) != Some(0) {
            return Err(error(vtable, "an even layout length of at least 4", vtable_bytes));
        }
        self.slice(vtable, vtable_bytes)?;
        self.slice(at, table_bytes)?;
        Ok(Table {
            buffer: self,
            at,
            vtable,
            vtable_bytes,
            table_bytes,
        })
    }

    fn vector(&self, at: usize, element_bytes: usize) -> Result<Vector, FormatError> {
        let length = self.u32(at)?;
        let start = at.saturating_add(4);
        let room = self
            .bytes
            .len()
            .saturating_sub(start)
            .checked_div(element_bytes)
            .unwrap_or(0);
        if length > room {
            return Err(error(
                at,
                format!("a vector of at most {room} elements of {element_bytes} bytes"),
                length,
            ));
        }
        Ok(Vector { at: start, length })
    }

    /// Takes the bytes of a vector from the budget and gives them.
    fn elements(&self, vector: Vector, element_bytes: usize) -> Result<&'a [u8], FormatError> {
        let bytes = vector.length.saturating_mul(element_bytes);
        let cost = u64::try_from(bytes).unwrap_or(u64::MAX);
        let left = self
            .budget
            .get()
            .checked_sub(cost)
            .ok_or_else(|| FormatError::Limit {
                format: Format::Tflite,
                place: format!("bytes of all vectors, at byte {}", vector.at),
                limit: self.budget.get(),
                found: cost,
            })?;
        self.budget.set(left);
        self.slice(vector.at, bytes)
    }
}

impl<'a> Table<'a> {
    /// Where the table starts, for messages.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Where field `id` is, if the table has it.
    fn field(&self, id: usize, bytes: usize) -> Result<Option<usize>, FormatError> {
        let slot = id.saturating_mul(2).saturating_add(4);
        if slot.saturating_add(2) > self.vtable_bytes {
            return Ok(None);
        }
        let entry = self.vtable.saturating_add(slot);
        match self.buffer.u16(entry)? {
            0 => Ok(None),
            inside if inside >= 4 && inside.saturating_add(bytes) <= self.table_bytes => {
                Ok(Some(self.at.saturating_add(inside)))
            }
            outside => Err(error(
                entry,
                format!("a field in a table of {} bytes", self.table_bytes),
                outside,
            )),
        }
    }

    /// Fields of one to eight bytes, with the default for an absent one.
    fn scalar<const N: usize>(&self, id: usize) -> Result<Option<[u8; N]>, FormatError> {
        self.field(id, N)?.map(|at| self.buffer.array(at)).transpose()
    }

    /// A signed byte.
    pub(super) fn i8(&self, id: usize, default: i8) -> Result<i8, FormatError> {
        Ok(self.scalar(id)?.map_or(default, i8::from_le_bytes))
    }

    /// A truth value.
    pub(super) fn flag(&self, id: usize, default: bool) -> Result<bool, FormatError> {
        Ok(self.i8(id, i8::from(default))? != 0)
    }

    /// A signed 32-bit integer.
    pub(super) fn i32(&self, id: usize, default: i32) -> Result<i32, FormatError> {
        Ok(self.scalar(id)?.map_or(default, i32::from_le_bytes))
    }

    /// An unsigned 32-bit integer.
    pub(super) fn u32(&self, id: usize, default: u32) -> Result<u32, FormatError> {
        Ok(self.scalar(id)?.map_or(default, u32::from_le_bytes))
    }

    /// An unsigned 64-bit integer.
    pub(super) fn u64(&self, id: usize, default: u64) -> Result<u64, FormatError> {
        Ok(self.scalar(id)?.map_or(default, u64::from_le_bytes))
    }

    /// A single-precision number.
    pub(super) fn f32(&self, id: usize, default: f32) -> Result<f32, FormatError> {
        Ok(self.scalar(id)?.map_or(default, f32::from_le_bytes))
    }

    fn target(&self, id: usize) -> Result<Option<usize>, FormatError> {
        self.field(id, 4)?.map(|at| self.buffer.follow(at)).transpose()
    }

    /// A table.
    pub(super) fn table(&self, id: usize) -> Result<Option<Self>, FormatError> {
        self.target(id)?.map(|at| self.buffer.table(at)).transpose()
    }

    /// A vector of bytes.
    pub(super) fn bytes(&self, id: usize) -> Result<Option<&'a [u8]>, FormatError> {
        let Some(at) = self.target(id)? else {
            return Ok(None);
        };
        let vector = self.buffer.vector(at, 1)?;
        self.buffer.elements(vector, 1).map(Some)
    }

    /// A text; bytes that are no UTF-8 are replaced.
    pub(super) fn text(&self, id: usize) -> Result<String, FormatError> {
        Ok(self
            .bytes(id)?
            .map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    fn numbers<const N: usize, T>(
        &self,
        id: usize,
        convert: fn([u8; N]) -> T,
    ) -> Result<Option<Vec<T>>, FormatError> {
        let Some(at) = self.target(id)? else {
            return Ok(None);
        };
        let vector = self.buffer.vector(at, N)?;
        let (elements, _) = self.buffer.elements(vector, N)?.as_chunks::<N>();
        Ok(Some(elements.iter().copied().map(convert).collect()))
    }

    /// A vector of signed 32-bit integers.
    pub(super) fn i32s(&self, id: usize) -> Result<Option<Vec<i32>>, FormatError> {
        self.numbers(id, i32::from_le_bytes)
    }

    /// A vector of signed 64-bit integers.
    pub(super) fn i64s(&self, id: usize) -> Result<Option<Vec<i64>>, FormatError> {
        self.numbers(id, i64::from_le_bytes)
    }

    /// A vector of single-precision numbers.
    pub(super) fn f32s(&self, id: usize) -> Result<Option<Vec<f32>>, FormatError> {
        self.numbers(id, f32::from_le_bytes)
    }

    /// A vector of tables of at most `limit` entries; empty if absent.
    pub(super) fn tables(&self, id: usize, what: &str, limit: usize) -> Result<Vec<Self>, FormatError> {
        let Some(at) = self.target(id)? else {
            return Ok(Vec::new());
        };
        let vector = self.buffer.vector(at, 4)?;
        if vector.length > limit {
            return Err(FormatError::Limit {
                format: Format::Tflite,
                place: format!("number of {what}"),
                limit: u64::try_from(limit).unwrap_or(u64::MAX),
                found: u64::try_from(vector.length).unwrap_or(u64::MAX),
            });
        }
        self.buffer.elements(vector, 4)?;
        let entries = (0..vector.length).map(|index| {
            let entry = vector.at.saturating_add(index.saturating_mul(4));
            self.buffer.follow(entry).and_then(|at| self.buffer.table(at))
        });
        entries.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    /// A root table with a byte (field 0) and a vector of two 32-bit integers (field 2); field 1 is absent.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![16, 0, 0, 0];
        bytes.extend([10, 0, 12, 0, 8, 0, 0, 0, 4, 0, 0, 0]); // layout at 4
        bytes.extend([12, 0, 0, 0]); // table at 16: layout is 12 back
        bytes.extend([8, 0, 0, 0]); // field 2 at 20: vector at 28
        bytes.extend([7, 0, 0, 0]); // field 0 at 24
        bytes.extend([2, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255]);
        bytes
    }

    #[test]
    fn fields_are_read_by_number() {
        let bytes = sample();
        let buffer = Buffer::new(&bytes);
        let table = buffer.root().unwrap();
        assert_eq!(table.i8(0, 1).unwrap(), 7);
        assert_eq!(table.i32(1, 5).unwrap(), 5);
        assert_eq!(table.i32s(2).unwrap(), Some(vec![1, -1]));
        assert_eq!(table.i32s(9).unwrap(), None);
    }

    #[test]
    fn broken_offsets_are_reported_where_they_are() {
        let cases: [(usize, u8, &str); 6] = [
            (0, 200, "byte 0: expected an offset into the file, found 200"),
            (
                4,
                3,
                "byte 4: expected an even layout length of at least 4, found 3",
            ),
            (6, 200, "byte 16: expected 200 bytes, found 24 to the end"),
            (
                12,
                11,
                "byte 12: expected a field in a table of 12 bytes, found 11",
            ),
            (20, 0, "byte 20: expected an offset into the file, found 0"),
            (
                28,
                3,
                "byte 28: expected a vector of at most 2 elements of 4 bytes, found 3",
            ),
        ];
        for (at, value, expected) in cases {
            let mut bytes = sample();
            bytes[at] = value;
            let buffer = Buffer::new(&bytes);
            let outcome = buffer.root().and_then(|table| table.i32s(2));
            let message = outcome.unwrap_err().to_string();
            assert!(message.contains(expected), "{at}: {message}");
        }
    }

    #[test]
    fn reading_one_vector_for_ever_is_over_the_budget() {
        let bytes = sample();
        let buffer = Buffer::new(&bytes);
        let table = buffer.root().unwrap();
        let reads = (0..100_000).take_while(|_| table.i32s(2).is_ok()).count();
        assert!((1000..20_000).contains(&reads), "{reads}");
    }
}
