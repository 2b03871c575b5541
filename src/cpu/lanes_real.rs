//! `f32` and `f64` as lanes, and [`Exact`], the lanes for arguments that the fast functions do not take.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::lanes::{
    Divided, Field, Num, Ordered, Real, field_functions, real_functions, real_functions2,
};

/// The next representable number after `x` towards `y`.
macro_rules! next_after {
    ($t:ident) => {
        #[inline(always)]
        pub fn nextafter(x: $t, y: $t) -> $t {
            let away = (y > x) == (x > 0.0);
            let bits = x.to_bits();
            let bits = if away {
                bits.wrapping_add(1)
            } else {
                bits.wrapping_sub(1)
            };
            let least = $t::from_bits(1).copysign(y);
            let next = if x == 0.0 { least } else { $t::from_bits(bits) };
            let next = if x == y { y } else { next };
            if x.is_nan() | y.is_nan() {
                $t::NAN
            } else {
                next
            }
        }
    };
}

/// The functions of `f64` by the names of the lanes.
mod of64 {
    pub use crate::cpu::math_normal::{
        entr, erfinv64 as erfinv, gelu64 as gelu_erf, log_ndtr, ndtr64 as ndtr, ndtri,
    };
    pub use crate::cpu::math_pow::pow64 as pow;
    pub use crate::cpu::math64::*;
    pub use crate::cpu::math64_inverse::*;
    pub use crate::cpu::math64_more::*;
    pub use crate::cpu::special::*;
    pub use crate::cpu::special_bessel::*;
    pub use crate::cpu::special_gamma::*;

    next_after!(f64);
    /// The neighbours of values in half precision.
    pub fn next_bf16(x: f64, y: f64) -> f64 {
        f64::from(super::of32::next_bf16(x as f32, y as f32))
    }
    pub fn next_f16(x: f64, y: f64) -> f64 {
        f64::from(super::of32::next_f16(x as f32, y as f32))
    }
    pub fn wild_sin(x: f64) -> f64 {
        x.sin()
    }
    pub fn wild_cos(x: f64) -> f64 {
        x.cos()
    }
    pub fn wild_tan(x: f64) -> f64 {
        x.tan()
    }
}

/// The functions of `f32`: those of `math32`, the rest computed in `f64`.
mod of32 {
    use super::of64;
    pub use crate::cpu::math_gamma::lgamma32 as lgamma;
    pub use crate::cpu::math_pow::pow32 as pow;
    pub use crate::cpu::math32::*;
    pub use crate::cpu::math32_normal::*;

    macro_rules! widened {
        ($($name:ident)*) => { $(
            #[inline(always)]
            pub fn $name(x: f32) -> f32 { of64::$name(f64::from(x)) as f32 }
        )* };
    }
    macro_rules! widened2 {
        ($($name:ident)*) => { $(
            #[inline(always)]
            pub fn $name(x: f32, y: f32) -> f32 { of64::$name(f64::from(x), f64::from(y)) as f32 }
        )* };
    }
    widened! { digamma trigamma i0 i0e i1 i1e ndtri log_ndtr entr bessel_j0 bessel_j1 bessel_y0 bessel_y1
    modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0
    scaled_modified_bessel_k1 spherical_bessel_j0 airy_ai wild_sin wild_cos wild_tan }
    widened2! { zeta polygamma igamma igammac chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v
    chebyshev_polynomial_w shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u
    shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w hermite_polynomial_h hermite_polynomial_he
    laguerre_polynomial_l legendre_polynomial_p }

    next_after!(f32);

    macro_rules! next_half {
        ($name:ident $half:ident) => {
            pub fn $name(x: f32, y: f32) -> f32 {
                if x.is_nan() || y.is_nan() {
                    return f32::NAN;
                }
                if x == y {
                    return y;
                }
                if x == 0.0 {
                    return half::$half::from_bits(1).to_f32().copysign(y);
                }
                let bits = half::$half::from_f32(x).to_bits();
                let away = (y > x) == (x > 0.0);
                half::$half::from_bits(if away { bits + 1 } else { bits - 1 }).to_f32()
            }
        };
    }
    next_half!(next_bf16 bf16);
    next_half!(next_f16 f16);
}

macro_rules! call_unary {
    ($t:ident $module:ident $($name:ident)*) => { $(
        #[inline(always)]
        fn $name(self) -> Self { call_unary!(@ $t $module $name self) }
    )* };
    (@ $t:ident $module:ident sqrt $x:ident) => { $t::sqrt($x) };
    (@ $t:ident $module:ident rsqrt $x:ident) => { 1.0 / $t::sqrt($x) };
    (@ $t:ident $module:ident reciprocal $x:ident) => { 1.0 / $x };
    (@ $t:ident $module:ident sinc $x:ident) => { sinc($x, $module::sin) };
    (@ $t:ident $module:ident frac $x:ident) => { $x - $t::trunc($x) };
    (@ $t:ident $module:ident $name:ident $x:ident) => { $module::$name($x) };
}

