//! Measures every convolution shape of four networks, float and u8, on one thread, against the machine's arithmetic peak.
//!
//! `cargo run --release -p locket-kernels --example roofline [isa] [network or `weights`] [part of a layer's name]`. Each figure is the median of repeated calls
//! that together take at least 50 ms; shares are of the peak measured in the same process.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Instant;

use locket_kernels::{
    Blocks, ConvF32, ConvGeometry, ConvU8, DepthwiseF32, DepthwiseU8, Isa, Output, WeightsF32, peak_f32,
    peak_u8,
};

/// A convolution of a network: input size, channels, kernel, stride, how often it occurs, and whether it is depthwise.
#[derive(Clone, Copy)]
struct Layer {
    size: usize,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    times: usize,
    depthwise: bool,
}

fn conv(size: usize, channels: [usize; 2], kernel: usize, stride: usize, times: usize) -> Layer {
    Layer {
        size,
        channels,
        kernel,
        stride,
        times,
        depthwise: false,
    }
}

fn depthwise(size: usize, channels: usize, stride: usize, times: usize) -> Layer {
    Layer {
        size,
        channels: [channels, channels],
        kernel: 3,
        stride,
        times,
        depthwise: true,
    }
}

fn squeezenet() -> Vec<Layer> {
    let mut layers = vec![conv(224, [3, 64], 3, 2, 1)];
    for (size, input, squeeze, expand) in [
        (56, 64, 16, 64),
        (56, 128, 16, 64),
        (28, 128, 32, 128),
        (28, 256, 32, 128),
        (14, 256, 48, 192),
        (14, 384, 48, 192),
        (14, 384, 64, 256),
        (14, 512, 64, 256),
    ] {
        layers.push(conv(size, [input, squeeze], 1, 1, 1));
        layers.push(conv(size, [squeeze, expand], 1, 1, 1));
        layers.push(conv(size, [squeeze, expand], 3, 1, 1));
    }
    layers.push(conv(14, [512, 1000], 1, 1, 1));
    layers
}

fn mobilenet_v1_quarter() -> Vec<Layer> {
    let mut layers = vec![conv(224, [3, 8], 3, 2, 1)];
    for (size, channels, output, stride, times) in [
        (112, 8, 16, 1, 1),
        (112, 16, 32, 2, 1),
        (56, 32, 32, 1, 1),
        (56, 32, 64, 2, 1),
        (28, 64, 64, 1, 1),
        (28, 64, 128, 2, 1),
        (14, 128, 128, 1, 5),
        (14, 128, 256, 2, 1),
        (7, 256, 256, 1, 1),
    ] {
        layers.push(depthwise(size, channels, stride, times));
        layers.push(conv(size / stride, [channels, output], 1, 1, times));
    }
    layers.push(conv(1, [256, 1000], 1, 1, 1));
    layers
}

fn mobilenet_v2() -> Vec<Layer> {
    let mut layers = vec![
        conv(224, [3, 32], 3, 2, 1),
        depthwise(112, 32, 1, 1),
        conv(112, [32, 16], 1, 1, 1),
    ];
    for (size, input, output, stride, repeats) in [
        (112, 16, 24, 2, 2),
        (56, 24, 32, 2, 3),
        (28, 32, 64, 2, 4),
        (14, 64, 96, 1, 3),
        (14, 96, 160, 2, 3),
        (7, 160, 320, 1, 1),
    ] {
        let inner = size / stride;
        layers.push(conv(size, [input, 6 * input], 1, 1, 1));
        layers.push(depthwise(size, 6 * input, stride, 1));
        layers.push(conv(inner, [6 * input, output], 1, 1, 1));
        if repeats > 1 {
            layers.push(conv(inner, [output, 6 * output], 1, 1, repeats - 1));
            layers.push(depthwise(inner, 6 * output, 1, repeats - 1));
            layers.push(conv(inner, [6 * output, output], 1, 1, repeats - 1));
        }
    }
    layers.push(conv(7, [320, 1280], 1, 1, 1));
    layers.push(conv(1, [1280, 1000], 1, 1, 1));
    layers
}

