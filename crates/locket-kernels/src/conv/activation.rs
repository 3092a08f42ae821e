//! What a float convolution does with its sums at last.

use crate::simd::Simd;

/// What a float convolution does with its sums at last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Clamps to `[low, high]`: `[-inf, inf]` for none, `[0, inf]` for ReLU, `[0, 6]` for ReLU6; NaN passes through.
    Clamp([f32; 2]),
    /// `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish,
}

impl Activation {
    /// Sums as they are.
    pub const NONE: Self = Self::Clamp([f32::NEG_INFINITY, f32::INFINITY]);

    /// Whether a value is multiplied by its own clamp.
    pub(crate) fn is_gate(self) -> bool {
        self == Self::HardSwish
    }
}

impl From<[f32; 2]> for Activation {
    fn from(clamp: [f32; 2]) -> Self {
        Self::Clamp(clamp)
    }
}

/// An activation with its constants in registers.
pub(crate) struct Activate<S: Simd> {
    low: S::F32,
    high: S::F32,
    /// What is added to a value before the clamp, and the clamp's factor, where the value is multiplied by it.
    gate: Option<[S::F32; 2]>,
}

impl<S: Simd> Activate<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, activation: Activation) -> Self {
        let ([low, high], gate) = match activation {
            Activation::Clamp(clamp) => (clamp, None),
            Activation::HardSwish => ([0.0, 6.0], Some([simd.splat_f32(3.0), simd.splat_f32(1.0 / 6.0)])),
        };
        Self {
            low: simd.splat_f32(low),
            high: simd.splat_f32(high),
            gate,
        }
    }

    #[inline(always)]
    pub(crate) fn clamp(&self, simd: S, value: S::F32) -> S::F32 {
        simd.min_f32(self.high, simd.max_f32(self.low, value))
    }

    #[inline(always)]
    pub(crate) fn apply(&self, simd: S, value: S::F32) -> S::F32 {
        match self.gate {
            None => self.clamp(simd, value),
            Some([shift, factor]) => {
                let gate = self.clamp(simd, simd.add_f32(value, shift));
                simd.mul_f32(value, simd.mul_f32(gate, factor))
            }
        }
    }
}
