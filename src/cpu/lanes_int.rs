//! Integers (wrapping) as lanes, and the bool that comparisons write.

use std::num::Wrapping;

use super::lanes::{Divided, Factored, Int, Num, Ordered};
use crate::tensor::Bool;

macro_rules! int_lane {
    ($t:ident, $sign:ident) => {
        impl Num for Wrapping<$t> {
            type Mask = bool;
            const ZERO: Self = Wrapping(0);
            const ONE: Self = Wrapping(1);
            #[inline(always)]
            fn lit(value: f64) -> Self {
                Wrapping(value as $t)
            }
            #[inline(always)]
            fn eq(self, other: Self) -> bool {
                self.0 == other.0
            }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }
            /// Square and multiply; a negative exponent gives the truncated reciprocal.
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                if $sign::is_negative(exponent.0) {
                    let odd = exponent.0 & 1 == 1;
                    let minus_one = Wrapping(0) - Self::ONE;
                    return match self {
                        Self::ONE => self,
                        x if x == minus_one => Self::select(odd, minus_one, Self::ONE),
                        _ => Self::ZERO,
                    };
                }
                let (mut base, mut rest, mut result) = (self.0, exponent.0, 1);
                while rest > 0 {
                    if rest & 1 == 1 {
                        result = $t::wrapping_mul(result, base);
                    }
                    rest >>= 1;
                    base = base.wrapping_mul(base);
                }
                Wrapping(result)
            }
        }

        impl Int for Wrapping<$t> {
            #[inline(always)]
            fn bitwise_and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn bitwise_or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn bitwise_xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn bitwise_not(self) -> Self {
                !self
            }
            /// A count outside the width shifts everything out.
            #[inline(always)]
            fn shift_left(self, count: Self) -> Self {
                let inside = !$sign::is_negative(count.0) & (count.0 < $t::BITS as $t);
                let shifted = self.0.wrapping_shl(count.0 as u32);
                Wrapping(if inside { shifted } else { 0 })
            }
            #[inline(always)]
            fn shift_right(self, count: Self) -> Self {
                let inside = !$sign::is_negative(count.0) & (count.0 < $t::BITS as $t);
                let shifted = self.0.wrapping_shr(count.0 as u32);
                Wrapping(if inside { shifted } else { $sign::fill(self.0) })
            }
        }
    };
}

/// What signed integers have of their own, under names that unsigned ones share.
mod signed {
    use std::ops::Shr;

    #[inline(always)]
    pub fn is_negative<T: Default + PartialOrd>(x: T) -> bool {
        x < T::default()
    }
    /// All bits as the sign.
    #[inline(always)]
    pub fn fill<T: Copy + Shr<u32, Output = T>>(x: T) -> T {
        x >> (size_of::<T>() as u32 * 8 - 1)
    }
}

mod unsigned {
    #[inline(always)]
    pub fn is_negative<T>(_: T) -> bool {
        false
    }
    #[inline(always)]
    pub fn fill<T: Default>(_: T) -> T {
        T::default()
    }
}

int_lane!(i64, signed);
int_lane!(i32, signed);
int_lane!(i16, signed);
int_lane!(i8, signed);
int_lane!(u8, unsigned);

macro_rules! order {
    ($t:ident, $abs:expr, $signum:expr, $trunc:expr, $floor:expr) => {
        impl Ordered for Wrapping<$t> {
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self.0 < other.0
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                self.0 <= other.0
            }
            #[inline(always)]
            fn abs(self) -> Self {
                Wrapping($abs(self.0))
            }
            #[inline(always)]
            fn sign(self) -> Self {
                Wrapping($signum(self.0))
            }
            #[inline(always)]
            fn div_trunc(self, other: Self) -> Self {
                Wrapping($trunc(self.0, other.0))
            }
            #[inline(always)]
            fn div_floor(self, other: Self) -> Self {
                Wrapping($floor(self.0, other.0))
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                let rest = self - self.div_trunc(other) * other;
                Self::select(other.0 == 0, Self::ZERO, rest)
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                let rest = self - self.div_floor(other) * other;
                Self::select(other.0 == 0, Self::ZERO, rest)
            }
        }

        impl Divided for Wrapping<$t> {
            type Slow = Self;
            #[inline(always)]
            fn slow(self) -> Self {
                self
            }
            #[inline(always)]
            fn from_slow(value: Self) -> Self {
                value
            }
            #[inline(always)]
            fn is_far(self, _: Self) -> bool {
                false
            }
        }
    };
}

order!(
    i64,
    i64::wrapping_abs,
    i64::signum,
    |a: i64, b: i64| if b == 0 { 0 } else { a.wrapping_div(b) },
    |a: i64, b: i64| {
        if b == 0 {
            return 0;
        }
        let (quotient, rest) = (a.wrapping_div(b), a.wrapping_rem(b));
        let down = rest != 0 && ((rest < 0) != (b < 0));
        if down { quotient - 1 } else { quotient }
    }
);

/// Quotients by way of floats that hold them exactly, which vectorise.
macro_rules! float_quotients {
    ($($t:ident $f:ident $whole:ident $abs:expr, $signum:expr;)*) => { $(
        order!(
            $t,
            $abs,
            $signum,
            |a: $t, b: $t| float_quotients!(@ $t $f $whole a, b, |q: $f| q),
            |a: $t, b: $t| float_quotients!(@ $t $f $whole a, b, $f::floor)
        );
    )* };
    (@ i32 $f:ident $whole:ident $a:ident, $b:ident, $round:expr) => {{
        // The one quotient that overflows is by -1.
        let plain = ($b != 0) & ($b != -1);
        let q = float_quotients!(@whole $f $whole $a, if plain { $b } else { 1 }, $round);
        let edge = if $b == 0 { 0 } else { $a.wrapping_neg() };
        if plain { q } else { edge }
    }};
    (@ $t:ident $f:ident $whole:ident $a:ident, $b:ident, $round:expr) => {{
        let q = float_quotients!(@whole $f $whole $a, if $b == 0 { 1 } else { $b }, $round);
        if $b == 0 { 0 } else { q as $t }
    }};
    (@whole $f:ident $whole:ident $a:ident, $b:expr, $round:expr) => {{
        let quotient: $f = $round($a as $f / ($b) as $f);
        // SAFETY: the divisor is not 0, so that the quotient is no larger than the dividend.
        unsafe { quotient.to_int_unchecked::<$whole>() }
    }};
}

float_quotients! {
    i32 f64 i32 i32::wrapping_abs, i32::signum;
    i16 f32 i32 i16::wrapping_abs, i16::signum;
    i8 f32 i32 i8::wrapping_abs, i8::signum;
    u8 f32 i32 |x: u8| x, |x: u8| u8::from(x > 0);
}

impl Factored for Wrapping<i64> {
    #[inline(always)]
    fn gcd(self, other: Self) -> Self {
        let (mut a, mut b) = (self.0.wrapping_abs(), other.0.wrapping_abs());
        while a != 0 {
            (a, b) = (b.wrapping_rem(a), a);
        }
        Wrapping(b)
    }
    #[inline(always)]
    fn lcm(self, other: Self) -> Self {
        let divisor = self.gcd(other);
        if divisor.0 == 0 {
            divisor
        } else {
            Ordered::abs(self.div_trunc(divisor) * other)
        }
    }
}

/// A bool that is 0 or 1.
#[derive(Clone, Copy, Default, PartialEq)]
#[repr(transparent)]
pub struct Flag(pub Bool);

impl Flag {
    #[inline(always)]
    pub fn new(value: bool) -> Flag {
        Flag(Bool(u8::from(value)))
    }
}
