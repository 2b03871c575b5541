//! Comparisons and logic: results are bool.

use super::{F, I, M, O};

const ALL: u16 = F | M | I | O;

pointwise! {
    /// Are the elements equal?
    "eq(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Num "eq_cpu" (a, b) => a.eq(b);
    /// Do the elements differ?
    "ne(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Num "ne_cpu" (a, b) => a.ne(b);
    /// Is the first element the smaller one?
    "lt(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Ordered "lt_cpu" (a, b) => a.lt(b);
    /// Is the first element smaller or equal?
    "le(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Ordered "le_cpu" (a, b) => a.le(b);
    /// Is the first element the larger one?
    "gt(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Ordered "gt_cpu" (a, b) => a.gt(b);
    /// Is the first element larger or equal?
    "ge(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Ordered "ge_cpu" (a, b) => a.ge(b);
    /// Are both elements true?
    "logical_and(Tensor self, Tensor other) -> Tensor", ALL, mask Num "logical_and_cpu"
    (a, b) => a.ne(E::ZERO) & b.ne(E::ZERO);
    /// Is an element true?
    "logical_or(Tensor self, Tensor other) -> Tensor", ALL, mask Num "logical_or_cpu"
    (a, b) => a.ne(E::ZERO) | b.ne(E::ZERO);
    /// Is exactly one element true?
    "logical_xor(Tensor self, Tensor other) -> Tensor", ALL, mask Num "logical_xor_cpu" (a, b) => {
        let (a, b) = (a.ne(E::ZERO), b.ne(E::ZERO));
        (a | b) & !(a & b)
    };
    /// Closeness of real numbers; `isclose` stands before it.
    "_isclose(Tensor self, Tensor other, Scalar rtol, Scalar atol, Scalar equal_nan) -> Tensor", 0,
    float_mask Real "isclose" (a, b; rtol, atol, equal_nan) => {
        let both_nan = equal_nan.ne(E::ZERO) & a.is_nan() & b.is_nan();
        let difference = (a - b).abs();
        let near = difference.le(atol + (rtol * b).abs()) & !difference.is_inf();
        a.eq(b) | both_nan | (near & !b.is_inf())
    };
}
