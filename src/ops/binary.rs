//! Arithmetic and functions of two numbers.

use super::pointwise_checks::{alpha, nonzero_divisor, not_bool, ordered, subtract, whole_power};
use super::{F, I, M, O};
use crate::cpu::lanes::Real;
use std::f64::consts::LN_2;

const ALL: u16 = F | M | I | O;
/// Internal: Python does not see it.
const INNER: u16 = 0;

/// a ln(b), 0 where a is 0.
#[inline(always)]
pub(super) fn xlogy<E: Real>(a: E, b: E) -> E {
    let product = E::select(a.eq(E::ZERO), E::ZERO, a * b.log());
    E::select(b.is_nan(), b, product)
}

/// a ln(1 + b), 0 where a is 0.
#[inline(always)]
pub(super) fn xlog1py<E: Real>(a: E, b: E) -> E {
    let product = E::select(a.eq(E::ZERO), E::ZERO, a * b.log1p());
    E::select(b.is_nan(), b, product)
}

/// log2(2^a + 2^b)
#[inline(always)]
fn logaddexp2<E: Real>(a: E, b: E) -> E {
    let high = a.maximum(b);
    let sum = high + (-(a - b).abs()).exp2().log1p() / E::lit(LN_2);
    E::select(a.eq(b) & a.is_inf(), a, sum)
}

/// Half of `g` to each operand where they tie.
#[inline(always)]
fn share<E: Real>(g: E, a: E, b: E, lost: E::Mask) -> E {
    E::select(lost, E::ZERO, E::select(a.eq(b), g * E::lit(0.5), g))
}

