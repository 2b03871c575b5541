//! The error function and the normal distribution of `f32`.

use super::math_normal::inverse_edges;
use super::math32::{
    bound, expm1_reduced, log, polynomial, pow2, reduce_ln2, reduce_ln2_sum, scale,
};

/// `2^k erfc(x)` for `x >= 0` with `k` small, given `1 + x/2` and `x²`, each as a sum of a number and what it lost by rounding.
#[inline(always)]
fn upper_tail((sum, sum_lost): (f32, f32), (square, square_lost): (f32, f32), k: f32) -> f32 {
    // exp(x²) erfc(x) / u, a minimax fit in u = 1 / (1 + x/2).
    let u = 1.0 / sum;
    let t = u - 0.425_781_25;
    let q = polynomial(
        t,
        [
            0.037700094,
            -0.041196503,
            -0.058368165,
            0.09460092,
            0.0591322,
            -0.1394595,
            -0.12640585,
            0.19040179,
            0.52126646,
        ],
    );
    let slope = q.mul_add(t, 0.6068657);
    let q = slope.mul_add(t, 0.46280548);
    let q_lost = slope.mul_add(t, 0.46280548 - q);
    // What u lost matters as that times the logarithmic derivative of u q, which is near 1 + 1.2 u.
    let u_lost = (-u).mul_add(sum_lost, (-u).mul_add(sum, 1.0));
    let (shifted, r) = reduce_ln2_sum(-square, u.mul_add(1.2, 1.0).mul_add(u_lost, -square_lost));
    let factor = u * q;
    let rest = u.mul_add(q_lost, u.mul_add(q, -factor));
    let p = expm1_reduced(r);
    scale(
        p.mul_add(factor, p.mul_add(rest, rest)) + factor,
        shifted + k,
    )
}

/// erfc(x) for `x >= 0`.
#[inline(always)]
fn erfc_positive(x: f32) -> f32 {
    let x = if x > 10.5 { 10.5 } else { x };
    let sum = x.mul_add(0.5, 1.0);
    let square = x * x;
    upper_tail(
        (sum, x.mul_add(0.5, 1.0 - sum)),
        (square, x.mul_add(x, -square)),
        0.0,
    )
}

/// Minimax fits of `erf(x)/x - 1` in `x²` near zero, else of `ln(erfc(x))`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let p = polynomial(
        x * x,
        [
            -0.0005980214,
            0.004991762,
            -0.026766231,
            0.11281827,
            -0.37612498,
            0.12837915,
        ],
    );
    let near = x.mul_add(p, x);
    let log = polynomial(
        if a > 4.0 { 4.0 } else { a },
        [
            0.00019593311,
            -0.0030431785,
            0.022226779,
            -0.103931345,
            -0.6371825,
            -1.1276755,
            -0.00019568692,
        ],
    );
    let (shifted, r) = reduce_ln2(log);
    let power = pow2(shifted);
    let far = (-expm1_reduced(r)).mul_add(power, 1.0 - power);
    if a < 0.93 { near } else { far.copysign(x) }
}

#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    let tail = erfc_positive(x.abs());
    if x < 0.0 { 2.0 - tail } else { tail }
}

/// The distribution function of the normal distribution: half of `erfc(-x / sqrt 2)`.
#[inline(always)]
pub fn ndtr(x: f32) -> f32 {
    const FACTOR: f64 = 0.5 * std::f64::consts::FRAC_1_SQRT_2;
    const HIGH: f32 = FACTOR as f32;
    const LOW: f32 = (FACTOR - HIGH as f64) as f32;
    let t = x.abs();
    let t = if t > 14.5 { 14.5 } else { t };
    let sum = t.mul_add(HIGH, 1.0);
    let sum_lost = t.mul_add(LOW, t.mul_add(HIGH, 1.0 - sum));
    let half = 0.5 * t * t;
    let lost = (0.5 * t).mul_add(t, -half);
    let tail = upper_tail((sum, sum_lost), (half, lost), -1.0);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Minimax fits in `w = -ln(1 - x²)`: of the quotient of erfinv(x) and x, or of the difference between it and the root
/// of w further out.
#[inline(always)]
pub fn erfinv(x: f32) -> f32 {
    // The quotient at 0, half the root of pi, in two parts.
    const START: f32 = 0.88622695;
    const START_LOW: f32 = -2.6623200e-08;
    let w = -log((-x).mul_add(x, 1.0));
    let slope = polynomial(
        w - 2.5,
        [
            -4.225004e-10,
            -7.849887e-09,
            4.9776887e-08,
            3.4338325e-07,
            -4.360905e-06,
            5.931023e-06,
            0.00020361037,
            -0.0017617542,
            0.00022692078,
            0.24607298,
        ],
    );
    let root = w.sqrt();
    let far = polynomial(
        root - 3.125,
        [
            0.00012743549,
            -0.00017655689,
            -0.0003205524,
            0.0013149172,
            -0.0025221666,
            0.0037796448,
            -0.0053008627,
            0.0070493584,
            0.003718701,
            -0.16667987,
        ],
    );
    let near = w.mul_add(slope, START);
    let near_lost = w.mul_add(slope, START - near) + START_LOW;
    let is_near = w < 5.0;
    let quotient = if is_near { near } else { root + far };
    let lost = if is_near { near_lost } else { 0.0 };
    let y = x.mul_add(quotient, x * lost).copysign(x);
    inverse_edges(
        x.abs() >= 1.0,
        x.abs() == 1.0,
        f32::INFINITY.copysign(x),
        f32::NAN,
        y,
    )
}

/// GELU: `x ndtr(x)`, as PyTorch with an absolute error below zero, where `1/2 + (ndtr(x) - 1/2)` cancels. The
/// second term is a minimax quotient of polynomials, computed to be 1/2 at the edge.
#[inline(always)]
pub fn gelu_erf(x: f32) -> f32 {
    const EDGE: f32 = 5.418984;
    let t = bound(x, -EDGE, EDGE);
    let z = t * t;
    let dividend = t * polynomial(
        z,
        [
            2.3319487e-08,
            6.3439256e-06,
            0.00016393,
            0.004648315,
            0.033347707,
            0.39894226,
        ],
    );
    let divisor = polynomial(
        z,
        [
            1.2134598e-06,
            7.2204166e-05,
            0.001856839,
            0.028361946,
            0.25025654,
            1.0,
        ],
    );
    x.mul_add(dividend / divisor, 0.5 * x).copysign(x)
}