fn resnet_50() -> Vec<Layer> {
    let mut layers = vec![conv(224, [3, 64], 7, 2, 1)];
    for (size, input, width, stride, repeats) in [
        (56, 64, 64, 1, 3),
        (56, 256, 128, 2, 4),
        (28, 512, 256, 2, 6),
        (14, 1024, 512, 2, 3),
    ] {
        let inner = size / stride;
        layers.push(conv(size, [input, width], 1, 1, 1));
        layers.push(conv(size, [width, width], 3, stride, 1));
        layers.push(conv(inner, [width, 4 * width], 1, 1, repeats));
        layers.push(conv(size, [input, 4 * width], 1, stride, 1));
        layers.push(conv(inner, [4 * width, width], 1, 1, repeats - 1));
        layers.push(conv(inner, [width, width], 3, 1, repeats - 1));
    }
    layers.push(conv(1, [2048, 1000], 1, 1, 1));
    layers
}

impl Layer {
    fn name(&self) -> String {
        let Self {
            size,
            channels: [input, output],
            kernel,
            stride,
            times,
            ..
        } = self;
        let kind = if self.depthwise { "depthwise" } else { "conv" };
        format!("{kind} {kernel}x{kernel}/{stride} {size}x{size} {input}->{output} x{times}")
    }

    fn geometry(&self) -> ConvGeometry {
        let out = self.size.div_ceil(self.stride);
        let total = ((out - 1) * self.stride + self.kernel).saturating_sub(self.size);
        let (before, after) = (total / 2, total - total / 2);
        ConvGeometry {
            batch: 1,
            in_height: self.size,
            in_width: self.size,
            in_channels: self.channels[0],
            out_height: out,
            out_width: out,
            out_channels: self.channels[1],
            kernel: [self.kernel, self.kernel],
            stride: [self.stride, self.stride],
            dilation: [1, 1],
            pad: [before, after, before, after],
            groups: if self.depthwise { self.channels[0] } else { 1 },
            input_stride: self.channels[0],
            output_stride: self.channels[1],
            output_offset: 0,
        }
    }
}

