//! Functions of one number.

use super::{F, I, M, O};

const ALL: u16 = F | M | I | O;

pointwise! {
    /// Exponential of each element.
    "exp(Tensor self) -> Tensor", ALL, float Field "exp_vml_cpu" (x) => x.exp(),
    grad (g, x, y) => [g * y.conj()];
    /// Sine of each element.
    "sin(Tensor self) -> Tensor", ALL, float Field "sin_vml_cpu" (x) => x.sin(), angles exact,
    grad (g, x, y) => [g * x.cos().conj()];
    /// Negative of each element.
    "neg(Tensor self) -> Tensor", ALL, keep Num "neg_cpu" (x) => -x,
    grad (g, x, y) => [-g];
    /// Hyperbolic tangent of each element.
    "tanh(Tensor self) -> Tensor", ALL, float Field "tanh_vml_cpu" (x) => x.tanh(),
    grad (g, x, y) => [g * (E::ONE - y * y).conj()];
    /// Sum of two tensors, the second one scaled.
    "add(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", ALL, keep Num "add_stub"
    (a, b; alpha) => a + alpha * b,
    grad (g, a, b, y; alpha) => [g, g * alpha.conj()];
    /// Is the first element the smaller one?
    "lt(Tensor self, Tensor|Scalar other) -> Tensor", ALL, mask Ordered "lt_cpu" (a, b) => a.lt(b);
}
