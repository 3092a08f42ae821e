//! Where Winograd's form of a 3×3 convolution is faster than the plain one, and how often [`WinogradF32::suits`] chooses wrongly.
//!
//! `cargo run --release -p locket-kernels --example winograd [isa]`. One thread; each time is the least of repeated calls, the two
//! forms taken in turns. A choice counts as wrong where the other form takes more than 3 % less.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Instant;

use locket_kernels::{ConvF32, ConvGeometry, Isa, WeightsF32, WinogradF32};

const SIZES: [usize; 10] = [4, 5, 7, 8, 10, 14, 16, 28, 32, 56];
const CHANNELS: [usize; 9] = [8, 16, 24, 32, 48, 64, 96, 128, 256];
/// Larger products than these behave like them, and take long.
const MOST_MACS: u64 = 400_000_000;
const REPEATS: usize = 9;

fn geometry(size: usize, channels: [usize; 2]) -> ConvGeometry {
    ConvGeometry {
        batch: 1,
        in_height: size,
        in_width: size,
        in_channels: channels[0],
        out_height: size,
        out_width: size,
        out_channels: channels[1],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1; 4],
        groups: 1,
        input_stride: channels[0],
        output_stride: channels[1],
        output_offset: 0,
    }
}

/// Microseconds of the plain form and of Winograd's.
fn times(isa: Isa, geometry: &ConvGeometry) -> [f64; 2] {
    let depth = geometry.depth();
    let weights: Vec<f32> = (0..geometry.out_channels * depth)
        .map(|index| (index % 13) as f32 * 0.01 - 0.06)
        .collect();
    let dense = WeightsF32::dense(geometry.out_channels, depth, &weights).channels_first(9);
    let unclamped = [f32::NEG_INFINITY, f32::INFINITY];
    let plain = ConvF32::new(isa, geometry.clone(), &dense, None, unclamped);
    let winograd = WinogradF32::new(isa, geometry.clone(), &weights, None, unclamped);
    let input: Vec<f32> = (0..geometry.input_len())
        .map(|index| (index % 7) as f32 * 0.1)
        .collect();
    let mut output = vec![0.0; geometry.out_pixels() * geometry.out_channels];
    let mut scratch = vec![0.0; plain.scratch_elems().max(winograd.scratch_elems())];
    let calls = (4_000_000 / geometry.macs()).max(1);
    let mut least = [f64::INFINITY; 2];
    for _ in 0..REPEATS {
        for (form, least) in least.iter_mut().enumerate() {
            let start = Instant::now();
            for _ in 0..calls {
                match form {
                    0 => plain.run(&input, None, &mut output, 0..geometry.out_pixels(), &mut scratch),
                    _ => winograd.run(&input, None, &mut output, 0..winograd.strips(), &mut scratch),
                }
            }
            *least = least.min(start.elapsed().as_secs_f64() * 1e6 / calls as f64);
        }
    }
    least
}

fn main() {
    let named = std::env::args().nth(1);
    let isa = named.map_or_else(Isa::best, |name| {
        Isa::parse(&name).expect("scalar, avx2 or avx512")
    });
    println!(
        "{:>5} {:>5} {:>5} {:>10} {:>10} {:>7}  chosen",
        "size", "in", "out", "plain us", "winograd", "ratio"
    );
    let (mut shapes, mut wrong, mut lost) = (0, 0, 0.0);
    let mut always = [0.0; 2];
    for size in SIZES {
        for input in CHANNELS {
            for output in CHANNELS {
                let geometry = geometry(size, [input, output]);
                if geometry.macs() > MOST_MACS {
                    continue;
                }
                let found = times(isa, &geometry);
                let best = found[0].min(found[1]);
                let chosen = found[usize::from(WinogradF32::suits(&geometry))];
                let is_wrong = chosen > 1.03 * best;
                shapes += 1;
                wrong += usize::from(is_wrong);
                lost += chosen / best - 1.0;
                for (always, time) in always.iter_mut().zip(found) {
                    *always += time / best - 1.0;
                }
                println!(
                    "{size:>5} {input:>5} {output:>5} {:>10.1} {:>10.1} {:>7.2}  {}{}",
                    found[0],
                    found[1],
                    found[1] / found[0],
                    if WinogradF32::suits(&geometry) {
                        "winograd"
                    } else {
                        "plain"
                    },
                    if is_wrong { ", wrongly" } else { "" },
                );
            }
        }
    }
    let share = |lost: f64| 100.0 * lost / f64::from(shapes);
    println!(
        "{}: {wrong} of {shapes} choices wrong by more than 3 %; mean loss {:.1} % as chosen, {:.1} % always plain, {:.1} % always Winograd",
        isa.name(),
        share(lost),
        share(always[0]),
        share(always[1]),
    );
}
