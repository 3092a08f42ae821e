//! Intel AMX: products of tiles, 16 rows by 64 bytes each, beside AVX-512. Eight tiles: four sums, two of the left operand, two of the
//! right one, so that each tile that is loaded meets two others.
//!
//! The standard library has no stable intrinsics for it; the instructions stand in assembly. The compiler never keeps values in
//! tiles, so what a block configures and clears is its own affair.
#![expect(
    unsafe_code,
    reason = "the instructions of the tile unit; each use rests on the token or on a range checked beside it"
)]

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use super::Avx512;
use super::matrix::{Elements, MATRIX_COLUMNS, MATRIX_ROWS, Product, Sums, TILE_ROWS};

/// Proof that the machine has AMX tiles for int8 and bf16 beside [`Avx512`] and that the system lets this process use them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Amx(Avx512);

impl Amx {
    pub(crate) const NAME: &'static str = "amx";

    /// Returns the proof if the machine has the unit and the system grants it.
    pub(crate) fn detect() -> Option<Self> {
        static GRANTED: OnceLock<bool> = OnceLock::new();
        let avx512 = Avx512::detect()?;
        let granted = *GRANTED.get_or_init(|| has_tiles() && ask_for_tiles());
        granted.then_some(Self(avx512))
    }

    /// Returns the instruction set of everything else.
    pub(crate) fn avx512(self) -> Avx512 {
        self.0
    }
}

fn has_tiles() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    // AVX-512 was found, so there is a leaf 7.
    let features = __cpuid_count(7, 0).edx;
    features & (BF16 | TILE | INT8) == BF16 | TILE | INT8
}

/// Asks the system for the state that tiles need; it is granted to the process, once.
#[cfg(target_os = "linux")]
fn ask_for_tiles() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let status: i64;
    // SAFETY: the call takes two numbers and touches no memory of the process.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => status,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    status == 0
}

#[cfg(not(target_os = "linux"))]
fn ask_for_tiles() -> bool {
    false
}

/// What the assembly reads from memory.
#[repr(C)]
struct Fixed {
    chunks: usize,
    chunk: usize,
    b_step: usize,
    lower: usize,
    lower_sums: *mut u32,
    ahead_step: usize,
}

/// Rows of the first tile; the others, if any, are in the second.
fn upper_rows(rows: usize) -> usize {
    if rows > TILE_ROWS { rows.div_ceil(2) } else { rows }
}

#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// The tile unit of this thread while it is configured; released when dropped.
pub(crate) struct Tiles {
    _amx: Amx,
    shape: Option<(usize, usize)>,
}

impl Tiles {
    /// Takes the unit.
    pub(crate) fn new(amx: Amx) -> Self {
        Self {
            _amx: amx,
            shape: None,
        }
    }

