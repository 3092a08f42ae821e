//! Which functions a program takes from shared libraries: one that imports no `socket` cannot call it by accident.

/// Kind of the section that holds the symbols of a program for the linker at run time.
const DYNAMIC_SYMBOLS: u32 = 11;
/// Bytes of a section header and of a symbol of ELF-64.
const SECTION_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;

/// Names of the functions and variables that a program (ELF, 64 bits, little-endian) imports; none if the bytes are not such a program.
/// A program that is linked statically imports nothing, which shows nothing.
pub fn imports(program: &[u8]) -> Option<Vec<String>> {
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(number(program, 0x28, 8)?).ok()?;
    let count = usize::try_from(number(program, 0x3c, 2)?).ok()?;
    let section = |index: usize| {
        let start = table.checked_add(index.checked_mul(SECTION_BYTES)?)?;
        let header = program.get(start..start.checked_add(SECTION_BYTES)?)?;
        let at = usize::try_from(number(header, 0x18, 8)?).ok()?;
        let bytes = usize::try_from(number(header, 0x20, 8)?).ok()?;
        Some((header, at, bytes))
    };
    let mut names = Vec::new();
    for index in 0..count {
        let (header, at, bytes) = section(index)?;
        if number(header, 4, 4)? != u64::from(DYNAMIC_SYMBOLS) {
            continue;
        }
        let symbols = program.get(at..at.checked_add(bytes)?)?;
        let (_, at, bytes) = section(usize::try_from(number(header, 0x28, 4)?).ok()?)?;
        let text = program.get(at..at.checked_add(bytes)?)?;
        for symbol in symbols.chunks_exact(SYMBOL_BYTES) {
            // Undefined here: to be found in a library.
            if number(symbol, 6, 2)? == 0 {
                let name = text.get(usize::try_from(number(symbol, 0, 4)?).ok()?..)?;
                let end = name.iter().position(|&byte| byte == 0)?;
                names.push(String::from_utf8_lossy(&name[..end]).into_owned());
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names.sort();
    Some(names)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(length)?)?;
    Some(part.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}
