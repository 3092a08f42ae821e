//! The loop: profile, compress, measure, decide, until the budgets are met or shown to be out of reach.
//!
//! Every variant is written as a package, read back, and measured from what was read: the size on disk, the exact peak
//! of its plan, the latency of its predictions and its accuracy are those of the file that is handed over. A step
//! that does not pay is refused, with its measurement, and stays in the record.
//!
//! The order of the steps: 8-bit weights and activations everywhere; 8-bit weights alone if activations cost too much; then,
//! while memory is over its limit, palettes of fewer bits for the layers that bear them best. Which layers those are follows
//! from the divergence of the outputs with one layer compressed at a time ([`sensitivity`]), which adds up well enough
//! over layers to be divided like a budget ([`allocate`]).

mod allocate;
mod goals;
mod sensitivity;
mod variant;

use std::path::Path;

use locket_data::statistics::PairedCounts;
use locket_mil::Program;
use locket_runtime::PlanOptions;

pub use allocate::allocate;
pub use goals::{CONFIDENCE, Goals, MAX_OVERRUN_CHANCE, Shortfall};
pub use sensitivity::{LayerSensitivity, Sensitivity, sensitivity};
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
    let source = measure(&request, "source", "float32", request.program)?;
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
    search.mixed()?;
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

    fn memory_met(&self) -> bool {
        let limit = self.request.goals.memory_bytes;
        limit.is_none_or(|limit| self.tried[self.chosen].variant.peak_bytes <= limit)
    }

    /// Fewer bits for layers that bear them, until memory is met or nothing more can be had.
    fn mixed(&mut self) -> Result<(), CompressError> {
        let Some(limit) = self.request.goals.memory_bytes.filter(|_| !self.memory_met()) else {
            return Ok(());
        };
        (self.request.progress)("finding out which layers bear fewer bits");
        let base = if self.chosen > 0 {
            LayerChoice::W8A8
        } else {
            LayerChoice::weights(WeightForm::Int8)
        };
        let forms = [base, palette(6), palette(4), palette(3), palette(2)];
        let options = self.options();
        let table = sensitivity(
            self.request.program,
            &self.calibration,
            &forms,
            &options,
            self.request.progress,
        )?;
        let peak = self.tried[self.chosen].variant.peak_bytes;
        let mut excess = peak.saturating_sub(limit);
        for attempt in 0..MIXED_TRIES {
            let current = self.tried[self.chosen].variant.stored_weight_bytes;
            let target = current.saturating_sub(excess);
            let Some(choices) = allocate(&table, target) else {
                break;
            };
            let name = format!("mixed palettes, try {}", attempt + 1);
            (self.request.progress)(&format!("compressing: {name}"));
            let made = apply_mixed(
                self.request.program,
                &choices,
                Some(&self.calibration),
                &self.options(),
            )?;
            let recipe = summary(&choices);
            self.judge(&name, &recipe, &made)?;
            let peak = self.tried.last().map_or(0, |tried| tried.variant.peak_bytes);
            if peak <= limit {
                break;
            }
            // What the plan holds beside the file's bytes (padding to panels) is only known once it is made.
            excess += peak - limit;
        }
        self.sensitivity = Some(table);
        Ok(())
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

fn palette(bits: u8) -> LayerChoice {
    LayerChoice::weights(WeightForm::Palette { bits, group: None })
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
