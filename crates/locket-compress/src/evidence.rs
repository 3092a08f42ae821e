//! The outcome of the loop as plain data for a report.
//!
//! What only the program around knows (machine, date, command line, hashes) comes in as a
//! [`Provenance`](locket_report::Provenance); everything else is taken from what was measured.

use locket_report::{
    Budgets, Certificate, Decision as StepDecision, DeviceProfile, Diagnostic, Evidence, Figure, Gauge,
    Gauges, Interval, Kind, LatencyRun, LayerSensitivity, Limit, MemoryPoint, MemoryTimeline, OperatorCost,
    PeakTensor, Profile, Provenance, Sensitivity, Severity, Shortfall as ReportShortfall, Step,
    Variant as Point, Verdict, WayDown,
};

use locket_mil::{Diagnostic as Finding, Severity as FindingSeverity};

use crate::search::{
    CONFIDENCE, Decision, Goals, MAX_OVERRUN_CHANCE, Outcome, PROFILED_RUNS, Shortfall, Tried, Variant,
};

/// What the loop does not know of itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The model's name for a reader.
    pub title: String,
    /// Tool, machine, source, data.
    pub provenance: Provenance,
    /// Name of the evaluation set.
    pub data_set: String,
    /// The device that the limits are for.
    pub device: Option<DeviceProfile>,
    /// The frame that the latency budget is part of, in milliseconds.
    pub frame_ms: Option<f64>,
    /// What there is to know about the source model.
    pub diagnostics: Vec<Finding>,
    /// Where latency was measured, in a few words.
    pub measured_on: String,
}

/// Puts an outcome into the form of a report.
pub fn evidence(outcome: &Outcome, goals: &Goals, around: Surroundings) -> Evidence {
    let best = outcome.best();
    let looked_at = outcome.tried.len() - 1;
    let source = &outcome.tried[0];
    let budget_ms = goals.latency.map(|limit| limit.as_secs_f64() * 1e3);
    let mut runs = vec![run(
        "Source float32",
        &source.variant,
        &around.measured_on,
        budget_ms,
    )];
    if outcome.chosen > 0 {
        runs.push(run(
            &best.variant.name,
            &best.variant,
            &around.measured_on,
            budget_ms,
        ));
    }
    Evidence {
        title: around.title,
        provenance: around.provenance,
        budgets: Budgets {
            memory_bytes: goals.memory_bytes,
            size_bytes: goals.size_bytes,
            latency_ms: budget_ms,
            frame_ms: around.frame_ms,
            max_drop: goals.max_drop,
            device: around.device,
        },
        verdict: Some(verdict(&outcome.shortfalls)),
        gauges: gauges(best, goals, looked_at),
        steps: outcome.tried.iter().map(|tried| step(tried, source)).collect(),
        latency: runs,
        certificate: (outcome.chosen > 0).then(|| certificate(best, goals, looked_at, &around.data_set)),
        memory: Some(timeline(&best.variant)),
        profile: Some(profile(&best.variant)),
        diagnostics: around.diagnostics.iter().map(diagnostic).collect(),
        variants: outcome.tried.iter().enumerate().map(|(at, tried)| point(tried, at == outcome.chosen, looked_at)).collect(),
        sensitivity: outcome.sensitivity.as_ref().map(|table| Sensitivity {
            options: table.forms.iter().map(ToString::to_string).collect(),
            samples: table.samples as u64,
            layers: table
                .layers
                .iter()
                .map(|layer| LayerSensitivity {
                    layer: layer.layer.clone(),
                    divergence_nats: layer.divergence.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
                    chosen: None,
                })
                .collect(),
        }),
        ways_down: ways_down(outcome),
        not_measured: vec![
            "Latency on any other machine than the one named here: no figure of this report is a device's own.".to_owned(),
            "Energy: this machine has no counter for it.".to_owned(),
            "Acceptance by Apple's own compiler, and placement on a Neural Engine: there is no Mac here.".to_owned(),
        ],
        ..Evidence::default()
    }
}

