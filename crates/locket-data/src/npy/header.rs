//! The header of a `.npy` file: magic bytes, version, length, and a Python dictionary in text.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The dictionary has the keys `descr`,
//! `fortran_order` and `shape`; only the Python literals that can occur there are parsed.

use std::fmt::Write;

use super::{NpyProblem, NpyType};

/// Longest header text that is read. NumPy itself stops at 10 000 characters.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Most dimensions that are read, the limit of NumPy 2.
pub const MAX_RANK: usize = 64;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Data starts at a multiple of this, so that a mapped file can be used by vector instructions.
const DATA_ALIGNMENT_BYTES: usize = 64;
/// NumPy leaves room for the first dimension to grow to this many digits in place.
const GROWTH_AXIS_DIGITS: usize = 21;

/// What the header of a `.npy` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// Element type.
    pub dtype: NpyType,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Where the elements start in the file.
    pub data_offset_bytes: usize,
}

impl NpyHeader {
    /// Parses the header at the start of `file`, which may end anywhere after it.
    ///
    /// # Errors
    ///
    /// Any [`NpyProblem`] of a header; the size of the file is left to [`Self::check_file_size`].
    pub fn parse(file: &[u8]) -> Result<Self, NpyProblem> {
        let (text_start, text_bytes) = locate(file)?;
        let end = text_start + text_bytes;
        let text = file.get(text_start..end).ok_or(NpyProblem::TruncatedHeader {
            expected_bytes: end as u64,
            found_bytes: file.len() as u64,
        })?;
        let (dtype, shape) = Parser {
            text,
            position: 0,
            base: text_start,
        }
        .dictionary()?;
        Ok(Self {
            dtype,
            shape,
            data_offset_bytes: end,
        })
    }

    /// Size of the elements in bytes.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::TooManyElements`] if the size does not fit in 63 bits.
    pub fn data_size_bytes(&self) -> Result<u64, NpyProblem> {
        data_size(self.dtype, &self.shape)
    }

    /// Checks that a file of `file_bytes` bytes is exactly header and elements.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::WrongDataSize`] or [`NpyProblem::TooManyElements`].
    pub fn check_file_size(&self, file_bytes: u64) -> Result<(), NpyProblem> {
        let expected_bytes = self.data_size_bytes()?;
        let found_bytes = file_bytes.saturating_sub(self.data_offset_bytes as u64);
        if found_bytes == expected_bytes {
            return Ok(());
        }
        Err(NpyProblem::WrongDataSize {
            shape: self.shape.clone(),
            dtype: self.dtype,
            expected_bytes,
            found_bytes,
        })
    }
}

/// Size in bytes of an array of at most [`MAX_RANK`] dimensions, below 2^63.
pub(super) fn data_size(dtype: NpyType, shape: &[usize]) -> Result<u64, NpyProblem> {
    if shape.len() > MAX_RANK {
        return Err(NpyProblem::RankTooLarge);
    }
    shape
        .iter()
        .try_fold(dtype.size_bytes() as u64, |size, &dimension| {
            size.checked_mul(dimension as u64)
        })
        .filter(|&size| size <= i64::MAX as u64)
        .ok_or_else(|| NpyProblem::TooManyElements {
            shape: shape.to_vec(),
            dtype,
        })
}

/// The bytes of a file up to its elements, as `numpy.save` writes them.
pub(super) fn render(dtype: NpyType, shape: &[usize]) -> Vec<u8> {
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': (",
        dtype.descr()
    );
    for (index, dimension) in shape.iter().enumerate() {
        let separator = if index == 0 { "" } else { " " };
        // A one-tuple keeps its comma, a longer one ends without.
        let comma = if index + 1 < shape.len() || shape.len() == 1 {
            ","
        } else {
            ""
        };
        write!(text, "{separator}{dimension}{comma}").expect("a String takes all that is written");
    }
    text.push_str("), }");
    if let Some(first) = shape.first() {
        let digits = first.to_string().len();
        text.extend(std::iter::repeat_n(
            ' ',
            GROWTH_AXIS_DIGITS.saturating_sub(digits),
        ));
    }
    let fixed = MAGIC.len() + 2 + 2;
    // NumPy pads by 1 to 64 bytes, the line feed included: a full block where none were needed.
    let padding = DATA_ALIGNMENT_BYTES - (fixed + text.len() + 1) % DATA_ALIGNMENT_BYTES;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut header = MAGIC.to_vec();
    let length = u16::try_from(text.len()).expect("64 dimensions of 20 digits have under 2 KiB");
    header.extend_from_slice(&[1, 0]);
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header
}

/// Start and length of the header's text.
fn locate(file: &[u8]) -> Result<(usize, usize), NpyProblem> {
    let found_bytes = file.len() as u64;
    if file.get(..6).unwrap_or(file) != MAGIC.get(..file.len().min(6)).unwrap_or(MAGIC) || file.is_empty() {
        return Err(NpyProblem::NotNpy);
    }
    let truncated = |expected_bytes| NpyProblem::TruncatedHeader {
        expected_bytes,
        found_bytes,
    };
    let [major, minor] = *file
        .get(6..8)
        .and_then(|bytes| bytes.as_array())
        .ok_or_else(|| truncated(8))?;
    let (start, length) = match (major, minor) {
        (1, 0) => {
            let length = *file
                .get(8..10)
                .and_then(|bytes| bytes.as_array())
                .ok_or_else(|| truncated(10))?;
            (10, u32::from(u16::from_le_bytes(length)))
        }
        (2 | 3, 0) => {
            let length = *file
                .get(8..12)
                .and_then(|bytes| bytes.as_array())
                .ok_or_else(|| truncated(12))?;
            (12, u32::from_le_bytes(length))
        }
        _ => return Err(NpyProblem::UnknownVersion { major, minor }),
    };
    let length = length as usize;
    if length > MAX_HEADER_BYTES {
        return Err(NpyProblem::HeaderTooLong {
            found_bytes: length as u64,
        });
    }
    Ok((start, length))
}

