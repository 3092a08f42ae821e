//! What commands print on a small model: everything that does not depend on the machine.

use expect_test::expect;
use locket_data::NpyArray;

use crate::workplace::Workplace;

#[test]
fn inspect_says_what_the_model_is() {
    let workplace = Workplace::new();
    let text = workplace.output("inspect model.mlpackage --threads 1 --isa scalar --memory 8MB");
    expect![[""]].assert_eq(&text);
    let outcome = workplace.run("inspect model.mlpackage --memory 100B");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("over 100 B by"), "{}", outcome.stdout);
    let json = workplace.json("inspect model.mlpackage");
    assert_eq!(json["schema"], 1);
    assert_eq!(json["parameters"], 4 * 2 * 9 + 3 * 4);
    let memory = &json["memory"];
    let sum = ["arena_bytes", "scratch_bytes", "weight_bytes"].map(|key| memory[key].as_u64().unwrap());
    assert_eq!(memory["peak_bytes"].as_u64(), Some(sum.iter().sum()));
}

#[test]
fn conversion_is_reproducible_and_runs_to_the_same_outputs() {
    let workplace = Workplace::new();
    let text = workplace.output("convert model.mlpackage -o one.mlpackage --precision f32 --target ios16");
    expect![[""]].assert_eq(&text);
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
    locket_testkit::assert_close(&second.to_f32(), &first.to_f32(), locket_testkit::Tolerance::FLOAT32);
}

#[test]
fn eval_writes_the_predictions_that_it_counts() {
    let workplace = Workplace::new();
    let json = workplace.json("eval model.mlpackage --data data --preprocess recipe.toml --predictions out.npy");
    assert_eq!((json["samples"].as_u64(), json["classes"].as_u64()), (Some(4), Some(3)));
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
fn bench_prints_exactly_the_keys_of_the_comparison() {
    let workplace = Workplace::new();
    let text = workplace.output("bench model.mlpackage --threads 1 --iters 20 --max-time 5 --json");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected: Vec<&str> = "runtime version model threads iters load_ms first_ms min_us p10_us p50_us p90_us p99_us \
                                   max_us mean_us cpu_per_wall rss_base_kb rss_peak_kb"
        .split_whitespace()
        .collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(line["runtime"], "locket");
    assert!(line["iters"].as_u64() >= Some(20), "{line}");
    let times = ["min_us", "p10_us", "p50_us", "p90_us", "p99_us", "max_us"].map(|key| line[key].as_f64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert!(line["rss_peak_kb"].as_u64() >= line["rss_base_kb"].as_u64());
}

#[test]
fn profile_covers_every_operator_and_writes_a_trace() {
    let workplace = Workplace::new();
    let json = workplace.json("profile model.mlpackage --runs 5 --trace trace.json");
    let operators = json["operators"].as_array().unwrap();
    let share: f64 = operators.iter().map(|row| row["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    assert_eq!(json["cycles"], serde_json::Value::Null);
    let trace: serde_json::Value = serde_json::from_slice(&workplace.bytes("trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans = events.iter().filter(|event| event["ph"] == "X").count();
    assert_eq!(spans, operators.len());
    assert!(workplace.output("profile model.mlpackage --runs 3").contains("not counted on this machine"));
}

#[test]
fn compress_reports_what_it_did() {
    let workplace = Workplace::new();
    let json = workplace.json(
        "compress model.mlpackage --recipe w8 --data data --preprocess recipe.toml -o small.mlpackage",
    );
    assert_eq!(json["recipe"], "w8");
    assert_eq!(json["agreement"]["measured_on"], "data");
    assert_eq!(json["agreement"]["samples"], 4);
    assert!(workplace.path("small.mlpackage").join("Manifest.json").is_file());
}

#[test]
fn check_answers_with_its_exit_code() {
    let workplace = Workplace::new();
    assert_eq!(workplace.json("check model.mlpackage")["lowest_target"], "ios15");
    assert_eq!(workplace.json("check model.mlpackage --target ios17")["deployable"], true);
}

#[test]
fn devices_say_how_figures_are_known() {
    let workplace = Workplace::new();
    expect![[""]].assert_eq(&workplace.output("devices watch-series-7"));
    let all = workplace.json("devices");
    assert_eq!(all["devices"].as_array().map(Vec::len), Some(6));
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
