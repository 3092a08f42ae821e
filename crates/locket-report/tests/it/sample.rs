//! Invented evidence that fills every section, shared by the tests and the example. Nothing in it was measured.

use locket_report::{
    Artefact, Budgets, Certificate, DataSet, Decision, DeviceFact, DeviceProfile, Diagnostic, Evidence,
    Figure, Gauge, Gauges, Interval, Kind, LatencyRun, LayerSensitivity, Limit, Machine, MemoryPoint,
    MemoryTimeline, OperatorCost, PeakTensor, Profile, Provenance, RankStability, Rate, Sensitivity,
    Severity, Shortfall, SourceModel, Step, TensorSignature, TradeOffLeakage, TradeOffMatrix, TradeOffRow,
    Variant, Verdict, WayDown,
};

const MACHINE: &str = "an invented two-core machine, 2 threads";

/// Evidence with the outcome `met`, `unproven` or `infeasible`; `None` for any other word.
pub(crate) fn evidence(outcome: &str) -> Option<Evidence> {
    let latency = [
        LatencyRun {
            first_ms: Some(81.0),
            ..LatencyRun::from_samples_ns(
                "Source float32",
                MACHINE,
                &durations_ns(1000, 54.6, 2.4),
                Some(25.0),
            )
        },
        LatencyRun {
            first_ms: Some(29.5),
            ..LatencyRun::from_samples_ns(
                "Packaged variant",
                MACHINE,
                &durations_ns(3000, 19.3, 0.8),
                Some(25.0),
            )
        },
    ];
    let mut evidence = Evidence {
        title: "Example classifier".to_owned(),
        sample_data: true,
        provenance: provenance(),
        budgets: budgets(),
        verdict: Some(Verdict::Met),
        gauges: gauges(latency[1].p99_ms, latency[1].max_ms),
        steps: steps(latency[0].p99_ms, latency[1].p99_ms),
        latency: latency.to_vec(),
        certificate: Some(certificate()),
        memory: Some(memory()),
        profile: Some(profile()),
        variants: variants(),
        matrix: Some(matrix()),
        diagnostics: diagnostics(),
        sensitivity: Some(sensitivity()),
        ways_down: ways_down(),
        not_measured: vec![
            "Latency on the watch itself: the figures are from the machine named under Provenance."
                .to_owned(),
            "Energy: this machine has no counter for it.".to_owned(),
            "Accuracy outside the 12 classes of the sample data.".to_owned(),
        ],
        notes: vec![
            "The peak does not include the 1.9 MB that the process takes before a model is loaded."
                .to_owned(),
        ],
        ..Evidence::default()
    };
    match outcome {
        "met" => {}
        "unproven" => make_unproven(&mut evidence),
        "infeasible" => make_infeasible(&mut evidence),
        _ => return None,
    }
    Some(evidence)
}

fn make_unproven(evidence: &mut Evidence) {
    evidence.verdict = Some(Verdict::Unproven {
        shortfalls: vec![Shortfall {
            limit: Limit::Accuracy,
            excess: 0.0031,
            fix: "About 4,100 more labelled samples would settle it if the observed rates hold.".to_owned(),
        }],
    });
    let certificate = evidence.certificate.get_or_insert_default();
    *certificate = Certificate {
        samples: 1000,
        lost: 11,
        gained: 8,
        drop: 0.003,
        upper_bound: 0.0101,
        certified: false,
        missing_samples: Some(4100),
        ..certificate.clone()
    };
    if let Some(gauge) = &mut evidence.gauges.accuracy {
        (gauge.value, gauge.bound) = (0.003, Some(0.0101));
    }
}

fn make_infeasible(evidence: &mut Evidence) {
    evidence.verdict = Some(Verdict::Infeasible {
        shortfalls: vec![Shortfall {
            limit: Limit::Memory,
            excess: 900_000.0,
            fix: "Running the first two blocks tile by tile would take 1.3 MB off the peak (modelled) at 0.8 ms.".to_owned(),
        }],
    });
    evidence.budgets.memory_bytes = Some(6_000_000);
    if let Some(gauge) = &mut evidence.gauges.memory {
        gauge.limit = Some(6_000_000.0);
    }
    for run in &mut evidence.latency {
        run.kind = Kind::Modelled;
    }
    for step in &mut evidence.steps {
        for figure in [&mut step.latency_p50_ms, &mut step.latency_p99_ms]
            .into_iter()
            .flatten()
        {
            figure.kind = Kind::Modelled;
        }
    }
    if let Some(gauge) = &mut evidence.gauges.latency {
        gauge.kind = Kind::Modelled;
    }
}

