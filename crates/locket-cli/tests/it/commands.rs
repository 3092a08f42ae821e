//! What commands print on a small model: everything that does not depend on the machine.

use expect_test::expect;
use locket_data::NpyArray;

use crate::workplace::Workplace;

#[test]
fn inspect_says_what_the_model_is() {
    let workplace = Workplace::new();
    let text = workplace.output("inspect model.mlpackage --threads 1 --isa scalar --memory 8MB");
    expect![[r#"
        model          model.mlpackage
        format         Core ML, 3.0 kB, operators of ios15
        input          image: fp32[1, 2, 4, 4]
        output         scores: fp32[1, 3]
        parameters     87 in 397 B
        multiply-adds  1,237

        operator     count
        ───────────  ─────  ────────────────────
        conv             1  ████████████████████
        linear           1  ████████████████████
        reduce_mean      1  ████████████████████
        relu             1  ████████████████████
        softmax          1  ████████████████████

        peak memory                 size
        ────────────────────────  ──────  ───────────
        weights, as packed         832 B
        tensors                    384 B
        scratch                    192 B
        ────────────────────────  ──────  ───────────
        all, exact from the plan  1.4 kB  within 8 MB

        most tensors are alive at step 1 of 4, c: 384 B

        alive at the peak   size
        ─────────────────  ─────  ──────────────
        r                  256 B  █████████████▍
        image              128 B  ██████▋
    "#]]
    .assert_eq(&text);
    let outcome = workplace.run("inspect model.mlpackage --memory 100B");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("over 100 B by"), "{}", outcome.stdout);
    let json = workplace.json("inspect model.mlpackage");
    assert_eq!(json["schema"], 1);
    // The writer spells out the bias of the layer, which is zero.
    assert_eq!(json["parameters"], 4 * 2 * 9 + 3 * 4 + 3);
    let memory = &json["memory"];
    let sum = ["arena_bytes", "scratch_bytes", "weight_bytes"].map(|key| memory[key].as_u64().unwrap());
    assert_eq!(memory["peak_bytes"].as_u64(), Some(sum.iter().sum()));
}

#[test]
fn conversion_is_reproducible_and_runs_to_the_same_outputs() {
    let workplace = Workplace::new();
    let text = workplace.output("convert model.mlpackage -o one.mlpackage --precision f32 --target ios16");
    expect![[r#"
        package     one.mlpackage
        runs from   ios16 (iOS 16, macOS 13, watchOS 9)
        operations  15
        size        2.9 kB: weights 560 B, program 1.8 kB; the source is 3.0 kB
    "#]]
    .assert_eq(&text);
    workplace.output("convert model.mlpackage -o two.mlpackage --precision f32 --target ios16");
    for file in ["Manifest.json", "Data/com.apple.CoreML/model.mlmodel"] {
        let (one, two) = (format!("one.mlpackage/{file}"), format!("two.mlpackage/{file}"));
        assert_eq!(workplace.bytes(one), workplace.bytes(two), "{file}");
    }
    workplace.output("run model.mlpackage --input image.npy --output-dir first");
    workplace.output("run one.mlpackage --input image=image.npy --output-dir second");
    let read = |folder: &str| NpyArray::read(&workplace.path(folder).join("scores.npy")).unwrap();
    let (first, second) = (read("first"), read("second"));
    assert_eq!(first.shape(), [1, 3]);
    let sum: f32 = first.to_f32().iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "a softmax sums to one, found {sum}");
    locket_testkit::assert_close(
        &second.to_f32(),
        &first.to_f32(),
        locket_testkit::Tolerance::FLOAT32,
    );
}

#[test]
fn eval_writes_the_predictions_that_it_counts() {
    let workplace = Workplace::new();
    let json =
        workplace.json("eval model.mlpackage --data data --preprocess recipe.toml --predictions out.npy");
    assert_eq!(
        (json["samples"].as_u64(), json["classes"].as_u64()),
        (Some(4), Some(3))
    );
    // With three classes every label is among the first five.
    assert_eq!(json["top5"]["right"], 4);
    let scores = NpyArray::read(&workplace.path("out.npy")).unwrap();
    assert_eq!(scores.shape(), [4, 3]);
    let right = scores
        .to_f32()
        .chunks_exact(3)
        .zip([0, 1, 2, 1])
        .filter(|(row, label)| locket_data::statistics::scores::argmax(row) == Some(*label))
        .count();
    assert_eq!(json["top1"]["right"], right);
    let limited = workplace.json("eval model.mlpackage --data data --preprocess recipe.toml --limit 2");
    assert_eq!(limited["samples"], 2);
}

#[test]
fn bench_prints_the_keys_of_the_comparison_and_of_the_tail() {
    let workplace = Workplace::new();
    let text = workplace
        .output("bench model.mlpackage --threads 1 --iters 20 --max-time 5 --latency 1s --pin 0 --json");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected: Vec<&str> =
        "runtime version model threads iters load_ms first_ms min_us p10_us p50_us p90_us p99_us \
                                   p999_us max_us mean_us cpu_per_wall rss_base_kb rss_peak_kb planned_kb \
                                   minor_faults major_faults involuntary_switches overrun_bound"
            .split_whitespace()
            .collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(line["runtime"], "locket");
    assert!(line["iters"].as_u64() >= Some(20), "{line}");
    let times = [
        "min_us", "p10_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us",
    ]
    .map(|key| line[key].as_f64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert!(line["rss_peak_kb"].as_u64() >= line["rss_base_kb"].as_u64());
}

#[test]
fn bench_in_bf16_tells_how_far_it_is_from_float32() {
    let workplace = Workplace::new();
    let text = workplace.output("bench model.mlpackage --threads 1 --iters 5 --precision bf16 --json");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let difference = &line["against_float32"];
    let ratio = difference["signal_to_noise_db"].as_f64().unwrap();
    assert!((20.0..90.0).contains(&ratio), "{line}");
    assert!(difference["greatest_relative"].as_f64().unwrap() < 0.1, "{line}");
    let text = workplace.output("bench model.mlpackage --threads 1 --iters 5 --precision bf16");
    assert!(text.contains("bf16 against float32 on these inputs: "), "{text}");
}

#[test]
fn profile_covers_every_operator_and_writes_a_trace() {
    let workplace = Workplace::new();
    let json = workplace.json("profile model.mlpackage --runs 5 --trace trace.json");
    let operators = json["operators"].as_array().unwrap();
    let share: f64 = operators.iter().map(|row| row["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    // Whether a machine counts is its own affair; what is said must agree.
    let counted = json["cycles"].is_u64();
    assert_eq!(counted, json["instructions"].is_u64());
    assert!(operators.iter().all(|row| row["cycles"].is_u64() == counted));
    let trace: serde_json::Value = serde_json::from_slice(&workplace.bytes("trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans = events.iter().filter(|event| event["ph"] == "X").count();
    assert_eq!(spans, operators.len());
    let text = workplace.output("profile model.mlpackage --runs 3");
    assert_eq!(
        text.contains("this machine gives no counters"),
        !counted,
        "{text}"
    );
}

#[test]
fn compress_reports_what_it_did() {
    let workplace = Workplace::new();
    let json = workplace
        .json("compress model.mlpackage --recipe w8 --data data --preprocess recipe.toml -o small.mlpackage");
    assert_eq!(json["recipe"], "w8");
    assert_eq!(json["agreement"]["measured_on"], "data");
    assert_eq!(json["agreement"]["samples"], 4);
    assert!(workplace.path("small.mlpackage").join("Manifest.json").is_file());
}

#[test]
fn check_answers_with_its_exit_code() {
    let workplace = Workplace::new();
    assert_eq!(workplace.json("check model.mlpackage")["lowest_target"], "ios15");
    assert_eq!(
        workplace.json("check model.mlpackage --target ios17")["deployable"],
        true
    );
}

#[test]
fn devices_say_how_figures_are_known() {
    let workplace = Workplace::new();
    expect![[r#"
        watch-series-7: Apple Watch Series 7 (S7): a model beside a live camera or sensor view at 30 frames a second

        budget   value           why
        ───────  ──────  ──────  ─────────────────────────────────────────────────────────────────────────────────────
        memory   8MB     chosen  about half of the 15 MB that extensions get, so that the rest of the program has room
        latency  25ms    chosen  a frame at 30 frames a second less 8 ms for everything else
        frame    33.3ms  chosen  30 frames a second

        what is known             value                         how        source
        ────────────────────────  ────────────────────────────  ─────────  ───────────────────────────────────────────────────────────────────────────────────────────────────────
        memory of an extension    15 MB                         measured   EXC_RESOURCE limit=15 MB, reported in Apple developer forums thread 744726
        main memory               about 1 GB                    modelled   assumed from teardowns of sibling models; Apple does not state it
        Neural Engine             2 cores, of the A13's kind    published  github.com/hollance/neural-engine, supported-devices.md
        effective float16 rate    0.4 TFLOPS                    modelled   derived: 2 of the A13's 8 cores, of about 6 TOPS claimed, at 25 % (what was measured on an M1)
        sustained processor time  limited in extended sessions  published  Apple documentation: sessions are ended when the mean CPU use over 60 s is too high; no number is given

        not known: how long a model takes on the watch: nothing was run on one, and Apple publishes no benchmark for it
    "#]].assert_eq(&workplace.output("devices watch-series-7"));
    let all = workplace.json("devices");
    assert_eq!(all["devices"].as_array().map(Vec::len), Some(6));
}

#[test]
fn hwbench_marks_one_choice_for_each_shape() {
    let workplace = Workplace::new();
    let json = workplace.json("hwbench model.mlpackage --runs 3");
    let rows = json["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["operator"] == "locket.conv"), "{json}");
    for row in rows {
        let candidates = row["candidates"].as_array().unwrap();
        let chosen = candidates.iter().filter(|candidate| candidate["chosen"] == true);
        assert_eq!(chosen.count(), 1, "{row}");
    }
    assert!(json["roofline"]["u8_gmac_per_s"].as_f64().unwrap() > 0.0);
    let text = workplace.output("hwbench model.mlpackage --runs 3");
    assert!(text.contains("of the roofline"), "{text}");
}

#[test]
fn compiled_models_run_to_the_same_outputs() {
    let workplace = Workplace::new();
    let json = workplace.json("compile model.mlpackage -o model.locket --target-isa scalar");
    assert_eq!(json["targets"][0]["isa"], "scalar");
    workplace.output("run model.mlpackage --input image.npy --output-dir source --isa scalar");
    workplace.output("run model.locket --input image.npy --output-dir compiled");
    let read = |folder: &str| std::fs::read(workplace.path(folder).join("scores.npy")).unwrap();
    assert_eq!(read("source"), read("compiled"));
    workplace.json("profile model.locket --runs 2");
    let inspected = workplace.run("inspect model.locket");
    assert_eq!(inspected.code, Some(1));
    assert!(
        inspected.stderr.contains("compiled model"),
        "{}",
        inspected.stderr
    );
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let workplace = Workplace::new();
    let (bash, man) = (workplace.output("completions bash"), workplace.output("man"));
    for command in ["inspect", "convert", "eval", "profile", "compress"] {
        assert!(bash.contains(command), "{command}");
        assert!(man.contains(command), "{command}");
    }
}

#[test]
fn optimize_writes_a_package_with_the_evidence_and_a_report_in_either_form() {
    let workplace = Workplace::new();
    let arguments = "optimize model.mlpackage --calib data --data data --preprocess recipe.toml --size 1kB";
    for (format, start) in [("md", "# "), ("html", "<!DOCTYPE html>")] {
        let outcome = workplace.run(&format!("{arguments} --format {format} -o {format}"));
        // No package of this model is below a kilobyte: the refusal names the limit.
        assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
        assert!(outcome.stdout.contains("size not met"), "{}", outcome.stdout);
        let report = String::from_utf8(workplace.bytes(format!("{format}/report.{format}"))).unwrap();
        assert!(report.starts_with(start), "{}", &report[..40]);
        assert!(report.contains("a package of at most"), "the limit is named");
        let evidence: serde_json::Value =
            serde_json::from_slice(&workplace.bytes(format!("{format}/evidence.json"))).unwrap();
        assert_eq!(evidence["verdict"]["outcome"], "infeasible");
        let again = workplace.json(&format!(
            "eval {format}/model.mlpackage --data data --preprocess recipe.toml"
        ));
        let steps = evidence["steps"].as_array().unwrap();
        let chosen = steps
            .iter()
            .rev()
            .find(|step| step["decision"] != "refused")
            .unwrap();
        assert_eq!(again["top1"]["share"], chosen["top1"]["value"]);
    }
}

#[test]
fn a_privacy_manifest_is_written_beside_the_package_and_replaces_nothing() {
    let workplace = Workplace::new();
    let json = workplace.json("convert model.mlpackage -o one.mlpackage --privacy-manifest");
    assert_eq!(json["privacy_manifest"], "PrivacyInfo.xcprivacy");
    let first = workplace.bytes("PrivacyInfo.xcprivacy");
    assert!(first.starts_with(b"<?xml"));
    workplace.output("convert model.mlpackage -o two.mlpackage --privacy-manifest");
    assert_eq!(workplace.bytes("PrivacyInfo.xcprivacy"), first);
    workplace.text("PrivacyInfo.xcprivacy", "<plist/>");
    let refused = workplace.run("convert model.mlpackage -o three.mlpackage --privacy-manifest");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("is not replaced"), "{}", refused.stderr);
    assert!(!workplace.path("three.mlpackage").exists());
    assert_eq!(workplace.bytes("PrivacyInfo.xcprivacy"), b"<plist/>");
}
