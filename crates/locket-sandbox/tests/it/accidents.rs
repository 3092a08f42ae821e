//! A program that makes mistakes with what it works on: all of them get out without layers, none with them.

use locket_sandbox::{
    Options, Policy,
    accidents::{AccidentOptions, accidents},
};

use super::{options, probe};

const STAGES: [&str; 2] = ["received", "summed"];

fn pictures() -> Vec<Vec<u8>> {
    (1..5_u8)
        .map(|n| (0..600_u32).map(|at| (at as u8).wrapping_mul(n)).collect())
        .collect()
}

#[test]
fn mistakes_get_out_without_layers_and_not_with_them() {
    let pictures = pictures();
    let found = accidents(
        &AccidentOptions {
            worker: &|policy: Policy| Ok(probe("careless", Options { policy, ..options() })),
            stages: &STAGES,
            pictures: &pictures,
            count: 120,
            seed: 1,
            confidence: 0.95,
        },
        &mut |_, _| {},
    )
    .expect("canaries and workers");
    let (reached, made) = found.controls();
    assert_eq!(
        reached, made,
        "every mistake is seen where there is no layer: {found:?}"
    );
    assert!(found.mistakes.len() >= 10);
    assert_eq!(found.hits, 0, "{found:?}");
    assert!(found.upper_bound < 0.025, "{found:?}");
    // The work goes on: what has no mistake is answered, rightly, and much of the rest as well.
    assert_eq!(found.clean.0, found.clean.1, "{found:?}");
    assert!(found.clean.0 > 0 && found.killed > 0, "{found:?}");
    assert_eq!(found.right, found.answered, "{found:?}");
    assert_eq!(
        found.killed + found.answered + found.failed,
        found.count,
        "{found:?}"
    );
}
