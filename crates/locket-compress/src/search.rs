//! The loop: profile, compress, measure, decide, until the budgets are met or shown to be out of reach.
//!
//! Every variant is written as a package, read back, and measured from what was read: the size on disk, the exact peak
//! of its plan, the latency of its predictions and its accuracy are those of the file that is handed over. A step
//! that does not pay is refused, with its measurement, and stays in the record.
//!
//! The order of the steps: 8-bit weights and activations everywhere; 8-bit weights alone if activations cost too much, and then
//! as many layers on 8-bit activations as the latency asks for; then, while memory or the package is over its limit,
//! fewer bits for the layers that bear them best. Which layers those are follows from the divergence of the outputs with
//! one layer compressed at a time ([`sensitivity`]), which adds up well enough over layers to be divided like a
//! budget ([`allocate`]).

mod allocate;
mod goals;
mod sensitivity;
mod variant;

use std::path::Path;

use locket_data::statistics::PairedCounts;
use locket_mil::Program;
use locket_runtime::PlanOptions;

pub use allocate::{Targets, allocate};
pub use goals::{CONFIDENCE, Goals, MAX_OVERRUN_CHANCE, Shortfall};
pub use sensitivity::{LayerSensitivity, Sensitivity, operand_sensitivity, sensitivity};
pub use variant::{PROFILED_RUNS, Variant, measure};

use crate::{
    CompressError,
    calibrate::{Calibration, CalibrationOptions},
    measure::Samples,
    recipe::{ApplyOptions, Compressed, LayerChoice, Recipe, WeightForm, apply, apply_mixed},
};

/// What the loop is given.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The program as it was read.
    pub program: &'a Program,
    /// Samples that ranges and sensitivities are taken from; labels unused.
    pub calibration: &'a Samples,
    /// Samples that accuracy is measured on.
    pub evaluation: &'a Samples,
    /// The limits.
    pub goals: Goals,
    /// Instruction set and threads of a prediction.
    pub plan: PlanOptions,
    /// Seed of the random choices of calibration.
    pub seed: u64,
    /// An existing folder for the packages of the variants.
    pub folder: &'a Path,
    /// Is told what happens, one line at a time.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("goals", &self.goals)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// What was decided about a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The source.
    Source,
    /// It pays.
    Accepted,
    /// It does not, for this reason.
    Refused(String),
}

/// A variant, and what was decided about it.
#[derive(Debug)]
pub struct Tried {
    /// The variant with its measurements.
    pub variant: Variant,
    /// What was decided.
    pub decision: Decision,
    /// Samples that changed between right and wrong, against the source.
    pub paired: PairedCounts,
}

/// What came of the loop.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that was tried, the source first.
    pub tried: Vec<Tried>,
    /// The position of the variant that is handed over.
    pub chosen: usize,
    /// Limits that it does not meet; empty if all are.
    pub shortfalls: Vec<Shortfall>,
    /// What each layer bears, if the loop had to know.
    pub sensitivity: Option<Sensitivity>,
}

impl Outcome {
    /// The variant that is handed over.
    pub fn best(&self) -> &Tried {
        &self.tried[self.chosen]
    }
}

/// Most mixed variants that are made, written and measured.
const MIXED_TRIES: usize = 4;

/// The part of the weights' bytes by which the target is lowered while it gives the same forms again: one in so many.
const LEAST_STEP: u64 = 200;

struct Loop<'a> {
    request: Request<'a>,
    calibration: Calibration<'a>,
    tried: Vec<Tried>,
    chosen: usize,
    sensitivity: Option<Sensitivity>,
}

