//! The sentences of the report, composed from the figures, so that HTML and Markdown say the same thing.
//!
//! Each function is total: whatever is missing or not finite is left out or said to be unknown, never guessed.

use crate::evidence::{
    Budgets, Certificate, Decision, Evidence, Figure, Gauge, GaugeState, Gauges, Kind, LatencyRun, Limit,
    MemoryTimeline, Profile, RankStability, Shortfall, Step, Verdict,
};
use crate::units;

/// The verdict in a few words.
pub(crate) const fn verdict_title(verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Met) => "It fits.",
        Some(Verdict::Unproven { .. }) => "Not proven.",
        Some(Verdict::Infeasible { .. }) => "It does not fit.",
        None => "Not judged.",
    }
}

/// The verdict's sentence: which limits are met, or by how much which are missed.
pub(crate) fn verdict_sentence(verdict: Option<&Verdict>, gauges: &Gauges) -> String {
    let limits = gauges.iter().filter(|(_, gauge)| gauge.limit.is_some()).count();
    match verdict {
        Some(Verdict::Met) => match limits {
            3 => "All three limits are met: memory, latency and accuracy.".to_owned(),
            2 => "Both limits that were set are met.".to_owned(),
            1 => "The limit that was set is met.".to_owned(),
            _ => "Every limit that was set is met.".to_owned(),
        },
        Some(Verdict::Unproven { shortfalls }) => format!(
            "No limit is seen to be exceeded, but the data cannot support the claim for {}.",
            join(
                shortfalls
                    .iter()
                    .map(|shortfall| shortfall.limit.word().to_owned())
            )
        ),
        Some(Verdict::Infeasible { shortfalls }) => {
            let missed = join(shortfalls.iter().map(missed_limit));
            if missed.is_empty() {
                "No variant that was tried meets the limits.".to_owned()
            } else {
                format!("The best variant found misses {missed}.")
            }
        }
        None => "No limit was set, so this report only describes the model.".to_owned(),
    }
}

fn missed_limit(shortfall: &Shortfall) -> String {
    format!(
        "the {} limit by {}",
        shortfall.limit.word(),
        in_unit(shortfall.limit, shortfall.excess)
    )
}

/// The mission's sentence: sizes, latencies and accuracy from the source to what was packaged. `None` without steps.
pub(crate) fn headline(evidence: &Evidence) -> Option<String> {
    let source = evidence.source_step()?;
    let packaged = evidence.packaged_step()?;
    if source == packaged {
        return None;
    }
    let parts: Vec<String> = [
        size_chain(evidence, source),
        latency_change(source, packaged),
        accuracy_clause(evidence, packaged),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        None
    } else {
        Some(format!("{}.", capitalise(&parts.join("; "))))
    }
}

fn size_chain(evidence: &Evidence, source: &Step) -> Option<String> {
    let first = source.package_bytes?;
    let mut text = figure(first, units::bytes);
    let mut count = 0;
    for step in evidence
        .steps
        .iter()
        .filter(|step| step.decision == Decision::Accepted)
    {
        let Some(size) = step.package_bytes else { continue };
        let lead = if count == 0 { " down to " } else { ", to " };
        text.push_str(&format!(
            "{lead}{} by {}",
            figure(size, units::bytes),
            uncapitalise(&step.name)
        ));
        count += 1;
    }
    (count > 0).then_some(text)
}

fn latency_change(source: &Step, packaged: &Step) -> Option<String> {
    let (name, before, after) = match (source.latency_p99_ms, packaged.latency_p99_ms) {
        (Some(before), Some(after)) => ("p99 latency", before, after),
        _ => ("median latency", source.latency_p50_ms?, packaged.latency_p50_ms?),
    };
    Some(format!(
        "{name} {} to {}",
        figure(before, units::milliseconds),
        figure(after, units::milliseconds)
    ))
}

fn accuracy_clause(evidence: &Evidence, packaged: &Step) -> Option<String> {
    if let Some(certificate) = &evidence.certificate {
        let bound = units::percent(certificate.upper_bound);
        return Some(if certificate.certified {
            format!("top-1 within {bound} of the source with 95 % confidence")
        } else {
            format!("top-1 observed {}, not certified", relation(certificate.drop))
        });
    }
    let drop = packaged.drop?;
    drop.estimate
        .is_finite()
        .then(|| format!("top-1 {}", relation(drop.estimate)))
}

fn relation(drop: f64) -> String {
    if drop < 0.0 {
        format!("{} above the source", units::percent(-drop))
    } else {
        format!("{} below the source", units::percent(drop))
    }
}

