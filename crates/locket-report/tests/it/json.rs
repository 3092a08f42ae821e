//! The JSON form: what is written is read back, and nothing else is.

use expect_test::{Expect, expect};
use locket_report::{Evidence, Figure, LayerSensitivity, Step};

use crate::sample;

#[test]
fn evidence_survives_the_round_trip() {
    for outcome in ["met", "unproven", "infeasible"] {
        let mut evidence = sample::evidence(outcome).expect("the sample knows this outcome");
        let text = evidence.to_json();
        let read = Evidence::from_json(&text).expect("our own text");
        assert_eq!(read.to_json(), text);
        // Not-a-number is not equal to itself, so equality needs evidence without it.
        evidence.sensitivity = None;
        assert_eq!(
            Evidence::from_json(&evidence.to_json()).expect("our own text"),
            evidence
        );
    }
}

#[test]
fn numbers_that_json_cannot_spell_come_back_as_not_a_number() {
    let step = Step {
        latency_p50_ms: Some(Figure::measured(f64::INFINITY)),
        ..Step::default()
    };
    let text = Evidence {
        steps: vec![step],
        ..Evidence::default()
    }
    .to_json();
    let read = Evidence::from_json(&text).expect("null is read");
    let figure = read.steps[0].latency_p50_ms.expect("the figure is there");
    assert!(figure.value.is_nan());

    let layer = LayerSensitivity {
        divergence_nats: vec![f64::NAN, 0.5],
        ..LayerSensitivity::default()
    };
    let text = serde_json::to_string(&layer).expect("plain data");
    let read: LayerSensitivity = serde_json::from_str(&text).expect("null is read");
    assert!(read.divergence_nats[0].is_nan() && read.divergence_nats[1] == 0.5);
}

#[test]
fn a_minimal_object_is_enough() {
    let text = r#"{"schema": 1, "title": "m", "provenance": {"tool_version": "", "date": "", "command_line": "",
        "machine": {"cpu": "", "cores": 1, "instruction_set": "", "kernel": ""}, "threads": 1, "seed": 0,
        "source": {"path": "", "hash": "", "format": "", "file_bytes": 0, "parameters": 0, "macs": 0}}}"#;
    let evidence = Evidence::from_json(text).expect("every section is optional");
    assert_eq!(evidence.title, "m");
    assert!(evidence.verdict.is_none() && evidence.steps.is_empty());
}

#[test]
fn another_schema_is_refused() {
    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&Evidence::from_json(text).expect_err("not evidence").to_string());
    }
    check(
        r#"{"schema": 2}"#,
        expect!["not evidence of schema 1: expected schema 1, found 2 at line 1 column 13"],
    );
    check(
        r#"{"title": "x"}"#,
        expect!["not evidence of schema 1: missing field `schema` at line 1 column 14"],
    );
    check(
        "",
        expect!["not evidence of schema 1: EOF while parsing a value at line 1 column 0"],
    );
}