/// Durations around a median with the long tail that real ones have.
fn durations_ns(count: u64, median_ms: f64, spread_ms: f64) -> Vec<u64> {
    let mut state = count;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count)
        .map(|_| {
            let body: f64 = (0..4).map(|_| uniform()).sum::<f64>() - 2.0;
            let tail = if uniform() < 0.03 { uniform() * 3.0 } else { 0.0 };
            ((median_ms + spread_ms * (body * 0.7 + tail)) * 1e6) as u64
        })
        .collect()
}

fn matrix() -> TradeOffMatrix {
    let rate = |count: u64| Rate {
        count,
        of: 1000,
        share: count as f64 / 1000.0,
        upper: count as f64 / 1000.0 + 0.01,
    };
    let row = |name: &str, scores: [u8; 3], drop: f64, latency_ms: f64, peak_bytes: u64| TradeOffRow {
        name: name.to_owned(),
        chosen: name == "w8a8",
        drop: Figure::measured(drop),
        accuracy: scores[0],
        latency_ms: Figure::measured(latency_ms),
        peak_bytes: Figure::planned(peak_bytes),
        energy_uj: Figure::modelled(peak_bytes as f64 / 4000.0),
        load: latency_ms / 25.0,
        bottleneck: "latency".to_owned(),
        resources: scores[1],
        leakage: Some(TradeOffLeakage {
            tap: "scores".to_owned(),
            level: 6 - scores[2],
            r2: 0.08,
            identification: rate(9),
            success: rate(0),
        }),
        privacy: Some(scores[2]),
        product: Some(scores.into_iter().map(u32::from).product()),
        on_front: scores[1] > 2,
    };
    TradeOffMatrix {
        rows: vec![
            row("float32", [5, 1, 4], 0.0, 54.6, 12_400_000),
            row("w8a8", [4, 3, 4], 0.004, 20.1, 6_900_000),
            row("pal4", [2, 4, 5], 0.021, 18.0, 5_200_000),
        ],
        rules: vec!["Accuracy: invented cut-points.".to_owned()],
        stability: Some(RankStability {
            moved: 17,
            kept_when_moved: 15,
            jittered: 1000,
            kept_when_jittered: 912,
            jitter: 0.25,
        }),
    }
}

fn provenance() -> Provenance {
    let signature = |name: &str, shape: &[u64]| TensorSignature {
        name: name.to_owned(),
        dtype: "float32".to_owned(),
        shape: shape.iter().copied().map(Some).collect(),
    };
    let data = |name: &str, role: &str, samples| DataSet {
        name: name.to_owned(),
        role: role.to_owned(),
        samples,
        hash: Some("blake3:5a11…".to_owned()),
    };
    Provenance {
        tool_version: "0.1.0".to_owned(),
        commit: Some("0000000".to_owned()),
        date: "2026-01-01".to_owned(),
        command_line:
            "locket optimize example.onnx --calib calib --data dev --preprocess example.toml --device \
                       watch-series-7 --max-drop 0.7% -o out"
                .to_owned(),
        machine: Machine {
            cpu: "Invented CPU".to_owned(),
            cores: 2,
            instruction_set: "AVX-512 VNNI".to_owned(),
            memory_bytes: Some(8_000_000_000),
            kernel: "Linux 6.1".to_owned(),
        },
        threads: 2,
        seed: 7,
        source: SourceModel {
            path: "example.onnx".to_owned(),
            hash: "blake3:0f1e2d3c…".to_owned(),
            format: "ONNX opset 13".to_owned(),
            file_bytes: 12_410_233,
            parameters: 3_098_444,
            macs: 349_152_000,
            inputs: vec![signature("image", &[1, 3, 224, 224])],
            outputs: vec![signature("scores", &[1, 12])],
        },
        package: Some(Artefact {
            path: "out/model.mlpackage".to_owned(),
            hash: "blake3:77aa…".to_owned(),
            file_bytes: 2_310_000,
        }),
        data_sets: vec![
            data("calib", "calibration", 256),
            data("dev", "certificate", 5000),
        ],
    }
}

