//! Activation functions of neural networks.

use super::pointwise_checks::{not_bool, not_complex};
use super::{F, I, M, O};
use crate::cpu::lanes::{Field, Real};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

const FULL: u16 = F | I | O;

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// The factor and the cubic term of GELU's approximation by tanh.
const GELU_BETA: f64 = std::f64::consts::SQRT_2 * FRAC_2_SQRT_PI * 0.5;
const GELU_KAPPA: f64 = 0.044_715;

#[inline(always)]
fn elu<E: Real>(x: E, alpha: E, scale: E, input_scale: E) -> E {
    let negative = (x * input_scale).expm1() * (alpha * scale);
    E::select(x.gt(E::ZERO), x * scale, negative)
}

#[inline(always)]
fn elu_slope<E: Real>(x: E, alpha: E, scale: E, input_scale: E) -> E {
    let negative = input_scale * alpha * scale * (x * input_scale).exp();
    E::select(x.gt(E::ZERO), scale, negative)
}

/// ln(1 + exp(x)) without overflow.
#[inline(always)]
fn log1p_exp<E: Real>(x: E) -> E {
    x.maximum(E::ZERO) + (-x.abs()).exp().log1p()
}

#[inline(always)]
fn silu_slope<E: Field>(x: E) -> E {
    let s = x.sigmoid();
    s * (E::ONE + x * (E::ONE - s))
}

/// The argument of tanh in GELU's approximation, and its derivative.
#[inline(always)]
fn gelu_inner<E: Real>(x: E) -> (E, E) {
    let (beta, kappa) = (E::lit(GELU_BETA), E::lit(GELU_KAPPA));
    let inner = beta * (x + kappa * x * x * x);
    (inner, beta * (E::ONE + E::lit(3.0) * kappa * x * x))
}