fn run(label: &str, variant: &Variant, measured_on: &str, budget_ms: Option<f64>) -> LatencyRun {
    let mut run = LatencyRun::from_samples_ns(label, measured_on, &variant.latency.sorted_ns, budget_ms);
    run.first_ms = Some(variant.latency.first_ns as f64 / 1e6);
    if let Some(budget) = budget_ms {
        let budget = std::time::Duration::from_secs_f64(budget / 1e3);
        run.overrun_bound = Some(variant.latency.overrun_bound(budget, CONFIDENCE));
    }
    run
}

fn verdict(shortfalls: &[Shortfall]) -> Verdict {
    let list: Vec<ReportShortfall> = shortfalls.iter().map(shortfall).collect();
    if list.is_empty() {
        Verdict::Met
    } else if shortfalls
        .iter()
        .all(|item| matches!(item, Shortfall::Unproven { .. }))
    {
        Verdict::Unproven { shortfalls: list }
    } else {
        Verdict::Infeasible { shortfalls: list }
    }
}

fn shortfall(item: &Shortfall) -> ReportShortfall {
    match item {
        Shortfall::Memory { peak, limit } => ReportShortfall {
            limit: Limit::Memory,
            excess: (peak - limit) as f64,
            fix: "a smaller input or a narrower network: no form of the weights that was tried keeps to the other limits".to_owned(),
        },
        Shortfall::Size { package, limit } => ReportShortfall {
            limit: Limit::Size,
            excess: (package - limit) as f64,
            fix: "a narrower network: no form of the weights that was tried keeps to the other limits".to_owned(),
        },
        Shortfall::Latency { p99, limit, chance } => ReportShortfall {
            limit: Limit::Latency,
            excess: (p99.as_secs_f64() - limit.as_secs_f64()) * 1e3,
            fix: format!(
                "more threads, a quieter machine or a smaller network: the measured runs leave a chance of {:.2} % that a prediction is late, {:.0} % is allowed",
                chance * 100.0,
                MAX_OVERRUN_CHANCE * 100.0
            ),
        },
        Shortfall::Drop { drop, limit } => ReportShortfall {
            limit: Limit::Accuracy,
            excess: drop - limit,
            fix: "more bits for the layers that bear least, or training with quantisation".to_owned(),
        },
        Shortfall::Unproven { bound, limit, missing } => ReportShortfall {
            limit: Limit::Accuracy,
            excess: bound - limit,
            fix: match missing {
                Some(count) => format!("{count} more labelled samples, if the observed rates hold"),
                None => "no number of samples would do at the observed rates: a variant that drops less".to_owned(),
            },
        },
    }
}

fn gauges(best: &Tried, goals: &Goals, looked_at: usize) -> Gauges {
    let variant = &best.variant;
    let latency = goals.latency.map(|limit| {
        let chance = variant.latency.overrun_bound(limit, CONFIDENCE);
        Gauge {
            limit: Some(limit.as_secs_f64() * 1e3),
            value: variant.latency.percentile_ms(0.99),
            value_name: "p99".to_owned(),
            kind: Kind::Measured,
            sentence: Some(format!(
                "{} of {} predictions were late; at 95 % confidence the chance of a late one is at most {:.2} % (1 % is allowed)",
                variant.latency.overruns(limit),
                variant.latency.sorted_ns.len(),
                chance * 100.0
            )),
            ..Gauge::default()
        }
    });
    let accuracy = (!variant.is_source()).then(|| Gauge {
        limit: goals.max_drop,
        value: best.paired.drop(),
        value_name: "observed drop".to_owned(),
        kind: Kind::Measured,
        bound: Some(Goals::drop_bound(&best.paired, looked_at)),
        bound_name: "upper 95 % bound".to_owned(),
        sentence: None,
    });
    let size = goals.size_bytes.map(|limit| Gauge {
        limit: Some(limit as f64),
        value: variant.package_bytes as f64,
        value_name: "package".to_owned(),
        kind: Kind::Measured,
        ..Gauge::default()
    });
    Gauges {
        size,
        memory: Some(Gauge {
            limit: goals.memory_bytes.map(|limit| limit as f64),
            value: variant.peak_bytes as f64,
            value_name: "peak".to_owned(),
            kind: Kind::Planned,
            ..Gauge::default()
        }),
        latency,
        accuracy,
    }
}

