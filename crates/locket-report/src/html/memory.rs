//! Memory: the chart and the tensors alive at the peak.

use maud::{Markup, html};

use super::{Kind, mark, meter, scrolling};
use crate::chart;
use crate::evidence::{Evidence, MemoryTimeline, PeakTensor};
use crate::table;
use crate::units::ByteScale;

/// Tensors shown before the rest is folded away.
const SHOWN: usize = 8;

/// Memory over time; `None` without a plan.
pub(super) fn draw(evidence: &Evidence) -> Option<Markup> {
    let memory = evidence
        .memory
        .as_ref()
        .filter(|memory| !memory.points.is_empty())?;
    let (shown, rest) = memory.at_peak.split_at(memory.at_peak.len().min(SHOWN));
    Some(html! {
        (chart::memory::draw(memory, evidence.budgets.memory_bytes))
        ul.key {
            li { span.swatch.weights {} "weights, as stored" }
            li { span.swatch.live {} "activations alive" }
            li { span.swatch.scratch {} "scratch of the operator" }
        }
        @if !shown.is_empty() {
            h3 { "Largest tensors at the peak" }
            (scrolling("Largest tensors at the peak", &tensor_table(memory, shown)))
        }
        @if !rest.is_empty() {
            details {
                summary { "Show the other " (rest.len()) " tensors alive at the peak" }
                (scrolling("Other tensors at the peak", &tensor_table(memory, rest)))
            }
        }
    })
}

fn tensor_table(memory: &MemoryTimeline, tensors: &[PeakTensor]) -> Markup {
    let most = memory
        .at_peak
        .iter()
        .map(|tensor| tensor.size_bytes)
        .max()
        .unwrap_or(0);
    let scale = ByteScale::for_largest(most);
    let tensors_prefix = table::shared_prefix(memory.at_peak.iter().map(|tensor| tensor.name.as_str()));
    let operators_prefix = table::shared_prefix(memory.points.iter().map(|point| point.operator.as_str()));
    html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Tensor" } th scope="col" { "Written by" } th scope="col" { "Type" } th scope="col" { "Shape" }
                    th.number scope="col" { "size" (mark(Kind::Planned)) } th.share { span.spoken { "size as a bar" } }
                }
            }
            tbody {
                @for tensor in tensors {
                    tr {
                        th scope="row" title=(tensor.name) { (table::short_name(&tensor.name, tensors_prefix, 36)) }
                        td { @if tensor.producer.is_empty() { "input" } @else { (table::short_name(&tensor.producer, operators_prefix, 30)) } }
                        td { (tensor.dtype) }
                        td.shape { (shape(tensor.shape.iter().map(u64::to_string))) }
                        td.number { (scale.text(tensor.size_bytes)) }
                        td.share { (meter("within", tensor.size_bytes as f64 / most.max(1) as f64, None)) }
                    }
                }
            }
        }
    }
}

/// Dimensions with a times sign between them; a scalar says so.
pub(super) fn shape(dimensions: impl Iterator<Item = String>) -> String {
    let dimensions: Vec<String> = dimensions.collect();
    if dimensions.is_empty() {
        "scalar".to_owned()
    } else {
        dimensions.join(" × ")
    }
}
