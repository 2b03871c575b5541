//! The matrix unit of Intel processors (AMX): eight registers of sixteen rows of 64 bytes, and an instruction that adds
//! the product of two of them, in bfloat16, to a third, in f32.
//!
//! A tile of 32 rows and 32 columns takes four registers of sums, which hide an instruction's latency (52 cycles, one
//! every 16), and each operand that is loaded is used twice, so that loads from the nearest cache (8 cycles) stay behind
//! the products (Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter on AMX). Loads stand before
//! their first use; the next ones overtake the products that are still running. Loads that hint at no reuse take 33 cycles.
//! Rust's intrinsics are unstable, hence the assembly; no register of tiles outlives a block of it.

use super::gemm_tile::{Tile, Tiles};
use super::multiversion::{Isa, isa};
use std::arch::{asm, x86_64::*};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Rows of a register.
pub const LANES: usize = 16;
/// Pairs of bfloat16 in a row of a register.
pub const PAIRS: usize = 16;

/// The unit, for operands that are sums of `PARTS` numbers of bfloat16 each: one, or three.
///
/// Panels consist of groups of 32 steps. A group of a band has, for each part, 32 rows of 16 pairs; a group of a panel
/// of columns has, for each part, 16 rows of pairs of 32 columns.
pub struct Amx<const PARTS: usize>;

/// The tiles of a thread are configured, until it is dropped.
///
/// `ldtilecfg` takes some 200 cycles, so that it stands before many products. `tilerelease` at their end spares the
/// system from saving eight kilobytes whenever it switches threads, and lets the core sleep deeply.
pub struct Configured;

/// The configuration as `ldtilecfg` reads it: palette 1, and all rows of all registers.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: Configuration = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut register = 0;
    while register < 8 {
        (row_bytes[register], rows[register]) = (4 * PAIRS as u16, LANES as u8);
        register += 1;
    }
    Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes,
        rows,
    }
};

impl Configured {
    /// # Safety
    /// [`available`] holds.
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            asm!(
                "ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, preserves_flags, readonly),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            );
        }
        Configured
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: tiles are configured.
        unsafe {
            asm!(
                "tilerelease", options(nostack, preserves_flags, nomem),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            );
        }
    }
}

/// Loads the left operand's registers of a part, and multiplies them with the right ones that are there.
macro_rules! left {
    ($part:literal) => {
        concat!(
            "tileloadd tmm4, [{a} + {row}*1 + 2048*",
            $part,
            "]\n",
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            ".if {wide}\n tdpbf16ps tmm1, tmm4, tmm7\n .endif\n",
            ".if {tall}\n tileloadd tmm5, [{a} + {row}*1 + 2048*",
            $part,
            " + 1024]\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n .endif\n",
            ".if {tall} * {wide}\n tdpbf16ps tmm3, tmm5, tmm7\n .endif\n",
        )
    };
}

/// The same for the right operand.
macro_rules! right {
    ($part:literal) => {
        concat!(
            "tileloadd tmm6, [{b} + {pairs}*1 + 2048*",
            $part,
            "]\n",
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            ".if {tall}\n tdpbf16ps tmm2, tmm5, tmm6\n .endif\n",
            ".if {wide}\n tileloadd tmm7, [{b} + {pairs}*1 + 2048*",
            $part,
            " + 64]\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n .endif\n",
            ".if {tall} * {wide}\n tdpbf16ps tmm3, tmm5, tmm7\n .endif\n",
        )
    };
}

/// The same for the left operand, and the right one's loads as well.
macro_rules! both {
    ($left:literal, $right:literal) => {
        concat!(
            "tileloadd tmm6, [{b} + {pairs}*1 + 2048*",
            $right,
            "]\n",
            "tileloadd tmm4, [{a} + {row}*1 + 2048*",
            $left,
            "]\n",
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            ".if {wide}\n tileloadd tmm7, [{b} + {pairs}*1 + 2048*",
            $right,
            " + 64]\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n .endif\n",
            ".if {tall}\n tileloadd tmm5, [{a} + {row}*1 + 2048*",
            $left,
            " + 1024]\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n .endif\n",
            ".if {tall} * {wide}\n tdpbf16ps tmm3, tmm5, tmm7\n .endif\n",
        )
    };
}