fn budgets() -> Budgets {
    let fact = |what: &str, value: &str, kind, source: &str| DeviceFact {
        what: what.to_owned(),
        value: value.to_owned(),
        kind,
        source: source.to_owned(),
    };
    Budgets {
        memory_bytes: Some(8_000_000),
        size_bytes: None,
        latency_ms: Some(25.0),
        frame_ms: Some(33.0),
        max_drop: Some(0.007),
        device: Some(DeviceProfile {
            name: "watch-series-7".to_owned(),
            description: "a watch with 8 MB for the model and 25 ms of each 33 ms frame".to_owned(),
            facts: vec![
                fact(
                    "main memory",
                    "1 GB",
                    Kind::Published,
                    "sample source, not a real one",
                ),
                fact(
                    "8-bit multiply-adds",
                    "19 GMAC/s",
                    Kind::Modelled,
                    "scaled from the host by clock and width",
                ),
                fact(
                    "clock",
                    "1.8 GHz",
                    Kind::Published,
                    "sample source, not a real one",
                ),
            ],
        }),
    }
}

fn gauges(p99_ms: f64, max_ms: f64) -> Gauges {
    Gauges {
        size: None,
        memory: Some(Gauge {
            limit: Some(8_000_000.0),
            value: 6_900_000.0,
            value_name: "peak".to_owned(),
            kind: Kind::Planned,
            ..Gauge::default()
        }),
        latency: Some(Gauge {
            limit: Some(25.0),
            value: p99_ms,
            value_name: "p99".to_owned(),
            kind: Kind::Measured,
            bound: Some(max_ms),
            bound_name: "longest of 3,000 runs".to_owned(),
            ..Gauge::default()
        }),
        accuracy: Some(Gauge {
            limit: Some(0.007),
            value: 0.0022,
            value_name: "observed drop".to_owned(),
            kind: Kind::Measured,
            bound: Some(0.0054),
            bound_name: "upper 95 % bound".to_owned(),
            ..Gauge::default()
        }),
    }
}

fn steps(source_p99_ms: f64, packaged_p99_ms: f64) -> Vec<Step> {
    let step =
        |name: &str, recipe: &str, decision, sizes: [u64; 3], times: [f64; 2], accuracy: [f64; 3]| Step {
            name: name.to_owned(),
            recipe: recipe.to_owned(),
            decision,
            package_bytes: Some(Figure::measured(sizes[0])),
            weight_bytes: Some(Figure::planned(sizes[1])),
            peak_memory_bytes: Some(Figure::planned(sizes[2])),
            latency_p50_ms: Some(Figure::measured(times[0])),
            latency_p99_ms: Some(Figure::measured(times[1])),
            top1: Some(Figure::measured(accuracy[0])),
            top5: Some(Figure::measured(accuracy[1])),
            agreement: Some(Figure::measured(accuracy[2])),
            drop: None,
        };
    let drop = |estimate: f64, half: f64| {
        Some(Interval {
            kind: Kind::Measured,
            estimate,
            lower: estimate - half,
            upper: estimate + half,
        })
    };
    vec![
        step(
            "Source float32",
            "as read, batch norms folded",
            Decision::Source,
            [12_400_000, 12_390_000, 18_600_000],
            [54.6, source_p99_ms],
            [0.9124, 0.9931, 1.0],
        ),
        Step {
            drop: drop(0.0012, 0.0028),
            ..step(
                "8-bit quantisation",
                "w8a8, per channel, calibrated by output error on 256 samples",
                Decision::Accepted,
                [3_130_000, 3_110_000, 7_700_000],
                [24.1, 26.9],
                [0.9112, 0.9927, 0.9856],
            )
        },
        Step {
            drop: drop(0.0214, 0.0051),
            ..step(
                "4-bit palette",
                "pal4, k-means per tensor on top of 8-bit activations",
                Decision::Refused {
                    reason: "The drop of 2.14 % exceeds the 0.7 % allowed; saved 1.4 MB.".to_owned(),
                },
                [1_720_000, 1_700_000, 6_290_000],
                [25.8, 29.3],
                [0.891, 0.9871, 0.9403],
            )
        },
        Step {
            drop: drop(0.0022, 0.0032),
            ..step(
                "Pruning",
                "26 % of channels in 9 layers, corrected by least squares",
                Decision::Accepted,
                [2_310_000, 2_290_000, 6_900_000],
                [19.3, packaged_p99_ms],
                [0.9102, 0.9925, 0.9821],
            )
        },
    ]
}

