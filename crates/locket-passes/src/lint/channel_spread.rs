//! Layers whose output channels differ widely in range.

use locket_mil::Severity;
use locket_ops::Node;

use super::{Context, Finding};

/// How far ranges may lie apart: at 100, 8-bit codes on one scale leave the smallest channel two or three.
const SPREAD: f32 = 100.0;

/// Channels below this share of the largest do nothing that could be lost: they were pruned or never used.
const DEAD: f32 = 1e-6;

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.simplified;
    let mut findings = Vec::new();
    for operation in &function.operations {
        if !matches!(&*operation.kind, "conv" | "linear") {
            continue;
        }
        let node = Node::new(function, operation);
        let ranges = node.tensor("weight").and_then(|weight| {
            let values = weight.to_f32()?;
            let run = values.len().checked_div(*weight.shape().first()?)?.max(1);
            let largest = |row: &[f32]| row.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            Some(values.chunks(run).map(largest).collect::<Vec<f32>>())
        });
        let Some(ranges) = ranges else { continue };
        let order = |a: &(usize, f32), b: &(usize, f32)| a.1.total_cmp(&b.1);
        let all = || ranges.iter().copied().enumerate();
        let Some((most, largest)) = all().max_by(order) else {
            continue;
        };
        let alive = all().filter(|(_, range)| *range > largest * DEAD);
        let Some((least, smallest)) = alive.min_by(order) else {
            continue;
        };
        if largest > smallest * SPREAD && largest.is_finite() {
            let message = format!(
                "channel ranges lie {:.0} times apart: {smallest:.3e} in channel {least}, {largest:.3e} in channel {most}",
                largest / smallest
            );
            findings.push(Finding::new(Severity::Warning, operation.label(), message));
        }
    }
    findings
}
