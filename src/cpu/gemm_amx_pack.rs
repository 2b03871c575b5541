//! Panels for the matrix unit: pairs of neighbouring steps in bfloat16, of a lane side by side in bands of rows, of a
//! step side by side in panels of columns.

use super::gemm_amx::{LANES, PAIRS};
use super::gemm_pack::Strip;
use half::bf16;
use std::arch::x86_64::*;

/// Steps of a group.
pub const STEPS: usize = 2 * PAIRS;
/// Registers of a part of a group: one for each lane, or each pair, of either half of a band or a panel.
const REGISTERS: usize = 2 * LANES;

/// An element as the sum of `PARTS` numbers of bfloat16, the largest first.
pub trait Parts<const PARTS: usize>: Copy + Default + Send + Sync + 'static {
    /// Up to 32 neighbouring elements, zeros behind them.
    ///
    /// # Safety
    /// They lie in live memory; AVX-512 is there, as for the others.
    unsafe fn run(from: *const Self, count: usize) -> [__m512i; PARTS];

    /// Up to 16 neighbouring elements, each paired with its like from the other place, or with zero where there is none.
    ///
    /// # Safety
    /// As above.
    unsafe fn pairs(
        first: *const Self,
        second: Option<*const Self>,
        count: usize,
    ) -> [__m512i; PARTS];
}

impl Parts<1> for bf16 {
    #[inline(always)]
    unsafe fn run(from: *const Self, count: usize) -> [__m512i; 1] {
        // SAFETY: the caller's promise; elements that the mask leaves out are not read.
        unsafe { [_mm512_maskz_loadu_epi16(first_lanes(count), from.cast())] }
    }

    #[inline(always)]
    unsafe fn pairs(first: *const Self, second: Option<*const Self>, count: usize) -> [__m512i; 1] {
        let mask = first_lanes(count) as u16;
        // SAFETY: as above.
        unsafe {
            let wide = |from: *const Self| {
                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from.cast()))
            };
            let Some(second) = second else {
                return [wide(first)];
            };
            let high = _mm512_slli_epi32::<16>(wide(second));
            [_mm512_or_si512(wide(first), high)]
        }
    }
}

impl<const PARTS: usize> Parts<PARTS> for f32 {
    #[inline(always)]
    unsafe fn run(from: *const Self, count: usize) -> [__m512i; PARTS] {
        let mask = first_lanes(count);
        // SAFETY: as above.
        unsafe {
            let low: [_; PARTS] = split(_mm512_maskz_loadu_ps(mask as u16, from));
            let high = _mm512_maskz_loadu_ps((mask >> 16) as u16, from.wrapping_add(LANES));
            let mut run: [_; PARTS] = split(high);
            let upper_halves = _mm512_load_si512((&raw const UPPER_HALVES).cast());
            for part in 0..PARTS {
                run[part] = _mm512_permutex2var_epi16(low[part], upper_halves, run[part]);
            }
            run
        }
    }

    #[inline(always)]
    unsafe fn pairs(
        first: *const Self,
        second: Option<*const Self>,
        count: usize,
    ) -> [__m512i; PARTS] {
        let mask = first_lanes(count) as u16;
        // SAFETY: as above.
        unsafe {
            let first: [_; PARTS] = split(_mm512_maskz_loadu_ps(mask, first));
            let mut pairs = [_mm512_setzero_si512(); PARTS];
            if let Some(second) = second {
                pairs = split(_mm512_maskz_loadu_ps(mask, second));
            }
            for part in 0..PARTS {
                let low = _mm512_srli_epi32::<16>(first[part]);
                pairs[part] = _mm512_or_si512(pairs[part], low);
            }
            pairs
        }
    }
}

/// Where two registers have the upper halves of their lanes.
static UPPER_HALVES: Lanes = {
    let mut lanes = [0; 32];
    let mut i = 0;
    while i < 32 {
        lanes[i] = 2 * i as u16 + 1;
        i += 1;
    }
    Lanes(lanes)
};

#[repr(C, align(64))]
struct Lanes([u16; 32]);

