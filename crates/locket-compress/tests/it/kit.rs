//! Where the test kit is: real models and labelled data that are not part of the repository.

use locket_compress::{
    calibrate::{Calibration, CalibrationOptions},
    measure::{Evaluation, Samples, evaluate},
    recipe::{ApplyOptions, Compressed, Recipe, apply},
};
use locket_data::{Dataset, Preprocess};
use locket_formats::{ReadOptions, limits::Limits};
use locket_kernels::Isa;
use locket_mil::Program;
use locket_runtime::PlanOptions;

/// A model with its data.
pub(crate) struct Subject {
    pub(crate) program: Program,
    pub(crate) calib: Samples,
    pub(crate) dev: Samples,
}

pub(crate) fn plan_options() -> PlanOptions {
    PlanOptions {
        isa: Isa::best(),
        threads: 2,
        lean: false,
        precision: locket_runtime::Precision::Float32,
        depth_first: true,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    }
}

/// A model of the kit, with at most so many samples to calibrate and to measure on; `None` if there is no kit.
pub(crate) fn subject(model: &str, dataset: &str, calib: usize, dev: usize) -> Option<Subject> {
    let folder = locket_testkit::kit()?;
    let path = folder.join("models").join(model);
    let program = locket_formats::read(&path, &ReadOptions::default(), &Limits::default())
        .unwrap()
        .program;
    let recipe = Preprocess::read(&folder.join("preprocess").join(format!("{model}.toml"))).unwrap();
    let load = |part: &str, limit: usize| {
        let data = Dataset::open(&folder.join("data").join(dataset).join(part)).unwrap();
        Samples::load(&data, &recipe, program.main(), Some(limit), 2, &|_| {}).unwrap()
    };
    let (calib, dev) = (load("calib", calib), load("dev", dev));
    Some(Subject { program, calib, dev })
}

impl Subject {
    pub(crate) fn calibration(&self) -> Calibration<'_> {
        let options = CalibrationOptions {
            plan: plan_options(),
            seed: 1,
        };
        Calibration::collect(&self.program, &self.calib, options, &|_| {}).unwrap()
    }

    pub(crate) fn evaluate(&self, program: &Program) -> Evaluation {
        evaluate(program.main(), &self.dev, plan_options(), &|_| {}).unwrap()
    }

    pub(crate) fn apply(&self, recipe: &str, calibration: Option<&Calibration<'_>>) -> Compressed {
        let recipe: Recipe = recipe.parse().unwrap();
        apply(
            &self.program,
            recipe,
            calibration,
            &ApplyOptions::new(plan_options()),
        )
        .unwrap()
    }
}