/// Runs the loop.
///
/// # Errors
///
/// If the program cannot be run or written, or samples do not fit.
pub fn optimize(request: Request<'_>) -> Result<Outcome, CompressError> {
    if request.calibration.is_empty() || request.evaluation.is_empty() {
        return Err(CompressError::Unsuitable(
            "the calibration and evaluation sets must not be empty".to_owned(),
        ));
    }
    (request.progress)("measuring the source");
    // What a plain conversion gives: batch norms folded, nothing compressed. Gains that are only that are not counted.
    let mut plain = request.program.clone();
    locket_passes::simplify(plain.main_mut());
    let source = measure(&request, "source", "float32", &plain)?;
    let same = &source.evaluation.predicted;
    let paired = PairedCounts::from_predictions(&request.evaluation.labels, same, same);
    (request.progress)("calibrating");
    let options = CalibrationOptions {
        plan: request.plan,
        seed: request.seed,
    };
    let calibration = Calibration::collect(request.program, request.calibration, options, &|_| {})?;
    let tried = vec![Tried {
        variant: source,
        decision: Decision::Source,
        paired,
    }];
    let mut search = Loop {
        request,
        calibration,
        tried,
        chosen: 0,
        sensitivity: None,
    };
    search.uniform()?;
    search.operands()?;
    search.fewer_bits()?;
    let k = search.tried.len() - 1;
    let best = &search.tried[search.chosen];
    let shortfalls = request.goals.shortfalls(&best.variant, &best.paired, k);
    Ok(Outcome {
        tried: search.tried,
        chosen: search.chosen,
        shortfalls,
        sensitivity: search.sensitivity,
    })
}