/// Adds products of `depth` groups to a tile of 16 rows, or 32 if `TALL` is 1, and columns likewise.
///
/// Of operands in three parts, the products of parts that sink below an f32's precision are left out, and each is
/// multiplied right after one with which it shares an operand.
///
/// # Safety
/// As for [`Tiles::tile`].
unsafe fn multiply<const TALL: usize, const WIDE: usize, const PARTS: usize>(
    depth: usize,
    a: *const [[u32; PAIRS]; PARTS],
    b: *const [[u32; PAIRS]; PARTS],
    tile: Tile<f32>,
) {
    let (from_row, to_row) = (4 * tile.from_row, 4 * tile.to_row);
    let half = LANES as isize;
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "test {from}, {from}",
            "jz 2f",
            "tileloadd tmm0, [{from} + {from_row}*1]",
            ".if {wide}\n tileloadd tmm1, [{from} + {from_row}*1 + 64]\n .endif",
            ".if {tall}\n tileloadd tmm2, [{from_low} + {from_row}*1]\n .endif",
            ".if {tall} * {wide}\n tileloadd tmm3, [{from_low} + {from_row}*1 + 64]\n .endif",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "test {depth}, {depth}",
            "jz 5f",
            "4:",
            ".if {parts} == 3",
            both!(2, 0), left!(1), left!(0), right!(2), right!(1), left!(1),
            ".else",
            both!(0, 0),
            ".endif",
            "add {a}, {group}",
            "add {b}, {group}",
            "dec {depth}",
            "jnz 4b",
            "5:",
            "tilestored [{to} + {to_row}*1], tmm0",
            ".if {wide}\n tilestored [{to} + {to_row}*1 + 64], tmm1\n .endif",
            ".if {tall}\n tilestored [{to_low} + {to_row}*1], tmm2\n .endif",
            ".if {tall} * {wide}\n tilestored [{to_low} + {to_row}*1 + 64], tmm3\n .endif",
            tall = const TALL,
            wide = const WIDE,
            parts = const PARTS,
            group = const 2048 * PARTS,
            row = in(reg) 64usize,
            pairs = in(reg) 128usize,
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            depth = inout(reg) depth => _,
            from = in(reg) tile.from,
            from_low = in(reg) tile.from.wrapping_offset(half * tile.from_row),
            from_row = in(reg) from_row,
            to = in(reg) tile.to,
            to_low = in(reg) tile.to.wrapping_offset(half * tile.to_row),
            to_row = in(reg) to_row,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

impl<const PARTS: usize> Tiles for Amx<PARTS> {
    type Packed = [[u32; PAIRS]; PARTS];
    type Sum = f32;
    type Ready = Configured;
    const ROWS: usize = 2 * LANES;
    const COLS: usize = 2 * LANES;
    const DEPTH: usize = 36 / PARTS;
    // What is gained by the products is partly spent on packing and rounding.
    const SPEED: usize = if PARTS == 1 { 8 } else { 2 };

    unsafe fn ready() -> Configured {
        // SAFETY: the caller's promise.
        unsafe { Configured::new() }
    }

    unsafe fn tile(
        (rows, cols): (usize, usize),
        depth: usize,
        a: *const Self::Packed,
        b: *const Self::Packed,
        tile: Tile<f32>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match (rows > LANES, cols > LANES) {
                (true, true) => multiply::<1, 1, PARTS>(depth, a, b, tile),
                (true, false) => multiply::<1, 0, PARTS>(depth, a, b, tile),
                (false, true) => multiply::<0, 1, PARTS>(depth, a, b, tile),
                (false, false) => multiply::<0, 0, PARTS>(depth, a, b, tile),
            }
        }
    }

    fn is_exact(rows: usize, cols: usize) -> bool {
        rows.is_multiple_of(LANES) && cols.is_multiple_of(LANES)
    }
}

/// May this process use the unit?
#[inline]
pub fn available() -> bool {
    match FOUND.load(Relaxed) {
        0 => detect(),
        found => found == 2,
    }
}

/// 1 if `detect` found no unit, 2 if it did; 0 before the first question.
static FOUND: AtomicU8 = AtomicU8::new(0);

#[cold]
fn detect() -> bool {
    // The operands are packed, and the results rounded, by AVX-512.
    let vectors = isa() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
    // SAFETY: a machine with AVX-512 has XGETBV.
    let found = vectors && unsafe { is_present() } && is_permitted();
    FOUND.store(1 + u8::from(found), Relaxed);
    found
}

/// Does the machine have the unit, and does the system save its registers? CPUID leaf 7 and XCR0 tell (Intel 64 and
/// IA-32 Architectures Software Developer's Manual, volume 1, section 18.3).
#[target_feature(enable = "xsave")]
unsafe fn is_present() -> bool {
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    // SAFETY: the caller's promise.
    unsafe {
        __cpuid_count(7, 0).edx & BF16_AND_TILES == BF16_AND_TILES
            && _xgetbv(0) & TILE_STATE == TILE_STATE
    }
}

/// Asks the system for the registers, for all threads of the process: Linux saves them for those who asked
/// (Documentation/arch/x86/xstate.rst).
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call changes nothing but what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}
