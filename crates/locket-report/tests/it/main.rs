//! Whole documents from whole evidence.

mod sample;

#[test]
fn the_sample_has_three_outcomes() {
    for outcome in ["met", "unproven", "infeasible"] {
        assert!(sample::evidence(outcome).is_some());
    }
}
