//! From light to bytes: reflections, blur, vignette, tone curve, sensor noise, eight bits.

use crate::canvas::{Camera, Canvas};
use crate::maths::{Point, Rgb, lerp, p, saturate, smooth_step};
use crate::random::{lattice, noise};
use crate::scene::Scene;

/// Mirrors what stands on water in it: below `line` (level), within `half` of `centre`, for `depth`.
pub(crate) fn reflect(canvas: &mut Canvas, camera: Camera, foot: Point, half: f32, depth: f32, salt: u32) {
    let source = canvas.clone();
    canvas.for_each(|at, pixel| {
        let level = camera.level(at);
        let below = level.y - foot.y;
        let aside = (level.x - foot.x).abs();
        if below <= 0.0 || below >= depth || aside >= half {
            return;
        }
        let wave = noise(level.x * 9.0, level.y * 60.0, salt) - 0.5;
        let mirrored = camera.picture(p(level.x + 0.035 * wave, foot.y - below * (0.9 + 0.25 * wave)));
        let edge = smooth_step(half, 0.75 * half, aside) * smooth_step(depth, 0.3 * depth, below);
        *pixel = pixel.mix(source.sample(mirrored) * 0.8, 0.62 * edge);
    });
}

/// Blurs by two box filters of the given radius (a share of the picture) in each direction.
pub(crate) fn blur(canvas: &mut Canvas, radius: f32) {
    // Wider than the picture is no different, only slower.
    let reach = radius.min(1.0) * canvas.size as f32;
    if reach < 0.05 {
        return;
    }
    for _ in 0..2 {
        blur_rows(canvas, reach);
        transpose(canvas);
        blur_rows(canvas, reach);
        transpose(canvas);
    }
}

/// Averages each pixel with `reach` neighbours on either side; the outermost counts by the fraction.
fn blur_rows(canvas: &mut Canvas, reach: f32) {
    let whole = reach as usize;
    let part = reach - whole as f32;
    let share = 1.0 / (2.0 * reach + 1.0);
    let size = canvas.size;
    let mut line = vec![Rgb::linear(0.0, 0.0, 0.0); size];
    for row in canvas.pixels.chunks_exact_mut(size) {
        line.copy_from_slice(row);
        let at = |index: isize| line[index.clamp(0, size as isize - 1) as usize];
        for (column, pixel) in row.iter_mut().enumerate() {
            let column = column as isize;
            let outer = whole as isize + 1;
            let mut sum = at(column) + (at(column - outer) + at(column + outer)) * part;
            for step in 1..=whole as isize {
                sum = sum + at(column - step) + at(column + step);
            }
            *pixel = sum * share;
        }
    }
}

fn transpose(canvas: &mut Canvas) {
    let size = canvas.size;
    for row in 0..size {
        for column in row + 1..size {
            canvas.pixels.swap(row * size + column, column * size + row);
        }
    }
}

/// Turns light into bytes, RGB, row by row.
pub(crate) fn develop(scene: &Scene, canvas: &Canvas) -> Vec<u8> {
    let size = canvas.size;
    let salt = (scene.style >> 32) as u32;
    let cast = Rgb::linear(1.0 + scene.warmth, 1.0, 1.0 - scene.warmth);
    let step = 1.0 / size as f32;
    let mut bytes = Vec::with_capacity(size * size * 3);
    for (row, line) in canvas.pixels.chunks_exact(size).enumerate() {
        for (column, pixel) in line.iter().enumerate() {
            let from_centre = p(
                (column as f32 + 0.5) * step - 0.5,
                (row as f32 + 0.5) * step - 0.5,
            );
            let vignette = 1.0 - 0.35 * from_centre.dot(from_centre);
            let light = pixel.lit_by(cast) * (scene.exposure * vignette);
            let (x, y) = (column as i32, row as i32);
            let grain = triangle(x, y, salt) * 0.75;
            for (channel, value) in [light.r, light.g, light.b].into_iter().enumerate() {
                let own = triangle(x, y, salt ^ (0x100 + channel as u32)) * 0.65;
                let shown = tone(value) + scene.noise * (grain + own) * 2.45;
                bytes.push(quantise(shown));
            }
        }
    }
    bytes
}

/// Noise between -1 and 1 with standard deviation 0.41, that of a triangle.
fn triangle(x: i32, y: i32, salt: u32) -> f32 {
    lattice(x, y, salt) + lattice(x, y, salt ^ 0xffff) - 1.0
}

/// The display curve: a square root, with the highlights bent over softly from 0.75 on.
fn tone(light: f32) -> f32 {
    let shown = light.max(0.0).sqrt();
    if shown <= 0.75 {
        shown
    } else {
        lerp(0.75, 1.0, 1.0 - 1.0 / (1.0 + (shown - 0.75) * 4.0))
    }
}

fn quantise(shown: f32) -> u8 {
    (saturate(shown) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::{blur, quantise, tone};
    use crate::canvas::Canvas;
    use crate::maths::Rgb;

    #[test]
    fn tone_rises_and_meets_at_the_bend() {
        assert_eq!(tone(0.0), 0.0);
        assert!((tone(0.5625) - 0.75).abs() < 1e-6);
        let mut last = -1.0;
        for step in 0..4000 {
            let now = tone(step as f32 * 0.002);
            assert!(now > last && now < 1.0, "{now} after {last}");
            last = now;
        }
        assert_eq!((quantise(-1.0), quantise(0.5), quantise(9.0)), (0, 128, 255));
    }

    #[test]
    fn blur_keeps_the_light_and_spreads_it() {
        let mut canvas = Canvas::new(32);
        canvas.pixels[16 * 32 + 16] = Rgb::linear(1.0, 2.0, 3.0);
        blur(&mut canvas, 0.05);
        let sum = canvas.pixels.iter().fold(0.0, |sum, pixel| sum + pixel.g);
        assert!((sum - 2.0).abs() < 1e-4, "{sum}");
        assert!(canvas.pixels[16 * 32 + 16].g < 0.2);
        assert!(canvas.pixels[14 * 32 + 16].g > 0.0);
    }
}