macro_rules! call_binary {
    ($t:ident $module:ident $($name:ident)*) => { $(
        #[inline(always)]
        fn $name(self, other: Self) -> Self { call_binary!(@ $t $module $name self, other) }
    )* };
    (@ $t:ident $module:ident copysign $x:ident, $y:ident) => { $t::copysign($x, $y) };
    (@ $t:ident $module:ident $name:ident $x:ident, $y:ident) => { $module::$name($x, $y) };
}

#[inline(always)]
fn sinc<T: Num + Div<Output = T>>(x: T, sin: impl FnOnce(T) -> T) -> T {
    let angle = x * T::lit(std::f64::consts::PI);
    T::select(x.eq(T::ZERO), T::ONE, sin(angle) / angle)
}

macro_rules! real_lane {
    ($t:ident $module:ident) => {
        impl Num for $t {
            type Mask = bool;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn lit(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn eq(self, other: Self) -> bool {
                self == other
            }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                $module::pow(self, exponent)
            }
            #[inline(always)]
            fn is_inf(self) -> bool {
                self.is_infinite()
            }
        }

        impl Ordered for $t {
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                self <= other
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $t::floor(self)
            }
            #[inline(always)]
            fn ceil(self) -> Self {
                $t::ceil(self)
            }
            #[inline(always)]
            fn trunc(self) -> Self {
                $t::trunc(self)
            }
            #[inline(always)]
            fn round(self) -> Self {
                $t::round_ties_even(self)
            }
            #[inline(always)]
            fn signbit(self) -> bool {
                self.is_sign_negative()
            }
            #[inline(always)]
            fn sign(self) -> Self {
                // PyTorch's sign of NaN is 0.
                let positive: $t = if self > 0.0 { 1.0 } else { 0.0 };
                if self < 0.0 { -1.0 } else { positive }
            }
            #[inline(always)]
            fn div_trunc(self, other: Self) -> Self {
                (self / other).trunc()
            }
            #[inline(always)]
            fn div_floor(self, other: Self) -> Self {
                self.div_floor_by(other, Ordered::fmod(self, other))
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                let (a, b) = (self.abs(), other.abs());
                // Exact but for a quotient that was rounded up to the next whole number.
                let rest = (-(a / b).trunc()).mul_add(b, a);
                let rest = if rest < 0.0 { rest + b } else { rest };
                (if b.is_infinite() { a } else { rest }).copysign(self)
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                self.remainder_by(other, Ordered::fmod(self, other))
            }
        }

        impl Divided for $t {
            type Slow = Exact<$t>;
            #[inline(always)]
            fn slow(self) -> Exact<$t> {
                Exact(self)
            }
            #[inline(always)]
            fn from_slow(value: Exact<$t>) -> $t {
                value.0
            }
            #[inline(always)]
            fn is_far(self, other: Self) -> bool {
                !((self / other).abs() < 0.25 / $t::EPSILON)
            }
        }

        impl Field for $t {
            type Exact = Exact<$t>;
            field_functions!(call_unary $t $module);
            #[inline(always)]
            fn exact(self) -> Exact<$t> {
                Exact(self)
            }
            #[inline(always)]
            fn inexact(value: Exact<$t>) -> $t {
                value.0
            }
            #[inline(always)]
            fn is_wild(self) -> bool {
                self.abs() > $module::TRIG_LIMIT
            }
            #[inline(always)]
            fn logaddexp(self, other: Self) -> Self {
                let equal_infinite = (self == other) & self.is_infinite();
                let high = Ordered::maximum(self, other);
                let sum = high + $module::log1p($module::exp(-(self - other).abs()));
                if equal_infinite { self } else { sum }
            }
            #[inline(always)]
            fn sgn(self) -> Self {
                self.sign()
            }
            #[inline(always)]
            fn lerp(self, end: Self, weight: Self) -> Self {
                let span = end - self;
                let far = end - span * (1.0 - weight);
                if weight.abs() < 0.5 { self + weight * span } else { far }
            }
        }

        impl Real for $t {
            real_functions!(call_unary $t $module);
            real_functions2!(call_binary $t $module);
        }

        impl Wild for $t {
            #[inline(always)]
            fn wild_sin(self) -> Self {
                $module::wild_sin(self)
            }
            #[inline(always)]
            fn wild_cos(self) -> Self {
                $module::wild_cos(self)
            }
            #[inline(always)]
            fn wild_tan(self) -> Self {
                $module::wild_tan(self)
            }
            #[inline(always)]
            fn wild_fmod(self, other: Self) -> Self {
                self % other
            }
            #[inline(always)]
            fn div_floor_by(self, other: Self, modulus: Self) -> Self {
                let div = (self - modulus) / other;
                let low = (modulus != 0.0) & ((other < 0.0) != (modulus < 0.0));
                let div = if low { div - 1.0 } else { div };
                let floor = div.floor();
                let rounded = if div - floor > 0.5 { floor + 1.0 } else { floor };
                let zero = (0.0 as $t).copysign(self / other);
                let result = if div != 0.0 { rounded } else { zero };
                if other == 0.0 { self / other } else { result }
            }
            #[inline(always)]
            fn remainder_by(self, other: Self, modulus: Self) -> Self {
                let wrong = (modulus != 0.0) & ((other < 0.0) != (modulus < 0.0));
                if wrong { modulus + other } else { modulus }
            }
        }
    };
}

