//! The reductions themselves: what each maps, combines and finishes.

use super::number::{Accumulator, Magnitude, Number, Ordered, Real};
use super::reduce::Reduction;
use crate::tensor::Bool;

#[derive(Clone, Copy)]
pub struct Sum;

/// A sum that skips NaN.
#[derive(Clone, Copy)]
pub struct NanSum;

/// A sum divided by this count.
#[derive(Clone, Copy)]
pub struct Mean(pub f64);

#[derive(Clone, Copy)]
pub struct Prod;

macro_rules! folded {
    ($($name:ident($simd:ident): $out:ident, $identity:ident, $combine:ident, |$self:ident, $x:ident| $map:expr, |$acc:ident| $finish:expr;)*) => {$(
        impl<T: Number> Reduction<T> for $name {
            type Acc = T::Acc;
            type Out = T::$out;
            const SIMD: bool = T::$simd;
            const EXACT: bool = T::EXACT;
            #[inline(always)]
            fn identity(&self) -> T::Acc { T::Acc::$identity }
            #[inline(always)]
            fn map(&self, $x: T) -> T::Acc { $map }
            #[inline(always)]
            fn combine(&self, a: T::Acc, b: T::Acc) -> T::Acc { a.$combine(b) }
            #[inline(always)]
            fn finish(&$self, $acc: T::Acc) -> T::Total { $finish }
        }
    )*};
}
folded! {
    Sum(COMMON): Total, ZERO, add, |self, x| x.widen(), |acc| T::total(acc);
    NanSum(HOT): Total, ZERO, add, |self, x| if x.is_nan() { T::Acc::ZERO } else { x.widen() }, |acc| T::total(acc);
    Mean(HOT): Total, ZERO, add, |self, x| x.widen(), |acc| T::total(acc.over(self.0));
    Prod(HOT): Total, ONE, mul, |self, x| x.widen(), |acc| T::total(acc);
}

/// The greatest element; NaN wins.
#[derive(Clone, Copy)]
pub struct Max;

/// The least element; NaN wins.
#[derive(Clone, Copy)]
pub struct Min;

macro_rules! extremum {
    ($($name:ident $identity:ident $better:tt $row:ident;)*) => {$(
        impl<T: Ordered> Reduction<T> for $name {
            type Acc = T::Rank;
            type Out = T;
            const SIMD: bool = T::COMMON;
            const EXACT: bool = T::EXACT;
            #[inline(always)]
            fn identity(&self) -> T::Rank { T::$identity }
            #[inline(always)]
            fn map(&self, x: T) -> T::Rank { x.rank() }
            #[inline(always)]
            #[allow(clippy::eq_op)]
            fn combine(&self, a: T::Rank, b: T::Rank) -> T::Rank {
                // Compiles to one comparison for NaN and the machine's minimum or maximum.
                let better = if a $better b { a } else { b };
                if a != a { a } else { better }
            }
            #[inline(always)]
            unsafe fn row(&self, src: *const T, n: usize) -> Option<T::Rank> {
                // SAFETY: passed on.
                unsafe { T::$row(src, n) }
            }
            #[inline(always)]
            fn finish(&self, acc: T::Rank) -> T { T::of_rank(acc) }
        }
    )*};
}
extremum! {
    Max LOWEST > greatest;
    Min HIGHEST < least;
}

#[derive(Clone, Copy)]
pub struct Any;

#[derive(Clone, Copy)]
pub struct All;

/// The number of elements that are not zero.
#[derive(Clone, Copy)]
pub struct CountNonzero;

/// The exclusive or of 64-bit patterns.
#[derive(Clone, Copy)]
pub struct Xor;

impl<T: Number> Reduction<T> for Any {
    type Acc = bool;
    type Out = Bool;
    const SIMD: bool = T::HOT;
    #[inline(always)]
    fn identity(&self) -> bool {
        false
    }
    #[inline(always)]
    fn map(&self, x: T) -> bool {
        !x.is_zero()
    }
    #[inline(always)]
    fn combine(&self, a: bool, b: bool) -> bool {
        a | b
    }
    #[inline(always)]
    fn finish(&self, acc: bool) -> Bool {
        acc.into()
    }
    #[inline(always)]
    fn is_settled(&self, acc: bool) -> bool {
        acc
    }
}