pointwise! {
    /// Sum of two tensors, the second one scaled.
    "add(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", ALL, keep Num "add_stub"
    (a, b; alpha) => a + alpha * b, check alpha, choose super::pointwise_choices::plain_add,
    grad (g, a, b, y; alpha) => [g, g * alpha.conj()];
    /// Difference of two tensors, the second one scaled.
    "sub(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", ALL, keep Num "sub_stub"
    (a, b; alpha) => a - alpha * b, check subtract, choose super::pointwise_choices::plain_sub,
    grad (g, a, b, y; alpha) => [g, -g * alpha.conj()];
    /// The second tensor less the first one, scaled.
    "rsub(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", F, keep Num "sub_stub"
    (a, b; alpha) => b - alpha * a, check subtract,
    grad (g, a, b, y; alpha) => [-g * alpha.conj(), g];
    /// Product of two tensors.
    "mul(Tensor self, Tensor|Scalar other) -> Tensor", ALL, keep Num "mul_cpu" (a, b) => a * b,
    grad (g, a, b, y) => [g * b.conj(), g * a.conj()];
    /// Quotient of two tensors.
    "div(Tensor self, Tensor|Scalar other) -> Tensor", ALL, float Light "div_true_cpu" (a, b) => a.quotient(b),
    grad (g, a, b, y) => [g / b.conj(), -g * (a / b / b).conj()];
    /// Quotient rounded towards zero.
    "_div_trunc(Tensor self, Tensor|Scalar other) -> Tensor", INNER, keep Divided "div_trunc_cpu"
    (a, b) => a.div_trunc(b), check not_bool, before nonzero_divisor, wild quotients,
    grad (g, a, b, y) as "DivBackward1" => [E::ZERO, E::ZERO];
    /// Quotient rounded down.
    "_div_floor(Tensor self, Tensor|Scalar other) -> Tensor", INNER, keep Divided "div_floor_cpu"
    (a, b) => a.div_floor(b), check not_bool, before nonzero_divisor, wild quotients,
    grad (g, a, b, y) as "DivBackward1" => [E::ZERO, E::ZERO];
    /// Quotient rounded down.
    "floor_divide(Tensor self, Tensor|Scalar other) -> Tensor", ALL, keep Divided "div_floor_cpu"
    (a, b) => a.div_floor(b), check not_bool, before nonzero_divisor, wild quotients;
    /// Remainder with the sign of the dividend.
    "fmod(Tensor self, Tensor|Scalar other) -> Tensor", ALL, keep Divided "fmod_cpu"
    (a, b) => a.fmod(b), check not_bool, before nonzero_divisor, wild quotients,
    grad (g, a, b, y) => [g, -g * a.div_trunc(b)];
    /// Remainder with the sign of the divisor.
    "remainder(Tensor self, Tensor|Scalar other) -> Tensor", ALL, keep Divided "remainder_cpu"
    (a, b) => a.remainder(b), check not_bool, before nonzero_divisor, wild quotients,
    grad (g, a, b, y) => [g, -g * a.div_floor(b)];
    /// Remainder of a number divided by each element.
    "remainder/scalar(Tensor|Scalar self, Tensor other) -> Tensor", F, keep Divided "remainder_cpu"
    (a, b) => a.remainder(b), check not_bool, before nonzero_divisor, wild quotients,
    grad (g, a, b, y) => [g, -g * a.div_floor(b)];
    /// Power of each element.
    "pow(Tensor self, Tensor|Scalar exponent) -> Tensor", ALL, keep Num "pow" (a, b) => a.pow(b),
    check whole_power, choose super::pointwise_choices::plain_power,
    grad (g, a, b, y) => [
        E::select(b.eq(E::ZERO), E::ZERO, g * (b * a.pow(b - E::ONE)).conj()),
        E::select(a.eq(E::ZERO) & (y.eq(E::ZERO) | y.eq(E::ONE)), E::ZERO, g * (y * a.log()).conj()),
    ];
    /// Powers of a number.
    "pow/scalar(Tensor|Scalar self, Tensor exponent) -> Tensor", F | O, keep Num "pow" (a, b) => a.pow(b),
    check whole_power,
    grad (g, a, b, y) => [
        E::select(b.eq(E::ZERO), E::ZERO, g * (b * a.pow(b - E::ONE)).conj()),
        E::select(a.eq(E::ZERO) & (y.eq(E::ZERO) | y.eq(E::ONE)), E::ZERO, g * (y * a.log()).conj()),
    ];
    /// Angle of the point (other, self).
    "atan2(Tensor self, Tensor other) -> Tensor", ALL, float Real "atan2_cpu" (a, b) => a.atan2(b),
    grad (g, a, b, y) => [
        { let d = a * a + b * b; E::select(d.eq(E::ZERO), E::ZERO, g * b / d) },
        { let d = a * a + b * b; E::select(d.eq(E::ZERO), E::ZERO, -g * a / d) },
    ];
    /// Length of the vector (self, other).
    "hypot(Tensor self, Tensor other) -> Tensor", ALL, keep Real "hypot_cpu" (a, b) => a.hypot(b),
    grad (g, a, b, y) => [g * a / y, g * b / y];
    /// The first number with the sign of the second.
    "copysign(Tensor self, Tensor|Scalar other) -> Tensor", ALL, float Real "copysign_cpu" (a, b) => a.copysign(b),
    grad (g, a, b, y) => [E::select(a.eq(E::ZERO), E::ZERO, g * (y / a)), E::ZERO];
    /// The next representable number towards another.
    "nextafter(Tensor self, Tensor other) -> Tensor", ALL, keep Real "nextafter_cpu" (a, b) => a.nextafter(b),
    choose super::pointwise_choices::next_half,
    grad (g, a, b, y) => [E::keep(a.ne(b), g), E::ZERO];
    /// The larger of two numbers; NaN if either is.
    "maximum(Tensor self, Tensor other) -> Tensor", F | M | O, keep Ordered "maximum_cpu" (a, b) => a.maximum(b),
    check ordered,
    grad (g, a, b, y) => [share(g, a, b, a.lt(b)), share(g, a, b, a.gt(b))];
    /// The smaller of two numbers; NaN if either is.
    "minimum(Tensor self, Tensor other) -> Tensor", F | M | O, keep Ordered "minimum_cpu" (a, b) => a.minimum(b),
    check ordered,
    grad (g, a, b, y) => [share(g, a, b, a.gt(b)), share(g, a, b, a.lt(b))];
    /// The larger of two numbers; NaN if either is.
    "max/other(Tensor self, Tensor other) -> Tensor", F | M | O, keep Ordered "maximum_cpu" (a, b) => a.maximum(b),
    check ordered,
    grad (g, a, b, y) as "MaximumBackward0" => [share(g, a, b, a.lt(b)), share(g, a, b, a.gt(b))];
    /// The smaller of two numbers; NaN if either is.
    "min/other(Tensor self, Tensor other) -> Tensor", F | M | O, keep Ordered "minimum_cpu" (a, b) => a.minimum(b),
    check ordered,
    grad (g, a, b, y) as "MinimumBackward0" => [share(g, a, b, a.gt(b)), share(g, a, b, a.lt(b))];
    /// The larger of two numbers, NaN giving way.
    "fmax(Tensor self, Tensor other) -> Tensor", F | M | O, keep Ordered "fmax_cpu" (a, b) => a.fmax(b),
    check ordered,
    grad (g, a, b, y) => [share(g, a, b, !(a.ge(b) | b.is_nan())), share(g, a, b, a.gt(b) | b.is_nan())];
    /// The smaller of two numbers, NaN giving way.
    "fmin(Tensor self, Tensor other) -> Tensor", F | M | O, keep Ordered "fmin_cpu" (a, b) => a.fmin(b),
    check ordered,
    grad (g, a, b, y) => [share(g, a, b, !(a.le(b) | b.is_nan())), share(g, a, b, a.lt(b) | b.is_nan())];
    /// ln(exp(self) + exp(other)).
    "logaddexp(Tensor self, Tensor other) -> Tensor", F | M | O, keep Field "logaddexp_cpu" (a, b) => a.logaddexp(b),
    grad (g, a, b, y) => [g / (E::ONE + (b - a).exp()).conj(), g / (E::ONE + (a - b).exp()).conj()];
    /// log2(2^self + 2^other).
    "logaddexp2(Tensor self, Tensor other) -> Tensor", F | M | O, keep Real "logaddexp2_cpu" (a, b) => logaddexp2(a, b),
    grad (g, a, b, y) => [g / (E::ONE + (b - a).exp2()), g / (E::ONE + (a - b).exp2())];
    /// 0 below zero, 1 above, and the given value at zero.
    "heaviside(Tensor self, Tensor values) -> Tensor", ALL, keep Ordered "heaviside_cpu" (a, b) =>
        E::select(a.eq(E::ZERO), b, E::indicator(a.gt(E::ZERO))),
    check super::pointwise_checks::same_dtype;
    /// Greatest common divisor.
    "gcd(Tensor self, Tensor other) -> Tensor", ALL, keep Factored "gcd_cpu" (a, b) => a.gcd(b), check not_bool;
    /// Least common multiple.
    "lcm(Tensor self, Tensor other) -> Tensor", ALL, keep Factored "lcm_cpu" (a, b) => a.lcm(b), check not_bool;
    /// Bits that are set in both.
    "bitwise_and(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", ALL, keep Int "bitwise_and_cpu" (a, b) => a.bitwise_and(b),
    check super::pointwise_checks::a_tensor;
    /// Bits that are set in either.
    "bitwise_or(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", ALL, keep Int "bitwise_or_cpu" (a, b) => a.bitwise_or(b),
    check super::pointwise_checks::a_tensor;
    /// Bits that differ.
    "bitwise_xor(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", ALL, keep Int "bitwise_xor_cpu" (a, b) => a.bitwise_xor(b),
    check super::pointwise_checks::a_tensor;
    /// self shifted towards the high bits.
    "bitwise_left_shift(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", ALL, keep Int "lshift_cpu" (a, b) => a.shift_left(b),
    check super::pointwise_checks::shifts;
    /// self shifted towards the low bits.
    "bitwise_right_shift(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", ALL, keep Int "rshift_cpu" (a, b) => a.shift_right(b),
    check super::pointwise_checks::shifts;
}
