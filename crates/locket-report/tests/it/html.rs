//! The page: safe with hostile names, complete without a network, accessible, and never with a broken coordinate.

use std::collections::BTreeSet;

use locket_report::{Evidence, Gauge, GaugeState, LatencyRun, Verdict, html};
use proptest::prelude::{ProptestConfig, any, proptest};
use serde_json::Value;

use crate::sample;

/// Fields whose text is a word of the format, not a name from a model.
const WORDS: [&str; 6] = ["kind", "severity", "decision", "outcome", "limit", "schema"];

fn sample_html(outcome: &str) -> String {
    html(&sample::evidence(outcome).expect("a known outcome"))
}

/// Changes every value of the sample's JSON and gives the page of the result.
fn changed(mut change: impl FnMut(&str, &mut Value)) -> String {
    let evidence = sample::evidence("met").expect("a known outcome");
    let mut value = serde_json::to_value(evidence).expect("plain data");
    walk("", &mut value, &mut change);
    html(&serde_json::from_value(value).expect("a change that keeps the types"))
}

fn walk(key: &str, value: &mut Value, change: &mut impl FnMut(&str, &mut Value)) {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(key, field)| walk(key, field, change)),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(key, item, change)),
        _ => change(key, value),
    }
}

/// The names of all elements and attributes in the page, with the attributes' values.
fn attributes(page: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    // The style sheet is ours and has no markup in it.
    let body = &page[page.find("<body").expect("a body")..];
    for tag in body.split('<').skip(1) {
        let inside = &tag[..tag.find('>').expect("every tag is closed, text is escaped")];
        let name = inside
            .split([' ', '/'])
            .find(|part| !part.is_empty())
            .unwrap_or_default()
            .to_owned();
        let mut rest = inside;
        while let Some(start) = rest.find("=\"") {
            let attribute = rest[..start].rsplit(' ').next().unwrap_or_default().to_owned();
            let value = &rest[start + 2..];
            let end = value.find('"').expect("every attribute is closed");
            found.push((name.clone(), attribute, value[..end].to_owned()));
            rest = &value[end + 1..];
        }
        found.push((name, String::new(), String::new()));
    }
    found
}

/// Every number in a drawing is finite and spelt without an exponent.
fn check_coordinates(page: &str) {
    const NUMBERS: [&str; 11] = [
        "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height",
    ];
    assert!(!page.contains("NaN"), "a number that is none reached the page");
    for (element, attribute, value) in attributes(page) {
        if NUMBERS.contains(&attribute.as_str()) {
            let number: f64 = value.parse().unwrap_or(f64::NAN);
            assert!(
                number.is_finite() && number.abs() <= 1e5,
                "{element} {attribute}={value:?}"
            );
            assert!(
                number >= 0.0 || !["r", "width", "height"].contains(&attribute.as_str()),
                "{element} {attribute}={value:?}"
            );
        } else if attribute == "d" || attribute == "viewBox" {
            let clean = |character: char| character.is_ascii_digit() || " .-MLHVZ".contains(character);
            assert!(value.chars().all(clean), "{element} {attribute}={value:?}");
        } else if attribute == "style" {
            let number = value
                .split_once(':')
                .map_or("", |(_, number)| number)
                .trim_end_matches('%');
            assert!(
                number.parse::<f64>().is_ok_and(f64::is_finite),
                "{element} {attribute}={value:?}"
            );
        }
    }
}

