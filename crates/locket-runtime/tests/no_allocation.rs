//! A prediction allocates nothing: counted by the allocator itself, on all threads.
#![expect(unsafe_code, reason = "a counting allocator has to be one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use locket_kernels::Isa;
use locket_mil::text;
use locket_runtime::{PlanOptions, Session, plan};
use locket_tensor::{DType, Tensor, TensorMut};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is the system allocator's, with a counter beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system allocator, through `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Float and integer convolutions, a depthwise one, pools, a conversion of layouts, a product.
const MODEL: &str = r#"
func main opset ios17 (%x: fp32[1, 16, 40, 40], %q: uint8[1, 16, 40, 40]) -> (y: %y, z: %z) {
  %w: fp32[32, 16, 3, 3] = ramp(-0.4, 0.05)
  %a: fp32[1, 32, 40, 40] = locket.conv(x=%x, weight=%w, pad_type="same", clamp_min=0.0)
  %d: fp32[32, 1, 3, 3] = ramp(-0.3, 0.04)
  %b: fp32[1, 32, 40, 40] = conv(x=%a, weight=%d, pad_type="same", groups=32)
  %c: fp32[1, 32, 20, 20] = max_pool(x=%b, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
  %m: fp32[20, 5] = ramp(-0.3, 0.04)
  %y: fp32[1, 32, 20, 5] = matmul(x=%c, y=%m)
  %v: int8[32, 16, 3, 3] = ramp(-100, 10)
  %bias: int32[32] = fill(5)
  %scale: fp32[32] = fill(0.001)
  %z: uint8[1, 32, 40, 40] = locket.conv_u8(x=%q, weight=%v, bias=%bias, x_zero_point=3, multiplier=%scale, output_dtype="uint8", pad_type="same")
}"#;

#[test]
fn predict_allocates_nothing() {
    for threads in [1, 2] {
        let function = text::parse(MODEL).unwrap();
        let plan = plan(
            &function,
            PlanOptions {
                isa: Isa::best(),
                threads,
                lean: false,
                precision: locket_runtime::Precision::Float32,
                depth_first: true,
                hand_over_ns: PlanOptions::HAND_OVER_NS,
            },
        )
        .unwrap();
        assert!(
            plan.steps.iter().all(|step| !step.slow),
            "no step runs by reference"
        );
        assert_eq!(
            plan.steps.iter().map(|step| step.parts.len()).max(),
            Some(threads)
        );
        let mut session = Session::new(plan).unwrap();
        let x = Tensor::zeros(DType::Float32, &[1, 16, 40, 40]).unwrap();
        let q = Tensor::zeros(DType::UInt8, &[1, 16, 40, 40]).unwrap();
        let (mut y, mut z) = (vec![0u8; 32 * 100 * 4], vec![0u8; 32 * 1600]);
        let mut predict = || {
            let mut outputs = [
                TensorMut {
                    dtype: DType::Float32,
                    shape: &[1, 32, 20, 5],
                    bytes: &mut y,
                },
                TensorMut {
                    dtype: DType::UInt8,
                    shape: &[1, 32, 40, 40],
                    bytes: &mut z,
                },
            ];
            session
                .predict(&[x.view(), q.view()], &mut outputs, None)
                .unwrap();
        };
        predict();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..50 {
            predict();
        }
        assert_eq!(
            ALLOCATIONS.load(Ordering::Relaxed) - before,
            0,
            "{threads} threads"
        );
    }
}
