//! Weight files ("blob storage", version 2): a header and records, all 64-byte aligned and little-endian.
//!
//! | offset | size | header |
//! |---|---|---|
//! | 0 | 4 | number of records |
//! | 4 | 4 | version, 2 |
//! | 8 | 56 | reserved, 0 |
//!
//! | offset | size | record |
//! |---|---|---|
//! | 0 | 4 | `0xDEADBEEF` |
//! | 4 | 4 | code of the element type (see [`BlobType`]) |
//! | 8 | 8 | bytes of data |
//! | 16 | 8 | offset of the data in the file: the record's own plus 64 |
//! | 24 | 8 | padding bits at the end of the data, for elements narrower than a byte |
//! | 32 | 32 | reserved; 0 since iOS 18, before that anything |
//!
//! A record is followed by its data; the next record starts at the next multiple of 64, and nothing follows the
//! last one. A program refers to a record by the record's offset.
//!
//! [`BlobFile`] checks the whole chain of records once, then hands out ranges: it works on a mapped file without
//! copying. [`BlobWriter`] makes a file whose bytes depend only on what was added.

use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;

use locket_tensor::DType;

use super::wire::broken;
use crate::FormatError;

/// Alignment of records and data, and the size of the header and of a record's own fields, in bytes.
const ALIGNMENT: u64 = 64;
const SENTINEL: u32 = 0xDEAD_BEEF;
const VERSION: u32 = 2;

/// Element type of a record. The codes are the weight file's own, not those of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BlobType {
    Float16,
    Float32,
    UInt8,
    Int8,
    BFloat16,
    Int16,
    UInt16,
    Int4,
    UInt1,
    UInt2,
    UInt4,
    UInt3,
    UInt6,
    Int32,
    UInt32,
    Float8E4M3FN,
    Float8E5M2,
}

/// Every type with its code, its width in bits, and the element type that it is in memory.
const BLOB_TYPES: [(BlobType, u32, u64, Option<DType>); 17] = [
    (BlobType::Float16, 1, 16, Some(DType::Float16)),
    (BlobType::Float32, 2, 32, Some(DType::Float32)),
    (BlobType::UInt8, 3, 8, Some(DType::UInt8)),
    (BlobType::Int8, 4, 8, Some(DType::Int8)),
    (BlobType::BFloat16, 5, 16, Some(DType::BFloat16)),
    (BlobType::Int16, 6, 16, Some(DType::Int16)),
    (BlobType::UInt16, 7, 16, Some(DType::UInt16)),
    (BlobType::Int4, 8, 4, Some(DType::Int4)),
    (BlobType::UInt1, 9, 1, Some(DType::UInt1)),
    (BlobType::UInt2, 10, 2, Some(DType::UInt2)),
    (BlobType::UInt4, 11, 4, Some(DType::UInt4)),
    (BlobType::UInt3, 12, 3, Some(DType::UInt3)),
    (BlobType::UInt6, 13, 6, Some(DType::UInt6)),
    (BlobType::Int32, 14, 32, Some(DType::Int32)),
    (BlobType::UInt32, 15, 32, Some(DType::UInt32)),
    (BlobType::Float8E4M3FN, 16, 8, None),
    (BlobType::Float8E5M2, 17, 8, None),
];

impl BlobType {
    /// The type in which tensors of `dtype` are stored; `None` if they cannot be. Truth values stand as uint8.
    #[must_use]
    pub fn of(dtype: DType) -> Option<Self> {
        let dtype = if dtype == DType::Bool { DType::UInt8 } else { dtype };
        BLOB_TYPES
            .iter()
            .find(|(.., d)| *d == Some(dtype))
            .map(|(blob_type, ..)| *blob_type)
    }

    fn from_code(code: u32) -> Option<Self> {
        BLOB_TYPES
            .iter()
            .find(|(_, c, ..)| *c == code)
            .map(|(blob_type, ..)| *blob_type)
    }

    fn code(self) -> u32 {
        BLOB_TYPES
            .iter()
            .find(|(blob_type, ..)| *blob_type == self)
            .map_or(0, |(_, code, ..)| *code)
    }

    /// Bits of one element.
    #[must_use]
    pub fn bits(self) -> u64 {
        BLOB_TYPES
            .iter()
            .find(|(blob_type, ..)| *blob_type == self)
            .map_or(8, |(_, _, bits, _)| *bits)
    }
}

