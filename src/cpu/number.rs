//! What reductions, scans and sorts ask of an element type: wide accumulators, an order, a magnitude.

use half::{bf16, f16};
use num_complex::Complex;

use super::extremes;
use super::half_bits::{narrow_bf16, narrow_f16, widen_bf16, widen_f16};
use crate::tensor::Bool;

/// Types in which sums and products are accumulated.
pub trait Accumulator: Copy + Send + Sync + PartialEq + 'static {
    const ZERO: Self;
    const ONE: Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Division by a count.
    fn over(self, count: f64) -> Self;
    fn is_nan(self) -> bool;
}

/// An element as its accumulator and back.
pub trait Number: Copy + Send + Sync + PartialEq + 'static {
    type Acc: Accumulator;
    /// The dtype of sums and products: integers widen.
    type Total: Copy + Send + Sync + 'static;
    /// Running sums, whose chains are long, round in this type.
    type Precise: Accumulator;
    /// Is it worth code for each instruction set?
    const HOT: bool = false;
    /// The same for sums and extremes alone.
    const COMMON: bool = Self::HOT;
    /// Are sums exact?
    const EXACT: bool = false;
    fn precise(self) -> Self::Precise;
    fn total_of_precise(acc: Self::Precise) -> Self::Total;
    fn widen(self) -> Self::Acc;
    fn narrow(acc: Self::Acc) -> Self;
    fn total(acc: Self::Acc) -> Self::Total;
    #[inline(always)]
    fn is_zero(self) -> bool {
        self.widen() == Self::Acc::ZERO
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.widen().is_nan()
    }
}

/// Elements with an order. `Rank` compares as fast as the machine can: half precision ranks as f32.
pub trait Ordered: Number {
    type Rank: Copy + Send + Sync + PartialOrd + 'static;
    const LOWEST: Self::Rank;
    const HIGHEST: Self::Rank;
    fn rank(self) -> Self::Rank;
    fn of_rank(rank: Self::Rank) -> Self;
    /// The greatest of elements in a row, where there is a faster way than to compare ranks one by one.
    ///
    /// # Safety
    /// `n` elements lie at `src`.
    #[inline(always)]
    unsafe fn greatest(_src: *const Self, _n: usize) -> Option<Self::Rank> {
        None
    }
    /// As `greatest`, the least.
    ///
    /// # Safety
    /// As for `greatest`.
    #[inline(always)]
    unsafe fn least(_src: *const Self, _n: usize) -> Option<Self::Rank> {
        None
    }
}

/// Real floating-point types that moments and quantiles are computed in.
pub trait Real: Accumulator + PartialOrd {
    const INFINITY: Self;
    fn sub(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    fn powf(self, p: Self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn of_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
}

/// Elements with an absolute value.
pub trait Magnitude: Number {
    type Real: Real;
    type Out: Copy + Send + Sync + 'static;
    fn magnitude(self) -> Self::Real;
    fn square(self) -> Self::Real;
    fn out(x: Self::Real) -> Self::Out;
}

macro_rules! real {
    ($($t:ident $math:ident $pow:ident)*) => {$(
        impl Accumulator for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn over(self, count: f64) -> Self { self / count as $t }
            #[inline(always)]
            fn is_nan(self) -> bool { self != self }
        }
        impl Number for $t {
            type Acc = $t;
            type Total = $t;
            type Precise = f64;
            const HOT: bool = true;
            #[inline(always)]
            fn precise(self) -> f64 { f64::from(self) }
            #[inline(always)]
            fn total_of_precise(acc: f64) -> $t { acc as $t }
            #[inline(always)]
            fn widen(self) -> $t { self }
            #[inline(always)]
            fn narrow(acc: $t) -> $t { acc }
            #[inline(always)]
            fn total(acc: $t) -> $t { acc }
        }
        impl Ordered for $t {
            type Rank = $t;
            const LOWEST: $t = $t::NEG_INFINITY;
            const HIGHEST: $t = $t::INFINITY;
            #[inline(always)]
            fn rank(self) -> $t { self }
            #[inline(always)]
            fn of_rank(rank: $t) -> $t { rank }
            #[inline(always)]
            unsafe fn greatest(src: *const $t, n: usize) -> Option<$t> {
                if n < extremes::LONG {
                    return None;
                }
                // SAFETY: passed on.
                Some(unsafe { extremes::$t(src, n, $t::NEG_INFINITY, |a, b| if a > b { a } else { b }) })
            }
            #[inline(always)]
            unsafe fn least(src: *const $t, n: usize) -> Option<$t> {
                if n < extremes::LONG {
                    return None;
                }
                // SAFETY: passed on.
                Some(unsafe { extremes::$t(src, n, $t::INFINITY, |a, b| if a < b { a } else { b }) })
            }
        }
        impl Real for $t {
            const INFINITY: Self = $t::INFINITY;
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self - other }
            #[inline(always)]
            fn div(self, other: Self) -> Self { self / other }
            #[inline(always)]
            fn sqrt(self) -> Self { $t::sqrt(self) }
            #[inline(always)]
            fn powf(self, p: Self) -> Self { crate::cpu::math_pow::$pow(self, p) }
            #[inline(always)]
            fn exp(self) -> Self { crate::cpu::$math::exp(self) }
            #[inline(always)]
            fn ln(self) -> Self { crate::cpu::$math::log(self) }
            #[inline(always)]
            fn ln_1p(self) -> Self { crate::cpu::$math::log1p(self) }
            #[inline(always)]
            fn of_f64(x: f64) -> Self { x as $t }
            #[inline(always)]
            fn to_f64(self) -> f64 { f64::from(self) }
        }
        impl Magnitude for $t {
            type Real = $t;
            type Out = $t;
            #[inline(always)]
            fn magnitude(self) -> $t { self.abs() }
            #[inline(always)]
            fn square(self) -> $t { self * self }
            #[inline(always)]
            fn out(x: $t) -> $t { x }
        }
    )*};
}
real!(f32 math32 pow32 f64 math64 pow64);

