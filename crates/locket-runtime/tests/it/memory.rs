//! The plan's memory is exact, and explains itself.

use locket_kernels::Isa;
use locket_runtime::{PlanOptions, Source, plan};

use crate::models::{RESIDUAL, function, session};

#[test]
fn memory_over_time_is_exact() {
    let plan = plan(
        &function(RESIDUAL),
        PlanOptions {
            isa: Isa::best(),
            threads: 1,
            lean: false,
            precision: locket_runtime::Precision::Float32,
            depth_first: true,
            hand_over_ns: PlanOptions::HAND_OVER_NS,
        },
    )
    .unwrap();
    let memory = &plan.memory;
    // The input stays with the caller.
    assert_eq!(memory.live_bytes, [9_216, 18_432, 27_648, 11_520, 4_608, 4_224]);
    assert_eq!((memory.peak_step, memory.peak_live_bytes), (2, 27_648));
    let alive: Vec<String> = memory
        .at_peak
        .iter()
        .map(|tensor| format!("{}: {} = {}", tensor.name, tensor.ty, tensor.bytes))
        .collect();
    let expected = ["a", "b", "c"].map(|name| format!("{name}: fp32[1, 16, 12, 12] = 9216"));
    assert_eq!(alive, expected);
    assert!(plan.arena_bytes >= memory.peak_live_bytes);
    assert!(plan.arena_bytes < memory.peak_live_bytes + 64 * 3);
}

#[test]
fn no_operand_overlaps_the_output_of_its_step() {
    let session = session(&function(RESIDUAL), Isa::best(), 2);
    for step in &session.plan().steps {
        for source in &step.inputs {
            let Source::Arena(input) = source else {
                continue;
            };
            assert!(
                input.is_empty() || input.end <= step.output.start || step.output.end <= input.start,
                "{}",
                step.kind
            );
        }
    }
}
