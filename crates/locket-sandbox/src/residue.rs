//! What is left of a content in a process's memory: every place where eight bytes of it still stand.
//!
//! The scan reads all memory that the process can write through `/proc/PID/mem`. Who may do that: root, and the user who owns the worker's
//! user namespace, which is the one that started it (who can read the broker too). Where the kernel refuses even them, a worker can be
//! started [`crate::Options::scannable`]. The process should stand still meanwhile.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
};

/// Bytes of a window.
const WINDOW: usize = 8;
/// Windows with fewer different bytes stand in any program by chance and are left out.
const DIFFERENT: usize = 5;
/// Bits of the table that most places are refused by, as a power of two.
const FILTER_BITS: u32 = 20;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// The windows of a content: its bytes, eight at a time. Any copy of 15 bytes or more has one, wherever it begins.
#[derive(Debug, Clone)]
pub struct Windows {
    sorted: Vec<u64>,
    filter: Vec<u64>,
}

impl Windows {
    /// The windows of some bytes.
    pub fn of(content: &[u8]) -> Self {
        let mut sorted: Vec<u64> = content
            .chunks_exact(WINDOW)
            .filter(|window| {
                let mut bytes = window.to_vec();
                bytes.sort_unstable();
                bytes.dedup();
                bytes.len() >= DIFFERENT
            })
            .map(|window| window.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
            .collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut filter = vec![0; 1 << (FILTER_BITS - 6)];
        for &word in &sorted {
            let bit = slot(word);
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Self { sorted, filter }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// True if the content has none: it is too short or too uniform.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// How many places of some memory hold a window.
    pub fn count(&self, memory: &[u8]) -> u64 {
        let mut word = 0_u64;
        let mut found = 0;
        for (at, &byte) in memory.iter().enumerate() {
            word = word >> 8 | u64::from(byte) << 56;
            let bit = slot(word);
            if self.filter[bit / 64] >> (bit % 64) & 1 != 0
                && at + 1 >= WINDOW
                && self.sorted.binary_search(&word).is_ok()
            {
                found += 1;
            }
        }
        found
    }
}

fn slot(word: u64) -> usize {
    // The multiplier is 2^64 divided by the golden ratio: it spreads any bits over the upper ones.
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residue {
    /// Places that hold a window.
    pub places: u64,
    /// Bytes that were looked at.
    pub scanned_bytes: u64,
    /// The mappings with places: as the kernel describes them, and how many.
    pub mappings: Vec<(String, u64)>,
}

/// Looks through all writable memory of a process, but for some ranges of addresses: those where the one who asks keeps the
/// content itself.
///
/// # Errors
///
/// If the process's memory cannot be read.
pub fn scan(pid: i32, windows: &Windows, excluded: &[Range<u64>]) -> io::Result<Residue> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut residue = Residue {
        places: 0,
        scanned_bytes: 0,
        mappings: Vec::new(),
    };
    let mut buffer = vec![0_u8; CHUNK];
    for line in maps.lines() {
        let Some(range) = writable(line) else { continue };
        let mut found = 0;
        for part in without(range, excluded) {
            let mut at = part.start;
            while at < part.end {
                let length = usize::try_from(part.end - at).unwrap_or(CHUNK).min(CHUNK);
                memory.read_exact_at(&mut buffer[..length], at)?;
                found += windows.count(&buffer[..length]);
                residue.scanned_bytes += length as u64;
                if at + length as u64 == part.end {
                    break;
                }
                // Windows across the border are in the next part.
                at += (length - (WINDOW - 1)) as u64;
            }
        }
        if found > 0 {
            residue.places += found;
            residue.mappings.push((line.to_owned(), found));
        }
    }
    crate::wipe::wipe_slice(&mut buffer);
    Ok(residue)
}

/// The addresses of a line of `maps`, if the mapping can be read and written.
fn writable(line: &str) -> Option<Range<u64>> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    fields
        .next()?
        .starts_with("rw")
        .then_some(address(start)?..address(end)?)
}

/// What is left of a range.
fn without(range: Range<u64>, excluded: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts = vec![range];
    for gap in excluded {
        parts = parts
            .into_iter()
            .flat_map(|part| {
                [
                    part.start..part.end.min(gap.start),
                    part.start.max(gap.end)..part.end,
                ]
            })
            .filter(|part| part.start < part.end)
            .collect();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{Windows, without, writable};

    #[test]
    fn windows_are_found_at_any_place_and_dull_ones_are_none() {
        let content: Vec<u8> = (0..64).collect();
        let windows = Windows::of(&content);
        assert_eq!(windows.len(), 8);
        for shift in 0..9 {
            let mut memory = vec![0xff; shift];
            memory.extend(&content);
            assert_eq!(windows.count(&memory), 8, "{shift}");
        }
        // Any fifteen bytes hold a whole window, seven none.
        for start in 0..49 {
            assert!(windows.count(&content[start..start + 15]) >= 1, "{start}");
        }
        assert_eq!(windows.count(&content[1..8]), 0);
        assert!(Windows::of(&[0; 800]).is_empty());
        assert_eq!(Windows::of(&[0; 800]).count(&[0; 800]), 0);
    }

    #[test]
    fn lines_and_gaps_are_read() {
        let line = "7f0000001000-7f0000003000 rw-p 00000000 00:00 0 [heap]";
        assert_eq!(writable(line), Some(0x7f00_0000_1000..0x7f00_0000_3000));
        assert_eq!(writable("1000-2000 r--p 0 0:0 0"), None);
        assert_eq!(writable("nonsense"), None);
        assert_eq!(without(0..10, &[2..3, 8..20]), [0..2, 3..8]);
        assert!(without(5..6, std::slice::from_ref(&(0..10))).is_empty());
    }
}
