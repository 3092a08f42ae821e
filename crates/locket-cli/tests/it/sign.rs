//! `locket sign` and `locket verify`: what was changed, lost or added afterwards is told.

use crate::workplace::Workplace;

#[test]
fn a_signed_package_is_verified_until_a_byte_of_it_changes() {
    let workplace = Workplace::new();
    workplace.output("sign --new-key my.key");
    workplace.output("sign --new-key other.key");
    let signed = workplace.json("sign model.mlpackage/ --key my.key");
    assert!(signed["files"].as_u64().unwrap() >= 3, "{signed}");
    let verified = workplace.json("verify model.mlpackage --key my.key.pub");
    assert_eq!(verified["as_signed"], true);
    assert_eq!(
        (&verified["bytes"], &verified["public_key"]),
        (&signed["bytes"], &signed["public_key"])
    );

    let refused = workplace.run("verify model.mlpackage --key other.key.pub");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("signed by another key"),
        "{}",
        refused.stderr
    );

    let manifest = workplace.bytes("model.mlpackage/Manifest.json");
    workplace.text("model.mlpackage/Manifest.json", "{}");
    workplace.text("model.mlpackage/more.txt", "added");
    let changed = workplace.run("verify model.mlpackage --key my.key.pub");
    assert_eq!(changed.code, Some(1));
    for line in ["Manifest.json  changed", "more.txt       added"] {
        assert!(changed.stdout.contains(line), "{}", changed.stdout);
    }
    std::fs::remove_file(workplace.path("model.mlpackage/more.txt")).unwrap();
    std::fs::write(workplace.path("model.mlpackage/Manifest.json"), manifest).unwrap();
    workplace.output("verify model.mlpackage --key my.key.pub");
}

#[test]
fn mistakes_with_keys_are_told_in_one_line() {
    let workplace = Workplace::new();
    workplace.output("sign --new-key my.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(workplace.path("my.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "others may not read it");
    }
    for (arguments, expected) in [
        ("sign --new-key my.key", "my.key.pub: "),
        ("sign recipe.toml --key my.key.pub", "expected a secret key"),
        ("sign recipe.toml", "--key"),
        (
            "sign model.mlpackage --key my.key -o model.mlpackage/sig",
            "outside the folder",
        ),
        ("verify recipe.toml --key my.key", "expected a public key"),
        ("verify recipe.toml --key my.key.pub", "recipe.toml.locket-sig"),
        (
            "verify recipe.toml --key my.key.pub --signature recipe.toml",
            "expected a list of files and a signature",
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
