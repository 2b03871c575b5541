//! Moving a run of elements between a tensor and the lane type that a formula computes in: f32, f64,
//! complex128 or i64, into which narrower types widen.

use super::copy::Cast;
use super::multiversion::multiversion;
use crate::dispatch;
use crate::tensor::{Bool, DType, c128};

/// Converts `n` elements; steps are in elements of each side.
pub type Convert =
    unsafe fn(source: *const u8, step: isize, target: *mut u8, target_step: isize, n: usize);

/// How to get from one dtype to another.
#[must_use]
pub fn converter(from: DType, to: DType) -> Convert {
    match (from, to) {
        (DType::BF16, DType::F32) => bf16_to_f32,
        (DType::F32, DType::BF16) => f32_to_bf16,
        (DType::F16, DType::F32) => f16_to_f32,
        (DType::F32, DType::F16) => f32_to_f16,
        _ if from == to => dispatch!(bytes from, T => copy::<T>),
        (_, DType::F32) => dispatch!(all from, S => cast::<S, f32>),
        (_, DType::F64) => dispatch!(all from, S => cast::<S, f64>),
        (_, DType::C128) => dispatch!(all from, S => cast::<S, c128>),
        (_, DType::I64) => dispatch!(all from, S => cast::<S, i64>),
        (DType::F32, _) => dispatch!(all to, T => cast::<f32, T>),
        (DType::F64, _) => dispatch!(all to, T => cast::<f64, T>),
        (DType::C128, _) => dispatch!(all to, T => cast::<c128, T>),
        (DType::I64, _) => dispatch!(all to, T => cast::<i64, T>),
        // Loops compute in the types above, and write bool besides.
        _ => cast::<Bool, Bool>,
    }
}

unsafe fn each<S: Copy, T>(
    source: *const u8,
    step: isize,
    target: *mut u8,
    target_step: isize,
    n: usize,
    convert: impl Fn(S) -> T,
) {
    let (source, target) = (source.cast::<S>(), target.cast::<T>());
    // SAFETY: the caller's promise about `n` elements on both sides.
    unsafe {
        for i in 0..n as isize {
            let value = convert(source.wrapping_offset(i * step).read_unaligned());
            target
                .wrapping_offset(i * target_step)
                .write_unaligned(value);
        }
    }
}

unsafe fn cast<S: Copy, T: Cast<S>>(
    source: *const u8,
    step: isize,
    target: *mut u8,
    target_step: isize,
    n: usize,
) {
    // SAFETY: passed on.
    unsafe { each(source, step, target, target_step, n, <T as Cast<S>>::cast) }
}

unsafe fn copy<T: Copy>(
    source: *const u8,
    step: isize,
    target: *mut u8,
    target_step: isize,
    n: usize,
) {
    // SAFETY: passed on.
    unsafe {
        if step == 1 && target_step == 1 {
            std::ptr::copy_nonoverlapping(source, target, n * size_of::<T>());
        } else if step == 0 {
            let value = source.cast::<T>().read_unaligned();
            each(source, 0, target, target_step, n, |_: T| value);
        } else {
            each(source, step, target, target_step, n, |v: T| v);
        }
    }
}

/// Contiguous half-precision runs take a loop that vectorises.
macro_rules! half_conversions {
    ($($name:ident $loop:ident $S:ty, $T:ty, $function:expr;)*) => { $(
        multiversion! {
            unsafe fn $loop[](source: *const $S, target: *mut $T, n: usize) {
                // SAFETY: the caller's promise about `n` elements on both sides.
                unsafe {
                    for i in 0..n {
                        target.add(i).write_unaligned($function(source.add(i).read_unaligned()));
                    }
                }
            }
        }

        unsafe fn $name(source: *const u8, step: isize, target: *mut u8, target_step: isize, n: usize) {
            // SAFETY: passed on.
            unsafe {
                if step == 1 && target_step == 1 {
                    $loop(source.cast(), target.cast(), n);
                } else {
                    each::<$S, $T>(source, step, target, target_step, n, $function);
                }
            }
        }
    )* };
}

half_conversions! {
    bf16_to_f32 bf16_to_f32_run u16, f32, widen_bf16;
    f32_to_bf16 f32_to_bf16_run f32, u16, narrow_bf16;
    f16_to_f32 f16_to_f32_run u16, f32, widen_f16;
    f32_to_f16 f32_to_f16_run f32, u16, narrow_f16;
}

#[inline(always)]
pub fn widen_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds to nearest, ties to even.
#[inline(always)]
pub fn narrow_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    (if value.is_nan() {
        0x7fc0_0000 | (bits & 0x8000_0000)
    } else {
        rounded
    } >> 16) as u16
}

#[inline(always)]
pub fn widen_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let scaled = (f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23)).to_bits();
    let finite = magnitude < 0x7c00 << 13;
    f32::from_bits(
        sign | if finite {
            scaled
        } else {
            magnitude | 0x7f80_0000
        },
    )
}

/// Rounds to nearest, ties to even; the addition of a power of two rounds subnormal results.
#[inline(always)]
pub fn narrow_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    let finite = if magnitude < 113 << 23 {
        subnormal
    } else {
        normal
    };
    let capped = if magnitude >= 0x4780_0000 {
        0x7c00
    } else {
        finite
    };
    let result = if magnitude > 0x7f80_0000 {
        0x7e00
    } else {
        capped
    };
    (sign | result) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    #[test]
    fn halves_round_as_the_half_crate_does() {
        for i in 0..2_000_000u32 {
            let value = f32::from_bits(i.wrapping_mul(2147));
            let (mine, want) = (narrow_f16(value), f16::from_f32(value));
            assert!(
                mine == want.to_bits() || want.is_nan() && f16::from_bits(mine).is_nan(),
                "{value:e}"
            );
            let (mine, want) = (narrow_bf16(value), bf16::from_f32(value));
            assert!(
                mine == want.to_bits() || want.is_nan() && bf16::from_bits(mine).is_nan(),
                "{value:e}"
            );
        }
        for bits in 0..=u16::MAX {
            let (mine, want) = (widen_f16(bits), f16::from_bits(bits).to_f32());
            assert!(mine.to_bits() == want.to_bits() || want.is_nan() && mine.is_nan());
        }
    }
}