    /// Sets the rows of sums and left operands, and the bytes of a step, as [`Product::check`] allows them.
    #[inline]
    fn configure(&mut self, rows: usize, chunk: usize) {
        if self.shape == Some((rows, chunk)) {
            return;
        }
        let upper = upper_rows(rows);
        let lower = (rows - upper).max(1);
        // Sums 0 to 3, left operands 4 and 5, right ones 6 and 7.
        let shapes = [
            (upper, 64),
            (upper, 64),
            (lower, 64),
            (lower, 64),
            (upper, chunk),
            (lower, chunk),
            (chunk / 4, 64),
            (chunk / 4, 64),
        ];
        let mut bytes = Configuration([0; 64]);
        bytes.0[0] = 1;
        for (tile, (rows, columns)) in shapes.into_iter().enumerate() {
            bytes.0[16 + 2 * tile] = columns as u8;
            bytes.0[48 + tile] = rows as u8;
        }
        // SAFETY: the token says that the unit is there and granted; the instruction reads these 64 bytes.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const bytes, options(nostack, readonly));
        }
        self.shape = Some((rows, chunk));
    }

    /// Computes the product into `sums[..rows][..b_width / 4]`.
    ///
    /// # Panics
    /// If a range that the product names is not within its operand.
    #[inline]
    pub(crate) fn multiply(&mut self, elements: Elements, product: &Product<'_>, sums: &mut Sums) {
        let &Product {
            a,
            runs,
            a_stride,
            rows,
            chunks,
            chunk,
            b,
            b_stride,
            b_width,
            ahead,
        } = product;
        product.check();
        assert!(b_width == 64 || b_width == 128, "one tile of columns, or two");
        self.configure(rows, chunk);
        let upper = upper_rows(rows);
        let lower_sums = sums.0.as_mut_ptr().wrapping_add(upper * MATRIX_COLUMNS);
        let operands = Operands {
            runs,
            a,
            a_stride,
            b,
            b_stride,
            sums: &mut sums.0,
            fixed: Fixed {
                chunks,
                chunk,
                b_step: chunk / 4 * b_stride,
                lower: upper * a_stride,
                lower_sums,
                ahead_step: ahead[1],
            },
            ahead: b.as_ptr().wrapping_add(ahead[0]),
        };
        // SAFETY: the token says that the unit is there and granted, it is configured, and the check says that every row and
        // column that these instructions read is within the operands; `sums` has room for 32 by 32.
        unsafe {
            match (elements, rows > TILE_ROWS, b_width == 128) {
                (Elements::Int8, true, true) => operands.int8_2x2(),
                (Elements::Int8, true, false) => operands.int8_2x1(),
                (Elements::Int8, false, true) => operands.int8_1x2(),
                (Elements::Int8, false, false) => operands.int8_1x1(),
                (Elements::Bf16, true, true) => operands.bf16_2x2(),
                (Elements::Bf16, true, false) => operands.bf16_2x1(),
                (Elements::Bf16, false, true) => operands.bf16_1x2(),
                (Elements::Bf16, false, false) => operands.bf16_1x1(),
            }
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        if self.shape.is_some() {
            // SAFETY: the unit is there; nothing of this thread is left in it.
            unsafe { asm!("tilerelease", options(nomem, nostack)) };
        }
    }
}

/// The operands in the form that the assembly takes.
struct Operands<'a> {
    runs: &'a [usize],
    a: &'a [u8],
    a_stride: usize,
    b: &'a [u8],
    b_stride: usize,
    sums: &'a mut [u32; MATRIX_ROWS * MATRIX_COLUMNS],
    fixed: Fixed,
    ahead: *const u8,
}

/// Writes the loops over runs and steps around what one step does.
macro_rules! product {
    ($self:ident, zero: [$($zero:literal),*], step: [$($step:expr),*], store: [$($store:literal),*]) => {
        asm!(
            $($zero,)*
            "2:",
            "mov {p}, qword ptr [{runs}]",
            "add {p}, {a}",
            "mov {q}, qword ptr [{fixed} + 24]",
            "add {q}, {p}",
            "mov {k}, qword ptr [{fixed}]",
            "3:",
            $($step,)*
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "prefetcht1 [{ahead}]",
            "add {ahead}, qword ptr [{fixed} + 40]",
            "add {p}, qword ptr [{fixed} + 8]",
            "add {q}, qword ptr [{fixed} + 8]",
            "add {b}, qword ptr [{fixed} + 16]",
            "dec {k}",
            "jnz 3b",
            "add {runs}, 8",
            "dec {count}",
            "jnz 2b",
            "mov {k}, 128",
            "mov {p}, qword ptr [{fixed} + 32]",
            $($store,)*
            runs = inout(reg) $self.runs.as_ptr() => _,
            count = inout(reg) $self.runs.len() => _,
            a = in(reg) $self.a.as_ptr(),
            b = inout(reg) $self.b.as_ptr() => _,
            a_stride = in(reg) $self.a_stride,
            b_stride = in(reg) $self.b_stride,
            sums = in(reg) $self.sums.as_mut_ptr(),
            ahead = inout(reg) $self.ahead => _,
            fixed = in(reg) &raw const $self.fixed,
            p = out(reg) _,
            q = out(reg) _,
            k = out(reg) _,
            out("tmm0") _,
            out("tmm1") _,
            out("tmm2") _,
            out("tmm3") _,
            out("tmm4") _,
            out("tmm5") _,
            out("tmm6") _,
            out("tmm7") _,
            options(nostack),
        )
    };
}