fn certificate() -> Certificate {
    Certificate {
        data_set: "dev, 5,000 labelled samples that the search did not see".to_owned(),
        samples: 5000,
        lost: 52,
        gained: 41,
        drop: 0.0022,
        upper_bound: 0.0054,
        max_drop: 0.007,
        certified: true,
        missing_samples: None,
        method: "paired, one-sided, normal approximation".to_owned(),
    }
}

fn memory() -> MemoryTimeline {
    let points: Vec<MemoryPoint> = (0_u64..54)
        .map(|index| {
            let stage = index / 9;
            let base = 4_100_000 >> stage;
            MemoryPoint {
                operator: format!(
                    "block_{}/{}",
                    stage + 1,
                    ["expand", "depthwise", "project"][(index % 3) as usize]
                ),
                live_bytes: base * (7 + (index * 5) % 4) / 10 + 120_000,
                scratch_bytes: if index % 3 == 1 { base / 14 } else { 40_000 },
            }
        })
        .collect();
    let tensor = |name: &str, shape: &[u64], producer: &str| PeakTensor {
        name: name.to_owned(),
        dtype: "uint8".to_owned(),
        shape: shape.to_vec(),
        size_bytes: shape.iter().product(),
        producer: producer.to_owned(),
    };
    MemoryTimeline {
        weight_bytes: 2_290_000,
        arena_bytes: 4_610_000,
        points,
        at_peak: vec![
            tensor("block_1/expand:0", &[1, 160, 112, 112], "block_1/expand"),
            tensor("block_1/depthwise:0", &[1, 160, 112, 112], "block_1/depthwise"),
            tensor("image", &[1, 3, 224, 224], ""),
        ],
    }
}

fn profile() -> Profile {
    let operators = (0_u64..28)
        .map(|index| {
            let (operator, kernel, fused): (&str, &str, &[&str]) = match index % 4 {
                0 => ("conv", "u8s8_conv_avx512vnni", &["conv", "batch_norm", "relu6"]),
                1 => (
                    "depthwise_conv",
                    "u8s8_depthwise_avx512",
                    &["conv", "batch_norm", "relu6"],
                ),
                2 => ("conv", "u8s8_conv_avx512vnni", &["conv", "batch_norm", "add"]),
                _ if index == 27 => ("softmax", "f32_softmax_avx512", &[]),
                _ => ("global_pool", "u8_pool_avx2", &[]),
            };
            let macs = if fused.is_empty() {
                0
            } else {
                26_000_000 / (index + 1) * (3 - index % 2)
            };
            OperatorCost {
                name: format!("features/block_{}/operator_{index}", index / 4 + 1),
                operator: operator.to_owned(),
                fused_from: fused.iter().map(|&name| name.to_owned()).collect(),
                kernel: kernel.to_owned(),
                wall_ns: 31_000 + macs / 12 * (1 + index % 2),
                cpu_ns: None,
                cycles: Some(90_000 + macs / 4),
                instructions: Some(140_000 + macs / 3),
                macs,
                traffic_bytes: 1_300_000 / (index / 4 + 1),
            }
        })
        .collect();
    Profile {
        kind: Kind::Measured,
        runs: 200,
        cpu_usage: Some(1.91),
        operators,
    }
}

