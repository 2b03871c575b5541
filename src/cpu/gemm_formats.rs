//! The element types of blocked products on each instruction set: how they are packed, multiplied and rounded.

use super::gemm_blocked::{Output, finish};
use super::gemm_kernels::{Bf16x32, F32x8, F32x16, F64x4, F64x8, I32x8, I32x16, I64x4, I64x8};
use super::gemm_pack::{Pack, PackSteps, Square, Strip, pack};
use super::gemm_tile::{Kernel, Packed, Sum, Tiles, cols, rows};
use super::half_bits::{narrow_bf16, narrow_f16, widen_bf16, widen_f16};
use half::{bf16, f16};
use std::arch::x86_64::*;
use std::num::Wrapping;

/// Declares the kernels of an element type: how it is packed, and the registers that multiply it.
macro_rules! kernel {
    ($name:ident: $T:ty, $Simd:ty, $features:literal, $steps:literal, $in_place:expr,
     one $one:expr, several $several:expr, widen $widen:expr, narrow $narrow:expr) => {
        pub struct $name;

        impl Pack for $name {
            type Element = $T;
            type Packed = <$Simd as Tiles>::Packed;
            const STEPS: usize = $steps;
        }

        impl PackSteps for $name {
            #[inline(always)]
            unsafe fn one(from: *const $T, step: isize, steps: usize) -> Self::Packed {
                // SAFETY: the caller's promise.
                unsafe { $one(from, step, steps) }
            }
            #[inline(always)]
            unsafe fn several(from: *const $T) -> <Self::Packed as Square>::Register {
                // SAFETY: the caller's promise.
                unsafe { $several(from) }
            }
        }

        impl Kernel for $name {
            type Unit = $Simd;
            const IN_PLACE: bool = $in_place;

            #[inline(always)]
            fn widen(x: $T) -> Sum<Self> {
                $widen(x)
            }
            #[inline(always)]
            fn narrow(x: Sum<Self>) -> $T {
                $narrow(x)
            }
            #[target_feature(enable = $features)]
            unsafe fn pack_rows(strip: &Strip<$T>, out: *mut Packed<Self>) {
                // SAFETY: the caller's promise.
                unsafe { pack::<Self>(strip, rows::<Self>(), out) }
            }
            #[target_feature(enable = $features)]
            unsafe fn pack_columns(strip: &Strip<$T>, out: *mut Packed<Self>) {
                // SAFETY: the caller's promise.
                unsafe { pack::<Self>(strip, cols::<Self>(), out) }
            }
            #[target_feature(enable = $features)]
            unsafe fn finish(tile: *const Sum<Self>, size: (usize, usize), out: &Output<Self>) {
                // SAFETY: the caller's promise.
                unsafe { finish(tile, size, out) }
            }
        }
    };
}

macro_rules! kernels {
    ($features:literal: $F32:ident $F64:ident $Bf16:ident $F16:ident, $Single:ty, $Double:ty) => {
        kernel!(
            $F32: f32, $Single, $features, 1, true,
            one |x: *const f32, _, _| *x, several |x| _mm256_loadu_ps(x),
            widen |x| x, narrow |x| x
        );
        kernel!(
            $F64: f64, $Double, $features, 1, true,
            one |x: *const f64, _, _| *x, several |x| _mm256_loadu_pd(x),
            widen |x| x, narrow |x| x
        );
        kernel!(
            $Bf16: bf16, $Single, $features, 1, false,
            one |x: *const bf16, _, _| widen_bf16((*x).to_bits()),
            several |x: *const bf16| {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
            },
            widen |x: bf16| widen_bf16(x.to_bits()), narrow |x| bf16::from_bits(narrow_bf16(x))
        );
        kernel!(
            $F16: f16, $Single, $features, 1, false,
            one |x: *const f16, _, _| widen_f16((*x).to_bits()),
            several |x: *const f16| {
                let mut wide = [0.0f32; 8];
                for i in 0..8 {
                    wide[i] = widen_f16((*x.add(i)).to_bits());
                }
                _mm256_loadu_ps(wide.as_ptr())
            },
            widen |x: f16| widen_f16(x.to_bits()), narrow |x| f16::from_bits(narrow_f16(x))
        );
    };
}

kernels!("avx2,fma": F32Avx2 F64Avx2 Bf16Avx2 F16Avx2, F32x8, F64x4);
kernels!(
    "avx512f,avx512bw,avx512dq,avx512vl,fma":
    F32Avx512 F64Avx512 Bf16Avx512 F16Avx512, F32x16, F64x8
);
kernel!(
    Bf16Pairs: bf16, Bf16x32, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma", 2, false,
    one |x: *const bf16, step: isize, steps: usize| {
        let low = u32::from((*x).to_bits());
        if steps == 2 { low | u32::from((*x.offset(step)).to_bits()) << 16 } else { low }
    },
    several |x: *const bf16| _mm256_loadu_ps(x.cast()),
    widen |x: bf16| widen_bf16(x.to_bits()), narrow |x| bf16::from_bits(narrow_bf16(x))
);

/// Integers, whose sums wrap: the low bits are right in any width, so that short ones take vectors of 32 bits.
macro_rules! integers {
    ($($T:ident as $Sum:ident, $Wide:ident $Narrow:ident: $Avx512:ident $Avx2:ident;)*) => {$(
        integers!(@one $Avx512: $T as $Sum, $Wide, "avx512f,avx512bw,avx512dq,avx512vl,fma");
        integers!(@one $Avx2: $T as $Sum, $Narrow, "avx2,fma");
    )*};
    (@one $name:ident: $T:ident as $Sum:ident, $Simd:ty, $features:literal) => {
        kernel!(
            $name: $T, $Simd, $features, 1, size_of::<$T>() == size_of::<$Sum>(),
            one |x: *const $T, _, _| Wrapping(*x as $Sum),
            several |x: *const $T| {
                let mut wide = [0 as $Sum; <Wrapping<$Sum> as Square>::SIZE];
                for i in 0..wide.len() {
                    wide[i] = *x.add(i) as $Sum;
                }
                <Wrapping<$Sum> as Square>::load(wide.as_ptr().cast())
            },
            widen |x: $T| Wrapping(x as $Sum), narrow |x: Wrapping<$Sum>| x.0 as $T
        );
    };
}

integers! {
    i8 as i32, I32x16 I32x8: I8Avx512 I8Avx2;
    u8 as i32, I32x16 I32x8: U8Avx512 U8Avx2;
    i16 as i32, I32x16 I32x8: I16Avx512 I16Avx2;
    u16 as i32, I32x16 I32x8: U16Avx512 U16Avx2;
    i32 as i32, I32x16 I32x8: I32Avx512 I32Avx2;
    u32 as i32, I32x16 I32x8: U32Avx512 U32Avx2;
    i64 as i64, I64x8 I64x4: I64Avx512 I64Avx2;
    u64 as i64, I64x8 I64x4: U64Avx512 U64Avx2;
}
