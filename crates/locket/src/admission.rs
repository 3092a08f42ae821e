//! Whether a model keeps to its latency budget, tried before it is trusted with it.

use std::time::Duration;

use locket_compress::measure::{Latency, LatencyProtocol, latency_of};

use crate::Error;

/// Predictions of the calibration at load: with no overrun among 300, at most 1 % overrun at 95 % confidence.
const CALIBRATION_RUNS: usize = 300;

/// Time after which the calibration ends even if it has made fewer predictions; the bound then says so.
const CALIBRATION_TIME: Duration = Duration::from_secs(2);

/// What the calibration at load found.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Times of its predictions, with the way to a worker and back.
    pub latency: Latency,
    /// The upper bound, at 95 % confidence, on the chance that a prediction takes longer than the budget.
    pub overrun_bound: f64,
}

/// Predicts a number of times and refuses the model if one takes longer than the budget.
pub(crate) fn admit(
    predict: impl FnMut() -> Result<(), Error>,
    budget: Duration,
) -> Result<Admission, Error> {
    let protocol = LatencyProtocol {
        iterations: CALIBRATION_RUNS,
        max_time: CALIBRATION_TIME,
        ..LatencyProtocol::default()
    };
    let latency = latency_of(predict, protocol)?;
    let overruns = latency.overruns(budget);
    if overruns > 0 {
        let at = |fraction: f64| Duration::from_secs_f64(latency.percentile_ms(fraction) / 1e3);
        return Err(Error::LatencyBudget {
            overruns,
            runs: latency.sorted_ns.len(),
            budget,
            median: at(0.5),
            longest: at(1.0),
        });
    }
    Ok(Admission {
        overrun_bound: latency.overrun_bound(budget, 0.95),
        latency,
    })
}
