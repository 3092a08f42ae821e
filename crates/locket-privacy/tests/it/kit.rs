//! ResNet-8 on pictures of CIFAR-10, from the test kit.

use locket_data::{Dataset, InputSpec, Preprocess, SampleBuffer};
use locket_formats::{ReadOptions, limits::Limits};
use locket_kernels::Isa;
use locket_privacy::leakage::{self, Form, Pictures, Request, Role, Set};
use locket_runtime::{PlanOptions, Precision};
use locket_tensor::Tensor;

#[test]
fn leakage_falls_with_depth_and_controls_hold() {
    let Some(folder) = locket_testkit::kit() else {
        println!("skipped: no test kit");
        return;
    };
    let model = folder.join("models/resnet8_cifar10.onnx");
    let program = locket_formats::read(&model, &ReadOptions::default(), &Limits::default())
        .unwrap()
        .program;
    let recipe = Preprocess::read(&folder.join("preprocess/resnet8_cifar10.onnx.toml")).unwrap();
    let load = |part: &str, count: usize| {
        let data = Dataset::open(&folder.join("data/cifar10").join(part)).unwrap();
        let pictures = Pictures::load(&data, &recipe, program.main(), Some(count), 2, &|_| {}).unwrap();
        let (spec, mut buffer) = (InputSpec::float32(&[1, 3, 32, 32]), SampleBuffer::new());
        let inputs: Vec<Tensor> = (0..count)
            .map(|index| {
                data.read(index, &recipe, &spec, &mut buffer).unwrap();
                Tensor::from_slice(&[1, 3, 32, 32], buffer.elements::<f32>().unwrap()).unwrap()
            })
            .collect();
        (inputs, pictures)
    };
    let (known, attacked) = (load("calib", 32), load("dev", 100));
    let taps = ["conv_2d_0_act", "average_pool_2d_12"].map(str::to_owned);
    let outcome = leakage::measure(Request {
        function: program.main(),
        attacked: Set {
            inputs: &attacked.0,
            pictures: &attacked.1,
        },
        auxiliary: Set {
            inputs: &known.0,
            pictures: &known.1,
        },
        taps: &taps,
        outputs_only: false,
        plan: PlanOptions {
            isa: Isa::best(),
            threads: 2,
            lean: false,
            precision: Precision::Float32,
            depth_first: true,
            hand_over_ns: PlanOptions::HAND_OVER_NS,
        },
        recipe: &recipe,
        noise: Some(0.5),
        seed: 0,
        progress: &|_, _, _| {},
    })
    .unwrap();
    for leak in &outcome.leaks {
        let (attack, score) = leak.strongest();
        println!(
            "{} {:?}: level {}, {attack:?} {score:?}",
            leak.tap.name, leak.form, leak.level.value
        );
    }
    let [first, pooled, int8, one_bit, noisy] = outcome.leaks.as_slice() else {
        panic!("one form of the layer and four of the embedding");
    };
    assert_eq!((first.tap.role, pooled.tap.role), (Role::Layer, Role::Embedding));
    assert_eq!((int8.form, one_bit.form), (Form::Int8, Form::OneBit));
    assert_eq!(first.level.value, 5, "{}", first.level.reason);
    assert!(pooled.level.value < 5, "{}", pooled.level.reason);
    // Eight bits take nothing away that an attack of this kind would need.
    assert!((pooled.strongest().1.r2 - int8.strongest().1.r2).abs() < 0.05);
    let bound = noisy.bound.unwrap();
    assert!(
        bound.dfil > 0.0 && (bound.rmse - (1.0 / bound.dfil).sqrt()).abs() < 1e-12,
        "{bound:?}"
    );
}
