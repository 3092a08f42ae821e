//! How long a worker usually takes for a request of some length, so that its broker is awake when the answer comes: waking a core that has
//! slept for milliseconds takes tens of microseconds on a virtual machine.

use std::time::Duration;

/// What an older answer counts for after each new one.
const KEPT: f64 = 0.9;
/// Answers before anything is foretold.
const LEAST: u32 = 4;
/// The part of the usual error that a broker stays awake around the foretold time.
const ERRORS: f64 = 2.5;
/// The least and the most of that, before and after it.
const LEAST_AROUND: Duration = Duration::from_micros(40);
const MOST_AROUND: Duration = Duration::from_micros(400);

/// A line through recent answers to one kind of request: seconds over bytes, weighted, later ones more.
#[derive(Debug, Default)]
pub(super) struct Habit {
    kind: u32,
    answers: u32,
    weight: f64,
    bytes: f64,
    seconds: f64,
    bytes_bytes: f64,
    bytes_seconds: f64,
    /// Mean distance of an answer from what was foretold of it, in seconds.
    error: f64,
}

impl Habit {
    /// When the answer to a request will come, counted from the request: no sooner and no later than this; `None` if nothing is known.
    pub(super) fn foretell(&self, kind: u32, bytes: usize) -> Option<[Duration; 2]> {
        if self.kind != kind || self.answers < LEAST {
            return None;
        }
        let around = Duration::try_from_secs_f64(self.error * ERRORS).unwrap_or(MOST_AROUND);
        let around = around.clamp(LEAST_AROUND, MOST_AROUND);
        let usual = Duration::try_from_secs_f64(self.line(bytes as f64)).ok()?;
        Some([usual.saturating_sub(around), usual.saturating_add(around)])
    }

    /// Learns how long an answer took.
    pub(super) fn learn(&mut self, kind: u32, bytes: usize, took: Duration) {
        if self.kind != kind {
            *self = Self {
                kind,
                ..Self::default()
            };
        }
        let (bytes, seconds) = (bytes as f64, took.as_secs_f64());
        if self.answers > 1 {
            let error = (seconds - self.line(bytes)).abs();
            self.error = KEPT * self.error + (1.0 - KEPT) * error;
        }
        self.answers = self.answers.saturating_add(1);
        for (sum, term) in [
            (&mut self.weight, 1.0),
            (&mut self.bytes, bytes),
            (&mut self.seconds, seconds),
            (&mut self.bytes_bytes, bytes * bytes),
            (&mut self.bytes_seconds, bytes * seconds),
        ] {
            *sum = KEPT * *sum + term;
        }
    }

    /// The line of least squares, level where all requests were of nearly one length.
    fn line(&self, bytes: f64) -> f64 {
        let (mean_bytes, mean_seconds) = (self.bytes / self.weight, self.seconds / self.weight);
        let spread = self.bytes_bytes / self.weight - mean_bytes * mean_bytes;
        if spread <= 1e-4 * mean_bytes * mean_bytes {
            return mean_seconds;
        }
        let slope = (self.bytes_seconds / self.weight - mean_bytes * mean_seconds) / spread;
        mean_seconds + slope * (bytes - mean_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Habit;

    const KIND: u32 = 7;

    #[test]
    fn answers_that_follow_a_line_are_foretold() {
        let mut habit = Habit::default();
        for round in 0..40 {
            let bytes = 20_000 + round * 7_919 % 100_000;
            let took = Duration::from_nanos(500_000 + 20 * bytes as u64);
            if round > 10 {
                let [soonest, latest] = habit.foretell(KIND, bytes).unwrap();
                assert!(soonest < took && took < latest, "{soonest:?} {took:?} {latest:?}");
            }
            habit.learn(KIND, bytes, took);
        }
        assert!(habit.foretell(KIND + 1, 1000).is_none());
        habit.learn(KIND + 1, 1000, Duration::from_millis(1));
        assert!(habit.foretell(KIND, 1000).is_none());
    }

    #[test]
    fn one_length_and_odd_times_are_no_trouble() {
        let mut habit = Habit::default();
        for took in [0, 1, 10, 1_000_000_000_000, 3] {
            habit.learn(KIND, 0, Duration::from_nanos(took));
        }
        let window = habit.foretell(KIND, usize::MAX).unwrap();
        assert!(window[0] <= window[1]);
        habit.learn(KIND, 1 << 40, Duration::ZERO);
        // A line may fall below zero: then nothing is foretold.
        let _ = habit.foretell(KIND, usize::MAX);
    }
}
