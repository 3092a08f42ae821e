//! From the bytes of a picture to a prediction, in whichever process computes.

use std::time::{Duration, Instant};

use locket_compress::{
    CompressError,
    measure::{input_spec, input_spec_of_plan},
};
use locket_data::{
    InputSpec, NpyType, Preprocess, Problem, RawSample, SampleBuffer,
    image::{RgbImage, decode},
};
use locket_mil::Function;
use locket_runtime::{Plan, RunError, Session};
use locket_tensor::{TensorMut, TensorRef};

/// How pictures become the input of a model, with memory for what is made on the way.
#[derive(Debug)]
pub(crate) struct Pictures {
    recipe: Preprocess,
    input: InputSpec,
    picture: RgbImage,
    buffer: SampleBuffer,
}

/// What a prediction is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// The bytes of a picture's file.
    File(&'a [u8]),
    /// Elements that are not preprocessed.
    Sample(RawSample<'a>),
}

/// What is made of a picture on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Its pixels, RGB; none of a sample.
    Pixels,
    /// The model's input.
    Input,
}

/// Why a picture gave no prediction.
#[derive(Debug)]
pub(crate) enum PictureError {
    /// It cannot be decoded, or does not become the model's input; why, in one line.
    Unreadable(String),
    /// The prediction failed.
    Run(RunError),
}

impl Pictures {
    /// For a function before it is planned, which says how an integer input is quantised.
    ///
    /// # Errors
    ///
    /// If the function has not exactly one input, or one that pictures cannot be made into.
    pub(crate) fn of(recipe: Preprocess, function: &Function) -> Result<Self, CompressError> {
        Ok(Self::new(recipe, input_spec(function)?))
    }

    /// For a plan of which nothing else is left.
    ///
    /// # Errors
    ///
    /// As [`Pictures::of`].
    pub(crate) fn of_plan(recipe: Preprocess, plan: &Plan) -> Result<Self, CompressError> {
        Ok(Self::new(recipe, input_spec_of_plan(plan)?))
    }

    fn new(recipe: Preprocess, input: InputSpec) -> Self {
        Self {
            recipe,
            input,
            picture: RgbImage::default(),
            buffer: SampleBuffer::new(),
        }
    }

    /// Decodes, preprocesses, predicts; the budget is one for all of it. What was made of the picture stays until [`Pictures::wipe`].
    pub(crate) fn predict(
        &mut self,
        given: Given<'_>,
        session: &mut Session,
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), PictureError> {
        self.predict_watched(given, session, outputs, budget, &|_, _| ())
    }

    /// As [`Pictures::predict`], with somebody who is told what was made.
    pub(crate) fn predict_watched(
        &mut self,
        given: Given<'_>,
        session: &mut Session,
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
        watch: &dyn Fn(Made, &[u8]),
    ) -> Result<(), PictureError> {
        let started = Instant::now();
        self.prepare(given)?;
        watch(Made::Pixels, &self.picture.pixels);
        watch(Made::Input, self.buffer.bytes());
        let left = left(budget, started)?;
        let port = session.plan().inputs.first();
        let (dtype, shape) = port.map(|port| (port.dtype, port.shape.to_vec())).unzip();
        let (Some(dtype), Some(shape)) = (dtype, shape) else {
            return Err(PictureError::Unreadable("the model has no input".to_owned()));
        };
        let input = TensorRef {
            dtype,
            shape: &shape,
            bytes: self.buffer.bytes(),
        };
        session
            .predict(&[input], outputs, left)
            .map_err(|error| PictureError::Run(of_the_whole(error, budget, started)))
    }

    /// Calls `wipe` for everything that was made of a picture but the outputs.
    pub(crate) fn wipe(&mut self, wipe: fn(&mut [u8])) {
        wipe(&mut self.picture.pixels);
        self.buffer.wipe(wipe);
    }

    fn prepare(&mut self, given: Given<'_>) -> Result<(), PictureError> {
        let unreadable = |problem: Problem| PictureError::Unreadable(problem.to_string());
        let file = match given {
            Given::Sample(sample) => {
                let applied = self.recipe.apply(sample, &self.input, &mut self.buffer);
                return applied.map_err(unreadable);
            }
            Given::File(file) => file,
        };
        decode(file, &mut self.picture).map_err(unreadable)?;
        let sample = RawSample {
            dtype: NpyType::U8,
            shape: &[self.picture.height, self.picture.width, 3],
            bytes: &self.picture.pixels,
        };
        let applied = self.recipe.apply(sample, &self.input, &mut self.buffer);
        applied.map_err(unreadable)
    }
}

/// What is left of the budget.
fn left(budget: Option<Duration>, started: Instant) -> Result<Option<Duration>, PictureError> {
    let Some(budget) = budget else { return Ok(None) };
    let elapsed = started.elapsed();
    match budget.checked_sub(elapsed) {
        Some(left) => Ok(Some(left)),
        None => Err(PictureError::Run(RunError::DeadlineExceeded {
            budget,
            elapsed,
            operator: "the prediction".to_owned(),
        })),
    }
}

/// The error of a prediction with what was left, told of the whole.
fn of_the_whole(error: RunError, budget: Option<Duration>, started: Instant) -> RunError {
    match (error, budget) {
        (RunError::DeadlineExceeded { operator, .. }, Some(budget)) => RunError::DeadlineExceeded {
            budget,
            elapsed: started.elapsed(),
            operator,
        },
        (error, _) => error,
    }
}