macro_rules! half_precision {
    ($($t:ident $widen:ident $narrow:ident)*) => {$(
        impl Number for $t {
            type Acc = f32;
            type Total = $t;
            type Precise = f32;
            const HOT: bool = true;
            #[inline(always)]
            fn precise(self) -> f32 { self.widen() }
            #[inline(always)]
            fn total_of_precise(acc: f32) -> $t { $t::from_bits($narrow(acc)) }
            #[inline(always)]
            fn widen(self) -> f32 { $widen(self.to_bits()) }
            #[inline(always)]
            fn narrow(acc: f32) -> $t { $t::from_bits($narrow(acc)) }
            #[inline(always)]
            fn total(acc: f32) -> $t { $t::from_bits($narrow(acc)) }
        }
        impl Ordered for $t {
            type Rank = f32;
            const LOWEST: f32 = f32::NEG_INFINITY;
            const HIGHEST: f32 = f32::INFINITY;
            #[inline(always)]
            fn rank(self) -> f32 { self.widen() }
            #[inline(always)]
            fn of_rank(rank: f32) -> $t { $t::from_bits($narrow(rank)) }
        }
        impl Magnitude for $t {
            type Real = f32;
            type Out = $t;
            #[inline(always)]
            fn magnitude(self) -> f32 { self.widen().abs() }
            #[inline(always)]
            fn square(self) -> f32 { let x = self.widen(); x * x }
            #[inline(always)]
            fn out(x: f32) -> $t { $t::from_bits($narrow(x)) }
        }
    )*};
}
half_precision!(f16 widen_f16 narrow_f16 bf16 widen_bf16 narrow_bf16);

impl Accumulator for i64 {
    const ZERO: Self = 0;
    const ONE: Self = 1;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn over(self, count: f64) -> Self {
        (self as f64 / count) as i64
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
}

macro_rules! integer {
    ($($t:ident)*) => {$(
        impl Number for $t {
            type Acc = i64;
            type Total = i64;
            type Precise = i64;
            const COMMON: bool = true;
            const EXACT: bool = true;
            #[inline(always)]
            fn precise(self) -> i64 { self as i64 }
            #[inline(always)]
            fn total_of_precise(acc: i64) -> i64 { acc }
            #[inline(always)]
            fn widen(self) -> i64 { self as i64 }
            #[inline(always)]
            fn narrow(acc: i64) -> $t { acc as $t }
            #[inline(always)]
            fn total(acc: i64) -> i64 { acc }
        }
        impl Ordered for $t {
            type Rank = $t;
            const LOWEST: $t = $t::MIN;
            const HIGHEST: $t = $t::MAX;
            #[inline(always)]
            fn rank(self) -> $t { self }
            #[inline(always)]
            fn of_rank(rank: $t) -> $t { rank }
        }
    )*};
}
integer!(u8 i8 i16 i32 i64 u16 u32 u64);

impl Number for Bool {
    type Acc = i64;
    type Total = i64;
    type Precise = i64;
    const HOT: bool = true;
    #[inline(always)]
    fn precise(self) -> i64 {
        self.widen()
    }
    #[inline(always)]
    fn total_of_precise(acc: i64) -> i64 {
        acc
    }
    #[inline(always)]
    fn widen(self) -> i64 {
        i64::from(self.get())
    }
    #[inline(always)]
    fn narrow(acc: i64) -> Bool {
        (acc != 0).into()
    }
    #[inline(always)]
    fn total(acc: i64) -> i64 {
        acc
    }
}

impl Ordered for Bool {
    type Rank = u8;
    const LOWEST: u8 = 0;
    const HIGHEST: u8 = 1;
    #[inline(always)]
    fn rank(self) -> u8 {
        u8::from(self.get())
    }
    #[inline(always)]
    fn of_rank(rank: u8) -> Bool {
        (rank != 0).into()
    }
}

macro_rules! complex {
    ($($t:ident)*) => {$(
        impl Accumulator for Complex<$t> {
            const ZERO: Self = Complex::new(0.0, 0.0);
            const ONE: Self = Complex::new(1.0, 0.0);
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn over(self, count: f64) -> Self { Complex::new(self.re / count as $t, self.im / count as $t) }
            #[inline(always)]
            fn is_nan(self) -> bool { self.re != self.re || self.im != self.im }
        }
        impl Number for Complex<$t> {
            type Acc = Self;
            type Total = Self;
            type Precise = Complex<f64>;
            #[inline(always)]
            fn precise(self) -> Complex<f64> { Complex::new(f64::from(self.re), f64::from(self.im)) }
            #[inline(always)]
            fn total_of_precise(acc: Complex<f64>) -> Self { Complex::new(acc.re as $t, acc.im as $t) }
            #[inline(always)]
            fn widen(self) -> Self { self }
            #[inline(always)]
            fn narrow(acc: Self) -> Self { acc }
            #[inline(always)]
            fn total(acc: Self) -> Self { acc }
        }
        impl Magnitude for Complex<$t> {
            type Real = $t;
            type Out = $t;
            #[inline(always)]
            fn magnitude(self) -> $t { self.re.hypot(self.im) }
            #[inline(always)]
            fn square(self) -> $t { self.re * self.re + self.im * self.im }
            #[inline(always)]
            fn out(x: $t) -> $t { x }
        }
    )*};
}
complex!(f32 f64);
