//! Instruction sets: which exist here, how one is named, and how a kernel is entered with one.
//!
//! An [`Isa`] wraps a zero-size token that only detection makes, so holding one proves that the machine
//! has its features. A kernel is a value that implements [`Kernel`] once, for every [`Simd`]; dispatching it compiles
//! its body once for each instruction set. A further one (NEON) is a further back end in `simd` and a further arm here.

use core::fmt;

use crate::simd::{Amx, Scalar, Simd};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};

/// An instruction set that this machine has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa {
    level: Level,
    /// A matrix unit for what suits it.
    unit: Option<Amx>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Level {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

/// A computation that is written once and compiled for each instruction set.
pub(crate) trait Kernel {
    /// What the computation gives back.
    type Output;

    /// Runs with the given instruction set; must be `#[inline(always)]` to be compiled for it.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

impl Isa {
    /// The instruction set that every machine has: plain Rust, the specification of all others.
    pub const SCALAR: Self = Self::vectors(Level::Scalar(Scalar));

    const fn vectors(level: Level) -> Self {
        Self { level, unit: None }
    }

    /// Returns the fastest instruction set of this machine.
    pub fn best() -> Self {
        Self::available().into_iter().next_back().unwrap_or(Self::SCALAR)
    }

    /// Returns the instruction sets of this machine, slowest first.
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(Avx2::detect().map(|token| Self::vectors(Level::Avx2(token))));
            found.extend(Avx512::detect().map(|token| Self::vectors(Level::Avx512(token))));
            found.extend(Amx::detect().map(|unit| Self {
                level: Level::Avx512(unit.avx512()),
                unit: Some(unit),
            }));
        }
        found
    }

    /// Returns the instruction set with this [`name`](Self::name), or `None` if it is unknown or absent here.
    pub fn parse(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// Returns the name: `scalar`, `avx2`, `avx512` or `amx` (AVX-512 and tiles).
    pub fn name(self) -> &'static str {
        if self.unit.is_some() {
            Amx::NAME
        } else {
            self.vector_name()
        }
    }

    /// Returns the matrix unit, if this set has one.
    pub(crate) fn unit(self) -> Option<Amx> {
        self.unit
    }

    /// Returns the name of what kernels run with that use no matrix unit: `avx512` for `amx`.
    pub(crate) fn vector_name(self) -> &'static str {
        match self.level {
            Level::Scalar(_) => Scalar::NAME,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => Avx2::NAME,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => Avx512::NAME,
        }
    }

    /// Returns how many f32 (or i32) lanes one register has.
    pub fn lanes(self) -> usize {
        match self.level {
            Level::Scalar(_) => Scalar::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => Avx512::LANES,
        }
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.level {
            Level::Scalar(token) => token.vectorize(
                #[inline(always)]
                || kernel.run(token),
            ),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(token) => token.vectorize(
                #[inline(always)]
                || kernel.run(token),
            ),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(token) => token.vectorize(
                #[inline(always)]
                || kernel.run(token),
            ),
        }
    }

    /// Runs a kernel that enters the instruction set by itself, further down (a driver of tiles).
    #[inline]
    pub(crate) fn dispatch_driver<K: Kernel>(self, kernel: K) -> K::Output {
        match self.level {
            Level::Scalar(token) => kernel.run(token),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(token) => kernel.run(token),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(token) => kernel.run(token),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isa({})", self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Isa;

    #[test]
    fn every_available_name_parses_back() {
        let available = Isa::available();
        assert_eq!(available[0], Isa::SCALAR);
        assert_eq!(available.last(), Some(&Isa::best()));
        for isa in available {
            assert_eq!(Isa::parse(isa.name()), Some(isa));
        }
        assert_eq!(Isa::parse("mmx"), None);
    }
}
