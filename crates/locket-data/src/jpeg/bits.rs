//! The bits of an entropy-coded segment.

/// Reads bits until a marker, which it does not pass. Beyond the end bits are zero; reading them is an error that is kept until asked
/// for, so that the hot loop has no branch for it.
pub(super) struct Bits<'a> {
    file: &'a [u8],
    at: usize,
    /// The next bits, from the highest on.
    held: u64,
    count: u32,
    /// Bits that were made up after the end, and not yet read or read.
    invented: u32,
    /// Set by a code that no table has.
    is_broken: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(file: &'a [u8], at: usize) -> Self {
        Self {
            file,
            at,
            held: 0,
            count: 0,
            invented: 0,
            is_broken: false,
        }
    }

    /// Makes at least 32 bits readable.
    #[inline]
    pub(super) fn fill(&mut self) {
        if self.count > 32 {
            return;
        }
        if let Some(&bytes) = self.file.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_be_bytes(bytes);
            if !has_ones(word) {
                // What is beyond whole bytes is the same when it comes again.
                self.held |= word >> self.count;
                let taken = (64 - self.count) / 8;
                self.at += taken as usize;
                self.count += 8 * taken;
                return;
            }
        }
        self.fill_by_byte();
    }

    fn fill_by_byte(&mut self) {
        while self.count <= 56 {
            let byte = match self.file.get(self.at..self.at + 2) {
                Some(&[0xff, 0]) => {
                    self.at += 2;
                    0xff
                }
                Some(&[byte, _]) if byte != 0xff => {
                    self.at += 1;
                    byte
                }
                _ => self.last(),
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The file's last byte, or nothing at a marker or the end.
    #[cold]
    fn last(&mut self) -> u8 {
        match self.file.get(self.at) {
            Some(&byte) if byte != 0xff => {
                self.at += 1;
                byte
            }
            _ => {
                self.invented += 8;
                0
            }
        }
    }

    /// The next `count <= 16` bits, after a [`Bits::fill`].
    #[inline]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.held >> 1 >> (63 - count)) as usize
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.held <<= count;
        self.count -= count;
    }

    /// Reads `count <= 16` bits.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> i32 {
        if self.count < count {
            self.fill();
        }
        let value = self.peek(count) as i32;
        self.skip(count);
        value
    }

    /// Reads a value of `count <= 16` bits whose negatives are stored below half.
    #[inline]
    pub(super) fn take_signed(&mut self, count: u32) -> i32 {
        if count == 0 {
            return 0;
        }
        let value = self.take(count);
        if value < 1 << (count - 1) {
            value - (1 << count) + 1
        } else {
            value
        }
    }

    /// Notes a code that no table has, to be told by [`Bits::check`].
    #[cold]
    pub(super) fn broken(&mut self) {
        self.is_broken = true;
    }

    /// An error if more bits were read than there are, or a code that there is not.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.is_broken {
            return Err(format!(
                "a code that no Huffman table has, before byte {}",
                self.at.min(self.file.len())
            ));
        }
        if self.invented > self.count {
            return Err(format!(
                "the picture's data end early, at byte {}",
                self.at.min(self.file.len())
            ));
        }
        Ok(())
    }

    /// Drops what is left of the segment, passes a restart marker and goes on behind it.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.check()?;
        let at = self.marker();
        match self.file.get(at..at + 2) {
            Some([0xff, 0xd0..=0xd7]) => {
                *self = Self::new(self.file, at + 2);
                Ok(())
            }
            _ => Err(format!("expected a restart marker at byte {at}")),
        }
    }

    /// Where the next marker starts.
    pub(super) fn marker(&self) -> usize {
        let mut at = self.at;
        while at < self.file.len() && !matches!(self.file.get(at..at + 2), Some(&[0xff, next]) if next != 0) {
            at += 1;
        }
        // Fill bytes stand before a marker.
        while matches!(self.file.get(at..), Some([0xff, 0xff, ..])) {
            at += 1;
        }
        at
    }
}

/// Whether any byte is 0xff: the usual test for a zero byte, on the complement.
fn has_ones(word: u64) -> bool {
    let word = !word;
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080 != 0
}