#[test]
fn a_hostile_name_stays_a_name() {
    let hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;</title></style></svg>";
    let page = changed(|key, value| {
        if value.is_string() && !WORDS.contains(&key) {
            *value = Value::from(hostile);
        }
    });
    for forbidden in ["<script", "<img", "<SCRIPT"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let known: BTreeSet<(String, String)> = attributes(&sample_html("met"))
        .into_iter()
        .map(|(element, attribute, _)| (element, attribute))
        .collect();
    for (element, attribute, _) in attributes(&page) {
        assert!(
            known.contains(&(element.clone(), attribute.clone())),
            "new markup: {element} {attribute}"
        );
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    for outcome in ["met", "unproven", "infeasible"] {
        let page = sample_html(outcome);
        for forbidden in [
            "<script", "<link", "<iframe", "<object", " src=", "url(", "@import", "http://", "https://",
            "//cdn",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("default-src 'none'"));
        for (element, attribute, value) in attributes(&page) {
            assert!(
                attribute != "href" || value.starts_with('#'),
                "{element} links to {value}"
            );
            assert!(!attribute.starts_with("on"), "{element} {attribute}");
        }
    }
}

#[test]
fn every_drawing_has_a_title_and_a_description() {
    let page = sample_html("met");
    let drawings: Vec<&str> = page.split("<svg").skip(1).collect();
    assert!(drawings.len() >= 12, "{} drawings", drawings.len());
    for drawing in drawings {
        let head = &drawing[..drawing.find('>').expect("a closed tag")];
        let label = head
            .split("aria-labelledby=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let ids: Vec<&str> = label.expect("every drawing is labelled").split(' ').collect();
        assert!(head.contains("role=\"img\""), "{head}");
        for (element, id) in ["title", "desc"].iter().zip(&ids) {
            let start = format!("<{element} id=\"{id}\">");
            let text = drawing
                .split(&start)
                .nth(1)
                .and_then(|rest| rest.split('<').next());
            assert!(
                text.is_some_and(|text| text.trim().len() > 5),
                "{start} in {head}"
            );
        }
    }
}

#[test]
fn ids_are_unique_and_links_lead_somewhere() {
    let page = sample_html("met");
    let attributes = attributes(&page);
    let ids: Vec<&str> = attributes
        .iter()
        .filter(|one| one.1 == "id")
        .map(|one| one.2.as_str())
        .collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    for (element, attribute, value) in &attributes {
        let target = match attribute.as_str() {
            "href" => value.trim_start_matches('#'),
            "for" => value.as_str(),
            _ => continue,
        };
        assert!(distinct.contains(target), "{element} {attribute}={value}");
    }
}

#[test]
fn modelled_figures_say_so() {
    let count = |page: &str| page.matches("title=\"modelled\">modelled<").count();
    let before = count(&sample_html("met"));
    let page = changed(|key, value| {
        if key == "kind" {
            *value = Value::from("modelled");
        }
    });
    // Four rows of eight figures, three gauges, two latency runs: each must carry the word.
    assert!(
        count(&page) >= before + 35,
        "{before} before, {} after",
        count(&page)
    );
    assert!(!page.contains("title=\"published\""));
}

#[test]
fn a_verdict_that_contradicts_a_gauge_is_called_out() {
    let mut evidence = sample::evidence("met").expect("a known outcome");
    assert_eq!(evidence.contradiction(), None);
    assert!(!html(&evidence).contains("contradicts itself"));
    evidence.gauges.memory = Some(Gauge {
        limit: Some(1e6),
        value: 2e6,
        ..Gauge::default()
    });
    assert!(html(&evidence).contains("contradicts itself"));
    evidence.gauges.memory = Some(Gauge {
        limit: Some(1e6),
        value: f64::NAN,
        ..Gauge::default()
    });
    assert_eq!(
        evidence.gauges.memory.as_ref().map(Gauge::state),
        Some(GaugeState::Exceeded)
    );
    evidence.verdict = Some(Verdict::Infeasible {
        shortfalls: Vec::new(),
    });
    assert_eq!(evidence.contradiction(), None);
}

#[test]
fn empty_evidence_is_a_page_without_drawings() {
    let page = html(&Evidence::default());
    check_coordinates(&page);
    assert!(page.contains("Not judged") && !page.contains("<svg"));
}

#[test]
fn empty_sections_and_missing_numbers_draw_nothing_broken() {
    let page = changed(|_, value| {
        if value.is_f64() {
            *value = Value::Null;
        }
    });
    check_coordinates(&page);

    let mut evidence = sample::evidence("met").expect("a known outcome");
    evidence.latency = vec![LatencyRun::from_samples_ns("none", "nothing", &[], Some(25.0)); 2];
    if let Some(memory) = &mut evidence.memory {
        memory.points.truncate(1);
        memory.at_peak.clear();
    }
    if let Some(profile) = &mut evidence.profile {
        profile
            .operators
            .iter_mut()
            .for_each(|operator| operator.wall_ns = 0);
    }
    evidence.variants.truncate(1);
    let infinite = Some(Gauge {
        limit: Some(f64::INFINITY),
        value: f64::NEG_INFINITY,
        bound: Some(f64::NAN),
        ..Gauge::default()
    });
    evidence.gauges.memory.clone_from(&infinite);
    evidence.gauges.latency.clone_from(&infinite);
    evidence.gauges.accuracy = infinite;
    evidence.budgets.latency_ms = Some(f64::INFINITY);
    evidence.budgets.max_drop = Some(f64::NAN);
    check_coordinates(&html(&evidence));
}

#[test]
fn many_operators_keep_the_page_small() {
    let mut evidence = sample::evidence("met").expect("a known outcome");
    let size = html(&evidence).len();
    let memory = evidence.memory.as_mut().expect("the sample has memory");
    let points = memory.points.clone();
    memory.points = points.into_iter().cycle().take(50_000).collect();
    let page = html(&evidence);
    check_coordinates(&page);
    assert!(page.len() < size + 20_000, "{} bytes", page.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_number_can_break_a_drawing(seed in any::<u64>()) {
        const FLOATS: [f64; 12] =
            [0.0, -0.0, 1e-308, 5e-324, 1e308, -1e308, 1e15, -1.0, 0.007, 25.0, f64::MAX, f64::MIN];
        const COUNTS: [u64; 5] = [0, 1, 2, 1_000_000, u64::MAX];
        let mut state = seed | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as usize
        };
        let page = changed(|key, value| {
            if !next().is_multiple_of(3) || key == "schema" {
                return;
            }
            let small = ["threads", "cores", "chosen", "product"].contains(&key);
            if ["accuracy", "resources", "privacy", "level"].contains(&key) && value.is_number() {
                *value = Value::from(next() % 256);
                return;
            }
            if value.is_f64() {
                *value = Value::from(FLOATS[next() % FLOATS.len()]);
            } else if key.contains("change_bytes") && value.is_number() {
                *value = Value::from([i64::MIN, i64::MAX, 0][next() % 3]);
            } else if value.is_u64() {
                *value = Value::from(if small { u64::from(u32::MAX) } else { COUNTS[next() % COUNTS.len()] });
            }
        });
        check_coordinates(&page);
    }
}
