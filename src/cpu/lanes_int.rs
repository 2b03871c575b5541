//! 64-bit integers (wrapping) as lanes, and the bool that comparisons write.

use std::num::Wrapping;

use super::lanes::{Int, Num, Ordered};
use crate::tensor::Bool;

macro_rules! int_lane {
    ($t:ident) => {
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
                if exponent.0 < 0 {
                    let odd = exponent.0 & 1 == 1;
                    return match self.0 {
                        1 => self,
                        -1 => Wrapping(if odd { -1 } else { 1 }),
                        _ => Wrapping(0),
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
                Wrapping(self.0.wrapping_abs())
            }
            #[inline(always)]
            fn sign(self) -> Self {
                Wrapping(self.0.signum())
            }
            #[inline(always)]
            fn div_trunc(self, other: Self) -> Self {
                if other.0 == 0 {
                    return Wrapping(0);
                }
                Wrapping(self.0.wrapping_div(other.0))
            }
            #[inline(always)]
            fn div_floor(self, other: Self) -> Self {
                if other.0 == 0 {
                    return Wrapping(0);
                }
                let quotient = self.0.wrapping_div(other.0);
                let rest = self.0.wrapping_rem(other.0);
                let down = rest != 0 && ((rest < 0) != (other.0 < 0));
                Wrapping(if down { quotient - 1 } else { quotient })
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                if other.0 == 0 {
                    return Wrapping(0);
                }
                Wrapping(self.0.wrapping_rem(other.0))
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                let rest = self.fmod(other);
                if rest.0 != 0 && ((rest.0 < 0) != (other.0 < 0)) {
                    rest + other
                } else {
                    rest
                }
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
                let inside = (count.0 >= 0) & (count.0 < $t::BITS as $t);
                let shifted = self.0.wrapping_shl(count.0 as u32);
                Wrapping(if inside { shifted } else { 0 })
            }
            #[inline(always)]
            fn shift_right(self, count: Self) -> Self {
                let inside = (count.0 >= 0) & (count.0 < $t::BITS as $t);
                let count = if inside { count.0 as u32 } else { $t::BITS - 1 };
                Wrapping(self.0.wrapping_shr(count))
            }
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
    };
}

int_lane!(i64);

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