#[inline(always)]
fn first_lanes(count: usize) -> u32 {
    if count < 32 {
        (1 << count) - 1
    } else {
        u32::MAX
    }
}

/// Numbers of bfloat16 in the upper halves of lanes, the first nearest to `x`, each next nearest to what is left: three
/// hold all 24 bits (Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For
/// Higher-Precision Computations, 2019).
///
/// # Safety
/// AVX-512 is there.
#[inline(always)]
unsafe fn split<const PARTS: usize>(x: __m512) -> [__m512i; PARTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut parts = [_mm512_setzero_si512(); PARTS];
        let mut rest = x;
        for part in 0..PARTS {
            parts[part] = round(rest);
            rest = _mm512_sub_ps(rest, _mm512_castsi512_ps(parts[part]));
        }
        parts
    }
}

/// Rounds to the nearest bfloat16, ties to even; finite numbers stay finite, and NaN stays NaN.
///
/// # Safety
/// AVX-512 is there.
#[inline(always)]
unsafe fn round(x: __m512) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = _mm512_castps_si512(x);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fff_ffff));
        let small = _mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f7f_8000));
        let rounded = _mm512_mask_add_epi32(bits, small, bits, up);
        let nan = _mm512_cmpunord_ps_mask(x, x);
        let quiet = _mm512_mask_or_epi32(rounded, nan, rounded, _mm512_set1_epi32(0x40_0000));
        _mm512_and_si512(quiet, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()))
    }
}

/// What a register of a group holds, or neighbouring elements of a matrix are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The pairs of a lane: bands of rows.
    Lanes,
    /// The lanes of a pair: panels of columns.
    Pairs,
}

/// Packs a strip of up to 32 lanes in groups of 32 steps, as [`super::gemm_amx::Amx`] describes them. Sixteen lanes
/// that the strip does not reach are left out.
///
/// # Safety
/// The strip lies in live memory; `out` has room for 32 lanes of its steps; AVX-512 is there.
#[inline(always)]
pub unsafe fn pack<T: Parts<PARTS>, const PARTS: usize>(
    strip: &Strip<T>,
    order: Order,
    out: *mut [[u32; PAIRS]; PARTS],
) {
    let lies = if strip.lane == 1 && strip.lanes > 1 {
        Order::Pairs
    } else {
        Order::Lanes
    };
    let out = out.cast::<__m512i>();
    for group in 0..strip.steps.div_ceil(STEPS) {
        let step = group * STEPS;
        let group = Strip {
            ptr: strip.at(0, step),
            steps: STEPS.min(strip.steps - step),
            ..*strip
        };
        // SAFETY: the caller's promise.
        unsafe {
            let out = out.add(step / STEPS * PARTS * REGISTERS);
            if lies == order {
                pack_group::<T, PARTS>(&group, order, out);
            } else {
                pack_turned::<T, PARTS>(&group, (lies, order), out);
            }
        }
    }
}

/// Sixteen of the lanes of a strip, and the first register of theirs and the distance to the next: rows of both halves
/// follow each other, pairs of the right half stand beside those of the left.
#[inline(always)]
fn half_of<T>(strip: &Strip<T>, half: usize, order: Order) -> (Strip<T>, usize, usize) {
    let part = Strip {
        ptr: strip.at(half * LANES, 0),
        lanes: LANES.min(strip.lanes - half * LANES),
        ..*strip
    };
    match order {
        Order::Lanes => (part, half * LANES, 1),
        Order::Pairs => (part, half, 2),
    }
}

/// Packs a group of a strip that lies in the order that is asked for.
///
/// # Safety
/// As for [`pack`].
#[inline(always)]
unsafe fn pack_group<T: Parts<PARTS>, const PARTS: usize>(
    strip: &Strip<T>,
    order: Order,
    out: *mut __m512i,
) {
    let halves = strip.lanes.div_ceil(LANES);
    if order == Order::Lanes {
        for i in 0..halves * LANES {
            // SAFETY: the caller's promise.
            unsafe { store(register::<T, PARTS>(strip, order, i), out.add(i)) };
        }
        return;
    }
    // Both halves of a pair at once: they share a cache line.
    for i in 0..LANES {
        for half in 0..halves {
            let (part, start, stride) = half_of(strip, half, order);
            // SAFETY: the caller's promise.
            unsafe {
                let parts = register::<T, PARTS>(&part, order, i);
                store(parts, out.add(start + i * stride));
            }
        }
    }
}

