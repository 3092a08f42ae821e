//! `--log` and `locket log`: what ran is written down, also by many at once, and nothing of what it ran on.

use crate::workplace::Workplace;

#[test]
fn what_ran_is_written_down_without_content() {
    let workplace = Workplace::new();
    workplace.output("run model.mlpackage --input image=image.npy --output-dir secret-place --log ran.jsonl");
    workplace.output("eval model.mlpackage --data data --preprocess recipe.toml --log ran.jsonl");
    let failed = workplace.run("run model.mlpackage --input image=gone.npy --output-dir out --log ran.jsonl");
    assert_eq!(failed.code, Some(1));
    let text = String::from_utf8(workplace.bytes("ran.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = entries.iter().map(|entry| {
        let text = |key: &str| entry[key].as_str().unwrap();
        (
            text("command"),
            text("outcome"),
            entry["predictions"].as_u64().unwrap(),
        )
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [("run", "done", 1), ("eval", "done", 4), ("run", "failed", 0)]
    );
    assert!(entries[0]["model"].as_str().unwrap().starts_with("blake3:"));
    for word in ["image", "gone", "secret", "data", "npy"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let json = workplace.json("log ran.jsonl");
    assert_eq!((&json["whole"], &json["entries"]), (&true.into(), &3.into()));
    assert_eq!((&json["failed"], &json["predictions"]), (&1.into(), &5.into()));
    assert_eq!(json["head"], entries[2]["hash"]);

    // The last entry cut off: nothing shows it but the head.
    let head = json["head"].as_str().unwrap();
    let two: String = text.split_inclusive('\n').take(2).collect();
    workplace.text("ran.jsonl", &two);
    workplace.output("log ran.jsonl");
    let cut = workplace.run(&format!("log ran.jsonl --head {head}"));
    assert_eq!(cut.code, Some(1));
    assert!(cut.stdout.contains("the log was cut"), "{}", cut.stdout);
    workplace.text(
        "ran.jsonl",
        &two.replacen("\"predictions\":4", "\"predictions\":3", 1),
    );
    let changed = workplace.run("log ran.jsonl");
    assert_eq!(changed.code, Some(1));
    assert!(
        changed.stdout.contains("line 2: the entry is not what"),
        "{}",
        changed.stdout
    );
    // Nothing runs that could not be written down.
    let refused =
        workplace.run("run model.mlpackage --input image=image.npy --output-dir other --log ran.jsonl");
    assert_eq!((refused.code, refused.stderr.lines().count()), (Some(1), 1));
    assert!(
        refused.stderr.contains("ran.jsonl: the last line"),
        "{}",
        refused.stderr
    );
    assert!(!workplace.path("other").exists());
}

#[test]
fn processes_append_at_the_same_time() {
    let workplace = Workplace::new();
    std::thread::scope(|scope| {
        for at in 0..6 {
            let workplace = &workplace;
            scope.spawn(move || {
                workplace.output(&format!(
                    "run model.mlpackage --input image.npy --output-dir out{at} --log ran.jsonl"
                ))
            });
        }
    });
    let json = workplace.json("log ran.jsonl");
    assert_eq!((&json["whole"], &json["entries"]), (&true.into(), &6.into()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(workplace.path("ran.jsonl"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "others may not read it");
    }
}
