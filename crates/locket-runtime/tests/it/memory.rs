//! The plan's memory is exact, and explains itself.

use expect_test::expect;
use locket_kernels::Isa;
use locket_runtime::{PlanOptions, plan};

use crate::models::{RESIDUAL, function, session};

#[test]
fn memory_over_time_is_exact() {
    let plan = plan(
        &function(RESIDUAL),
        PlanOptions {
            isa: Isa::best(),
            threads: 1,
        },
    )
    .unwrap();
    let memory = &plan.memory;
    expect![[r#"
        MemoryReport {
            live_bytes: [
                10944,
                18432,
                27648,
                11520,
                4608,
                4224,
            ],
            peak_step: 2,
            peak_live_bytes: 27648,
            at_peak: [
                LiveTensor {
                    name: "a",
                    bytes: 9216,
                },
                LiveTensor {
                    name: "b",
                    bytes: 9216,
                },
                LiveTensor {
                    name: "c",
                    bytes: 9216,
                },
            ],
        }
    "#]]
    .assert_debug_eq(memory);
    assert!(plan.arena_bytes >= memory.peak_live_bytes);
    assert!(plan.arena_bytes < memory.peak_live_bytes + 64 * 3);
}

#[test]
fn no_operand_overlaps_the_output_of_its_step() {
    let session = session(&function(RESIDUAL), Isa::best(), 2);
    for step in &session.plan().steps {
        for input in step.inputs.iter().filter(|input| !input.is_empty()) {
            assert!(
                input.end <= step.output.start || step.output.end <= input.start,
                "{}",
                step.kind
            );
        }
    }
}
