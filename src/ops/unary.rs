//! Elementary functions of one number.

use super::pointwise_checks::boolean_negative;
use super::{F, I, M, O};
use std::f64::consts::{LN_2, LN_10, PI};

const ALL: u16 = F | M | I | O;
/// Half the square root of pi.
const SQRT_PI_HALF: f64 = 1.0 / std::f64::consts::FRAC_2_SQRT_PI;

pointwise! {
    /// Negative of each element.
    "neg(Tensor self) -> Tensor", ALL, keep Num "neg_cpu" (x) => -x, check boolean_negative,
    grad (g, x, y) => [-g];
    /// Conjugates as values; `conj_physical` stands before it.
    "_conj_values(Tensor self) -> Tensor", 0, keep Num "conj_cpu" (x) => x.conj(),
    grad (g, x, y) as "ConjPhysicalBackward0" => [g.conj()];
    /// Square of each element.
    "square(Tensor self) -> Tensor", ALL, whole Num "pow" (x) => x.square(),
    grad (g, x, y) as "PowBackward0" => [g * (E::lit(2.0) * x).conj()];
    /// Exponential of each element.
    "exp(Tensor self) -> Tensor", ALL, float Field "exp_vml_cpu" (x) => x.exp(),
    grad (g, x, y) => [g * y.conj()];
    /// Two to the power of each element.
    "exp2(Tensor self) -> Tensor", ALL, float Field "exp2_vml_cpu" (x) => x.exp2(),
    grad (g, x, y) => [g * (y * E::lit(LN_2)).conj()];
    /// exp(x) - 1, accurate near 0.
    "expm1(Tensor self) -> Tensor", ALL, float Field "expm1_vml_cpu" (x) => x.expm1(),
    grad (g, x, y) => [g * (y + E::ONE).conj()];
    /// Natural logarithm of each element.
    "log(Tensor self) -> Tensor", ALL, float Field "log_vml_cpu" (x) => x.log(),
    grad (g, x, y) => [g / x.conj()];
    /// Logarithm to base 2 of each element.
    "log2(Tensor self) -> Tensor", ALL, float Field "log2_vml_cpu" (x) => x.log2(),
    grad (g, x, y) => [g / (x * E::lit(LN_2)).conj()];
    /// Logarithm to base 10 of each element.
    "log10(Tensor self) -> Tensor", ALL, float Field "log10_vml_cpu" (x) => x.log10(),
    grad (g, x, y) => [g / (x * E::lit(LN_10)).conj()];
    /// ln(1 + x), accurate near 0.
    "log1p(Tensor self) -> Tensor", ALL, float Field "log1p_vml_cpu" (x) => x.log1p(),
    grad (g, x, y) => [g / (x + E::ONE).conj()];
    /// Sine of each element.
    "sin(Tensor self) -> Tensor", ALL, float Field "sin_vml_cpu" (x) => x.sin(), wild angles,
    grad (g, x, y) => [g * x.cos().conj()];
    /// Cosine of each element.
    "cos(Tensor self) -> Tensor", ALL, float Field "cos_vml_cpu" (x) => x.cos(), wild angles,
    grad (g, x, y) => [g * (-x.sin()).conj()];
    /// Tangent of each element.
    "tan(Tensor self) -> Tensor", ALL, float Field "tan_vml_cpu" (x) => x.tan(), wild angles,
    grad (g, x, y) => [g * (E::ONE + y.square()).conj()];
    /// Inverse sine of each element.
    "asin(Tensor self) -> Tensor", ALL, float Field "asin_vml_cpu" (x) => x.asin(),
    grad (g, x, y) => [g * (E::ONE - x * x).rsqrt().conj()];
    /// Inverse cosine of each element.
    "acos(Tensor self) -> Tensor", ALL, float Field "acos_vml_cpu" (x) => x.acos(),
    grad (g, x, y) => [g * (-(E::ONE - x * x).rsqrt()).conj()];
    /// Inverse tangent of each element.
    "atan(Tensor self) -> Tensor", ALL, float Field "atan_vml_cpu" (x) => x.atan(),
    grad (g, x, y) => [g / (x * x + E::ONE).conj()];
    /// Hyperbolic sine of each element.
    "sinh(Tensor self) -> Tensor", ALL, float Field "sinh_vml_cpu" (x) => x.sinh(),
    grad (g, x, y) => [g * x.cosh().conj()];
    /// Hyperbolic cosine of each element.
    "cosh(Tensor self) -> Tensor", ALL, float Field "cosh_vml_cpu" (x) => x.cosh(),
    grad (g, x, y) => [g * x.sinh().conj()];
    /// Hyperbolic tangent of each element.
    "tanh(Tensor self) -> Tensor", ALL, float Field "tanh_vml_cpu" (x) => x.tanh(),
    grad (g, x, y) => [g * (E::ONE - y * y).conj()];
    /// Inverse hyperbolic sine of each element.
    "asinh(Tensor self) -> Tensor", ALL, float Field "asinh_vml_cpu" (x) => x.asinh(),
    grad (g, x, y) => [g * (x * x + E::ONE).rsqrt().conj()];
    /// Inverse hyperbolic cosine of each element.
    "acosh(Tensor self) -> Tensor", ALL, float Field "acosh_vml_cpu" (x) => x.acosh(),
    grad (g, x, y) => [g * ((x + E::ONE).rsqrt() * (x - E::ONE).rsqrt()).conj()];
    /// Inverse hyperbolic tangent of each element.
    "atanh(Tensor self) -> Tensor", ALL, float Field "atanh_vml_cpu" (x) => x.atanh(),
    grad (g, x, y) => [g / (E::ONE - x * x).conj()];
    /// Square root of each element.
    "sqrt(Tensor self) -> Tensor", ALL, float Light "sqrt_vml_cpu" (x) => x.sqrt(),
    grad (g, x, y) => [g / (E::lit(2.0) * y.conj())];
    /// Reciprocal of the square root of each element.
    "rsqrt(Tensor self) -> Tensor", ALL, float Light "rsqrt_vml_cpu" (x) => x.rsqrt(),
    grad (g, x, y) => [E::lit(-0.5) * g * (y * y * y).conj()];
    /// Reciprocal of each element.
    "reciprocal(Tensor self) -> Tensor", ALL, float Light "reciprocal_cpu" (x) => x.reciprocal(),
    grad (g, x, y) => [-g * (y * y).conj()];
    /// The logistic function 1 / (1 + exp(-x)).
    "sigmoid(Tensor self) -> Tensor", ALL, float Field "sigmoid_cpu" (x) => x.sigmoid(),
    grad (g, x, y) => [g * ((E::ONE - y) * y).conj()];
    /// sin(pi x) / (pi x), 1 at 0.
    "sinc(Tensor self) -> Tensor", ALL, float Field "sinc_cpu" (x) => x.sinc(), wild angles,
    grad (g, x, y) => [{
        // The branch that is not taken must stay finite: its gradient is multiplied by 0.
        let x1 = E::select(x.eq(E::ZERO), E::ONE, x);
        let angle = E::lit(PI) * x1;
        let slope = (angle.cos() * angle - angle.sin()) / (angle * x1);
        E::select(x.eq(E::ZERO), E::ZERO, g * slope.conj())
    }];
    /// Error function of each element.
    "erf(Tensor self) -> Tensor", ALL, float Real "erf_vml_cpu" (x) => x.erf(),
    grad (g, x, y) => [E::lit(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp() * g];
    /// Complementary error function of each element.
    "erfc(Tensor self) -> Tensor", ALL, float Real "erfc_vml_cpu" (x) => x.erfc(),
    grad (g, x, y) => [E::lit(-std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp() * g];
    /// Inverse error function of each element.
    "erfinv(Tensor self) -> Tensor", ALL, float Real "erfinv_vml_cpu" (x) => x.erfinv(),
    grad (g, x, y) => [E::lit(SQRT_PI_HALF) * (y * y).exp() * g];
    /// Logarithm of the gamma function's absolute value.
    "lgamma(Tensor self) -> Tensor", ALL, float Real "lgamma_vml_cpu" (x) => x.lgamma(),
    grad (g, x, y) => [g * x.digamma()];
    /// Logarithmic derivative of the gamma function.
    "digamma(Tensor self) -> Tensor", ALL, float Real "digamma" (x) => x.digamma(),
    grad (g, x, y) => [g * x.trigamma()];
    /// Derivative of digamma, of order 1; formulas use it.
    "_trigamma(Tensor self) -> Tensor", 0, float Rare "polygamma" (x) => x.trigamma(),
    grad (g, x, y) as "PolygammaBackward0" => [g * x.polygamma(E::lit(2.0))];
    /// log(x / (1 - x)), the argument kept within eps of 0 and 1.
    "logit(Tensor self, float? eps=None) -> Tensor", ALL, float Real "logit_cpu" (x; eps) => {
        let high = E::ONE - eps;
        let bounded = E::select(x.lt(eps), eps, E::select(x.gt(high), high, x));
        let z = E::select(eps.is_nan(), x, bounded);
        (z / (E::ONE - z)).log()
    },
    grad (g, x, y; eps) => [{
        let slope = g / (x * (E::ONE - x));
        let inside = x.ge(eps) & x.le(E::ONE - eps);
        let within = x.ge(E::ZERO) & x.le(E::ONE);
        E::select(eps.is_nan(), E::select(within, slope, E::lit(f64::NAN)), E::keep(inside, slope))
    }];
    /// Degrees in radians.
    "deg2rad(Tensor self) -> Tensor", ALL, float Real "deg2rad" (x) => x * E::lit(PI / 180.0),
    grad (g, x, y) as "MulBackward0" => [g * E::lit(PI / 180.0)];
    /// Radians in degrees.
    "rad2deg(Tensor self) -> Tensor", ALL, float Real "rad2deg" (x) => x * E::lit(180.0 / PI),
    grad (g, x, y) as "MulBackward0" => [g * E::lit(180.0 / PI)];
}
