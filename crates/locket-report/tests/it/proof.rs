//! A proof holds only as a whole: each count that is not what is demanded makes a claim fail, and the page says so.

use locket_report::{
    proof::{
        Accidents, CATEGORIES, CategoryImports, Escape, EscapeColumn, EscapeOutcome, EscapeRow, Fate,
        Hostile, Imports, Judgement, Manifest, MistakeRow, Proof, ProofRun, Residue, ResiduePlace, Walls,
    },
    proof_html,
};

fn outcome(fate: Fate) -> EscapeOutcome {
    EscapeOutcome {
        fate,
        how: "forbidden".to_owned(),
    }
}

/// Invented counts under which every claim holds.
fn sample() -> Proof {
    let column = |name: &str, whole| EscapeColumn {
        name: name.to_owned(),
        whole,
    };
    let row = |name: &str, not_testable: Option<&str>| EscapeRow {
        family: "network".to_owned(),
        name: name.to_owned(),
        what: "send <b>bytes</b>".to_owned(),
        outcomes: match not_testable {
            Some(_) => Vec::new(),
            None => vec![
                outcome(Fate::Blocked),
                outcome(Fate::Reached),
                outcome(Fate::Blocked),
            ],
        },
        not_testable: not_testable.map(str::to_owned),
        walls: 2,
    };
    let run = ProofRun {
        user: "root".to_owned(),
        escape: Escape {
            columns: vec![
                column("namespaces", false),
                column("limits", false),
                column("all", true),
            ],
            rows: vec![
                row("tcp", None),
                row("udp", None),
                row("vsock", Some("no device")),
            ],
        },
        hostile: Hostile {
            trials: 100,
            controls: (10, 10),
            upper_bound: 0.045,
            ..Hostile::default()
        },
        accidents: Accidents {
            trials: 100,
            answered: (50, 50),
            clean: (10, 10),
            stages: vec!["decoded".to_owned(), "inferred".to_owned()],
            mistakes: vec![MistakeRow {
                name: "telemetry".to_owned(),
                controls: 2,
                trials: 90,
                killed: 45,
                ..MistakeRow::default()
            }],
            upper_bound: 0.045,
            ..Accidents::default()
        },
        residue: Some(Residue {
            pictures: 10,
            windows: 1000,
            places: vec![ResiduePlace {
                name: "worker".to_owned(),
                control: 90,
                ..ResiduePlace::default()
            }],
        }),
        walls: Walls {
            policy_hash: "a325".to_owned(),
            ..Walls::default()
        },
        ..ProofRun::default()
    };
    Proof {
        confidence: 0.99,
        policy_hash: "a325".to_owned(),
        imports: Imports {
            all: 100,
            looked_for: vec!["socket".to_owned()],
            found: Vec::new(),
        },
        runs: vec![run],
        ..Proof::default()
    }
}

#[test]
fn a_proof_holds_only_if_every_count_is_as_demanded() {
    let proof = sample();
    assert!(proof.holds(), "{:?}", proof.claims());
    assert_eq!(proof.claims().len(), 7);
    let changes: [(&str, fn(&mut Proof)); 15] = [
        ("no run", |proof| proof.runs.clear()),
        ("an attempt got out", |proof| {
            proof.runs[0].escape.rows[0].outcomes[2].fate = Fate::Reached;
        }),
        ("an attempt was not tried", |proof| {
            proof.runs[0].escape.rows[0].outcomes[2].fate = Fate::Untried;
        }),
        ("an outcome is missing", |proof| {
            proof.runs[0].escape.rows[0].outcomes.truncate(2);
        }),
        ("no column has all layers", |proof| {
            proof.runs[0].escape.columns[2].whole = false;
        }),
        ("one layer only", |proof| proof.runs[0].escape.rows[0].walls = 1),
        ("a hostile hit", |proof| proof.runs[0].hostile.hits = 1),
        ("a blind canary", |proof| proof.runs[0].hostile.controls.0 = 9),
        ("an upload", |proof| proof.runs[0].accidents.hits = 1),
        ("no clean trial answered", |proof| {
            proof.runs[0].accidents.clean.1 = 9;
        }),
        ("a mistake that no canary sees", |proof| {
            proof.runs[0].accidents.mistakes[0].controls = 1;
        }),
        ("residue", |proof| {
            if let Some(residue) = &mut proof.runs[0].residue {
                residue.places[0].found = 1;
            }
        }),
        ("a scan that finds nothing", |proof| {
            if let Some(residue) = &mut proof.runs[0].residue {
                residue.places[0].control = 0;
            }
        }),
        ("another policy", |proof| {
            proof.runs[0].walls.policy_hash = "b".to_owned();
        }),
        ("a network function", |proof| {
            proof.imports.found = vec!["socket".to_owned()];
        }),
    ];
    for (what, change) in changes {
        let mut proof = sample();
        change(&mut proof);
        assert!(!proof.holds(), "{what}");
        let page = proof_html(&proof);
        assert!(!page.contains("Every claim holds"), "{what}");
    }
}

