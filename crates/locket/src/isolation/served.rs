//! The side that is locked in: reads the model, plans it, starts threads, then predicts.

use bytes::Bytes;
use locket_formats::{ReadOptions, limits::Limits};
use locket_runtime::{CompiledFile, RunError, Session};
use locket_sandbox::worker;
use locket_tensor::{AlignedBytes, TensorMut, TensorRef};

use super::protocol::{DESCRIBE, DONE, FAILED, HEADER_BYTES, Interface, LATE, PREDICT, Settings, bytes};
use crate::{
    FeatureDescription, Isolation, ModelConfiguration,
    model::{CompiledModel, InProcess, describe, options},
};

/// A model with room for what goes in and out.
struct Served {
    session: Session,
    interface: Interface,
    inputs: Vec<AlignedBytes>,
    outputs: Vec<AlignedBytes>,
}

/// Serves the model in the only file; never returns.
pub(super) fn serve(settings: &Settings) -> ! {
    let (worker, mut served) = worker::enter(|inherited| {
        let file = inherited.files().first().ok_or("no model was handed over")?;
        Served::new(Bytes::from_static(file), settings)
    });
    worker.serve(move |request, reply| match request.kind {
        DESCRIBE => {
            reply.push(served.interface.text().as_bytes());
            DONE
        }
        PREDICT => match served.predict(request.bytes) {
            Ok(()) => {
                for output in &served.outputs {
                    reply.push(output.as_slice());
                }
                served.wipe();
                DONE
            }
            Err(RunError::DeadlineExceeded {
                elapsed, operator, ..
            }) => {
                served.wipe();
                reply.push(
                    &u64::try_from(elapsed.as_nanos())
                        .unwrap_or(u64::MAX)
                        .to_le_bytes(),
                );
                reply.push(&operator.as_bytes()[..operator.len().min(200)]);
                LATE
            }
            Err(error) => {
                reply.push(error.to_string().as_bytes());
                FAILED
            }
        },
        _ => FAILED,
    })
}

impl Served {
    fn new(file: Bytes, settings: &Settings) -> Result<Self, String> {
        let configuration = ModelConfiguration {
            threads: Some(settings.threads),
            isa: Some(settings.isa),
            precision: settings.precision,
            memory_budget: settings.memory_budget,
            latency_budget: settings.latency_budget,
            function_name: settings.function.clone(),
            isolation: Isolation::InProcess,
            ..ModelConfiguration::default()
        };
        let loaded = if file.starts_with(b"LOCKET\r\n") {
            let plan = CompiledFile::from_bytes(file).and_then(|file| file.plan(options(&configuration)));
            InProcess::of_compiled(plan.map_err(|error| error.to_string())?, &configuration)
        } else {
            let import = locket_formats::read_bytes(file, &ReadOptions::default(), &Limits::default())
                .map_err(|error| error.to_string())?;
            CompiledModel::of("the model".into(), import).load_here(&configuration)
        };
        let loaded = loaded.map_err(|error| error.to_string())?;
        let plan = loaded.session.plan();
        let interface = Interface {
            inputs: describe(&plan.inputs),
            outputs: describe(&plan.outputs),
        };
        let room = |features: &[FeatureDescription]| {
            features
                .iter()
                .map(|feature| AlignedBytes::zeroed(bytes(feature)))
                .collect()
        };
        let mut served = Self {
            inputs: room(&interface.inputs),
            outputs: room(&interface.outputs),
            session: loaded.session,
            interface,
        };
        // Each thread must have run before the last wall is up, and pages are touched before the first request.
        let nothing = vec![0; HEADER_BYTES + served.interface.input_bytes()];
        served.predict(&nothing).map_err(|error| error.to_string())?;
        Ok(served)
    }

    fn predict(&mut self, request: &[u8]) -> Result<(), RunError> {
        let wrong = RunError::Count {
            role: "input byte",
            expected: HEADER_BYTES + self.interface.input_bytes(),
            found: request.len(),
        };
        let Some((budget, mut given)) = request.split_first_chunk::<HEADER_BYTES>() else {
            return Err(wrong);
        };
        if given.len() != self.interface.input_bytes() {
            return Err(wrong);
        }
        for input in &mut self.inputs {
            let (own, rest) = given.split_at(input.as_slice().len());
            input.as_mut_slice().copy_from_slice(own);
            given = rest;
        }
        let budget = match u64::from_le_bytes(*budget) {
            0 => None,
            nanoseconds => Some(std::time::Duration::from_nanos(nanoseconds)),
        };
        let inputs: Vec<TensorRef<'_>> = (self.interface.inputs.iter().zip(&self.inputs))
            .map(|(feature, bytes)| TensorRef {
                dtype: feature.dtype,
                shape: &feature.shape,
                bytes: bytes.as_slice(),
            })
            .collect();
        let mut outputs: Vec<TensorMut<'_>> = (self.interface.outputs.iter().zip(&mut self.outputs))
            .map(|(feature, bytes)| TensorMut {
                dtype: feature.dtype,
                shape: &feature.shape,
                bytes: bytes.as_mut_slice(),
            })
            .collect();
        self.session.predict(&inputs, &mut outputs, budget)
    }

    /// Overwrites everything that a prediction has left.
    fn wipe(&mut self) {
        for buffer in self.inputs.iter_mut().chain(&mut self.outputs) {
            locket_sandbox::wipe_slice(buffer.as_mut_slice());
        }
        self.session.wipe(locket_sandbox::wipe_slice);
    }
}