/// What was asked for, in one line: `at most 8 MB of memory, 25 ms of the 33.3 ms frame, accuracy drop at most
/// 0.7 %`.
pub(crate) fn budgets_line(budgets: &Budgets) -> Option<String> {
    let memory = budgets
        .memory_bytes
        .map(|limit| format!("at most {} of memory", units::bytes_limit(limit)));
    let size = budgets
        .size_bytes
        .map(|limit| format!("a package of at most {}", units::bytes_limit(limit)));
    let latency = budgets.latency_ms.map(|limit| match budgets.frame_ms {
        Some(frame) => {
            format!(
                "{} of the {} frame",
                units::milliseconds_limit(limit),
                units::milliseconds_limit(frame)
            )
        }
        None => format!("{} per inference", units::milliseconds_limit(limit)),
    });
    let drop = budgets
        .max_drop
        .map(|limit| format!("accuracy drop at most {}", units::percent_limit(limit)));
    let parts: Vec<String> = [memory, size, latency, drop].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The sentence under a gauge.
pub(crate) fn gauge_sentence(limit: Limit, gauge: &Gauge) -> String {
    if let Some(sentence) = &gauge.sentence {
        return sentence.clone();
    }
    let text = |value: f64| in_unit(limit, value);
    let name = if gauge.value_name.is_empty() {
        "value"
    } else {
        &gauge.value_name
    };
    let kind = if gauge.kind == Kind::Modelled {
        " (modelled)"
    } else {
        ""
    };
    let value = format!("{} {}{kind}", capitalise(name), text(gauge.value));
    let bound = gauge.bound.map(|bound| {
        let name = if gauge.bound_name.is_empty() {
            "bound"
        } else {
            &gauge.bound_name
        };
        format!("; {name} {}", text(bound))
    });
    let bound = bound.unwrap_or_default();
    let (Some(most), Some(margin)) = (gauge.limit, gauge.margin()) else {
        return format!("{value}{bound}. No limit was set.");
    };
    match gauge.state() {
        GaugeState::Met => format!("{value}{bound}. {} to spare.", capitalise(&text(margin))),
        GaugeState::Unproven => {
            format!(
                "{value} is within {}{bound} is {} beyond it.",
                limit_text(limit, most),
                text(-margin)
            )
        }
        GaugeState::Free | GaugeState::Exceeded if !gauge.judged().is_finite() => {
            "The value is not known, so the limit cannot be claimed.".to_owned()
        }
        GaugeState::Free | GaugeState::Exceeded => {
            format!("{value}{bound}. {} over the limit.", text(-margin))
        }
    }
}

/// A value in the unit of its limit.
pub(crate) fn in_unit(limit: Limit, value: f64) -> String {
    match limit {
        // Beyond 2^63 the cast saturates, which is as good as any other way to say "absurdly many".
        Limit::Memory | Limit::Size if value.is_finite() && value >= 0.0 => {
            units::bytes(value.round() as u64)
        }
        Limit::Memory | Limit::Size if value.is_finite() => {
            format!("−{}", units::bytes((-value).round() as u64))
        }
        Limit::Memory | Limit::Size => units::NONE.to_owned(),
        Limit::Latency => units::milliseconds(value),
        Limit::Accuracy => units::percent(value),
    }
}

/// A limit as the person who set it would say it.
pub(crate) fn limit_text(limit: Limit, value: f64) -> String {
    match limit {
        Limit::Accuracy => units::percent_limit(value),
        Limit::Latency => units::milliseconds_limit(value),
        Limit::Memory | Limit::Size if value >= 0.0 => units::bytes_limit(value.round() as u64),
        Limit::Memory | Limit::Size => units::NONE.to_owned(),
    }
}

/// What the number of runs allows to say about overruns.
pub(crate) fn overrun_sentence(run: &LatencyRun, budget_ms: Option<f64>) -> String {
    let runs = units::count(run.runs);
    let Some(budget) = budget_ms.map(units::milliseconds_limit) else {
        return format!("{runs} runs; no latency limit was set.");
    };
    if run.runs == 0 {
        return format!("There was no run, so nothing can be said about the {budget} limit.");
    }
    let found = if run.overruns == 0 {
        format!("None of {runs} runs took longer than {budget}")
    } else {
        let share = units::chance(run.overruns as f64 / run.runs as f64);
        format!(
            "{} of {runs} runs ({share}) took longer than {budget}",
            units::count(run.overruns)
        )
    };
    match run.overrun_bound {
        Some(bound) => format!(
            "{found}: with 95 % confidence, the chance of an overrun is at most {}, under the conditions of the measurement.",
            units::chance(bound)
        ),
        None => format!("{found}."),
    }
}

/// The certificate in words.
pub(crate) fn certificate_sentence(certificate: &Certificate) -> String {
    let samples = units::count(certificate.samples);
    if certificate.samples == 0 {
        return "There were no labelled samples, so nothing can be said about the accuracy drop.".to_owned();
    }
    let found = format!(
        "On {samples} samples, {} that the source has right are lost and {} are gained: top-1 is {}.",
        units::count(certificate.lost),
        units::count(certificate.gained),
        relation(certificate.drop)
    );
    let bound = units::percent(certificate.upper_bound);
    let limit = units::percent_limit(certificate.max_drop);
    let judgement = match (certificate.certified, certificate.missing_samples) {
        (true, _) => format!("With 95 % confidence the drop is at most {bound}, within the {limit} allowed."),
        (false, Some(missing)) => format!(
            "With 95 % confidence the drop is at most {bound}, which does not support a claim of {limit}; \
             about {} more samples would, if these rates hold.",
            units::count(missing)
        ),
        (false, None) => format!(
            "With 95 % confidence the drop is at most {bound}, which does not support a claim of {limit}, \
             and more samples would not if these rates hold."
        ),
    };
    format!("{found} {judgement}")
}

/// Where the memory goes, in words.
pub(crate) fn memory_sentence(memory: &MemoryTimeline, budget_bytes: Option<u64>) -> String {
    let peak = memory.peak_bytes();
    let mut text = format!(
        "Peak {}: {} of weights, always there, and an arena of {} for activations and scratch",
        units::bytes(peak),
        units::bytes(memory.weight_bytes),
        units::bytes(memory.arena_bytes)
    );
    if let Some((index, point)) = memory.peak_point() {
        text.push_str(&format!(
            ", fullest at operator {} ({})",
            index + 1,
            point.operator
        ));
    }
    text.push('.');
    if let Some(budget) = budget_bytes {
        text.push_str(&if peak <= budget {
            format!(
                " {} of the {} budget are free.",
                units::bytes(budget - peak),
                units::bytes_limit(budget)
            )
        } else {
            format!(
                " That is {} over the {} budget.",
                units::bytes(peak - budget),
                units::bytes_limit(budget)
            )
        });
    }
    text
}

/// Where the time goes, in words.
pub(crate) fn profile_sentence(profile: &Profile) -> String {
    let mut order: Vec<f64> = profile
        .operators
        .iter()
        .map(|operator| profile.share(operator))
        .collect();
    order.sort_by(|left, right| right.total_cmp(left));
    let top: f64 = order.iter().take(3).sum();
    let mut text = format!(
        "{} operators take {} in all",
        units::count(profile.operators.len() as u64),
        units::nanoseconds(profile.total_ns())
    );
    if order.len() > 3 {
        text.push_str(&format!("; the three slowest take {} of it", units::share(top)));
    }
    if profile.kind == Kind::Modelled {
        text.push_str(" (modelled)");
    }
    text.push('.');
    if profile.runs > 0 {
        text.push_str(&format!(" Medians of {} runs.", units::count(profile.runs)));
    }
    if let Some(usage) = profile.cpu_usage.filter(|usage| usage.is_finite()) {
        text.push_str(&format!(
            " Processor time is {} times wall time.",
            units::significant(usage)
        ));
    }
    text
}

/// The title over the ways down: they answer a question, or they are what is needed now.
pub(crate) const fn ways_down_title(verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Infeasible { .. }) => "What would bring it within the limits",
        _ => "What I would change if it exceeded the budget",
    }
}

/// A figure as text; what is not measured or planned says so.
pub(crate) fn figure<T>(figure: Figure<T>, text: impl Fn(T) -> String) -> String {
    match figure.kind {
        Kind::Measured | Kind::Planned => text(figure.value),
        Kind::Modelled | Kind::Published => format!("{} ({})", text(figure.value), figure.kind.word()),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn join(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// `text` with a capital first letter; a name such as `p99` keeps its spelling.
pub(crate) fn capitalise(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), second) if !second.is_some_and(|character| character.is_ascii_digit()) => {
            first.to_uppercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

fn uncapitalise(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        // W8A8 and INT4 stay as they are: only a capital before a small letter is the start of a sentence.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// How far the best product of the trade-off matrix stands.
pub(crate) fn stability_sentence(stability: &RankStability) -> String {
    format!(
        "The best product stays the best in {} of {} cases where one score moves by one, and in {} of {} draws where all cut-points \
         are changed by up to {}.",
        units::count(stability.kept_when_moved),
        units::count(stability.moved),
        units::count(stability.kept_when_jittered),
        units::count(stability.jittered),
        units::percent_limit(stability.jitter)
    )
}
