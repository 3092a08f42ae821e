//! `locket prove`, in short: everything it tries holds here, and what it writes says the same as what it prints.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use serde_json::Value;

use crate::workplace::Workplace;

#[test]
fn a_short_proof_holds_and_is_written() {
    let workplace = Workplace::new();
    workplace.output("convert model.mlpackage -o out.mlpackage --privacy-manifest");
    let outcome = workplace
        .run("prove --quick --trials 60 --residue 3 --manifest PrivacyInfo.xcprivacy -o evidence --json");
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["holds"], true, "{printed:#}");
    let written: Value = serde_json::from_slice(&workplace.bytes("evidence/prove.json")).unwrap();
    assert_eq!(written, printed["proof"]);
    let page = String::from_utf8(workplace.bytes("evidence/prove.html")).unwrap();
    assert!(page.contains("Every claim holds"));
    let manifest = printed["manifest"].as_array().unwrap();
    let judged = |word: &str| manifest.iter().filter(|line| line["judgement"] == word).count();
    assert_eq!(
        (judged("agrees"), judged("not_measured")),
        (5, 3),
        "{manifest:#?}"
    );
    // Started as root, everything is tried as an ordinary user too.
    let runs = written["runs"].as_array().unwrap();
    let users: Vec<&str> = runs.iter().filter_map(|run| run["user"].as_str()).collect();
    if rustix::process::geteuid().is_root() {
        assert_eq!(users, ["root", "user 65534"]);
    } else {
        assert_eq!(users.len(), 1);
    }
    for run in runs {
        assert!(run["escape"]["rows"].as_array().unwrap().len() >= 70);
        assert_eq!(run["accidents"]["trials"], 60);
        assert!(run["accidents"]["mistakes"].as_array().unwrap().len() >= 10);
        assert!(
            run["accidents"]["killed"].as_u64().unwrap() > 0,
            "the product's policy is in it"
        );
        assert_eq!(run["residue"]["pictures"], 3);
        // Of three files, their pixels and their inputs.
        assert!(run["residue"]["windows"].as_u64().unwrap() > 3000);
        // The worker's control holds pixels and input beside the file, the broker's the file alone: each is looked for and found.
        let control = |place: usize| run["residue"]["places"][place]["control"].as_u64().unwrap();
        assert!(control(0) > 2 * control(1) && control(1) > 100, "{run:#}");
        assert_eq!(run["walls"]["policy_hash"], written["policy_hash"]);
        assert!(!run["covert"].as_array().unwrap().is_empty());
    }
}

#[test]
fn what_cannot_be_proved_on_is_told_in_one_line() {
    let workplace = Workplace::new();
    workplace.text("notes.png", "no picture");
    std::fs::create_dir_all(workplace.path("empty")).unwrap();
    for (arguments, expected) in [
        (
            "prove --data empty",
            "empty: expected JPEG, PNG or WebP files, found none",
        ),
        (
            "prove --data .",
            "photos of .: none of 1 can be used: not a picture that can be read",
        ),
        ("prove --data missing", "missing: "),
        (
            "prove --model model.mlpackage --preprocess recipe.toml",
            "model.mlpackage: expected one file (ONNX or TFLite), found a folder",
        ),
        ("prove --model recipe.toml --preprocess recipe.toml", "not ready"),
        ("prove --trials 0", "--trials"),
        ("prove --manifest missing", "missing: "),
        (
            "prove --manifest notes.png",
            "notes.png: expected a property list in XML",
        ),
    ] {
        let outcome = workplace.run(arguments);
        assert_eq!(outcome.code, Some(1), "{arguments}: {}", outcome.stdout);
        assert!(
            outcome.stderr.contains(expected),
            "{arguments}: {}",
            outcome.stderr
        );
        assert_eq!(
            outcome.stderr.lines().count(),
            1,
            "{arguments}: {}",
            outcome.stderr
        );
    }
}
