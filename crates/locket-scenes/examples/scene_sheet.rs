//! Writes a contact sheet of scenes as a PPM picture: `scene_sheet OUT.ppm [SIZE COLUMNS ROWS SEED FIRST CLASS]`.
//!
//! With a class name, only scenes of that class are shown.
use std::io::Write as _;

use locket_scenes::{CLASSES, Scene, Split};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = arguments.first() else {
        return Err(std::io::Error::other("expected the path of the picture to write"));
    };
    let number = |position: usize, default: u64| {
        arguments
            .get(position)
            .map_or(Ok(default), |text| text.parse().map_err(std::io::Error::other))
    };
    let (size, columns, rows) = (
        number(1, 64)? as usize,
        number(2, 12)? as usize,
        number(3, 8)? as usize,
    );
    let (seed, first) = (number(4, Split::Train.seed())?, number(5, 0)?);
    let class = arguments.get(6).map(|name| {
        CLASSES.iter().position(|class| class == name).ok_or_else(|| {
            std::io::Error::other(format!("expected one of {}, found {name}", CLASSES.join(", ")))
        })
    });
    let class = class.transpose()?;
    let gap = 2;
    let (width, height) = (columns * (size + gap) + gap, rows * (size + gap) + gap);
    let mut sheet = vec![255_u8; width * height * 3];
    let scenes = (first..).map(|index| Scene::sample(seed, index));
    let shown = scenes
        .filter(|scene| class.is_none_or(|class| scene.label() == class))
        .take(columns * rows);
    for (place, scene) in shown.enumerate() {
        let (column, row) = (place % columns, place / columns);
        let (left, top) = (gap + column * (size + gap), gap + row * (size + gap));
        for (line, pixels) in scene.render(size).chunks_exact(size * 3).enumerate() {
            let start = ((top + line) * width + left) * 3;
            sheet[start..start + size * 3].copy_from_slice(pixels);
        }
    }
    let mut file = std::fs::File::create(path)?;
    write!(file, "P6\n{width} {height}\n255\n")?;
    file.write_all(&sheet)
}
