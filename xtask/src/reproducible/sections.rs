//! Where two programs differ first, by the name of the section.

/// Bytes of a section header of ELF-64.
const HEADER_BYTES: usize = 64;
/// Kind of a section without bytes in the file.
const NO_BYTES: u64 = 8;

/// A section of a program.
struct Section {
    name: String,
    start: usize,
    bytes: usize,
}

/// Where two programs differ first: byte and section; `None` if they are the same.
pub(super) fn first_difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let (of_one, of_other) = (sections(one), sections(other));
    for (first, second) in of_one.iter().zip(&of_other) {
        let (a, b) = (content(one, first), content(other, second));
        if first.name != second.name || a != b {
            let place = a.iter().zip(b).position(|(a, b)| a != b);
            let place = place.unwrap_or_else(|| a.len().min(b.len()));
            return Some(format!("section {} at byte {place} of it", first.name));
        }
    }
    let place = one.iter().zip(other).position(|(a, b)| a != b);
    let place = place.unwrap_or_else(|| one.len().min(other.len()));
    Some(format!("no section, at byte {place} of the file"))
}

fn content<'a>(program: &'a [u8], section: &Section) -> &'a [u8] {
    let end = section.start.saturating_add(section.bytes);
    program.get(section.start..end).unwrap_or_default()
}

/// The sections of a program in ELF-64, little-endian; none if the bytes are not such a program.
fn sections(program: &[u8]) -> Vec<Section> {
    headers(program).unwrap_or_default()
}

fn headers(program: &[u8]) -> Option<Vec<Section>> {
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = number(program, 0x28, 8)?;
    let (count, names) = (number(program, 0x3c, 2)?, number(program, 0x3e, 2)?);
    let header = |index: usize| {
        let start = table.checked_add(index.checked_mul(HEADER_BYTES)?)?;
        program.get(start..start.checked_add(HEADER_BYTES)?)
    };
    let names = number(header(names)?, 0x18, 8)?;
    let mut found = Vec::new();
    for index in 0..count {
        let header = header(index)?;
        if number(header, 4, 4)? as u64 == NO_BYTES {
            continue;
        }
        let name = program.get(names.checked_add(number(header, 0, 4)?)?..)?;
        let end = name.iter().position(|&byte| byte == 0)?;
        found.push(Section {
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
            start: number(header, 0x18, 8)?,
            bytes: number(header, 0x20, 8)?,
        });
    }
    Some(found)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(length)?)?;
    let number = part
        .iter()
        .rev()
        .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    usize::try_from(number).ok()
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use super::{first_difference, sections};

    #[test]
    fn a_changed_byte_is_told_with_its_section() {
        let path = std::env::current_exe().expect("this test is a program");
        let program = std::fs::read(path).expect("and can be read");
        assert_eq!(first_difference(&program, &program), None);
        for wanted in [".text", ".rodata", ".dynstr"] {
            let all = sections(&program);
            let section = all.iter().find(|section| section.name == wanted);
            let section = section.unwrap_or_else(|| panic!("no {wanted}"));
            let mut changed = program.clone();
            changed[section.start + 5] ^= 1;
            let told = first_difference(&program, &changed);
            assert_eq!(told, Some(format!("section {wanted} at byte 5 of it")));
        }
        let cut = &program[..program.len() - 1];
        assert!(first_difference(&program, cut).is_some());
        assert_eq!(
            first_difference(b"no program", b"no Program"),
            Some("no section, at byte 3 of the file".to_owned())
        );
    }
}
