//! Luma and colour differences to red, green and blue, with 16 bits after the point.

const HALF: i32 = 1 << 15;

/// A constant with 16 bits after the point.
const fn fixed(value: f64) -> i32 {
    (value * 65536.0 + 0.5) as i32
}

/// Writes a row of pixels from three rows of components, which are luma and colour differences or red, green and blue.
pub(super) fn row([first, second, third]: [&[u8]; 3], ycc: bool, pixels: &mut [u8]) {
    let components = first.iter().zip(second).zip(third);
    for (pixel, ((&first, &second), &third)) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(components) {
        *pixel = if ycc {
            rgb(first, second, third)
        } else {
            [first, second, third]
        };
    }
}

#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let green = (HALF - fixed(0.344_14) * blue - fixed(0.714_14) * red) >> 16;
    [
        luma + ((fixed(1.402) * red + HALF) >> 16),
        luma + green,
        luma + ((fixed(1.772) * blue + HALF) >> 16),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}
