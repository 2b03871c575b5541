//! Complex numbers as lanes; their functions are computed in `f64`.

use num_complex::Complex;

use super::complex as functions;
use super::lanes::{Field, Num, field_functions};
use crate::tensor::{c64, c128};

macro_rules! complex_unary {
    ($t:ident $($name:ident)*) => { $(
        fn $name(self) -> Self { narrow(functions::$name(widen(self))) }
    )* };
}

macro_rules! complex_lane {
    ($t:ident $r:ident) => {
        impl Num for $t {
            type Mask = bool;
            const ZERO: Self = Complex::new(0.0, 0.0);
            const ONE: Self = Complex::new(1.0, 0.0);
            #[inline(always)]
            fn lit(value: f64) -> Self {
                Complex::new(value as $r, 0.0)
            }
            #[inline(always)]
            fn eq(self, other: Self) -> bool {
                (self.re == other.re) & (self.im == other.im)
            }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }
            fn pow(self, exponent: Self) -> Self {
                narrow(functions::pow(widen(self), widen(exponent)))
            }
            #[inline(always)]
            fn is_inf(self) -> bool {
                self.re.is_infinite() | self.im.is_infinite()
            }
            #[inline(always)]
            fn conj(self) -> Self {
                Complex::new(self.re, -self.im)
            }
        }

        impl Field for $t {
            type Exact = Self;
            fn exact(self) -> Self {
                self
            }
            fn inexact(value: Self) -> Self {
                value
            }
            field_functions!(complex_unary $t);
            #[inline(always)]
            fn quotient(self, other: Self) -> Self {
                narrow(functions::divide(widen(self), widen(other)))
            }
            fn logaddexp(self, other: Self) -> Self {
                narrow(functions::logaddexp(widen(self), widen(other)))
            }
            fn sgn(self) -> Self {
                narrow(functions::sgn(widen(self)))
            }
            fn lerp(self, end: Self, weight: Self) -> Self {
                let span = end - self;
                if weight.norm() < 0.5 { self + weight * span } else { end - span * (Self::ONE - weight) }
            }
        }
    };
}

trait Wide: Copy {
    fn wide(self) -> c128;
    fn narrow(z: c128) -> Self;
}

impl Wide for c128 {
    #[inline(always)]
    fn wide(self) -> c128 {
        self
    }
    #[inline(always)]
    fn narrow(z: c128) -> Self {
        z
    }
}

impl Wide for c64 {
    #[inline(always)]
    fn wide(self) -> c128 {
        Complex::new(f64::from(self.re), f64::from(self.im))
    }
    #[inline(always)]
    fn narrow(z: c128) -> Self {
        Complex::new(z.re as f32, z.im as f32)
    }
}

#[inline(always)]
fn widen<T: Wide>(z: T) -> c128 {
    z.wide()
}

#[inline(always)]
fn narrow<T: Wide>(z: c128) -> T {
    T::narrow(z)
}

complex_lane!(c64 f32);
complex_lane!(c128 f64);
