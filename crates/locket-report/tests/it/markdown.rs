//! The brief, as a person reads it.

use expect_test::{expect, expect_file};
use locket_report::{Evidence, Verdict, markdown};

use crate::sample;

#[test]
fn the_brief_says_what_the_report_says() {
    let evidence = sample::evidence("met").expect("a known outcome");
    expect_file!["snapshots/brief.md"].assert_eq(&markdown(&evidence));
}

#[test]
fn an_infeasible_brief_names_the_limit_and_the_fix() {
    let brief = markdown(&sample::evidence("infeasible").expect("a known outcome"));
    let opening: Vec<&str> = brief.lines().filter(|line| !line.is_empty()).take(6).collect();
    expect![[r#"
        # Example classifier: Locket report
        **Sample data: every figure is invented.**
        **It does not fit.** The best variant found misses the memory limit by 900 kB.
        12.4 MB down to 3.13 MB by 8-bit quantisation, to 2.31 MB by pruning; p99 latency 60.1 ms (modelled) to 20.9 ms (modelled); top-1 within 0.54 % of the source with 95 % confidence.
        Memory: Running the first two blocks tile by tile would take 1.3 MB off the peak (modelled) at 0.8 ms.
        Asked for watch-series-7: at most 6 MB of memory, 25 ms of the 33 ms frame, accuracy drop at most 0.7 %."#]]
    .assert_eq(&opening.join("\n"));
}

#[test]
fn empty_evidence_gives_a_short_brief() {
    let brief = markdown(&Evidence {
        title: "m".to_owned(),
        ..Evidence::default()
    });
    assert!(brief.contains("Not judged"), "{brief}");
    assert!(!brief.contains("NaN"), "{brief}");
}

#[test]
fn names_cannot_become_markup() {
    let title = "<script>a|b</script> [x](y) **z**\n# heading".to_owned();
    let brief = markdown(&Evidence {
        title,
        verdict: Some(Verdict::Met),
        ..Evidence::default()
    });
    assert_eq!(
        brief.lines().next(),
        Some(r"# \<script\>a\|b\</script\> \[x\](y) \*\*z\*\* \# heading: Locket report")
    );
}
