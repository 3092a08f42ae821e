//! The terms that the report uses.

use maud::{Markup, html};

/// A term with its meaning.
pub(super) type Term = (&'static str, &'static str);

/// The terms of the deployment report.
pub(super) const TERMS: [Term; 12] = [
    (
        "Accuracy drop",
        "Top-1 of the source less top-1 of the variant, in percentage points; negative if the variant is better.",
    ),
    (
        "Agreement",
        "The share of samples on which variant and source give the same first answer, right or wrong.",
    ),
    (
        "Arena",
        "One block of memory in which the plan gives every activation its place; its size is known before anything runs.",
    ),
    (
        "Certified",
        "The upper 95 % bound on the drop, computed from paired answers, is within the drop allowed.",
    ),
    ("GMAC/s", "Thousand millions of multiply-adds a second."),
    (
        "Modelled",
        "Estimated, not observed. A modelled figure is called so wherever it stands.",
    ),
    (
        "Overrun",
        "An inference that takes longer than the latency limit.",
    ),
    (
        "p99",
        "The duration that 99 of 100 runs do not exceed. p50 is the median.",
    ),
    (
        "Palette",
        "Weights stored as indices into a short table of values, 1 to 8 bits each.",
    ),
    (
        "Peak memory",
        "The most that weights, activations and scratch take together at any moment of an inference.",
    ),
    (
        "Sensitivity",
        "How far the output moves, as Kullback-Leibler divergence, when one layer alone is compressed.",
    ),
    (
        "W8A8",
        "Weights and activations both stored and computed in 8-bit integers.",
    ),
];

/// The terms, folded.
pub(super) fn draw(terms: &[Term]) -> Markup {
    html! {
        details {
            summary { (terms.len()) " terms used above" }
            dl.terms { @for (term, meaning) in terms { div { dt { (term) } dd { (meaning) } } } }
        }
    }
}
