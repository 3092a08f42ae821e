//! The work of a model's worker with somebody looking over its shoulder: for proofs, which must be there when a mistake is made.

use locket_data::Preprocess;
use locket_kernels::Isa;
use locket_runtime::Precision;

use super::{protocol::Settings, served::Served};
use crate::pictures::{Given, Made, PictureError};

/// What a worker has that [`run_if_requested`](super::run_if_requested) makes of a process: the same code loads, decodes, preprocesses,
/// predicts and discards.
#[derive(Debug)]
pub struct Watched(Served);

impl Watched {
    /// Loads a model of one file, for one thread.
    ///
    /// # Errors
    ///
    /// Why it cannot be read or run, or does not take pictures.
    pub fn load(model: &'static [u8], recipe: Preprocess) -> Result<Self, String> {
        let settings = Settings {
            threads: 1,
            isa: Isa::best(),
            precision: Precision::Float32,
            depth_first: true,
            memory_budget: None,
            function: None,
            preprocess: Some(recipe),
            files: vec![String::new()],
        };
        Served::new(&[model], &settings).map(Self)
    }

    /// The outputs of a picture, one after another; `watch` is told what was made on the way. It stays until [`Watched::discard`].
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub fn predict(&mut self, file: &[u8], watch: &dyn Fn(Made, &[u8])) -> Result<Vec<u8>, String> {
        let outcome = self.0.predict_given(Given::File(file), None, watch);
        outcome.map_err(|error| match error {
            PictureError::Unreadable(why) => why,
            PictureError::Run(error) => error.to_string(),
        })?;
        Ok(self.0.output_bytes())
    }

    /// Discards what the last picture has left, as a worker does after each.
    pub fn discard(&mut self) {
        self.0.discard();
    }
}