fn step(tried: &Tried, source: &Tried) -> Step {
    let variant = &tried.variant;
    let agreement = source.variant.evaluation.agreement(&variant.evaluation);
    let measured = |value: f64| Some(Figure::measured(value));
    let bound = tried.paired.drop_upper_bound(CONFIDENCE);
    let drop = tried.paired.drop();
    let is_source = tried.decision == Decision::Source;
    Step {
        name: if is_source {
            "Source float32".to_owned()
        } else {
            variant.name.clone()
        },
        recipe: variant.recipe.clone(),
        decision: match &tried.decision {
            Decision::Source => StepDecision::Source,
            Decision::Accepted => StepDecision::Accepted,
            Decision::Refused(reason) => StepDecision::Refused {
                reason: reason.clone(),
            },
        },
        package_bytes: Some(Figure::measured(variant.package_bytes)),
        weight_bytes: Some(Figure::planned(variant.weight_bytes)),
        peak_memory_bytes: Some(Figure::planned(variant.peak_bytes)),
        latency_p50_ms: measured(variant.latency.percentile_ms(0.5)),
        latency_p99_ms: measured(variant.latency.percentile_ms(0.99)),
        top1: measured(variant.evaluation.top1_share()),
        top5: measured(variant.evaluation.top5_share()),
        agreement: Some(Figure::measured(agreement)).filter(|_| !is_source),
        drop: (!is_source).then(|| Interval {
            kind: Kind::Measured,
            estimate: drop,
            // The bound's mirror image: gains and losses change places.
            lower: -mirrored(tried),
            upper: bound,
        }),
    }
}

fn mirrored(tried: &Tried) -> f64 {
    let (samples, lost, gained) = (tried.paired.samples(), tried.paired.lost(), tried.paired.gained());
    locket_data::statistics::PairedCounts::new(samples, gained, lost).drop_upper_bound(CONFIDENCE)
}

fn certificate(best: &Tried, goals: &Goals, looked_at: usize, data_set: &str) -> Certificate {
    let max_drop = goals.max_drop.unwrap_or(1.0);
    let upper_bound = Goals::drop_bound(&best.paired, looked_at);
    let certified = upper_bound <= max_drop;
    let needed = best.paired.samples_needed(max_drop, Goals::confidence(looked_at));
    Certificate {
        data_set: data_set.to_owned(),
        samples: best.paired.samples(),
        lost: best.paired.lost(),
        gained: best.paired.gained(),
        drop: best.paired.drop(),
        upper_bound,
        max_drop,
        certified,
        missing_samples: needed
            .filter(|_| !certified)
            .map(|count| count.saturating_sub(best.paired.samples()).max(1)),
        method: format!(
            "paired score bound with continuity correction, Bonferroni over {looked_at} variants"
        ),
    }
}

fn timeline(variant: &Variant) -> MemoryTimeline {
    let points = variant.operators.iter().zip(&variant.memory.live_bytes);
    MemoryTimeline {
        weight_bytes: variant.weight_bytes,
        arena_bytes: variant.arena_bytes,
        points: points
            .map(|(operator, &live)| MemoryPoint {
                operator: name(&operator.origin, &operator.kind),
                live_bytes: live as u64,
                scratch_bytes: 0,
            })
            .collect(),
        at_peak: variant
            .memory
            .at_peak
            .iter()
            .map(|tensor| PeakTensor {
                name: tensor.name.clone(),
                dtype: tensor.ty.dtype().map_or("?", |dtype| dtype.name()).to_owned(),
                shape: tensor
                    .ty
                    .shape()
                    .unwrap_or_default()
                    .iter()
                    .map(|&dim| dim as u64)
                    .collect(),
                size_bytes: tensor.bytes as u64,
                producer: String::new(),
            })
            .collect(),
    }
}

