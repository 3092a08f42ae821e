//! How long after its deadline a late prediction comes back, and whether one with time enough is cut.

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use locket::Isolation;

use super::{WAYS, at, blocks::Bench};

/// Predictions in a round of each kind.
const PREDICTIONS: usize = 50;
/// What a late prediction may be late beyond its deadline, in microseconds.
const ALLOWED_US: f64 = 200.0;

/// What came of a way to compute.
#[derive(Default)]
struct Found {
    /// Microseconds after the deadline at which late predictions came back.
    after: Vec<f64>,
    /// Predictions that were in time in spite of the short budget.
    in_time: usize,
    /// Predictions with a long budget, how many were cut, and how many came back after it all the same: computed in time, but the
    /// machine gave the caller's core to others.
    long: usize,
    cut: usize,
    held_up: usize,
    /// The longest prediction after a late one, which waits for a new worker if the old one was killed.
    longest_us: f64,
}

pub(super) fn table(model: &Path, rounds: usize) -> Result<(), Box<dyn Error>> {
    println!(
        "| deadline, {} predictions of each kind | budget, µs | late | back within 0.2 ms of the deadline | after the deadline, µs: median, 99 %, longest | the longest next one, µs | budget of twice the 99 %: cut | in time, but the caller's core was given to others |\n|---|---|---|---|---|---|---|---|",
        rounds * PREDICTIONS
    );
    let mut benches = WAYS
        .iter()
        .map(|&way| Bench::load(model, way, 1))
        .collect::<Result<Vec<_>, _>>()?;
    for (bench, way) in benches.iter_mut().zip(WAYS) {
        let name = match way {
            Isolation::InProcess => "in this process",
            Isolation::Worker => "in a worker",
        };
        let (half, twice) = budgets(bench)?;
        let found = rounds_of(bench, half, twice, rounds)?;
        print(name, half, found);
    }
    println!();
    Ok(())
}

/// Half the median, and twice the 99th percentile.
fn budgets(bench: &mut Bench) -> Result<(Duration, Duration), Box<dyn Error>> {
    let mut times = Vec::new();
    for round in 0..1200 {
        let start = Instant::now();
        bench.predict()?;
        if round >= 200 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let of = |seconds: f64| Duration::from_secs_f64(seconds);
    Ok((of(at(&mut times, 0.5) / 2.0), of(at(&mut times, 0.99) * 2.0)))
}

fn rounds_of(
    bench: &mut Bench,
    half: Duration,
    twice: Duration,
    rounds: usize,
) -> Result<Found, Box<dyn Error>> {
    let mut found = Found::default();
    for _ in 0..rounds {
        for _ in 0..PREDICTIONS {
            // A worker that had to be killed is replaced by a prediction that has time for it.
            bench.model.set_latency_budget(None);
            let start = Instant::now();
            bench.predict()?;
            found.longest_us = found.longest_us.max(start.elapsed().as_secs_f64() * 1e6);
            bench.model.set_latency_budget(Some(half));
            let start = Instant::now();
            let outcome = bench.predict();
            let after = start.elapsed().as_secs_f64() - half.as_secs_f64();
            match outcome {
                Ok(()) => found.in_time += 1,
                Err(locket::Error::Run(_)) => found.after.push(after * 1e6),
                Err(other) => return Err(other.into()),
            }
        }
        bench.model.set_latency_budget(None);
        bench.predict()?;
        bench.model.set_latency_budget(Some(twice));
        for _ in 0..PREDICTIONS {
            found.long += 1;
            let start = Instant::now();
            let is_cut = bench.predict().is_err();
            found.cut += usize::from(is_cut);
            found.held_up += usize::from(!is_cut && start.elapsed() > twice);
        }
    }
    bench.model.set_latency_budget(None);
    Ok(found)
}

fn print(name: &str, half: Duration, mut found: Found) {
    let late = found.after.len();
    let within = found.after.iter().filter(|&&after| after <= ALLOWED_US).count();
    println!(
        "| {name} | {:.0} | {late} of {} | {within} ({:.2} %) | {:.0}, {:.0}, {:.0} | {:.0} | {} of {} | {} |",
        half.as_secs_f64() * 1e6,
        late + found.in_time,
        within as f64 / late.max(1) as f64 * 100.0,
        at(&mut found.after, 0.5),
        at(&mut found.after, 0.99),
        at(&mut found.after, 1.0),
        found.longest_us,
        found.cut,
        found.long,
        found.held_up,
    );
}
