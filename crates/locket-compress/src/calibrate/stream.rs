//! Runs a function on samples piece by piece, in the order of its operations, while it changes behind the place reached.
//!
//! A layer is compressed knowing what the layers before it really compute, so the network is run up to each layer in turn.
//! Where memory allows, the values that the rest needs are kept for each sample, and the next piece starts there; where it does
//! not, the next piece starts from the last place that was kept. Results are given in the order of the samples,
//! whatever the number of threads.

use locket_mil::{Function, ValueId};
use locket_runtime::PlanOptions;
use locket_tensor::Tensor;

use super::extract::{extract, frontier};
use crate::{
    CompressError,
    measure::{predict_all, sessions},
};

/// How pieces are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamOptions {
    /// Plan options; `threads` samples run at once, each on one thread.
    pub(crate) plan: PlanOptions,
    /// Bytes that may be kept for all samples together.
    pub(crate) cache_bytes: u64,
}

/// Samples on their way through a function.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    inputs: &'a [Tensor],
    options: StreamOptions,
    known: Vec<ValueId>,
    /// For each sample, the known values; empty while those are the function's inputs.
    held: Vec<Vec<Tensor>>,
}

impl<'a> Stream<'a> {
    /// A stream at the start of a function with one input.
    pub(crate) fn new(function: &Function, inputs: &'a [Tensor], options: StreamOptions) -> Self {
        Self {
            inputs,
            options,
            known: function.inputs.clone(),
            held: Vec::new(),
        }
    }

    /// Computes `wanted` for every sample and gives what `visit` makes of them (sample, values in the order wanted).
    /// If memory allows, what operations from `position` on need is kept, and later calls start there: operations before it must
    /// not change any more.
    ///
    /// # Errors
    ///
    /// If the piece has no plan.
    pub(crate) fn advance<T: Send>(
        &mut self,
        function: &Function,
        position: usize,
        wanted: &[ValueId],
        visit: &(dyn Fn(usize, &[Tensor]) -> T + Sync),
    ) -> Result<Vec<T>, CompressError> {
        let next = frontier(function, position);
        let bytes: u64 = next.iter().map(|&id| function.ty(id).bytes() as u64).sum();
        let fits = bytes.saturating_mul(self.inputs.len() as u64) <= self.options.cache_bytes;
        if !fits || next == self.known {
            return self.run(function, wanted, visit);
        }
        let mut all = wanted.to_vec();
        all.extend(next.iter().filter(|id| !wanted.contains(id)));
        let places: Vec<usize> = next
            .iter()
            .map(|id| {
                all.iter()
                    .position(|other| other == id)
                    .expect("it was put there")
            })
            .collect();
        let both = self.run(function, &all, &|sample, values| {
            let kept: Vec<Tensor> = places.iter().map(|&place| values[place].clone()).collect();
            (visit(sample, &values[..wanted.len()]), kept)
        })?;
        let (made, held) = both.into_iter().unzip();
        self.known = next;
        self.held = held;
        Ok(made)
    }

    /// Computes `wanted` for every sample, and stays where it is.
    ///
    /// # Errors
    ///
    /// If the piece has no plan.
    pub(crate) fn run<T: Send>(
        &self,
        function: &Function,
        wanted: &[ValueId],
        visit: &(dyn Fn(usize, &[Tensor]) -> T + Sync),
    ) -> Result<Vec<T>, CompressError> {
        let given = |id: &ValueId| self.known.iter().position(|known| known == id);
        let mut computed: Vec<ValueId> = Vec::new();
        for &id in wanted {
            if given(&id).is_none() && !computed.contains(&id) {
                computed.push(id);
            }
        }
        // Where each wanted value comes from: the known values, or the outputs of the piece.
        let sources: Vec<Result<usize, usize>> = wanted
            .iter()
            .map(|id| match given(id) {
                Some(place) => Ok(place),
                None => Err(computed
                    .iter()
                    .position(|other| other == id)
                    .expect("it is computed")),
            })
            .collect();
        let assemble = |sample: usize, outputs: &[Tensor]| {
            let known = self.sample(sample);
            let values: Vec<Tensor> = sources
                .iter()
                .map(|source| match *source {
                    Ok(place) => known[place].clone(),
                    Err(place) => outputs[place].clone(),
                })
                .collect();
            visit(sample, &values)
        };
        if computed.is_empty() {
            return Ok((0..self.inputs.len())
                .map(|sample| assemble(sample, &[]))
                .collect());
        }
        let piece = extract(function, &self.known, &computed);
        self.each(&piece, &assemble)
    }

    fn sample(&self, sample: usize) -> &[Tensor] {
        match self.held.get(sample) {
            Some(values) => values,
            None => std::slice::from_ref(&self.inputs[sample]),
        }
    }

    fn each<T: Send>(
        &self,
        piece: &Function,
        visit: &(dyn Fn(usize, &[Tensor]) -> T + Sync),
    ) -> Result<Vec<T>, CompressError> {
        let workers = self.options.plan.threads.clamp(1, self.inputs.len().max(1));
        let sessions = sessions(piece, self.options.plan, workers)?;
        locket_pool::in_order(self.inputs.len(), sessions, |session, sample| {
            let outputs = predict_all(session, self.sample(sample))?;
            Ok(visit(sample, &outputs))
        })
    }
}
