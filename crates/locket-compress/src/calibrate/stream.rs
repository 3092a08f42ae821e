//! Runs a function on samples piece by piece, in the order of its operations, while it changes behind the place reached.
//!
//! A layer is compressed knowing what the layers before it really compute, so the network is run up to each layer in turn.
//! Where memory allows, the values that the rest needs are kept for each sample, and the next piece starts there; where it does
//! not, the next piece starts from the last place that was kept. Results are given in the order of the samples,
//! whatever the number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_mil::{Function, ValueId};
use locket_runtime::{Plan, PlanOptions, Session, compile};
use locket_tensor::{AlignedBytes, Tensor, TensorMut, TensorRef};

use super::extract::{extract, frontier};
use crate::CompressError;

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
        let next = AtomicUsize::new(0);
        let single = PlanOptions {
            threads: 1,
            ..self.options.plan
        };
        let work = |plan: Plan| -> Result<Vec<(usize, T)>, CompressError> {
            let mut session = Session::new(plan).map_err(|source| CompressError::Io {
                what: "starting threads".to_owned(),
                source,
            })?;
            let mut made = Vec::new();
            loop {
                let sample = next.fetch_add(1, Ordering::Relaxed);
                if sample >= self.inputs.len() {
                    return Ok(made);
                }
                let outputs = predict(&mut session, self.sample(sample))?;
                made.push((sample, visit(sample, &outputs)));
            }
        };
        let workers = self.options.plan.threads.clamp(1, self.inputs.len().max(1));
        let plans: Vec<Plan> = (0..workers)
            .map(|_| compile(piece, single).map(|compiled| compiled.plan))
            .collect::<Result<_, _>>()?;
        let mut all = std::thread::scope(|scope| {
            let workers: Vec<_> = plans.into_iter().map(|plan| scope.spawn(|| work(plan))).collect();
            let mut all = Vec::with_capacity(self.inputs.len());
            for worker in workers {
                all.extend(worker.join().expect("a prediction does not panic")?);
            }
            Ok::<_, CompressError>(all)
        })?;
        all.sort_by_key(|(sample, _)| *sample);
        Ok(all.into_iter().map(|(_, made)| made).collect())
    }
}

/// Runs given inputs and gives all outputs.
fn predict(session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Tensor>, CompressError> {
    let ports: Vec<_> = session
        .plan()
        .outputs
        .iter()
        .map(|port| (port.dtype, port.shape.clone()))
        .collect();
    let mut buffers: Vec<AlignedBytes> = ports
        .iter()
        .map(|(dtype, shape)| AlignedBytes::zeroed(dtype.packed_bytes(shape.iter().product()).unwrap_or(0)))
        .collect();
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    let mut outputs: Vec<TensorMut<'_>> = ports
        .iter()
        .zip(&mut buffers)
        .map(|((dtype, shape), buffer)| TensorMut {
            dtype: *dtype,
            shape,
            bytes: buffer.as_mut_slice(),
        })
        .collect();
    session.predict(&views, &mut outputs, None)?;
    ports
        .iter()
        .zip(&buffers)
        .map(|((dtype, shape), buffer)| {
            Tensor::from_bytes(*dtype, shape, buffer.as_slice())
                .map_err(|error| CompressError::Unsuitable(error.to_string()))
        })
        .collect()
}
