//! From the bytes of a picture to a prediction, in whichever process computes. Nothing that is made on the way outlives it.

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

/// How pictures become the input of a model.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    recipe: Preprocess,
    input: InputSpec,
}

/// What a prediction is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// The bytes of a picture's file.
    File(&'a [u8]),
    /// Elements that are not preprocessed.
    Sample(RawSample<'a>),
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
        let input = input_spec(function)?;
        Ok(Self { recipe, input })
    }

    /// For a plan of which nothing else is left.
    ///
    /// # Errors
    ///
    /// As [`Pictures::of`].
    pub(crate) fn of_plan(recipe: Preprocess, plan: &Plan) -> Result<Self, CompressError> {
        let input = input_spec_of_plan(plan)?;
        Ok(Self { recipe, input })
    }

    /// Decodes, preprocesses, predicts, discards: `wipe` is called for everything that was made of the picture but the outputs. The
    /// budget is one for all of it.
    pub(crate) fn predict(
        &self,
        given: Given<'_>,
        session: &mut Session,
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
        wipe: fn(&mut [u8]),
    ) -> Result<(), PictureError> {
        let started = Instant::now();
        let mut picture = RgbImage::default();
        let mut buffer = SampleBuffer::new();
        let outcome = self.prepare(given, &mut picture, &mut buffer).and_then(|()| {
            let left = left(budget, started)?;
            let port = session.plan().inputs.first();
            let (dtype, shape) = port.map(|port| (port.dtype, port.shape.to_vec())).unzip();
            let (Some(dtype), Some(shape)) = (dtype, shape) else {
                return Err(PictureError::Unreadable("the model has no input".to_owned()));
            };
            let input = TensorRef {
                dtype,
                shape: &shape,
                bytes: buffer.bytes(),
            };
            session
                .predict(&[input], outputs, left)
                .map_err(|error| PictureError::Run(of_the_whole(error, budget, started)))
        });
        wipe(&mut picture.pixels);
        buffer.wipe(wipe);
        outcome
    }

    fn prepare(
        &self,
        given: Given<'_>,
        picture: &mut RgbImage,
        buffer: &mut SampleBuffer,
    ) -> Result<(), PictureError> {
        let unreadable = |problem: Problem| PictureError::Unreadable(problem.to_string());
        let file = match given {
            Given::Sample(sample) => {
                return self.recipe.apply(sample, &self.input, buffer).map_err(unreadable);
            }
            Given::File(file) => file,
        };
        decode(file, picture).map_err(unreadable)?;
        let sample = RawSample {
            dtype: NpyType::U8,
            shape: &[picture.height, picture.width, 3],
            bytes: &picture.pixels,
        };
        self.recipe.apply(sample, &self.input, buffer).map_err(unreadable)
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
