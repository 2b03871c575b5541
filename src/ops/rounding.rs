//! Rounding, signs, and what kind of number an element is.

use super::pointwise_checks::{
    no_complex_rounding, not_bool, not_complex, ordered, sign_of_complex,
};
use super::{F, I, M, O};

const ALL: u16 = F | M | I | O;

pointwise! {
    /// The largest integer that is not larger.
    "floor(Tensor self) -> Tensor", ALL, keep Ordered "floor_vml_cpu" (x) => x.floor(), check no_complex_rounding,
    grad (g, x, y) => [E::ZERO];
    /// The smallest integer that is not smaller.
    "ceil(Tensor self) -> Tensor", ALL, keep Ordered "ceil_vml_cpu" (x) => x.ceil(), check no_complex_rounding,
    grad (g, x, y) => [E::ZERO];
    /// The integer part.
    "trunc(Tensor self) -> Tensor", ALL, keep Ordered "trunc_vml_cpu" (x) => x.trunc(), check no_complex_rounding,
    grad (g, x, y) => [E::ZERO];
    /// The nearest integer, ties to even.
    "round(Tensor self) -> Tensor", ALL, keep Ordered "round_vml_cpu" (x) => x.round(), check no_complex_rounding,
    grad (g, x, y) => [E::ZERO];
    /// Rounds to a number of decimals.
    "round/decimals(Tensor self, *, int decimals) -> Tensor", ALL, keep Wide "round_vml_cpu" (x; decimals) => {
        let scale = E::lit(10.0).pow(decimals.abs());
        let coarse = (x / scale).round() * scale;
        let fine = (x * scale).round() / scale;
        E::select(decimals.eq(E::ZERO), x.round(), E::select(decimals.lt(E::ZERO), coarse, fine))
    },
    grad (g, x, y; decimals) => [E::ZERO];
    /// The part after the point, with the sign of the element.
    "frac(Tensor self) -> Tensor", ALL, keep Real "frac_cpu" (x) => x.frac(),
    grad (g, x, y) => [g];
    /// -1, 0 or 1.
    "sign(Tensor self) -> Tensor", ALL, keep Ordered "sign_cpu" (x) => x.sign(), check sign_of_complex,
    grad (g, x, y) => [E::ZERO];
    /// Is the sign bit set?
    "signbit(Tensor self) -> Tensor", F | M | O, mask Ordered "signbit_cpu" (x) => x.signbit(), check not_complex;
    /// Is the element not a number?
    "isnan(Tensor self) -> Tensor", F | M, mask Num "isnan" (x) => x.is_nan();
    /// Is the element infinite?
    "isinf(Tensor self) -> Tensor", F | M, mask Num "isinf" (x) => x.is_inf();
    /// Is the element neither infinite nor NaN?
    "isfinite(Tensor self) -> Tensor", F | M, mask Num "isfinite" (x) => !(x.is_inf() | x.is_nan());
    /// Is the element positive infinity?
    "isposinf(Tensor self) -> Tensor", F | M | O, mask Ordered "isposinf" (x) => x.is_inf() & x.gt(E::ZERO), check ordered;
    /// Is the element negative infinity?
    "isneginf(Tensor self) -> Tensor", F | M | O, mask Ordered "isneginf" (x) => x.is_inf() & x.lt(E::ZERO), check ordered;
    /// Does the element equal its conjugate?
    "isreal(Tensor self) -> Tensor", F | M, mask Num "isreal" (x) => x.eq(x.conj()) | (x + x.conj()).is_nan();
    /// Is the element false?
    "logical_not(Tensor self) -> Tensor", ALL, mask Num "logical_not_cpu" (x) => x.eq(E::ZERO);
    /// The bits of each element inverted.
    "bitwise_not(Tensor self) -> Tensor", ALL, keep Int "bitwise_not_cpu" (x) => x.bitwise_not(),
    choose super::pointwise_choices::invert_bool;
    /// The negative part 0.
    "relu(Tensor self) -> Tensor", F | M | I, keep Ordered "threshold_cpu" (x) => x.maximum(E::ZERO), check not_bool,
    grad (g, x, y) => [E::keep(y.gt(E::ZERO), g)];
    /// Replaces NaN and infinities; `nan_to_num` fills in the dtype's limits.
    "_nan_to_num(Tensor self, Scalar nan, Scalar posinf, Scalar neginf) -> Tensor", 0, keep Ordered "nan_to_num"
    (x; nan, posinf, neginf) => {
        let infinite = E::select(x.gt(E::ZERO), posinf, neginf);
        E::select(x.is_nan(), nan, E::select(x.is_inf(), infinite, x))
    },
    grad (g, x, y; nan, posinf, neginf) as "NanToNumBackward0" => [E::select(x.is_nan() | x.is_inf(), E::ZERO, g)];
}