impl<T: Number> Reduction<T> for All {
    type Acc = bool;
    type Out = Bool;
    const SIMD: bool = T::HOT;
    #[inline(always)]
    fn identity(&self) -> bool {
        true
    }
    #[inline(always)]
    fn map(&self, x: T) -> bool {
        !x.is_zero()
    }
    #[inline(always)]
    fn combine(&self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn finish(&self, acc: bool) -> Bool {
        acc.into()
    }
    #[inline(always)]
    fn is_settled(&self, acc: bool) -> bool {
        !acc
    }
}

impl<T: Number> Reduction<T> for CountNonzero {
    type Acc = i64;
    type Out = i64;
    const SIMD: bool = T::HOT;
    #[inline(always)]
    fn identity(&self) -> i64 {
        0
    }
    #[inline(always)]
    fn map(&self, x: T) -> i64 {
        i64::from(!x.is_zero())
    }
    #[inline(always)]
    fn combine(&self, a: i64, b: i64) -> i64 {
        a + b
    }
    #[inline(always)]
    fn finish(&self, acc: i64) -> i64 {
        acc
    }
}

impl Reduction<i64> for Xor {
    type Acc = i64;
    type Out = u64;
    const SIMD: bool = true;
    #[inline(always)]
    fn identity(&self) -> i64 {
        0
    }
    #[inline(always)]
    fn map(&self, x: i64) -> i64 {
        x
    }
    #[inline(always)]
    fn combine(&self, a: i64, b: i64) -> i64 {
        a ^ b
    }
    #[inline(always)]
    fn finish(&self, acc: i64) -> u64 {
        acc.cast_unsigned()
    }
}

/// Vector norms by order.
#[derive(Clone, Copy)]
pub struct Norm0;

#[derive(Clone, Copy)]
pub struct Norm1;

#[derive(Clone, Copy)]
pub struct Norm2;

#[derive(Clone, Copy)]
pub struct NormInf;

#[derive(Clone, Copy)]
pub struct NormNegInf;

/// The p-norm of any other order.
#[derive(Clone, Copy)]
pub struct NormP(pub f64);

macro_rules! norm {
    ($($name:ident($simd:literal): $identity:expr, |$self:ident, $x:ident| $map:expr, |$a:ident, $b:ident| $combine:expr, |$acc:ident| $finish:expr;)*) => {$(
        impl<T: Magnitude> Reduction<T> for $name {
            type Acc = T::Real;
            type Out = T::Out;
            const SIMD: bool = $simd && T::HOT;
            #[inline(always)]
            fn identity(&self) -> T::Real { $identity }
            #[inline(always)]
            fn map(&$self, $x: T) -> T::Real { $map }
            #[inline(always)]
            #[allow(clippy::eq_op)]
            fn combine(&self, $a: T::Real, $b: T::Real) -> T::Real { $combine }
            #[inline(always)]
            fn finish(&$self, $acc: T::Real) -> T::Out { T::out($finish) }
        }
    )*};
}
norm! {
    Norm0(true): T::Real::ZERO, |self, x| if x.is_zero() { T::Real::ZERO } else { T::Real::ONE }, |a, b| a.add(b), |acc| acc;
    Norm1(true): T::Real::ZERO, |self, x| x.magnitude(), |a, b| a.add(b), |acc| acc;
    Norm2(true): T::Real::ZERO, |self, x| x.square(), |a, b| a.add(b), |acc| acc.sqrt();
    NormInf(true): T::Real::ZERO, |self, x| x.magnitude(), |a, b| if (a >= b) | (a != a) { a } else { b }, |acc| acc;
    NormNegInf(false): T::Real::INFINITY, |self, x| x.magnitude(), |a, b| if (a <= b) | (a != a) { a } else { b }, |acc| acc;
    NormP(true): T::Real::ZERO, |self, x| x.magnitude().powf(T::Real::of_f64(self.0)), |a, b| a.add(b),
        |acc| acc.powf(T::Real::of_f64(1.0 / self.0));
}
