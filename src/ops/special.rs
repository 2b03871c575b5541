//! Special functions.

use super::binary::{xlog1py, xlogy};
use super::pointwise_checks::a_tensor;
use super::{F, I, M, O};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LN_2};

const FULL: u16 = F | M | I | O;
const FN: u16 = F | O;
/// sqrt(2 pi)
const SQRT_2PI: f64 = 2.506_628_274_631_000_5;

pointwise! {
    /// Modified Bessel function of order 0.
    "i0(Tensor self) -> Tensor", FULL, float Real "i0" (x) => x.i0(),
    grad (g, x, y) => [g * x.i1()];
    /// i0 scaled by exp(-|x|).
    "special.i0e(Tensor self) -> Tensor", FN, float Real "i0e" (x) => x.i0e(),
    grad (g, x, y) => [g * (x.i1e() - x.sign() * y)];
    /// Modified Bessel function of order 1.
    "special.i1(Tensor self) -> Tensor", FN, float Real "i1" (x) => x.i1(),
    grad (g, x, y) => [{
        // The branch that is not taken must stay finite: its gradient is multiplied by 0.
        let safe = E::select(x.eq(E::ZERO), E::ONE, x);
        g * E::select(x.eq(E::ZERO), E::lit(0.5), x.i0() - y / safe)
    }];
    /// i1 scaled by exp(-|x|).
    "special.i1e(Tensor self) -> Tensor", FN, float Real "i1e" (x) => x.i1e(),
    grad (g, x, y) => [{
        let safe = E::select(x.eq(E::ZERO), E::ONE, x);
        g * E::select(x.eq(E::ZERO), E::lit(0.5), x.i0e() - y * (x.sign() + safe.reciprocal()))
    }];
    /// Cumulative distribution function of the normal distribution.
    "special.ndtr(Tensor self) -> Tensor", FN, float Real "ndtr" (x) => x.ndtr(),
    grad (g, x, y) => [g * (x * x * E::lit(-0.5)).exp() / E::lit(SQRT_2PI)];
    /// Inverse of ndtr.
    "special.ndtri(Tensor self) -> Tensor", FN, float Real "ndtri" (x) => x.ndtri(),
    grad (g, x, y) => [g * E::lit(SQRT_2PI) * (y * y * E::lit(0.5)).exp()];
    /// Logarithm of ndtr.
    "special.log_ndtr(Tensor self) -> Tensor", FN, float Real "log_ndtr" (x) => x.log_ndtr(),
    grad (g, x, y) => [g * E::lit(FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5) * (-(y + x * x * E::lit(0.5))).exp()];
    /// exp(x²) erfc(x).
    "special.erfcx(Tensor self) -> Tensor", FN, float Real "erfcx" (x) => x.erfcx(),
    grad (g, x, y) => [g * (E::lit(2.0) * x * y - E::lit(FRAC_2_SQRT_PI))];
    /// -x ln(x), 0 at 0.
    "special.entr(Tensor self) -> Tensor", FN, float Real "entr" (x) => x.entr(),
    grad (g, x, y) => [-g * (E::ONE + x.log())];
    /// self ln(1 + other), 0 where self is 0.
    "special.xlog1py(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", FN, float Real "xlog1py_cpu"
    (a, b) => xlog1py(a, b), check a_tensor,
    grad (g, a, b, y) => [
        E::select(a.eq(E::ZERO) & b.le(-E::ONE), E::ZERO, xlog1py(g, b)),
        g * a / (b + E::ONE),
    ];
    /// self ln(other), 0 where self is 0.
    "xlogy(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", FULL, float Real "xlogy_cpu" (a, b) => xlogy(a, b),
    check a_tensor,
    grad (g, a, b, y) => [E::select(a.eq(E::ZERO) & b.le(E::ZERO), E::ZERO, xlogy(g, b)), g * a / b];
    /// Hurwitz zeta function.
    "special.zeta(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", FN, float Rare "zeta" (a, b) => a.zeta(b),
    check a_tensor,
    grad (g, a, b, y) => [E::lit(f64::NAN), -g * a * (a + E::ONE).zeta(b)];
    /// Regularised lower incomplete gamma function.
    "igamma(Tensor self, Tensor other) -> Tensor", FULL, float Rare "igamma" (a, b) => a.igamma(b),
    grad (g, a, b, y) => [E::lit(f64::NAN), g * ((a - E::ONE) * b.log() - b - a.lgamma()).exp()];
    /// Regularised upper incomplete gamma function.
    "igammac(Tensor self, Tensor other) -> Tensor", FULL, float Rare "igammac" (a, b) => a.igammac(b),
    grad (g, a, b, y) => [E::lit(f64::NAN), -g * ((a - E::ONE) * b.log() - b - a.lgamma()).exp()];
    /// Derivative of digamma of order n; `polygamma` stands before it.
    "_polygamma(Tensor self, Scalar n) -> Tensor", 0, float Rare "polygamma" (x; n) => x.polygamma(n),
    grad (g, x, y; n) as "PolygammaBackward0" => [g * x.polygamma(n + E::ONE)];
    /// self 2^other.
    "ldexp(Tensor self, Tensor other) -> Tensor", FULL, float Field "ldexp" (a, b) => a * b.exp2(),
    grad (g, a, b, y) as "MulBackward0" => [g * b.exp2().conj(), g * y.conj() * E::lit(LN_2)];
    /// Bessel function of the first kind of order 0.
    "special.bessel_j0(Tensor self) -> Tensor", FN, float Rare "bessel_j0_cpu" (x) => x.bessel_j0(),
    grad (g, x, y) => [-g * x.bessel_j1()];
    /// Bessel function of the first kind of order 1.
    "special.bessel_j1(Tensor self) -> Tensor", FN, float Rare "bessel_j1_cpu" (x) => x.bessel_j1(),
    grad (g, x, y) => [{
        let safe = E::select(x.eq(E::ZERO), E::ONE, x);
        g * (x.bessel_j0() - E::select(x.eq(E::ZERO), E::lit(0.5), y / safe))
    }];
    /// Bessel function of the second kind of order 0.
    "special.bessel_y0(Tensor self) -> Tensor", FN, float Rare "bessel_y0_cpu" (x) => x.bessel_y0(),
    grad (g, x, y) => [-g * x.bessel_y1()];
    /// Bessel function of the second kind of order 1.
    "special.bessel_y1(Tensor self) -> Tensor", FN, float Rare "bessel_y1_cpu" (x) => x.bessel_y1(),
    grad (g, x, y) => [g * (x.bessel_y0() - y / x)];
    /// Modified Bessel function of the first kind of order 0.
    "special.modified_bessel_i0(Tensor self) -> Tensor", FN, float Real "modified_bessel_i0_cpu" (x) => x.modified_bessel_i0(),
    grad (g, x, y) => [g * x.modified_bessel_i1()];
    /// Modified Bessel function of the first kind of order 1.
    "special.modified_bessel_i1(Tensor self) -> Tensor", FN, float Real "modified_bessel_i1_cpu" (x) => x.modified_bessel_i1(),
    grad (g, x, y) => [{
        let safe = E::select(x.eq(E::ZERO), E::ONE, x);
        g * E::select(x.eq(E::ZERO), E::lit(0.5), x.modified_bessel_i0() - y / safe)
    }];
    /// Modified Bessel function of the second kind of order 0.
    "special.modified_bessel_k0(Tensor self) -> Tensor", FN, float Rare "modified_bessel_k0_cpu" (x) => x.modified_bessel_k0(),
    grad (g, x, y) => [-g * x.modified_bessel_k1()];
    /// Modified Bessel function of the second kind of order 1.
    "special.modified_bessel_k1(Tensor self) -> Tensor", FN, float Rare "modified_bessel_k1_cpu" (x) => x.modified_bessel_k1(),
    grad (g, x, y) => [-g * (x.modified_bessel_k0() + y / x)];
    /// modified_bessel_k0 scaled by exp(x).
    "special.scaled_modified_bessel_k0(Tensor x) -> Tensor", FN, float Rare "scaled_modified_bessel_k0_cpu"
    (x) => x.scaled_modified_bessel_k0(),
    grad (g, x, y) => [g * (y - x.scaled_modified_bessel_k1())];
    /// modified_bessel_k1 scaled by exp(x).
    "special.scaled_modified_bessel_k1(Tensor x) -> Tensor", FN, float Rare "scaled_modified_bessel_k1_cpu"
    (x) => x.scaled_modified_bessel_k1(),
    grad (g, x, y) => [g * (y - y / x - x.scaled_modified_bessel_k0())];
    /// Spherical Bessel function of order 0.
    "special.spherical_bessel_j0(Tensor x) -> Tensor", FN, float Rare "spherical_bessel_j0_cpu" (x) => x.spherical_bessel_j0();
    /// Airy function Ai.
    "special.airy_ai(Tensor x) -> Tensor", FN, float Rare "airy_ai_cpu" (x) => x.airy_ai();
    /// Chebyshev polynomial of the first kind.
    "special.chebyshev_polynomial_t(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "chebyshev_polynomial_t_cpu" (x, n) => x.chebyshev_polynomial_t(n), check a_tensor;
    /// Chebyshev polynomial of the second kind.
    "special.chebyshev_polynomial_u(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "chebyshev_polynomial_u_cpu" (x, n) => x.chebyshev_polynomial_u(n), check a_tensor;
    /// Chebyshev polynomial of the third kind.
    "special.chebyshev_polynomial_v(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "chebyshev_polynomial_v_cpu" (x, n) => x.chebyshev_polynomial_v(n), check a_tensor;
    /// Chebyshev polynomial of the fourth kind.
    "special.chebyshev_polynomial_w(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "chebyshev_polynomial_w_cpu" (x, n) => x.chebyshev_polynomial_w(n), check a_tensor;
    /// Chebyshev polynomial of the first kind over 0..1.
    "special.shifted_chebyshev_polynomial_t(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "shifted_chebyshev_polynomial_t_cpu" (x, n) => x.shifted_chebyshev_polynomial_t(n), check a_tensor;
    /// Chebyshev polynomial of the second kind over 0..1.
    "special.shifted_chebyshev_polynomial_u(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "shifted_chebyshev_polynomial_u_cpu" (x, n) => x.shifted_chebyshev_polynomial_u(n), check a_tensor;
    /// Chebyshev polynomial of the third kind over 0..1.
    "special.shifted_chebyshev_polynomial_v(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "shifted_chebyshev_polynomial_v_cpu" (x, n) => x.shifted_chebyshev_polynomial_v(n), check a_tensor;
    /// Chebyshev polynomial of the fourth kind over 0..1.
    "special.shifted_chebyshev_polynomial_w(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "shifted_chebyshev_polynomial_w_cpu" (x, n) => x.shifted_chebyshev_polynomial_w(n), check a_tensor;
    /// Physicists' Hermite polynomial.
    "special.hermite_polynomial_h(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "hermite_polynomial_h_cpu" (x, n) => x.hermite_polynomial_h(n), check a_tensor;
    /// Probabilists' Hermite polynomial.
    "special.hermite_polynomial_he(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "hermite_polynomial_he_cpu" (x, n) => x.hermite_polynomial_he(n), check a_tensor;
    /// Laguerre polynomial.
    "special.laguerre_polynomial_l(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "laguerre_polynomial_l_cpu" (x, n) => x.laguerre_polynomial_l(n), check a_tensor;
    /// Legendre polynomial.
    "special.legendre_polynomial_p(Tensor|Scalar x, Tensor|Scalar n) -> Tensor", FN, float Rare
    "legendre_polynomial_p_cpu" (x, n) => x.legendre_polynomial_p(n), check a_tensor;
}