/// One record of a weight file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the record starts, by which programs refer to it, in bytes.
    pub offset: u64,
    /// Element type.
    pub blob_type: BlobType,
    /// How many elements there are.
    pub elems: u64,
    /// Where the data is in the file, in bytes.
    pub data: Range<usize>,
}

/// A checked weight file.
#[derive(Debug)]
pub struct BlobFile {
    records: Vec<Record>,
}

impl BlobFile {
    /// Checks the header and every record of the file whose bytes are given.
    ///
    /// # Errors
    /// When the bytes are not a weight file of version 2, down to a padding bit that is set.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let count = u32_at(bytes, 0)?;
        let version = u32_at(bytes, 4)?;
        if version != VERSION {
            return Err(broken(
                4,
                format!("weight file version {VERSION}"),
                format!("{version}"),
            ));
        }
        // The reserved rest of the header is there, whatever it says.
        slice(bytes, 0, ALIGNMENT, "a header of 64 bytes")?;
        let mut records = Vec::new();
        let mut offset = ALIGNMENT;
        let mut end = ALIGNMENT;
        for _ in 0..count {
            // Each record takes at least 64 bytes of the file, so that a forged count ends with the file.
            let record = read_record(bytes, offset)?;
            end = u64::try_from(record.data.end).unwrap_or(u64::MAX);
            offset = end.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX);
            records.push(record);
        }
        let length = length_of(bytes);
        if length < end || length > end.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX) {
            return Err(broken(
                end,
                "the end of the file after the last record",
                format!("{length} bytes"),
            ));
        }
        Ok(Self { records })
    }

    /// The record that starts at `offset`.
    #[must_use]
    pub fn record(&self, offset: u64) -> Option<&Record> {
        let position = self
            .records
            .binary_search_by_key(&offset, |record| record.offset)
            .ok()?;
        self.records.get(position)
    }

    /// All records, in file order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