pointwise! {
    /// Exponential linear unit.
    "nn.functional.elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", FULL, keep Real "elu_cpu"
    (x; alpha, scale, input_scale) => elu(x, alpha, scale, input_scale),
    grad (g, x, y; alpha, scale, input_scale) as "EluBackward0" => [g * elu_slope(x, alpha, scale, input_scale)];
    /// Scaled exponential linear unit.
    "selu(Tensor self) -> Tensor", F | I, keep Real "elu_cpu"
    (x) => elu(x, E::lit(SELU_ALPHA), E::lit(SELU_SCALE), E::ONE),
    grad (g, x, y) as "EluBackward0" => [g * elu_slope(x, E::lit(SELU_ALPHA), E::lit(SELU_SCALE), E::ONE)];
    /// Continuously differentiable exponential linear unit.
    "celu(Tensor self, Scalar alpha=1.0) -> Tensor", F | I, keep Real "elu_cpu"
    (x; alpha) => elu(x, alpha, E::ONE, alpha.reciprocal()),
    grad (g, x, y; alpha) => [g * elu_slope(x, alpha, E::ONE, alpha.reciprocal())];
    /// Linear with a smaller slope below zero.
    "nn.functional.leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", FULL, keep Real "leaky_relu_cpu"
    (x; slope) => E::select(x.gt(E::ZERO), x, x * slope),
    grad (g, x, y; slope) as "LeakyReluBackward0" => [E::select(x.gt(E::ZERO), g, g * slope)];
    /// Linear with a slope of its own below zero; `prelu` stands before it.
    "_prelu_kernel(Tensor self, Tensor weight) -> Tensor", F, keep Real "prelu_cpu"
    (x, w) => E::select(x.gt(E::ZERO), x, w * x),
    grad (g, x, w, y) as "PreluKernelBackward0" =>
        [E::select(x.gt(E::ZERO), g, w * g), E::select(x.gt(E::ZERO), E::ZERO, x * g)];
    /// A value wherever the element is not above a threshold.
    "threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor", FULL, keep Ordered "threshold_cpu"
    (x; threshold, value) => E::select(x.le(threshold), value, x), check not_bool,
    grad (g, x, y; threshold, value) => [E::select(x.le(threshold), E::ZERO, g)];
    /// Keeps elements within a range.
    "nn.functional.hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", FULL, keep Ordered "clamp_scalar_cpu"
    (x; low, high) => x.maximum(low).minimum(high), check not_bool,
    grad (g, x, y; low, high) as "HardtanhBackward0" => [E::keep(x.gt(low) & x.lt(high), g)];
    /// Keeps elements within 0 and 6.
    "nn.functional.relu6(Tensor self) -> Tensor", F | I, keep Ordered "clamp_scalar_cpu"
    (x) => x.maximum(E::ZERO).minimum(E::lit(6.0)), check not_bool,
    grad (g, x, y) as "HardtanhBackward0" => [E::keep(x.gt(E::ZERO) & x.lt(E::lit(6.0)), g)];
    /// A piecewise linear sigmoid.
    "nn.functional.hardsigmoid(Tensor self) -> Tensor", FULL, keep Real "hardsigmoid_cpu"
    (x) => (x + E::lit(3.0)).maximum(E::ZERO).minimum(E::lit(6.0)) / E::lit(6.0),
    grad (g, x, y) as "HardsigmoidBackward0" => [E::keep(x.gt(E::lit(-3.0)) & x.lt(E::lit(3.0)), g / E::lit(6.0))];
    /// The element times its hard sigmoid.
    "nn.functional.hardswish(Tensor self) -> Tensor", FULL, keep Real "hardswish_cpu"
    (x) => x * (x + E::lit(3.0)).maximum(E::ZERO).minimum(E::lit(6.0)) / E::lit(6.0),
    grad (g, x, y) as "HardswishBackward0" => [{
        let middle = g * (x / E::lit(3.0) + E::lit(0.5));
        E::select(x.le(E::lit(-3.0)), E::ZERO, E::select(x.lt(E::lit(3.0)), middle, g))
    }];
    /// The element times its sigmoid.
    "nn.functional.silu(Tensor self) -> Tensor", FULL, keep Field "silu_cpu" (x) => x.silu(),
    grad (g, x, y) as "SiluBackward0" => [g * silu_slope(x).conj()];
    /// The element times the tanh of its softplus.
    "nn.functional.mish(Tensor self) -> Tensor", FULL, keep Real "mish_cpu" (x) => x * log1p_exp(x).tanh(),
    grad (g, x, y) as "MishBackward0" => [{
        let t = log1p_exp(x).tanh();
        g * (t + x * (E::ONE - t * t) * x.sigmoid())
    }];
    /// A smooth relu: ln(1 + exp(beta x)) / beta, linear above a threshold.
    "nn.functional.softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", F | O, keep Real "softplus_cpu"
    (x; beta, threshold) => E::select((x * beta).gt(threshold), x, log1p_exp(x * beta) / beta),
    grad (g, x, y; beta, threshold) as "SoftplusBackward0" =>
        [E::select((x * beta).gt(threshold), g, g * (x * beta).sigmoid())];
    /// Shrinks towards zero by a constant.
    "nn.functional.softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", F | O, keep Real "softshrink_cpu" (x; lambd) => {
        let low = E::select(x.lt(-lambd), x + lambd, x * E::ZERO);
        E::select(x.gt(lambd), x - lambd, low)
    }, check super::pointwise_checks::positive_lambda,
    grad (g, x, y; lambd) as "SoftshrinkBackward0" => [E::select(x.ge(-lambd) & x.le(lambd), E::ZERO, g)];
    /// The nearest of evenly spaced levels; gradients pass between the outermost ones.
    "fake_quantize_per_tensor_affine(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> Tensor",
    F, keep Real "fake_quantize_tensor_cachemask_kernel_type_handling"
    (x; scale, zero, low, high) => {
        let level = (x * scale.reciprocal()).round() + zero;
        (level.maximum(low).minimum(high) - zero) * scale
    },
    grad (g, x, y; scale, zero, low, high) as "FakeQuantizePerTensorAffineCachemaskBackward0" => [{
        let level = (x * scale.reciprocal()).round() + zero;
        E::keep(level.ge(low) & level.le(high), g)
    }];
    /// Zero within a distance of zero.
    "hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", F | M | O, keep Real "hardshrink_cpu"
    (x; lambd) => E::select(x.ge(-lambd) & x.le(lambd), E::ZERO, x),
    grad (g, x, y; lambd) => [E::select(x.ge(-lambd) & x.le(lambd), E::ZERO, g)];
    /// Logarithm of the logistic function.
    "nn.functional.log_sigmoid(Tensor self) -> Tensor", F | O, keep Real "log_sigmoid_cpu" (x) => -log1p_exp(-x),
    grad (g, x, y) as "LogSigmoidBackward0" => [g * (-x).sigmoid()];
    /// GELU by the error function.
    "_gelu_erf(Tensor self) -> Tensor", 0, keep Real "GeluKernelImpl"
    (x) => x.gelu_erf(),
    grad (g, x, y) as "GeluBackward0" => [{
        let pdf = E::lit(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2) * (x * x * E::lit(-0.5)).exp();
        g * (x.ndtr() + x * pdf)
    }];
    /// GELU approximated by tanh.
    "_gelu_tanh(Tensor self) -> Tensor", 0, keep Real "GeluKernelImpl"
    (x) => E::lit(0.5) * x * (E::ONE + gelu_inner(x).0.tanh()),
    grad (g, x, y) as "GeluBackward0" => [{
        let (inner, slope) = gelu_inner(x);
        let t = inner.tanh();
        g * E::lit(0.5) * ((E::ONE + t) + x * (E::ONE - t * t) * slope)
    }];
    /// Keeps elements from falling below a bound.
    "clamp_min(Tensor self, Tensor|Scalar min) -> Tensor", F | M | I | O, keep Ordered "clamp_min_cpu"
    (x, low) => x.maximum(low), check not_complex,
    grad (g, x, low, y) => [E::keep(x.ge(low), g), E::keep(x.lt(low), g)];
    /// Keeps elements from rising above a bound.
    "clamp_max(Tensor self, Tensor|Scalar max) -> Tensor", F | M | I | O, keep Ordered "clamp_max_cpu"
    (x, high) => x.minimum(high), check not_complex,
    grad (g, x, high, y) => [E::keep(x.le(high), g), E::keep(x.gt(high), g)];
    /// Keeps elements within two bounds; `clamp` stands before it.
    "_clamp(Tensor self, Tensor|Scalar min, Tensor|Scalar max) -> Tensor", 0, keep Ordered "clamp_cpu"
    (x, low, high) => x.maximum(low).minimum(high), check not_complex,
    grad (g, x, low, high, y) as "ClampBackward1" => [
        E::keep(x.ge(low) & x.le(high), g),
        E::keep(low.lt(high) & x.lt(low), g),
        E::keep(x.gt(high) | high.lt(low), g),
    ];
    /// `_clamp` of real floats where both bounds are numbers.
    "_clamp_within(Tensor self, Scalar min, Scalar max) -> Tensor", 0, keep Ordered "clamp_scalar_cpu"
    (x; low, high) => x.maximum(low).minimum(high),
    grad (g, x, y; low, high) as "ClampBackward1" => [E::keep(x.ge(low) & x.le(high), g)];
    /// Elements of one tensor or another, as a condition says.
    "where(Tensor condition, Tensor|Scalar self, Tensor|Scalar other) -> Tensor", F | O, keep Num "where_cpu"
    (c, a, b) => E::select(c.ne(E::ZERO), a, b), untyped 1, check super::pointwise_checks::condition,
    grad (g, c, a, b, y) => [E::ZERO, E::select(c.ne(E::ZERO), g, E::ZERO), E::select(c.ne(E::ZERO), E::ZERO, g)];
    /// Linear interpolation between two tensors.
    "lerp(Tensor self, Tensor end, Tensor|Scalar weight) -> Tensor", F | M | I | O, keep Field "lerp_kernel_tensor"
    (a, b, w) => a.lerp(b, w), check super::pointwise_checks::one_dtype,
    grad (g, a, b, w, y) => [g * (E::ONE - w).conj(), g * w.conj(), g * (b - a).conj()];
    /// self + value tensor1 tensor2.
    "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", F | M | I | O, keep Num "addcmul_cpu_out"
    (x, a, b; value) => x + value * a * b, check not_bool,
    grad (g, x, a, b, y; value) => [g, g * (b * value).conj(), g * (a * value).conj()];
    /// self + value tensor1 / tensor2.
    "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", F | M | I | O, keep Field "addcdiv_cpu_out"
    (x, a, b; value) => x + value * a / b, check super::pointwise_checks::divides_floats,
    grad (g, x, a, b, y; value) => [g, g * (value / b).conj(), -g * (value * a / (b * b)).conj()];
}
