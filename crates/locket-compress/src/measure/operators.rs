//! Time by operator.

use locket_runtime::{Observer, OutputBuffers, Session, StepEvent};
use locket_tensor::Tensor;

use crate::CompressError;

/// The time that one step of a plan takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorTime {
    /// The operator, such as `locket.conv`.
    pub kind: String,
    /// Names of the operations of the source that it computes.
    pub origin: Vec<String>,
    /// The kernel that ran.
    pub kernel: String,
    /// Median wall time in nanoseconds.
    pub wall_ns: u64,
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes read and written.
    pub traffic_bytes: u64,
}

#[derive(Default)]
struct Recorder {
    times: Vec<Vec<u64>>,
}

impl Observer for Recorder {
    fn after(&mut self, event: StepEvent<'_>) {
        let wall = event.end.duration_since(event.start).as_nanos();
        self.times[event.index].push(u64::try_from(wall).unwrap_or(u64::MAX));
    }
}

/// Predicts `runs` times under observation; gives the median of each step, in the order of the plan.
///
/// # Errors
///
/// If the inputs do not fit.
pub fn operator_times(
    session: &mut Session,
    inputs: &[Tensor],
    runs: usize,
) -> Result<Vec<OperatorTime>, CompressError> {
    let mut outputs = OutputBuffers::new(&session.plan().outputs);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut recorder = Recorder {
        times: vec![Vec::with_capacity(runs); session.plan().steps.len()],
    };
    for _ in 0..runs {
        session.predict_observed(&views, &mut outputs.views(), &mut recorder)?;
    }
    let medians = recorder.times.into_iter().map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    });
    Ok(session
        .plan()
        .steps
        .iter()
        .zip(medians)
        .map(|(step, wall_ns)| OperatorTime {
            kind: step.kind.clone(),
            origin: step.origin.clone(),
            kernel: step.step.kernel().to_owned(),
            wall_ns,
            macs: step.cost.macs,
            traffic_bytes: step.cost.bytes,
        })
        .collect())
}
