//! Random hostile workers, in short; the whole count is run by hand.

use locket_sandbox::trials::{TrialOptions, trials, upper_bound};

use super::program;

#[test]
fn random_hostile_workers_reach_no_canary() {
    let options = TrialOptions {
        program: program(),
        count: 150,
        seed: 1,
        confidence: 0.95,
    };
    let found = trials(&options, &mut |_, _| {}).expect("canaries and workers");
    assert_eq!(found.hits, 0, "{found:?}");
    assert_eq!(found.controls, (10, 10), "the canaries see what has no layer");
    assert!(found.calls > 1000, "{found:?}");
    assert!((found.upper_bound - upper_bound(0, 150, 0.95)).abs() < 1e-12);
    assert!(found.upper_bound < 0.02);
}