fn read_record(bytes: &[u8], offset: u64) -> Result<Record, FormatError> {
    let field = |distance: u64| offset.saturating_add(distance);
    let sentinel = u32_at(bytes, offset)?;
    if sentinel != SENTINEL {
        return Err(broken(
            offset,
            format!("record sentinel {SENTINEL:#x}"),
            format!("{sentinel:#x}"),
        ));
    }
    let code = u32_at(bytes, field(4))?;
    let blob_type = BlobType::from_code(code)
        .ok_or_else(|| broken(field(4), "the code of an element type", format!("{code}")))?;
    let size = u64_at(bytes, field(8))?;
    let start = u64_at(bytes, field(16))?;
    let padding = u64_at(bytes, field(24))?;
    if start != field(ALIGNMENT) {
        return Err(broken(
            field(16),
            format!("data offset {}", field(ALIGNMENT)),
            format!("{start}"),
        ));
    }
    let data = slice(bytes, start, size, "the record's data")?;
    let bits = blob_type.bits();
    let padding_limit = if bits < 8 { 8 } else { 1 };
    let padding = Some(padding).filter(|padding| *padding < padding_limit);
    let padding = padding.ok_or_else(|| {
        broken(
            field(24),
            format!("fewer than {padding_limit} padding bits"),
            "more",
        )
    })?;
    let data_bits = size.checked_mul(8).and_then(|all| all.checked_sub(padding));
    let elems = data_bits
        .filter(|all| all.checked_rem(bits) == Some(0))
        .and_then(|all| all.checked_div(bits));
    let elems = elems.ok_or_else(|| {
        broken(
            field(8),
            format!("a whole number of {bits}-bit elements"),
            format!("{size} bytes less {padding} bits"),
        )
    })?;
    let last = bytes
        .get(data.clone())
        .and_then(<[u8]>::last)
        .copied()
        .unwrap_or(0);
    let kept = 8_u64.saturating_sub(padding);
    if u64::from(last).checked_shr(u32::try_from(kept).unwrap_or(8)) != Some(0) {
        return Err(broken(
            field(ALIGNMENT).saturating_add(size),
            "padding bits that are 0",
            "others",
        ));
    }
    Ok(Record {
        offset,
        blob_type,
        elems,
        data,
    })
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn slice(bytes: &[u8], offset: u64, size: u64, what: &str) -> Result<Range<usize>, FormatError> {
    let end = offset.checked_add(size).filter(|end| *end <= length_of(bytes));
    let range = end.and_then(|end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
    range.ok_or_else(|| {
        broken(
            offset,
            format!("{what}, {size} bytes"),
            format!("a file of {} bytes", bytes.len()),
        )
    })
}

fn array_at<const N: usize>(bytes: &[u8], offset: u64) -> Result<[u8; N], FormatError> {
    let size = u64::try_from(N).unwrap_or(u64::MAX);
    let range = slice(bytes, offset, size, "a number")?;
    let found = bytes.get(range).and_then(|found| <[u8; N]>::try_from(found).ok());
    found.ok_or_else(|| broken(offset, "a number", "the end of the file"))
}

fn u32_at(bytes: &[u8], offset: u64) -> Result<u32, FormatError> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: u64) -> Result<u64, FormatError> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

/// Writes a weight file, record by record.
#[derive(Debug)]
pub struct BlobWriter<W> {
    out: W,
    position: u64,
    count: u32,
}

impl<W: Write + Seek> BlobWriter<W> {
    /// Starts a file at the beginning of `out`, which is empty.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W) -> std::io::Result<Self> {
        out.write_all(&header(0))?;
        Ok(Self {
            out,
            position: ALIGNMENT,
            count: 0,
        })
    }

    /// How many records were added.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Adds `elems` elements, packed in `data`, and gives the offset of their record.
    ///
    /// # Errors
    /// When writing fails, or `data` has not the length that `elems` elements of this type take.
    pub fn add(&mut self, blob_type: BlobType, elems: u64, data: &[u8]) -> std::io::Result<u64> {
        let wrong = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why.to_owned());
        let size = length_of(data);
        let bits = elems
            .checked_mul(blob_type.bits())
            .ok_or_else(|| wrong("too many elements for a record"))?;
        if bits.div_ceil(8) != size {
            return Err(wrong("a record's data has another length than its elements take"));
        }
        let padding = size.saturating_mul(8).saturating_sub(bits);
        let offset = self.position.next_multiple_of(ALIGNMENT);
        let gap = usize::try_from(offset.saturating_sub(self.position)).unwrap_or(0);
        let zeros = [0_u8; 64];
        self.out.write_all(zeros.get(..gap).unwrap_or(&zeros))?;
        let start = offset.saturating_add(ALIGNMENT);
        let mut record = Vec::with_capacity(64);
        record.extend_from_slice(&SENTINEL.to_le_bytes());
        record.extend_from_slice(&blob_type.code().to_le_bytes());
        for number in [size, start, padding] {
            record.extend_from_slice(&number.to_le_bytes());
        }
        record.resize(64, 0);
        self.out.write_all(&record)?;
        self.out.write_all(data)?;
        self.position = start
            .checked_add(size)
            .ok_or_else(|| wrong("a weight file larger than 2^64 bytes"))?;
        self.count = self
            .count
            .checked_add(1)
            .ok_or_else(|| wrong("more records than a weight file can count"))?;
        Ok(offset)
    }

    /// Completes the header and gives back what was written to.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header(self.count))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn header(count: u32) -> [u8; 64] {
    let mut header = [0; 64];
    let numbers = count.to_le_bytes().into_iter().chain(VERSION.to_le_bytes());
    header
        .iter_mut()
        .zip(numbers)
        .for_each(|(slot, byte)| *slot = byte);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use locket_tensor::DType;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{BlobFile, BlobType, BlobWriter};

    fn written(records: &[(BlobType, u64, &[u8])]) -> (Vec<u8>, Vec<u64>) {
        let mut writer = BlobWriter::new(Cursor::new(Vec::new())).unwrap();
        let offsets = records
            .iter()
            .map(|(t, n, data)| writer.add(*t, *n, data).unwrap())
            .collect();
        (writer.finish().unwrap().into_inner(), offsets)
    }

    fn sample() -> Vec<u8> {
        written(&[
            (BlobType::UInt3, 5, &[0xd1, 0x58]),
            (BlobType::Float32, 1, &[0, 0, 128, 63]),
        ])
        .0
    }

    // The layout was read off files that coremltools wrote: 772 bytes for three records, the last of 4 bytes.
    #[test]
    fn the_layout_is_that_of_core_ml() {
        let (bytes, offsets) = written(&[
            (BlobType::Float16, 100, &[7; 200]),
            (BlobType::UInt3, 5, &[0xd1, 0x58]),
            (BlobType::Float32, 1, &[0, 0, 128, 63]),
        ]);
        assert_eq!(offsets, [64, 384, 512]);
        assert_eq!(bytes.len(), 580);
        assert_eq!(bytes[..8], [3, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[64..72], [0xef, 0xbe, 0xad, 0xde, 1, 0, 0, 0]);
        assert_eq!(
            bytes[384..416].chunks(8).map(|c| c[0]).collect::<Vec<_>>(),
            [0xef, 2, 192, 1]
        );
    }

    #[test]
    fn records_are_read_back() {
        let bytes = sample();
        let file = BlobFile::parse(&bytes).unwrap();
        let record = file.record(64).unwrap();
        assert_eq!(
            (record.blob_type, record.elems, &bytes[record.data.clone()]),
            (BlobType::UInt3, 5, &[0xd1, 0x58][..])
        );
        assert_eq!(file.record(192).unwrap().data, 256..260);
        assert!(file.record(65).is_none() && file.record(256).is_none());
    }

    #[test]
    fn an_empty_file_has_no_records() {
        let (bytes, _) = written(&[]);
        assert_eq!(bytes.len(), 64);
        assert!(BlobFile::parse(&bytes).unwrap().records().is_empty());
    }

    #[test]
    fn a_record_of_the_wrong_length_is_not_written() {
        let mut writer = BlobWriter::new(Cursor::new(Vec::new())).unwrap();
        assert!(writer.add(BlobType::Float32, 2, &[0; 4]).is_err());
        assert!(writer.add(BlobType::Float32, u64::MAX, &[0; 4]).is_err());
    }

    #[test]
    fn every_storable_type_survives() {
        for dtype in DType::ALL {
            let Some(blob_type) = BlobType::of(dtype) else {
                assert!(matches!(
                    dtype,
                    DType::String | DType::Float64 | DType::Int64 | DType::UInt64
                ));
                continue;
            };
            let data = vec![0; dtype.packed_bytes(11).unwrap()];
            let (bytes, offsets) = written(&[(blob_type, 11, &data)]);
            let file = BlobFile::parse(&bytes).unwrap();
            assert_eq!(
                file.record(offsets[0]).map(|r| (r.blob_type, r.elems)),
                Some((blob_type, 11)),
                "{dtype}"
            );
        }
    }

    #[test]
    fn broken_files_are_refused_where_they_break() {
        type Edit = fn(&mut Vec<u8>);
        let cases: &[(&str, Edit)] = &[
            (
                "byte 0: expected a number, 4 bytes, found a file of 3 bytes",
                |b| b.truncate(3),
            ),
            ("byte 4: expected weight file version 2, found 1", |b| b[4] = 1),
            ("byte 0: expected a header of 64 bytes", |b| b.truncate(60)),
            ("byte 64: expected record sentinel 0xdeadbeef", |b| b[64] = 0),
            ("byte 68: expected the code of an element type, found 99", |b| {
                b[68] = 99;
            }),
            ("byte 72: expected a whole number of 3-bit elements", |b| {
                b[72] = 1;
            }),
            ("byte 80: expected data offset 128, found 129", |b| b[80] = 129),
            ("byte 88: expected fewer than 8 padding bits", |b| b[88] = 8),
            ("byte 130: expected padding bits that are 0", |b| b[129] |= 0x80),
            ("byte 256: expected record sentinel", |b| {
                (b[72], b[192]) = (65, 0);
            }),
            ("byte 216: expected fewer than 1 padding bits", |b| b[216] = 1),
            ("byte 256: expected the record's data, 4 bytes", |b| {
                b.truncate(258);
            }),
            (
                "byte 260: expected the end of the file after the last record, found 340 bytes",
                |b| b.resize(340, 0),
            ),
            ("byte 320: expected a number", |b| b[0] = 3),
            (
                "byte 130: expected the end of the file after the last record",
                |b| b[0] = 1,
            ),
        ];
        for (expected, edit) in cases {
            let mut bytes = sample();
            edit(&mut bytes);
            let error = BlobFile::parse(&bytes).expect_err(expected).to_string();
            assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
        }
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

        #[test]
        fn whatever_parses_stays_inside_the_file(position in 0_usize..260, value in any::<u8>(), length in 0_usize..330) {
            let mut bytes = sample();
            bytes[position] = value;
            bytes.resize(length, 0);
            if let Ok(file) = BlobFile::parse(&bytes) {
                for record in file.records() {
                    prop_assert_eq!(bytes[record.data.clone()].len(), record.data.len());
                }
            }
        }
    }
}