/// Parser of the dictionary; positions in errors are offsets in the file.
struct Parser<'a> {
    text: &'a [u8],
    position: usize,
    base: usize,
}

impl Parser<'_> {
    fn dictionary(mut self) -> Result<(NpyType, Vec<usize>), NpyProblem> {
        let (mut dtype, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{', "'{'")?;
        while !self.accept(b'}') {
            let key_position = self.position;
            let key = self.string("a key in quotes")?;
            self.expect(b':', "':'")?;
            let repeated = match key.as_str() {
                "descr" => dtype.replace(self.element_type()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return Err(self.syntax_at(key_position, "the key descr, fortran_order or shape")),
            };
            if repeated {
                return Err(self.syntax_at(key_position, "each key once"));
            }
            if !self.accept(b',') {
                self.expect(b'}', "',' or '}'")?;
                break;
            }
        }
        self.skip_space();
        if self.position != self.text.len() {
            return Err(self.syntax("nothing after '}'"));
        }
        let dtype = dtype.ok_or_else(|| self.syntax("the key descr"))?;
        let fortran_order = fortran_order.ok_or_else(|| self.syntax("the key fortran_order"))?;
        let shape = shape.ok_or_else(|| self.syntax("the key shape"))?;
        if fortran_order {
            return Err(NpyProblem::FortranOrder);
        }
        Ok((dtype, shape))
    }

    fn element_type(&mut self) -> Result<NpyType, NpyProblem> {
        self.skip_space();
        if self.peek() == Some(b'[') {
            return Err(NpyProblem::UnsupportedType {
                found: "a structure".to_owned(),
            });
        }
        let descr = self.string("the element type in quotes")?;
        if let Some(dtype) = NpyType::ALL.into_iter().find(|dtype| dtype.descr() == descr) {
            return Ok(dtype);
        }
        // One-byte types may carry any byte order; `=` cannot occur in a file that NumPy wrote.
        let without_order = descr.trim_start_matches(['<', '>', '|']);
        let known = NpyType::ALL
            .into_iter()
            .find(|dtype| dtype.descr().get(1..) == Some(without_order));
        match known {
            Some(dtype) if dtype.size_bytes() == 1 => Ok(dtype),
            Some(_) if descr.starts_with('>') => Err(NpyProblem::BigEndian { found: descr }),
            _ => Err(NpyProblem::UnsupportedType { found: descr }),
        }
    }

    fn boolean(&mut self) -> Result<bool, NpyProblem> {
        self.skip_space();
        let rest = self.text.get(self.position..).unwrap_or_default();
        for (word, value) in [("True", true), ("False", false)] {
            if rest.starts_with(word.as_bytes()) {
                self.position += word.len();
                return Ok(value);
            }
        }
        Err(self.syntax("True or False"))
    }

    fn shape(&mut self) -> Result<Vec<usize>, NpyProblem> {
        let mut shape = Vec::new();
        self.expect(b'(', "'('")?;
        while !self.accept(b')') {
            if shape.len() == MAX_RANK {
                return Err(NpyProblem::RankTooLarge);
            }
            shape.push(self.integer()?);
            if !self.accept(b',') {
                self.expect(b')', "',' or ')'")?;
                break;
            }
        }
        Ok(shape)
    }

    fn integer(&mut self) -> Result<usize, NpyProblem> {
        self.skip_space();
        let start = self.position;
        let mut value = 0_usize;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(usize::from(digit - b'0')))
                .ok_or_else(|| self.syntax_at(start, "a dimension that fits in 64 bits"))?;
            self.position += 1;
        }
        if self.position == start {
            return Err(self.syntax("a dimension, 0 or more"));
        }
        // Python 2 wrote long integers as `3L`.
        self.accept(b'L');
        Ok(value)
    }

    /// A string in either kind of quotes. Escapes do not occur in the strings of a header and are refused.
    fn string(&mut self, expected: &'static str) -> Result<String, NpyProblem> {
        self.skip_space();
        let quote = self
            .peek()
            .filter(|byte| matches!(byte, b'\'' | b'"'))
            .ok_or_else(|| self.syntax(expected))?;
        let start = self.position + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|&byte| byte == quote)
            .ok_or_else(|| self.syntax("the end of the string"))?;
        let content = rest.get(..length).unwrap_or_default();
        if !content
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'\\')
        {
            return Err(self.syntax(expected));
        }
        self.position = start + length + 1;
        Ok(String::from_utf8_lossy(content).into_owned())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), NpyProblem> {
        if self.accept(byte) {
            Ok(())
        } else {
            Err(self.syntax(expected))
        }
    }

    fn syntax(&self, expected: &'static str) -> NpyProblem {
        self.syntax_at(self.position, expected)
    }

    fn syntax_at(&self, position: usize, expected: &'static str) -> NpyProblem {
        NpyProblem::HeaderSyntax {
            offset_bytes: self.base + position,
            expected,
        }
    }
}
