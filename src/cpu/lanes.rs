//! What a pointwise formula is generic over: numbers with masks instead of branches, so that one
//! source serves scalars in a vectorised loop and [`crate::ops::expr::Expr`], which writes it down.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// The truth of a comparison, lane by lane.
pub trait Mask: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {}

impl Mask for bool {}

/// Every element type: integers wrap, bool adds by "or" and multiplies by "and".
pub trait Num:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self>
{
    type Mask: Mask;
    const ZERO: Self;
    const ONE: Self;
    fn lit(value: f64) -> Self;
    fn eq(self, other: Self) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    fn pow(self, exponent: Self) -> Self;

    #[inline(always)]
    fn ne(self, other: Self) -> Self::Mask {
        !self.eq(other)
    }
    #[inline(always)]
    fn is_nan(self) -> Self::Mask {
        self.ne(self)
    }
    #[inline(always)]
    fn is_inf(self) -> Self::Mask {
        Self::ZERO.ne(Self::ZERO)
    }
    /// The complex conjugate; a real number is its own.
    #[inline(always)]
    fn conj(self) -> Self {
        self
    }
    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }
    /// 1 where the mask holds, else 0.
    #[inline(always)]
    fn indicator(mask: Self::Mask) -> Self {
        Self::select(mask, Self::ONE, Self::ZERO)
    }
    /// `yes` where the mask holds, else 0.
    #[inline(always)]
    fn keep(mask: Self::Mask, yes: Self) -> Self {
        Self::select(mask, yes, Self::ZERO)
    }
}

/// Numbers with an order: integers, bool and real floats.
pub trait Ordered: Num {
    fn lt(self, other: Self) -> Self::Mask;
    fn le(self, other: Self) -> Self::Mask;
    fn abs(self) -> Self;
    fn sign(self) -> Self;
    /// Quotients rounded towards zero and down; 0 for an integer divisor 0.
    fn div_trunc(self, other: Self) -> Self;
    fn div_floor(self, other: Self) -> Self;
    /// The remainders that belong to them.
    fn fmod(self, other: Self) -> Self;
    fn remainder(self, other: Self) -> Self;

    /// Integers are whole already.
    #[inline(always)]
    fn floor(self) -> Self {
        self
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        self
    }
    #[inline(always)]
    fn trunc(self) -> Self {
        self
    }
    /// To the nearest, ties to even.
    #[inline(always)]
    fn round(self) -> Self {
        self
    }
    #[inline(always)]
    fn signbit(self) -> Self::Mask {
        self.lt(Self::ZERO)
    }
    #[inline(always)]
    fn gt(self, other: Self) -> Self::Mask {
        other.lt(self)
    }
    #[inline(always)]
    fn ge(self, other: Self) -> Self::Mask {
        other.le(self)
    }
    /// The larger; NaN if either is.
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        Self::select(
            self.is_nan(),
            self,
            Self::select(self.gt(other), self, other),
        )
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        Self::select(
            self.is_nan(),
            self,
            Self::select(self.lt(other), self, other),
        )
    }
    /// The larger; the other one if either is NaN.
    #[inline(always)]
    fn fmax(self, other: Self) -> Self {
        Self::select(self.ge(other) | other.is_nan(), self, other)
    }
    #[inline(always)]
    fn fmin(self, other: Self) -> Self {
        Self::select(self.le(other) | other.is_nan(), self, other)
    }
}

/// Integers and bool.
pub trait Int: Ordered {
    fn bitwise_and(self, other: Self) -> Self;
    fn bitwise_or(self, other: Self) -> Self;
    fn bitwise_xor(self, other: Self) -> Self;
    fn bitwise_not(self) -> Self;
    fn shift_left(self, count: Self) -> Self;
    fn shift_right(self, count: Self) -> Self;
}

/// Functions of integers that are loops of their own: one lane type serves all widths.
pub trait Factored: Int {
    fn gcd(self, other: Self) -> Self;
    fn lcm(self, other: Self) -> Self;
}

/// Functions of one argument that real and complex numbers have.
macro_rules! field_functions {
    ($then:ident $($head:tt)*) => {
        $then! { $($head)* exp exp2 expm1 log log2 log10 log1p asin acos atan sinh cosh tanh asinh acosh atanh
            sqrt rsqrt reciprocal sigmoid silu sin cos tan sinc }
    };
}
pub(crate) use field_functions;

/// Functions of one real argument.
macro_rules! real_functions {
    ($then:ident $($head:tt)*) => {
        $then! { $($head)* frac gelu_erf erf erfc erfinv erfcx lgamma digamma trigamma
            i0 i0e i1 i1e ndtr ndtri log_ndtr entr bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0
            modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0
            scaled_modified_bessel_k1 spherical_bessel_j0 airy_ai }
    };
}
pub(crate) use real_functions;

/// Functions of two real arguments.
macro_rules! real_functions2 {
    ($then:ident $($head:tt)*) => {
        $then! { $($head)* atan2 hypot copysign nextafter next_bf16 next_f16 zeta polygamma igamma igammac chebyshev_polynomial_t
            chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w shifted_chebyshev_polynomial_t
            shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
            hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p }
    };
}
pub(crate) use real_functions2;

macro_rules! declare_unary {
    ($($name:ident)*) => { $(fn $name(self) -> Self;)* };
}
macro_rules! declare_binary {
    ($($name:ident)*) => { $(fn $name(self, other: Self) -> Self;)* };
}

/// Real and complex floats.
pub trait Field: Num + Div<Output = Self> {
    /// The lanes whose sine, cosine and tangent take any argument.
    type Exact: Field;
    field_functions!(declare_unary);
    fn exact(self) -> Self::Exact;
    fn inexact(value: Self::Exact) -> Self;
    /// Is this an angle that only the exact lanes reduce well?
    #[inline(always)]
    fn is_wild(self) -> bool {
        false
    }
    /// Division; complex numbers follow Smith's algorithm, so that infinities come out right.
    #[inline(always)]
    fn quotient(self, other: Self) -> Self {
        self / other
    }
    /// `ln(exp(self) + exp(other))`
    fn logaddexp(self, other: Self) -> Self;
    /// `x / |x|`, 0 at 0.
    fn sgn(self) -> Self;
    /// `self + weight * (end - self)`, from the end that is nearer.
    fn lerp(self, end: Self, weight: Self) -> Self;
}

/// Real floats.
pub trait Real: Field + Ordered {
    real_functions!(declare_unary);
    real_functions2!(declare_binary);
}

/// [`Field`] for single instructions, which take less time than their operands.
pub trait Light: Field {}
impl<T: Field> Light for T {}

/// [`Real`] where one loop in `f64` serves all floats: functions that are computed in `f64` anyway.
pub trait Wide: Real {}
impl<T: Real> Wide for T {}

/// [`Wide`] for functions that are calls and do not vectorise.
pub trait Rare: Real {}
impl<T: Real> Rare for T {}

/// [`Ordered`] for divisions with a whole quotient and their remainders.
pub trait Divided: Ordered {
    /// The lanes whose remainders hold for any quotient.
    type Slow: Divided;
    fn slow(self) -> Self::Slow;
    fn from_slow(value: Self::Slow) -> Self;
    /// Is the quotient too large for `self - quotient * other` in one step?
    fn is_far(self, other: Self) -> bool;
}