/// # Safety
/// There is room for a register in each part of the group.
#[inline(always)]
unsafe fn store<const PARTS: usize>(parts: [__m512i; PARTS], to: *mut __m512i) {
    for p in 0..PARTS {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.add(p * REGISTERS), parts[p]) };
    }
}

/// Packs a group of a strip that lies in the other order.
///
/// # Safety
/// As for [`pack`].
#[inline(always)]
unsafe fn pack_turned<T: Parts<PARTS>, const PARTS: usize>(
    strip: &Strip<T>,
    (lies, order): (Order, Order),
    out: *mut __m512i,
) {
    for half in 0..strip.lanes.div_ceil(LANES) {
        let (part, start, stride) = half_of(strip, half, order);
        // SAFETY: the caller's promise.
        unsafe {
            let mut squares = [[_mm512_setzero_si512(); LANES]; PARTS];
            for i in 0..LANES {
                let parts = register::<T, PARTS>(&part, lies, i);
                for p in 0..PARTS {
                    squares[p][i] = parts[p];
                }
            }
            for p in 0..PARTS {
                transpose(&mut squares[p]);
                for i in 0..LANES {
                    let to = out.add(p * REGISTERS + start + i * stride);
                    _mm512_storeu_si512(to, squares[p][i]);
                }
            }
        }
    }
}

/// Register `i` of a group of up to 32 steps: a lane, or a pair of up to 16 lanes.
///
/// # Safety
/// As for [`pack`].
#[inline(always)]
unsafe fn register<T: Parts<PARTS>, const PARTS: usize>(
    strip: &Strip<T>,
    order: Order,
    i: usize,
) -> [__m512i; PARTS] {
    // SAFETY: the caller's promise.
    unsafe {
        match order {
            Order::Pairs if 2 * i < strip.steps => {
                let second = (2 * i + 1 < strip.steps).then_some(strip.at(0, 2 * i + 1));
                T::pairs(strip.at(0, 2 * i), second, strip.lanes)
            }
            Order::Lanes if i < strip.lanes && strip.step == 1 => {
                T::run(strip.at(i, 0), strip.steps)
            }
            Order::Lanes if i < strip.lanes => {
                let mut steps = [T::default(); STEPS];
                for step in 0..strip.steps {
                    steps[step] = *strip.at(i, step);
                }
                T::run(steps.as_ptr(), strip.steps)
            }
            _ => [_mm512_setzero_si512(); PARTS],
        }
    }
}

/// Transposes a square of 32-bit elements: pairs of rows, then fours, then 128-bit quarters of registers.
///
/// # Safety
/// AVX-512 is there.
#[inline(always)]
unsafe fn transpose(rows: &mut [__m512i; LANES]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut twos = *rows;
        for i in (0..LANES).step_by(2) {
            twos[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
            twos[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
        }
        let mut fours = twos;
        for i in (0..LANES).step_by(4) {
            for j in 0..2 {
                fours[i + 2 * j] = _mm512_unpacklo_epi64(twos[i + j], twos[i + j + 2]);
                fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(twos[i + j], twos[i + j + 2]);
            }
        }
        for j in 0..4 {
            let even = |i: usize| _mm512_shuffle_i32x4::<0x88>(fours[i + j], fours[i + j + 4]);
            let odd = |i: usize| _mm512_shuffle_i32x4::<0xdd>(fours[i + j], fours[i + j + 4]);
            rows[j] = _mm512_shuffle_i32x4::<0x88>(even(0), even(8));
            rows[j + 4] = _mm512_shuffle_i32x4::<0x88>(odd(0), odd(8));
            rows[j + 8] = _mm512_shuffle_i32x4::<0xdd>(even(0), even(8));
            rows[j + 12] = _mm512_shuffle_i32x4::<0xdd>(odd(0), odd(8));
        }
    }
}