#[test]
fn the_page_says_what_was_found_and_escapes_what_it_quotes() {
    let page = proof_html(&sample());
    for text in [
        "Every claim holds",
        "2 of 2; 1 not testable here",
        "not testable here: no device",
        "send &lt;b&gt;bytes&lt;/b&gt;",
        "default-src 'none'",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let run = &sample().runs[0];
    assert_eq!(ProofRun::from_json(&run.to_json()).as_ref(), Some(run));
    assert_eq!(ProofRun::from_json("nothing"), None);
}

const TIMES: &str = "NSPrivacyAccessedAPICategoryFileTimestamp";
const SPACE: &str = "NSPrivacyAccessedAPICategoryDiskSpace";
const START: &str = "NSPrivacyAccessedAPICategorySystemBootTime";

/// The sample with attempts at what needs a reason, and a manifest that says no to everything.
fn with_manifest() -> Proof {
    let mut proof = sample();
    let escape = &mut proof.runs[0].escape;
    for name in ["size", "statx", "file-system"] {
        let mut row = escape.rows[0].clone();
        (row.family, row.name) = ("files".to_owned(), name.to_owned());
        escape.rows.push(row);
    }
    let imports = CATEGORIES.map(|category| CategoryImports {
        category: category.name.to_owned(),
        found: Vec::new(),
    });
    proof.manifest = Some(Manifest {
        file: "PrivacyInfo.xcprivacy".to_owned(),
        imports: imports.to_vec(),
        ..Manifest::default()
    });
    proof
}

fn judged(proof: &Proof, key: &str) -> Judgement {
    let lines = proof.manifest_lines();
    let line = lines.iter().find(|line| line.key == key);
    line.unwrap_or_else(|| panic!("no line on {key}")).judgement
}

#[test]
fn a_manifest_that_says_no_fails_where_something_was_seen() {
    let proof = with_manifest();
    assert!(proof.holds(), "{:?}", proof.claims());
    assert_eq!(proof.manifest_lines().len(), 8);
    for key in [
        "NSPrivacyTracking",
        "NSPrivacyTrackingDomains",
        "NSPrivacyCollectedDataTypes",
        TIMES,
        SPACE,
    ] {
        assert_eq!(judged(&proof, key), Judgement::Agrees, "{key}");
    }
    assert_eq!(judged(&proof, START), Judgement::NotMeasured);
    let cases: [(fn(&mut Proof), &[&str]); 8] = [
        (
            |proof| proof.runs[0].hostile.hits = 1,
            &["NSPrivacyTracking", "NSPrivacyCollectedDataTypes"],
        ),
        (
            |proof| proof.runs[0].accidents.hits = 1,
            &["NSPrivacyTracking", "NSPrivacyCollectedDataTypes"],
        ),
        (
            |proof| proof.runs[0].escape.rows[0].outcomes[2].fate = Fate::Reached,
            &[
                "NSPrivacyTracking",
                "NSPrivacyTrackingDomains",
                "NSPrivacyCollectedDataTypes",
            ],
        ),
        (
            |proof| proof.imports.found = vec!["connect".to_owned()],
            &["NSPrivacyTracking", "NSPrivacyTrackingDomains"],
        ),
        (
            |proof| proof.runs[0].escape.rows[4].outcomes[2].fate = Fate::Reached,
            &["NSPrivacyTracking", "NSPrivacyCollectedDataTypes", TIMES],
        ),
        (
            |proof| proof.runs[0].escape.rows[5].outcomes[2].fate = Fate::Reached,
            &["NSPrivacyTracking", "NSPrivacyCollectedDataTypes", SPACE],
        ),
        // An import is no use, as long as the worker was seen to be refused it.
        (|proof| imported(proof, 0), &[]),
        (|proof| imported(proof, 1), &[START]),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut proof = with_manifest();
        change(&mut proof);
        let lines = proof.manifest_lines();
        let against = lines
            .iter()
            .filter(|line| line.judgement == Judgement::Contradicted);
        assert_eq!(
            against.map(|line| line.key).collect::<Vec<_>>(),
            expected,
            "{index}"
        );
        let claim = proof.claims().pop().expect("the last claim is the manifest's");
        assert_eq!(claim.holds, expected.is_empty(), "{index}");
        assert!(
            expected.iter().all(|key| claim.found.contains(key)),
            "{}",
            claim.found
        );
        assert!(!claim.holds <= !proof.holds(), "{index}");
        assert_eq!(
            proof_html(&proof).contains(">contradicted<"),
            !expected.is_empty(),
            "{index}"
        );
    }
}

fn imported(proof: &mut Proof, category: usize) {
    if let Some(manifest) = &mut proof.manifest {
        manifest.imports[category].found = vec!["some_function".to_owned()];
    }
}

#[test]
fn a_manifest_that_declares_it_is_not_contradicted() {
    let mut proof = with_manifest();
    proof.runs[0].escape.rows[5].outcomes[2].fate = Fate::Reached;
    proof.imports.found = vec!["connect".to_owned()];
    let manifest = proof.manifest.as_mut().expect("set above");
    manifest.tracking = true;
    manifest.tracking_domains = vec!["a.example".to_owned()];
    manifest.collected = vec!["NSPrivacyCollectedDataTypePhotosorVideos".to_owned()];
    manifest.accessed = vec![SPACE.to_owned()];
    let lines = proof.manifest_lines();
    assert!(
        lines.iter().all(|line| line.judgement != Judgement::Contradicted),
        "{lines:?}"
    );
    // What was not run shows nothing.
    proof.runs.clear();
    proof.imports.found.clear();
    let lines = proof.manifest_lines();
    assert!(
        lines.iter().all(|line| line.judgement == Judgement::NotMeasured),
        "{lines:?}"
    );
    assert!(!proof.claims().last().expect("the manifest's").holds);
}