real_lane!(f32 of32);
real_lane!(f64 of64);

/// Trigonometry and remainders of any argument, at the price of a call.
pub trait Wild: Real<Mask = bool> + Divided {
    fn wild_sin(self) -> Self;
    fn wild_cos(self) -> Self;
    fn wild_tan(self) -> Self;
    fn wild_fmod(self, other: Self) -> Self;
    /// Python's `//` from what `fmod` leaves, corrected as CPython does.
    fn div_floor_by(self, other: Self, modulus: Self) -> Self;
    /// Python's `%` from what `fmod` leaves.
    fn remainder_by(self, other: Self, modulus: Self) -> Self;
}

/// A real number whose sine, cosine and tangent hold for any argument.
#[derive(Clone, Copy)]
pub struct Exact<T>(pub T);

macro_rules! exact_operators {
    ($($trait:ident $method:ident)*) => { $(
        impl<T: Wild> $trait for Exact<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Exact(self.0.$method(other.0))
            }
        }
    )* };
}
exact_operators!(Add add Sub sub Mul mul Div div);

impl<T: Wild> Neg for Exact<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Exact(-self.0)
    }
}

macro_rules! exact_unary {
    ($($name:ident)*) => { $(
        #[inline(always)]
        fn $name(self) -> Self { exact_unary!(@ $name self) }
    )* };
    (@ sin $x:ident) => { Exact($x.0.wild_sin()) };
    (@ cos $x:ident) => { Exact($x.0.wild_cos()) };
    (@ tan $x:ident) => { Exact($x.0.wild_tan()) };
    (@ sinc $x:ident) => { Exact(sinc($x.0, Wild::wild_sin)) };
    (@ $name:ident $x:ident) => { Exact($x.0.$name()) };
}
macro_rules! exact_binary {
    ($($name:ident)*) => { $(
        #[inline(always)]
        fn $name(self, other: Self) -> Self { Exact(self.0.$name(other.0)) }
    )* };
}

impl<T: Wild> Num for Exact<T> {
    type Mask = bool;
    const ZERO: Self = Exact(T::ZERO);
    const ONE: Self = Exact(T::ONE);
    fn lit(value: f64) -> Self {
        Exact(T::lit(value))
    }
    fn eq(self, other: Self) -> bool {
        self.0.eq(other.0)
    }
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    fn is_inf(self) -> bool {
        self.0.is_inf()
    }
    exact_binary!(pow);
}

impl<T: Wild> Ordered for Exact<T> {
    fn lt(self, other: Self) -> bool {
        self.0.lt(other.0)
    }
    fn le(self, other: Self) -> bool {
        self.0.le(other.0)
    }
    fn signbit(self) -> bool {
        self.0.signbit()
    }
    exact_unary!(abs sign floor ceil trunc round);
    exact_binary!(div_trunc);
    fn fmod(self, other: Self) -> Self {
        Exact(self.0.wild_fmod(other.0))
    }
    fn div_floor(self, other: Self) -> Self {
        Exact(self.0.div_floor_by(other.0, self.0.wild_fmod(other.0)))
    }
    fn remainder(self, other: Self) -> Self {
        Exact(self.0.remainder_by(other.0, self.0.wild_fmod(other.0)))
    }
}

impl<T: Wild> Divided for Exact<T> {
    type Slow = Self;
    fn slow(self) -> Self {
        self
    }
    fn from_slow(value: Self) -> Self {
        value
    }
    fn is_far(self, _: Self) -> bool {
        false
    }
}

impl<T: Wild> Field for Exact<T> {
    type Exact = Self;
    fn exact(self) -> Self {
        self
    }
    fn inexact(value: Self) -> Self {
        value
    }
    field_functions!(exact_unary);
    exact_binary!(logaddexp);
    exact_unary!(sgn);
    fn lerp(self, end: Self, weight: Self) -> Self {
        Exact(self.0.lerp(end.0, weight.0))
    }
}

impl<T: Wild> Real for Exact<T> {
    real_functions!(exact_unary);
    real_functions2!(exact_binary);
}
