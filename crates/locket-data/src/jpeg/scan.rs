//! Scans: entropy-coded coefficients, sequential or progressive (ITU T.81, annexes F and G).

use super::{Frame, Tables, bits::Bits, huffman::Table};

/// The place, row by row, of each coefficient in coded order; a corrupt run may go 15 beyond.
pub(super) const ZIGZAG: [u8; 80] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
];

/// The head of a scan.
pub(super) struct Scan {
    /// Component, and numbers of its tables for the first and the other coefficients.
    parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    band: [usize; 2],
    /// Bits that scans before gave, and bits that are still missing after this one.
    high: u32,
    low: u32,
}

/// What goes from block to block.
#[derive(Default)]
struct State {
    /// Of each part, the first coefficient of the block before.
    last: [i32; 4],
    /// Blocks that are still without new coefficients.
    empty: u32,
}

impl Scan {
    /// Reads the head.
    pub(super) fn read(segment: &[u8], frame: &Frame) -> Result<Self, String> {
        let broken = || "a broken head of a scan".to_owned();
        let (&count, rest) = segment.split_first().ok_or_else(broken)?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(broken)?;
        let &[first, last, approximation, ..] = rest else {
            return Err(broken());
        };
        if !(1..=4).contains(&count) {
            return Err(broken());
        }
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        for &[name, tables] in parts.as_chunks::<2>().0 {
            let index = frame
                .components
                .iter()
                .position(|component| component.name == name);
            let index = index.filter(|index| !found.iter().any(|&(other, ..)| other == *index));
            let index =
                index.ok_or_else(|| format!("a scan of component {name}, which the frame has not"))?;
            found.push((index, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        let scan = match frame.is_progressive {
            true => Self {
                parts: found,
                band: [usize::from(first), usize::from(last)],
                high: u32::from(approximation >> 4),
                low: u32::from(approximation & 15),
            },
            false => Self {
                parts: found,
                band: [0, 63],
                high: 0,
                low: 0,
            },
        };
        let [start, end] = scan.band;
        let of_first = start == 0 && (end == 0 || !frame.is_progressive);
        let of_others = start > 0 && start <= end && end < 64 && scan.parts.len() == 1;
        if !(of_first || of_others) || scan.low > 13 || (scan.high > 0 && scan.high != scan.low + 1) {
            return Err(broken());
        }
        Ok(scan)
    }

    /// Reads the coefficients from byte `at` of the file on; gives where the next marker is.
    pub(super) fn run(
        &self,
        file: &[u8],
        at: usize,
        frame: &mut Frame,
        tables: &Tables,
    ) -> Result<usize, String> {
        let table =
            |tables: &'_ [Option<Table>; 4], number: usize| tables.get(number).is_some_and(Option::is_some);
        let needs = [self.band[0] == 0 && self.high == 0, self.band[1] > 0];
        for &(_, dc, ac) in &self.parts {
            if needs[0] && !table(&tables.dc, dc) || needs[1] && !table(&tables.ac, ac) {
                return Err("a scan whose Huffman table is missing".to_owned());
            }
        }
        let mut bits = Bits::new(file, at);
        let mut state = State::default();
        let interleaved = self.parts.len() > 1;
        let units = match interleaved {
            true => frame.units,
            false => frame.components[self.parts[0].0].blocks,
        };
        let mut until_restart = tables.restart_interval;
        for unit in 0..units[0] * units[1] {
            if tables.restart_interval > 0 {
                if until_restart == 0 {
                    bits.restart()?;
                    state = State::default();
                    until_restart = tables.restart_interval;
                }
                until_restart -= 1;
            }
            let (x, y) = (unit % units[0], unit / units[0]);
            for (part, &(index, dc, ac)) in self.parts.iter().enumerate() {
                let component = &mut frame.components[index];
                let [across, down] = if interleaved { component.sampling } else { [1, 1] };
                for block in 0..across * down {
                    let place = (y * down + block / across) * component.stride + x * across + block % across;
                    // A sequential block is complete at once: its coefficients need no place of their own.
                    let mut complete = [0; 64];
                    let blocks = component.coefficients.as_chunks_mut::<64>().0;
                    let coefficients = match frame.is_progressive {
                        true => blocks.get_mut(place),
                        false => component.has_block(place).then_some(&mut complete),
                    };
                    let coefficients = coefficients.ok_or("a scan that is larger than its frame")?;
                    let tables = (tables.dc.get(dc), tables.ac.get(ac));
                    let tables = (
                        tables.0.and_then(Option::as_ref),
                        tables.1.and_then(Option::as_ref),
                    );
                    self.block(
                        &mut bits,
                        coefficients,
                        tables,
                        &mut state.last[part],
                        &mut state.empty,
                    )?;
                    if !frame.is_progressive {
                        component.put_block(place, &complete)?;
                    }
                }
            }
            // Zeros without end would be read from a file that has ended.
            if x + 1 == units[0] {
                bits.check()?;
            }
        }
        bits.check()?;
        Ok(bits.marker())
    }

    #[inline]
    fn block(
        &self,
        bits: &mut Bits<'_>,
        block: &mut [i16; 64],
        (dc, ac): (Option<&Table>, Option<&Table>),
        last: &mut i32,
        empty: &mut u32,
    ) -> Result<(), String> {
        const CHECKED: &str = "the tables that a scan needs were checked";
        if self.band[0] == 0 {
            if self.high == 0 {
                first(bits, block, dc.expect(CHECKED), last, self.low)?;
            } else if bits.take(1) == 1 {
                block[0] |= 1 << self.low;
            }
        }
        if self.band[1] == 0 {
            return Ok(());
        }
        let ac = ac.expect(CHECKED);
        if self.band[0] == 0 {
            return others(bits, block, ac);
        }
        match self.high {
            0 => self.others_first(bits, block, ac, empty),
            _ => self.others_refined(bits, block, ac, empty),
        }
    }

    /// New coefficients of a band.
    fn others_first(
        &self,
        bits: &mut Bits<'_>,
        block: &mut [i16; 64],
        table: &Table,
        empty: &mut u32,
    ) -> Result<(), String> {
        if *empty > 0 {
            *empty -= 1;
            return Ok(());
        }
        let mut index = self.band[0];
        while index <= self.band[1] {
            let symbol = table.read(bits);
            let (run, size) = (symbol >> 4, u32::from(symbol & 15));
            if size > 0 {
                index += usize::from(run);
                let place = usize::from(ZIGZAG[index.min(79)]);
                block[place] = (bits.take_signed(size) << self.low) as i16;
                index += 1;
            } else if run == 15 {
                index += 16;
            } else {
                *empty = (1 << run) - 1 + bits.take(u32::from(run)) as u32;
                return Ok(());
            }
        }
        Ok(())
    }

    /// One more bit of a band's coefficients, and new ones among them.
    fn others_refined(
        &self,
        bits: &mut Bits<'_>,
        block: &mut [i16; 64],
        table: &Table,
        empty: &mut u32,
    ) -> Result<(), String> {
        let bit = 1i16 << self.low;
        let mut index = self.band[0];
        if *empty == 0 {
            while index <= self.band[1] {
                let symbol = table.read(bits);
                let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
                let mut value = 0;
                if size > 0 {
                    value = if bits.take(1) == 1 { bit } else { -bit };
                } else if run < 15 {
                    *empty = (1 << run) + bits.take(run) as u32;
                    break;
                }
                while index <= self.band[1] {
                    let coefficient = &mut block[usize::from(ZIGZAG[index])];
                    index += 1;
                    if *coefficient != 0 {
                        refine(bits, coefficient, bit);
                    } else if run == 0 {
                        *coefficient = value;
                        break;
                    } else {
                        run -= 1;
                    }
                }
            }
        }
        if *empty > 0 {
            for &place in ZIGZAG.get(index..=self.band[1]).unwrap_or_default() {
                let coefficient = &mut block[usize::from(place)];
                if *coefficient != 0 {
                    refine(bits, coefficient, bit);
                }
            }
            *empty -= 1;
        }
        Ok(())
    }
}

/// Moves a coefficient away from zero by one bit, if the next bit says so.
fn refine(bits: &mut Bits<'_>, coefficient: &mut i16, bit: i16) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { bit } else { -bit });
    }
}

/// The first coefficient, as a difference from the block before.
#[inline]
fn first(
    bits: &mut Bits<'_>,
    block: &mut [i16; 64],
    table: &Table,
    last: &mut i32,
    low: u32,
) -> Result<(), String> {
    let size = u32::from(table.read(bits));
    if size > 15 {
        return Err(format!("a difference of {size} bits, expected at most 15"));
    }
    *last = last.wrapping_add(bits.take_signed(size));
    block[0] = (*last << low) as i16;
    Ok(())
}

/// The other coefficients of a sequential block.
#[inline]
fn others(bits: &mut Bits<'_>, block: &mut [i16; 64], table: &Table) -> Result<(), String> {
    let mut index = 1;
    while index < 64 {
        let symbol = table.read(bits);
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                break;
            }
            index += 16;
            continue;
        }
        index += run;
        block[usize::from(ZIGZAG[index])] = bits.take_signed(size) as i16;
        index += 1;
    }
    Ok(())
}
