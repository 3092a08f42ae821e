//! The trade-off plot and every variant behind it as a table.

use maud::{Markup, html};

use super::{maybe, scrolling};
use crate::chart;
use crate::evidence::Evidence;
use crate::units;

/// Plot and table; `None` without variants.
pub(super) fn draw(evidence: &Evidence) -> Option<Markup> {
    if evidence.variants.is_empty() {
        return None;
    }
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Variant" }
                    @for title in ["package", "peak memory", "latency", "drop", "upper 95 % bound"] { th.number scope="col" { (title) } }
                }
            }
            tbody {
                @for variant in &evidence.variants {
                    tr.packaged[variant.chosen] {
                        th scope="row" { (variant.name) @if variant.chosen { " " span.badge.good { "packaged" } } }
                        td.number { (maybe(variant.package_bytes, units::bytes)) }
                        td.number { (maybe(variant.peak_memory_bytes, units::bytes)) }
                        td.number { (maybe(variant.latency_ms, units::milliseconds)) }
                        td.number { (maybe(variant.drop, units::percent)) }
                        td.number { (variant.drop_upper.map_or(units::NONE.to_owned(), units::percent)) }
                    }
                }
            }
        }
    };
    let plot = chart::trade_off::draw(evidence);
    let folded = plot.is_some();
    Some(html! {
        @if let Some(plot) = plot { (plot) }
        details open[!folded] {
            summary { "All " (evidence.variants.len()) " variants" }
            (scrolling("All variants", &table))
        }
    })
}
