//! A proof holds only as a whole: each count that is not what is demanded makes a claim fail, and the page says so.

use locket_report::{
    proof::{
        Accidents, Escape, EscapeColumn, EscapeOutcome, EscapeRow, Fate, Hostile, Imports, MistakeRow, Proof,
        ProofRun, Residue, ResiduePlace, Walls,
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