impl Loop<'_> {
    fn options(&self) -> ApplyOptions<'_> {
        ApplyOptions::new(self.request.plan)
    }

    /// One recipe for all layers: 8 bits, first with and, if that loses too much, without activations.
    fn uniform(&mut self) -> Result<(), CompressError> {
        for (name, choice) in [
            ("8-bit weights and activations", LayerChoice::W8A8),
            ("8-bit weights", LayerChoice::weights(WeightForm::Int8)),
        ] {
            let recipe = Recipe(choice);
            (self.request.progress)(&format!("compressing: {name}"));
            let made = apply(
                self.request.program,
                recipe,
                Some(&self.calibration),
                &self.options(),
            )?;
            self.judge(name, &recipe.to_string(), &made)?;
            if self.chosen > 0 {
                break;
            }
        }
        Ok(())
    }

    /// 8-bit activations for the layers that bear them, where they cost too much everywhere and the latency is over its limit
    /// without any.
    fn operands(&mut self) -> Result<(), CompressError> {
        let Some(limit) = self.request.goals.latency else {
            return Ok(());
        };
        let [_, integers, floats] = self.tried.as_slice() else {
            return Ok(());
        };
        let late = floats.variant.latency.overrun_bound(limit, CONFIDENCE) > MAX_OVERRUN_CHANCE;
        if floats.decision != Decision::Accepted || !late {
            return Ok(());
        }
        (self.request.progress)("finding out which layers bear 8-bit activations");
        let time = |variant: &Variant, layer: &str| -> u64 {
            let steps = variant.operators.iter();
            let of_layer = steps.filter(|step| step.origin.iter().any(|name| name == layer));
            of_layer.map(|step| step.wall_ns).sum()
        };
        let table = operand_sensitivity(
            self.request.program,
            &self.calibration,
            &[
                (LayerChoice::W8A8, &|layer| time(&integers.variant, layer)),
                (LayerChoice::weights(WeightForm::Int8), &|layer| {
                    time(&floats.variant, layer)
                }),
            ],
            &self.options(),
            self.request.progress,
        )?;
        let slowest = floats.variant.latency.percentile_ms(0.99) * 1e6;
        let in_layers: u64 = table.layers.iter().map(|layer| layer.time_ns[1]).sum();
        let mut excess = (slowest - limit.as_secs_f64() * 1e9).max(0.0) as u64;
        for attempt in 0..MIXED_TRIES {
            let targets = Targets {
                bytes: None,
                time_ns: Some(in_layers.saturating_sub(excess)),
            };
            let Some(choices) = allocate(&table, targets) else {
                break;
            };
            self.mixture(&format!("mixed activations {}", attempt + 1), &choices)?;
            let variant = &self.tried[self.tried.len() - 1].variant;
            if variant.latency.overrun_bound(limit, CONFIDENCE) <= MAX_OVERRUN_CHANCE {
                break;
            }
            let slowest = variant.latency.percentile_ms(0.99) * 1e6;
            excess += (slowest - limit.as_secs_f64() * 1e9).max(in_layers as f64 * 0.02) as u64;
        }
        self.sensitivity = Some(table);
        Ok(())
    }

    /// Fewer bits for layers that bear them, until memory and size are met or nothing more can be had.
    fn fewer_bits(&mut self) -> Result<(), CompressError> {
        let goals = self.request.goals;
        let over = |variant: &Variant| {
            let memory = goals
                .memory_bytes
                .map_or(0, |limit| variant.peak_bytes.saturating_sub(limit));
            let size = goals
                .size_bytes
                .map_or(0, |limit| variant.package_bytes.saturating_sub(limit));
            (memory, size)
        };
        let start = &self.tried[self.chosen].variant;
        let (memory, size) = over(start);
        if memory == 0 && size == 0 {
            return Ok(());
        }
        (self.request.progress)("finding out which layers bear fewer bits");
        // Integer layers expand their palettes when the plan is made: that makes the package smaller, not the memory.
        let integers = memory == 0 && self.tried[1].decision == Decision::Accepted;
        let table = sensitivity(
            self.request.program,
            &self.calibration,
            &forms(integers),
            &self.options(),
            self.request.progress,
        )?;
        let stored = start.stored_weight_bytes;
        let mut excess = memory.max(size);
        let mut last: Option<Vec<LayerChoice>> = None;
        for attempt in 0..MIXED_TRIES {
            let choices = loop {
                let targets = Targets {
                    bytes: Some(stored.saturating_sub(excess)),
                    time_ns: None,
                };
                let choices = allocate(&table, targets);
                if choices.is_none() || choices != last {
                    break choices;
                }
                excess += stored / LEAST_STEP + 1;
            };
            let Some(choices) = choices else {
                break;
            };
            self.mixture(&format!("mixed precision {}", attempt + 1), &choices)?;
            let (memory, size) = over(&self.tried[self.tried.len() - 1].variant);
            if memory == 0 && size == 0 {
                break;
            }
            // What the plan and the description hold beside the weights' bytes is only known once they are made.
            excess += memory.max(size);
            last = Some(choices);
        }
        self.sensitivity = Some(table);
        Ok(())
    }

    /// Compresses each layer in a form of its own, and judges what comes of it.
    fn mixture(&mut self, name: &str, choices: &[LayerChoice]) -> Result<(), CompressError> {
        (self.request.progress)(&format!("compressing: {name}"));
        let made = apply_mixed(
            self.request.program,
            choices,
            Some(&self.calibration),
            &self.options(),
        )?;
        self.judge(name, &summary(choices), &made)
    }

    /// Writes, reads back, measures and decides.
    fn judge(&mut self, name: &str, recipe: &str, made: &Compressed) -> Result<(), CompressError> {
        (self.request.progress)(&format!("measuring: {name}"));
        let variant = measure(&self.request, name, recipe, &made.program)?;
        let source = &self.tried[0].variant.evaluation.predicted;
        let labels = &self.request.evaluation.labels;
        let paired = PairedCounts::from_predictions(labels, source, &variant.evaluation.predicted);
        let current = &self.tried[self.chosen].variant;
        let decision = match self.request.goals.objection(current, &variant, &paired) {
            None => Decision::Accepted,
            Some(reason) => Decision::Refused(reason),
        };
        if decision == Decision::Accepted {
            self.chosen = self.tried.len();
        }
        self.tried.push(Tried {
            variant,
            decision,
            paired,
        });
        Ok(())
    }
}

/// What layers choose from where fewer bits are needed: for layers on integers, or on floats.
fn forms(integers: bool) -> Vec<LayerChoice> {
    let palette = |bits, group| LayerChoice {
        weights: WeightForm::Palette { bits, group },
        activations: integers,
    };
    let base = LayerChoice {
        weights: WeightForm::Int8,
        activations: integers,
    };
    let mut forms = vec![base];
    for bits in [6, 4, 3, 2] {
        if integers {
            forms.push(palette(bits, Some(1)));
        }
        forms.push(palette(bits, None));
    }
    forms
}

/// How many layers have which form, such as `20 x w8a8, 6 x pal4`.
fn summary(choices: &[LayerChoice]) -> String {
    let mut counts: std::collections::BTreeMap<LayerChoice, usize> = std::collections::BTreeMap::new();
    for &choice in choices {
        *counts.entry(choice).or_default() += 1;
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(choice, count)| format!("{count} x {choice}"))
        .collect();
    parts.join(", ")
}