/// Returns the median time of a call in nanoseconds.
fn median_ns(mut call: impl FnMut()) -> f64 {
    call();
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed().as_millis() < 50 || times.len() < 5 {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_nanos() as f64);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn time_f32(isa: Isa, layer: &Layer) -> f64 {
    let g = layer.geometry();
    let input = vec![0.5; g.input_len()];
    let mut output = vec![0.0; g.out_pixels() * g.out_channels];
    let weights = vec![0.25; g.out_channels * g.depth()];
    let rows = 0..g.out_pixels();
    if layer.depthwise {
        let kernel = DepthwiseF32::new(isa, g, &weights, None, [0.0, 6.0]);
        median_ns(|| kernel.run(&input, &mut output, rows.clone()))
    } else {
        let weights = WeightsF32::dense(g.out_channels, g.depth(), &weights);
        let kernel = ConvF32::new(isa, g, &weights, None, [0.0, 6.0]);
        let mut scratch = vec![0.0; kernel.scratch_elems()];
        median_ns(|| kernel.run(&input, None, &mut output, rows.clone(), &mut scratch))
    }
}

fn time_u8(isa: Isa, layer: &Layer) -> f64 {
    let g = layer.geometry();
    let input = vec![130; g.input_len()];
    let mut output = vec![0; g.out_pixels() * g.out_channels];
    let weights = vec![3; g.out_channels * g.depth()];
    let rows = 0..g.out_pixels();
    let (bias, multiplier) = (vec![5; g.out_channels], vec![0.001; g.out_channels]);
    let sink = Output::U8 {
        zero_point: 100,
        clamp: [0, 255],
        residual: None,
    };
    if layer.depthwise {
        let kernel = DepthwiseU8::new(isa, g, &weights, &bias, 120, &multiplier, sink);
        median_ns(|| kernel.run(&input, &mut output, rows.clone()))
    } else {
        let kernel = ConvU8::new(isa, g, &weights, &bias, 120, &multiplier, sink);
        let mut scratch = vec![0; kernel.scratch_elems()];
        median_ns(|| kernel.run(&input, None, &mut output, rows.clone(), &mut scratch))
    }
}

/// Prints the time of all layers with weights in each compressed form, and the bytes they take.
fn print_weight_forms(isa: Isa, layers: &[Layer]) {
    println!(
        "\n{:<34} {:>9} {:>12}",
        "squeezenet-1.1 weights", "f32 us", "bytes"
    );
    for form in [
        "f32", "f16", "int8", "int4", "lut8", "lut6", "lut4", "lut2", "sparse",
    ] {
        let (mut time, mut bytes) = (0.0, 0);
        for layer in layers {
            let g = layer.geometry();
            let (n, k) = (g.out_channels, g.depth());
            let (floats, halves) = (vec![0.25; n * k], vec![half::f16::ONE; n * k]);
            let (codes, indices, scale) = (vec![3; n * k], vec![1; n * k], vec![0.5; n]);
            let (nibbles, table) = (vec![0x35; (n * k).div_ceil(2)], vec![0.5; 256]);
            let sparse: Vec<f32> = (0..n * k).map(|i| if i % 7 < 3 { 0.5 } else { 0.0 }).collect();
            let blocks = Blocks { channels: k, size: k };
            let weights = match form {
                "f16" => WeightsF32::f16(n, k, &halves),
                "int8" => WeightsF32::int8(n, k, &codes, &scale, None),
                "int4" => WeightsF32::int4(n, k, &nibbles, true, blocks, &scale, None),
                "lut8" => WeightsF32::lut(n, k, 8, &indices, &table, 1),
                "lut6" => WeightsF32::lut(n, k, 6, &indices, &table[..64], 1),
                "lut4" => WeightsF32::lut(n, k, 4, &indices, &table[..16], 1),
                "lut2" => WeightsF32::lut(n, k, 2, &indices, &table[..4], 1),
                "sparse" => WeightsF32::sparse(n, k, &sparse),
                _ => WeightsF32::dense(n, k, &floats),
            };
            let input = vec![0.5; g.input_len()];
            let mut output = vec![0.0; g.out_pixels() * g.out_channels];
            let rows = 0..g.out_pixels();
            let kernel = ConvF32::new(isa, g, &weights, None, [0.0, 6.0]);
            let mut scratch = vec![0.0; kernel.scratch_elems()];
            time += median_ns(|| kernel.run(&input, None, &mut output, rows.clone(), &mut scratch));
            bytes += kernel.weight_bytes();
        }
        println!("{form:<34} {:>9.1} {bytes:>12}", time / 1e3);
    }
}

/// Returns the peak in multiply-accumulates per nanosecond: the best of 50 calls.
fn peak(run: impl Fn(u64) -> u64) -> f64 {
    let rates = (0..50).map(|_| {
        let start = Instant::now();
        let macs = run(100_000);
        macs as f64 / start.elapsed().as_nanos() as f64
    });
    rates.fold(0.0, f64::max)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let isa = arguments.next().map_or_else(Isa::best, |name| {
        Isa::parse(&name).expect("a name of this machine's")
    });
    let wanted = arguments.next();
    let wanted_layer = arguments.next().unwrap_or_default();
    let peaks = [
        peak(|rounds| peak_f32(isa, rounds)),
        peak(|rounds| peak_u8(isa, rounds)),
    ];
    println!(
        "{isa}, 1 thread; peak GMAC/s: f32 {:.0}, u8 {:.0}",
        peaks[0], peaks[1]
    );
    if wanted.as_deref().is_none_or(|wanted| wanted == "weights") {
        print_weight_forms(isa, &squeezenet());
    }
    let networks: [(&str, Vec<Layer>); 4] = [
        ("squeezenet-1.1", squeezenet()),
        ("mobilenet-v1-0.25", mobilenet_v1_quarter()),
        ("mobilenet-v2", mobilenet_v2()),
        ("resnet-50", resnet_50()),
    ];
    for (name, layers) in networks {
        if wanted.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        println!(
            "\n{name:<34} {:>7} {:>9} {:>8} {:>6} {:>9} {:>8} {:>6}",
            "MMAC", "f32 us", "GMAC/s", "peak", "u8 us", "GMAC/s", "peak"
        );
        let mut total = [0.0; 3];
        for layer in &layers {
            let line = layer.name();
            if !line.contains(&wanted_layer) {
                continue;
            }
            let macs = layer.geometry().macs() as f64;
            let times = [time_f32(isa, layer), time_u8(isa, layer)];
            print_line(&line, macs, times, peaks);
            let times_layer = layer.times as f64;
            total = [
                total[0] + macs * times_layer,
                total[1] + times[0] * times_layer,
                total[2] + times[1] * times_layer,
            ];
        }
        print_line("total", total[0], [total[1], total[2]], peaks);
    }
}

fn print_line(what: &str, macs: f64, times: [f64; 2], peaks: [f64; 2]) {
    let rate = |kind: usize| macs / times[kind];
    println!(
        "{what:<34} {:>7.1} {:>9.1} {:>8.1} {:>5.0}% {:>9.1} {:>8.1} {:>5.0}%",
        macs / 1e6,
        times[0] / 1e3,
        rate(0),
        100.0 * rate(0) / peaks[0],
        times[1] / 1e3,
        rate(1),
        100.0 * rate(1) / peaks[1],
    );
}
