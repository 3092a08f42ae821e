//! Huffman tables.

use super::bits::Bits;

/// Bits that one look-up decides; few codes are longer.
const QUICK_BITS: u32 = 9;

/// A table, ready to decode.
pub(super) struct Table {
    /// For the next [`QUICK_BITS`] bits: length and symbol, length 0 for longer codes.
    quick: Box<[(u8, u8); 1 << QUICK_BITS]>,
    /// For each length, the first code that is longer, as 16 bits.
    limits: [u32; 17],
    /// For each length, what to add to a code for its place among the symbols.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            quick: Box::new([(0, 0); 1 << QUICK_BITS]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = usize::from(counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                if length <= QUICK_BITS {
                    let first = (code as usize) << (QUICK_BITS - length);
                    let entry = (length as u8, symbols[place]);
                    table.quick[first..first + (1 << (QUICK_BITS - length))].fill(entry);
                }
                code += 1;
                place += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// Reads a symbol; 0, and a note in `bits`, for a code that the table has not.
    #[inline(always)]
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> u8 {
        bits.fill();
        let (length, symbol) = self.quick[bits.peek(QUICK_BITS)];
        if length > 0 {
            bits.skip(u32::from(length));
            return symbol;
        }
        self.read_long(bits)
    }

    #[cold]
    fn read_long(&self, bits: &mut Bits<'_>) -> u8 {
        let next = bits.peek(16) as u32;
        let found = (QUICK_BITS as usize + 1..=16).find(|&length| next < self.limits[length]);
        let length = found.unwrap_or(16);
        let place = (next >> (16 - length)) as i32 + self.offsets[length];
        bits.skip(length as u32);
        let symbol = usize::try_from(place)
            .ok()
            .and_then(|place| self.symbols.get(place));
        match (found, symbol) {
            (Some(_), Some(&symbol)) => symbol,
            _ => {
                bits.broken();
                0
            }
        }
    }
}

/// Reads the tables of a segment.
pub(super) fn read(
    mut segment: &[u8],
    dc: &mut [Option<Table>; 4],
    ac: &mut [Option<Table>; 4],
) -> Result<(), String> {
    while let [kind, rest @ ..] = segment {
        let tables = match kind >> 4 {
            0 => &mut *dc,
            1 => &mut *ac,
            _ => return Err(format!("a Huffman table of kind {kind:#04x}")),
        };
        let broken = || format!("a broken Huffman table {kind:#04x}");
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(broken)?;
        let total = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest
            .split_at_checked(total)
            .filter(|_| total <= 256)
            .ok_or_else(broken)?;
        let table = tables.get_mut(usize::from(kind & 15)).ok_or_else(broken)?;
        *table = Some(Table::new(counts, symbols).ok_or_else(broken)?);
        segment = rest;
    }
    Ok(())
}