fn variants() -> Vec<Variant> {
    let variant =
        |name: &str, package: u64, peak: u64, latency_ms: f64, drop: f64, kind: Kind, chosen| Variant {
            name: name.to_owned(),
            package_bytes: Some(Figure { value: package, kind }),
            peak_memory_bytes: Some(Figure::planned(peak)),
            latency_ms: Some(Figure {
                value: latency_ms,
                kind,
            }),
            drop: Some(Figure { value: drop, kind }),
            drop_upper: (kind == Kind::Measured).then_some(drop + 0.0032),
            chosen,
        };
    let (measured, modelled) = (Kind::Measured, Kind::Modelled);
    vec![
        variant("float32", 12_400_000, 18_600_000, 58.7, 0.0, measured, false),
        variant("w8", 3_140_000, 9_400_000, 55.2, 0.0003, measured, false),
        variant("w8a8", 3_130_000, 7_700_000, 26.9, 0.0012, measured, false),
        variant(
            "w8a8 + prune 26 %",
            2_310_000,
            6_900_000,
            21.4,
            0.0022,
            measured,
            true,
        ),
        variant(
            "w8a8 + prune 40 %",
            1_890_000,
            6_100_000,
            17.2,
            0.0121,
            modelled,
            false,
        ),
        variant("mixed 8/4", 2_050_000, 6_650_000, 27.4, 0.0058, measured, false),
        variant("pal4 + a8", 1_720_000, 6_290_000, 29.3, 0.0214, measured, false),
        variant("pal2 + a8", 980_000, 5_560_000, 30.1, 0.312, measured, false),
        variant("mixed 8/6", 2_620_000, 7_200_000, 26.0, 0.0019, modelled, false),
    ]
}

fn diagnostics() -> Vec<Diagnostic> {
    let transposed = |node: &str| Diagnostic {
        code: "LK0204".to_owned(),
        severity: Severity::Note,
        node: node.to_owned(),
        message: "a transpose between two convolutions was removed".to_owned(),
        why: "Moving the channels twice costs time and gives the same values.".to_owned(),
        help: String::new(),
        rewritten_to: Some("conv".to_owned()),
        works_from: None,
    };
    vec![
        transposed("/features/4/Transpose"),
        Diagnostic {
            code: "LK0117".to_owned(),
            severity: Severity::Warning,
            node: "/classifier/HardSwish".to_owned(),
            message: "hard swish has no operator of its own at this target".to_owned(),
            why: "It becomes three operators, which rounds twice more in float16.".to_owned(),
            help: "Choose iOS 17 or later, or keep this layer in float32.".to_owned(),
            rewritten_to: Some("mul(x, sigmoid_hard(x))".to_owned()),
            works_from: Some("iOS 15".to_owned()),
        },
        transposed("/features/9/Transpose"),
    ]
}

fn sensitivity() -> Sensitivity {
    let layers = (0_i32..20)
        .map(|index| {
            let scale = 10_f64.powf(-3.2 + f64::from((index * 7) % 11) * 0.19);
            LayerSensitivity {
                layer: format!("features/block_{}/conv_{}", index / 3 + 1, index % 3 + 1),
                divergence_nats: vec![
                    scale * 0.02,
                    scale * 0.11,
                    scale,
                    if index == 0 { f64::NAN } else { scale * 9.0 },
                ],
                chosen: Some(usize::from((index * 7) % 11 < 3)),
            }
        })
        .collect();
    Sensitivity {
        options: ["w8a8", "pal6", "pal4", "pal2"].map(str::to_owned).to_vec(),
        samples: 256,
        layers,
    }
}

fn ways_down() -> Vec<WayDown> {
    vec![
        WayDown {
            action: "Run the first two blocks tile by tile".to_owned(),
            kind: Kind::Planned,
            memory_change_bytes: Some(-1_300_000),
            package_change_bytes: Some(0),
            latency_change_ms: Some(0.8),
            drop_change: Some(0.0),
            remark: "Exact: the same values are computed, some of them twice.".to_owned(),
        },
        WayDown {
            action: "Prune 40 % of the channels instead of 26 %".to_owned(),
            kind: Kind::Modelled,
            memory_change_bytes: Some(-800_000),
            package_change_bytes: Some(-420_000),
            latency_change_ms: Some(-4.2),
            drop_change: Some(0.0099),
            remark: "Would exceed the allowed drop unless the model is trained again.".to_owned(),
        },
        WayDown {
            action: "Take a 192-pixel input".to_owned(),
            kind: Kind::Modelled,
            memory_change_bytes: Some(-1_800_000),
            latency_change_ms: Some(-5.1),
            ..WayDown::default()
        },
    ]
}
