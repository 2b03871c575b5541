//! The element types of the matrix unit: bfloat16, and f32 as the sum of one or three numbers of bfloat16.

use super::gemm::Product;
use super::gemm_amx::Amx;
use super::gemm_amx_pack::{Order, STEPS, pack};
use super::gemm_blocked::{Output, finish};
use super::gemm_pack::{Pack, Strip};
use super::gemm_tile::{Kernel, Packed, Tiles, cols};
use super::half_bits::{narrow_bf16, widen_bf16};
use half::bf16;
use std::arch::x86_64::*;

pub struct Bf16Amx;
/// Operands of f32 in three parts: errors are those of products of f32.
pub struct F32High;
/// Operands of f32 in one part: they are rounded to bfloat16.
pub struct F32Medium;

macro_rules! kernel {
    ($name:ident: $T:ty, $parts:literal, $in_place:literal,
     widen $widen:expr, narrow $narrow:expr, finish $finish:path) => {
        impl Pack for $name {
            type Element = $T;
            type Packed = <Amx<$parts> as Tiles>::Packed;
            const STEPS: usize = STEPS;
        }

        impl Kernel for $name {
            type Unit = Amx<$parts>;
            const IN_PLACE: bool = $in_place;

            #[inline(always)]
            fn widen(x: $T) -> f32 {
                $widen(x)
            }
            #[inline(always)]
            fn narrow(x: f32) -> $T {
                $narrow(x)
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")]
            unsafe fn pack_rows(strip: &Strip<$T>, out: *mut Packed<Self>) {
                // SAFETY: the caller's promise.
                unsafe { pack::<$T, $parts>(strip, Order::Lanes, out) }
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")]
            unsafe fn pack_columns(strip: &Strip<$T>, out: *mut Packed<Self>) {
                // SAFETY: the caller's promise.
                unsafe { pack::<$T, $parts>(strip, Order::Pairs, out) }
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")]
            unsafe fn finish(tile: *const f32, size: (usize, usize), out: &Output<Self>) {
                // SAFETY: the caller's promise.
                unsafe { $finish(tile, size, out) }
            }
        }
    };
}

kernel!(
    Bf16Amx: bf16, 1, false,
    widen |x: bf16| widen_bf16(x.to_bits()), narrow |x| bf16::from_bits(narrow_bf16(x)), finish finish_bf16
);
kernel!(F32High: f32, 3, true, widen |x| x, narrow |x| x, finish finish);
kernel!(F32Medium: f32, 1, true, widen |x| x, narrow |x| x, finish finish);

/// As [`finish`]: rows that lie together are rounded by the instruction for it, which takes subnormal sums for zero, as
/// the unit does.
///
/// # Safety
/// As for [`finish`], and the instruction set is there.
#[inline(always)]
unsafe fn finish_bf16(tile: *const f32, (rows, columns): (usize, usize), out: &Output<Bf16Amx>) {
    let together = out.c.col == 1 && (out.beta == 0.0 || out.start.col == 1);
    // SAFETY: the caller's promise; elements that the masks leave out are neither read nor written.
    unsafe {
        if !together {
            return finish(tile, (rows, columns), out);
        }
        let (alpha, beta) = (_mm512_set1_ps(out.alpha), _mm512_set1_ps(out.beta));
        for i in 0..rows {
            let (sums, c) = (tile.add(i * cols::<Bf16Amx>()), out.c.at(i, 0).ptr);
            let start = out.start.at(i, 0).ptr;
            for j in (0..columns).step_by(16) {
                let mask = ((1u32 << (columns - j).min(16)) - 1) as u16;
                let mut sum = _mm512_mul_ps(alpha, _mm512_loadu_ps(sums.add(j)));
                if out.beta != 0.0 {
                    let old = _mm256_maskz_loadu_epi16(mask, start.add(j).cast());
                    let old = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(old));
                    sum = _mm512_add_ps(sum, _mm512_mul_ps(beta, _mm512_castsi512_ps(old)));
                }
                let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(sum));
                _mm256_mask_storeu_epi16(c.add(j).cast(), mask, rounded);
            }
        }
    }
}

/// Does a product that is not thin repay the configuration of tiles, some 200 cycles, in which vectors multiply six
/// thousand pairs? Fewer than three rows or columns leave most of a tile empty.
pub fn pays<T: Copy>(p: &Product<T>) -> bool {
    const LEAST_WORK: usize = 16 * 1024;
    p.m.min(p.n) > 2 && p.work() >= LEAST_WORK
}