/// Products of one or two tiles of rows by one or two tiles of columns.
macro_rules! products {
    ($multiply:literal, $both:ident, $narrow:ident, $flat:ident, $single:ident) => {
        /// # Safety
        /// The unit is configured, all operands lie within their slices, and there is at least one run and one step. So too below.
        #[inline]
        unsafe fn $both(self) {
            // SAFETY: the caller's.
            unsafe {
                product!(self,
                    zero: ["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"],
                    step: [
                        "tileloadd tmm6, [{b} + {b_stride}*1]",
                        "tileloadd tmm4, [{p} + {a_stride}*1]",
                        concat!($multiply, " tmm0, tmm4, tmm6"),
                        "tileloadd tmm7, [{b} + {b_stride}*1 + 64]",
                        concat!($multiply, " tmm1, tmm4, tmm7"),
                        "tileloadd tmm5, [{q} + {a_stride}*1]",
                        concat!($multiply, " tmm2, tmm5, tmm6"),
                        concat!($multiply, " tmm3, tmm5, tmm7")
                    ],
                    store: [
                        "tilestored [{sums} + {k}*1], tmm0",
                        "tilestored [{sums} + {k}*1 + 64], tmm1",
                        "tilestored [{p} + {k}*1], tmm2",
                        "tilestored [{p} + {k}*1 + 64], tmm3"
                    ]
                );
            }
        }

        /// # Safety
        /// As above.
        #[inline]
        unsafe fn $narrow(self) {
            // SAFETY: the caller's.
            unsafe {
                product!(self,
                    zero: ["tilezero tmm0", "tilezero tmm2"],
                    step: [
                        "tileloadd tmm6, [{b} + {b_stride}*1]",
                        "tileloadd tmm4, [{p} + {a_stride}*1]",
                        concat!($multiply, " tmm0, tmm4, tmm6"),
                        "tileloadd tmm5, [{q} + {a_stride}*1]",
                        concat!($multiply, " tmm2, tmm5, tmm6")
                    ],
                    store: ["tilestored [{sums} + {k}*1], tmm0", "tilestored [{p} + {k}*1], tmm2"]
                );
            }
        }

        /// # Safety
        /// As above.
        #[inline]
        unsafe fn $flat(self) {
            // SAFETY: the caller's.
            unsafe {
                product!(self,
                    zero: ["tilezero tmm0", "tilezero tmm1"],
                    step: [
                        "tileloadd tmm4, [{p} + {a_stride}*1]",
                        "tileloadd tmm6, [{b} + {b_stride}*1]",
                        concat!($multiply, " tmm0, tmm4, tmm6"),
                        "tileloadd tmm7, [{b} + {b_stride}*1 + 64]",
                        concat!($multiply, " tmm1, tmm4, tmm7")
                    ],
                    store: ["tilestored [{sums} + {k}*1], tmm0", "tilestored [{sums} + {k}*1 + 64], tmm1"]
                );
            }
        }

        /// # Safety
        /// As above.
        #[inline]
        unsafe fn $single(self) {
            // SAFETY: the caller's.
            unsafe {
                product!(self,
                    zero: ["tilezero tmm0"],
                    step: [
                        "tileloadd tmm4, [{p} + {a_stride}*1]",
                        "tileloadd tmm6, [{b} + {b_stride}*1]",
                        concat!($multiply, " tmm0, tmm4, tmm6")
                    ],
                    store: ["tilestored [{sums} + {k}*1], tmm0"]
                );
            }
        }
    };
}

impl Operands<'_> {
    products!("tdpbusd", int8_2x2, int8_2x1, int8_1x2, int8_1x1);
    products!("tdpbf16ps", bf16_2x2, bf16_2x1, bf16_1x2, bf16_1x1);
}
