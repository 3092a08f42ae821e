//! The least that a program does to run a compiled model, and what it costs: time to load, time to answer, resident memory.
//!
//! `locket compile model.onnx -o model.locket`, then `cargo run --release --example predict -- model.locket`
#![expect(clippy::print_stdout, reason = "an example says what it found")]

use std::{error::Error, time::Instant};

use locket::{Isolation, Model, ModelConfiguration};
use locket_tensor::{AlignedBytes, TensorMut, TensorRef};

/// Largest resident size of this process so far, in kB.
fn peak_resident_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of a model")?;
    let before = peak_resident_kb().unwrap_or(0);
    let start = Instant::now();
    let configuration = ModelConfiguration {
        threads: Some(1),
        // What is measured is this process.
        isolation: Isolation::InProcess,
        ..ModelConfiguration::default()
    };
    let mut model = Model::load(&path, &configuration)?;
    let loaded = start.elapsed();
    let (inputs, outputs) = (model.inputs(), model.outputs());
    let zeros = |features: &[locket::FeatureDescription]| -> Vec<AlignedBytes> {
        let bytes = features.iter().map(|feature| {
            let elems = feature.shape.iter().product();
            feature.dtype.packed_bytes(elems).unwrap_or(0)
        });
        bytes.map(AlignedBytes::zeroed).collect()
    };
    let (given, mut taken) = (zeros(&inputs), zeros(&outputs));
    let given: Vec<TensorRef<'_>> = inputs
        .iter()
        .zip(&given)
        .map(|(feature, bytes)| TensorRef {
            dtype: feature.dtype,
            shape: &feature.shape,
            bytes: bytes.as_slice(),
        })
        .collect();
    let mut taken: Vec<TensorMut<'_>> = outputs
        .iter()
        .zip(&mut taken)
        .map(|(feature, bytes)| TensorMut {
            dtype: feature.dtype,
            shape: &feature.shape,
            bytes: bytes.as_mut_slice(),
        })
        .collect();
    let start = Instant::now();
    model.predict_into(&given, &mut taken)?;
    let first = start.elapsed();
    let resident = peak_resident_kb().unwrap_or(0) - before;
    let planned = model.plan().map_or(0, locket::Plan::peak_bytes) / 1024;
    println!("loaded in {loaded:?}, first answer after {first:?}");
    println!(
        "resident: {resident} kB more than before loading; weights, tensors and scratch by the plan: {planned} kB"
    );
    Ok(())
}
