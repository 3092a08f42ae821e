//! Writes scenes of one split as a data set: `write_scenes DIR SPLIT START END [SIZE]`.
use std::path::Path;

use locket_scenes::{Split, write_dataset};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, split, start, end, size @ ..] = arguments.as_slice() else {
        return Err(std::io::Error::other(
            "expected: write_scenes DIR SPLIT START END [SIZE]",
        ));
    };
    let split = Split::ALL
        .into_iter()
        .find(|known| known.name() == split)
        .ok_or_else(|| {
            std::io::Error::other(format!("expected train, validation, calib or dev, found {split}"))
        })?;
    let number = |text: &str| text.parse::<u64>().map_err(std::io::Error::other);
    let size = size.first().map_or(Ok(64), |text| number(text))? as usize;
    write_dataset(
        Path::new(dir),
        split.seed(),
        number(start)?..number(end)?,
        size,
        |_, _| {},
    )
}