/// The source's name for a step, or its operator where it has none.
fn name(origin: &[String], kind: &str) -> String {
    origin.first().map_or(kind, String::as_str).to_owned()
}

fn profile(variant: &Variant) -> Profile {
    Profile {
        kind: Kind::Measured,
        runs: PROFILED_RUNS as u64,
        cpu_usage: Some(variant.latency.cpu_per_wall),
        operators: variant
            .operators
            .iter()
            .map(|operator| OperatorCost {
                name: name(&operator.origin, &operator.kind),
                operator: operator.kind.clone(),
                fused_from: if operator.origin.len() > 1 {
                    operator.origin.clone()
                } else {
                    Vec::new()
                },
                kernel: operator.kernel.clone(),
                wall_ns: operator.wall_ns,
                cpu_ns: None,
                cycles: None,
                instructions: None,
                macs: operator.macs,
                traffic_bytes: operator.traffic_bytes,
            })
            .collect(),
    }
}

fn diagnostic(finding: &Finding) -> Diagnostic {
    Diagnostic {
        code: finding.code.to_owned(),
        severity: match finding.severity {
            FindingSeverity::Error => Severity::Error,
            FindingSeverity::Warning => Severity::Warning,
            FindingSeverity::Note => Severity::Note,
        },
        node: finding.node.clone(),
        message: finding.message.clone(),
        why: finding.why.clone(),
        help: finding.help.clone(),
        rewritten_to: finding.rewritten_to.clone(),
        works_from: finding.works_from.map(|target| target.systems().to_owned()),
    }
}

fn point(tried: &Tried, chosen: bool, looked_at: usize) -> Point {
    let variant = &tried.variant;
    Point {
        name: if variant.is_source() {
            "float32".to_owned()
        } else {
            variant.recipe.clone()
        },
        package_bytes: Some(Figure::measured(variant.package_bytes)),
        peak_memory_bytes: Some(Figure::planned(variant.peak_bytes)),
        latency_ms: Some(Figure::measured(variant.latency.percentile_ms(0.99))),
        drop: Some(Figure::measured(tried.paired.drop())),
        drop_upper: (!variant.is_source()).then(|| Goals::drop_bound(&tried.paired, looked_at)),
        chosen,
    }
}

/// What else was measured and is smaller than what is handed over.
fn ways_down(outcome: &Outcome) -> Vec<WayDown> {
    let best = outcome.best();
    let difference = |new: u64, old: u64| {
        i64::try_from(new)
            .ok()
            .zip(i64::try_from(old).ok())
            .map(|(new, old)| new - old)
    };
    outcome
        .tried
        .iter()
        .filter(|tried| tried.variant.peak_bytes < best.variant.peak_bytes)
        .map(|tried| WayDown {
            action: format!("Take {} ({}).", tried.variant.name, tried.variant.recipe),
            kind: Kind::Measured,
            memory_change_bytes: difference(tried.variant.peak_bytes, best.variant.peak_bytes),
            package_change_bytes: difference(tried.variant.package_bytes, best.variant.package_bytes),
            latency_change_ms: Some(
                tried.variant.latency.percentile_ms(0.5) - best.variant.latency.percentile_ms(0.5),
            ),
            drop_change: Some(tried.paired.drop() - best.paired.drop()),
            remark: match &tried.decision {
                Decision::Refused(reason) => format!("Refused: {reason}."),
                Decision::Source | Decision::Accepted => String::new(),
            },
        })
        .collect()
}
