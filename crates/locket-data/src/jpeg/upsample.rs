//! Colour at half resolution back to full: triangle filters, with libjpeg's roundings, which alternate so that none prefers a side.

use super::{Component, Frame};

/// Writes row `y` of a component at the picture's resolution.
pub(super) fn row(frame: &Frame, component: &Component, plane: &[u8], y: usize, output: &mut [u8]) {
    let width = component.plane_width();
    let [across, down] = [0, 1].map(|axis| (frame.most[axis], component.sampling[axis]));
    let line = |row: usize| &plane[row.min(component.height - 1) * width..][..component.width];
    let is_half = |(most, own): (usize, usize)| most == 2 * own;
    let is_full = |(most, own): (usize, usize)| most == own;
    let wide = component.width > 2;
    if is_full(across) && is_full(down) {
        output.copy_from_slice(&line(y)[..output.len()]);
    } else if is_half(across) && is_full(down) && wide {
        let line = line(y);
        pairs(line.len(), output, |x| {
            let (own, left, right) = neighbours(line, x);
            [(3 * own + left + 1) >> 2, (3 * own + right + 2) >> 2]
        });
    } else if is_half(across) && is_half(down) && wide {
        let (near, far) = (line(y / 2), line(other(y)));
        let sums = |x: usize| 3 * u32::from(near[x]) + u32::from(far[x]);
        pairs(near.len(), output, |x| {
            let own = sums(x);
            let left = if x == 0 { own } else { sums(x - 1) };
            let right = if x + 1 == near.len() { own } else { sums(x + 1) };
            [(3 * own + left + 8) >> 4, (3 * own + right + 7) >> 4]
        });
    } else if is_full(across) && is_half(down) {
        let (near, far, bias) = (line(y / 2), line(other(y)), 1 + y as u32 % 2);
        for (output, (&near, &far)) in output.iter_mut().zip(near.iter().zip(far)) {
            *output = ((3 * u32::from(near) + u32::from(far) + bias) >> 2) as u8;
        }
    } else {
        // Other factors: the nearest sample.
        let line = line(y * down.1 / down.0);
        for (x, output) in output.iter_mut().enumerate() {
            *output = line[(x * across.1 / across.0).min(line.len() - 1)];
        }
    }
}

/// The row of half resolution that row `y` of the picture is farther from: above for even rows, below for odd ones; at the edge
/// the nearest itself.
fn other(y: usize) -> usize {
    match y % 2 {
        0 => (y / 2).saturating_sub(1),
        _ => y / 2 + 1,
    }
}

/// A sample and its neighbours; at the edges the sample itself, for which the weights then give the sample unchanged.
fn neighbours(line: &[u8], x: usize) -> (u32, u32, u32) {
    let own = u32::from(line[x]);
    let left = if x == 0 { own } else { u32::from(line[x - 1]) };
    let right = line.get(x + 1).map_or(own, |&sample| u32::from(sample));
    (own, left, right)
}

/// Two samples for each of `count`; the last one may be beyond the output.
fn pairs(count: usize, output: &mut [u8], of: impl Fn(usize) -> [u32; 2]) {
    for (x, pair) in (0..count).zip(output.chunks_mut(2)) {
        for (output, value) in pair.iter_mut().zip(of(x)) {
            *output = value as u8;
        }
    }
}
