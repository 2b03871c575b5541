//! Bessel functions of order 0 and 1 and the Airy function: Cephes' rational approximations,
//! as PyTorch uses them.

use super::math64::{self, bound, exp, expm1_reduced, reduce_ln2, scale};
use super::special_bessel_tables::*;
use std::f64::consts::{FRAC_PI_4, PI};

const SQRT_2_PI: f64 = 0.797_884_560_802_865_4;
const FRAC_2_PI: f64 = std::f64::consts::FRAC_2_PI;

fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// The asymptotic amplitudes P and (5/x) Q for x > 5.
fn amplitudes(x: f64, [pp, pq, qp, qq]: [&[f64]; 4]) -> (f64, f64) {
    let z = 25.0 / (x * x);
    (
        horner(z, pp) / horner(z, pq),
        5.0 / x * (horner(z, qp) / horner(z, qq)),
    )
}

pub fn bessel_j0(x: f64) -> f64 {
    let x = x.abs();
    let z = x * x;
    if x < 1e-5 {
        return 1.0 - z / 4.0;
    }
    if x <= 5.0 {
        let roots = (z - 5.783_185_962_946_785) * (z - 30.471_262_343_662_087);
        return roots * horner(z, &J0_RP) / horner(z, &J0_RQ);
    }
    let (p, q) = amplitudes(x, [&J0_PP, &J0_PQ, &J0_QP, &J0_QQ]);
    let angle = x - FRAC_PI_4;
    (p * angle.cos() - q * angle.sin()) * SQRT_2_PI / x.sqrt()
}

pub fn bessel_j1(x: f64) -> f64 {
    if x < 0.0 {
        return -bessel_j1(-x);
    }
    let z = x * x;
    if x <= 5.0 {
        let roots = (z - 14.681_970_642_123_893) * (z - 49.218_456_321_694_606);
        return horner(z, &J1_RP) / horner(z, &J1_RQ) * x * roots;
    }
    let (p, q) = amplitudes(x, [&J1_PP, &J1_PQ, &J1_QP, &J1_QQ]);
    let angle = x - 3.0 * FRAC_PI_4;
    (p * angle.cos() - q * angle.sin()) * SQRT_2_PI / x.sqrt()
}

pub fn bessel_y0(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    let z = x * x;
    if x <= 5.0 {
        return horner(z, &Y0_YP) / horner(z, &Y0_YQ) + FRAC_2_PI * x.ln() * bessel_j0(x);
    }
    let (p, q) = amplitudes(x, [&J0_PP, &J0_PQ, &J0_QP, &J0_QQ]);
    let angle = x - FRAC_PI_4;
    (p * angle.sin() + q * angle.cos()) * SQRT_2_PI / x.sqrt()
}

pub fn bessel_y1(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    let z = x * x;
    if x <= 5.0 {
        let log = FRAC_2_PI * (bessel_j1(x) * x.ln() - 1.0 / x);
        return x * (horner(z, &Y1_YP) / horner(z, &Y1_YQ)) + log;
    }
    let (p, q) = amplitudes(x, [&J1_PP, &J1_PQ, &J1_QP, &J1_QQ]);
    let angle = x - 3.0 * FRAC_PI_4;
    (p * angle.sin() + q * angle.cos()) * SQRT_2_PI / x.sqrt()
}

/// Chebyshev series at `x / 2`, highest term first.
#[inline(always)]
fn chebyshev<const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let (mut b0, mut b1, mut b2) = (coefficients[0], 0.0, 0.0);
    let mut i = 1;
    while i < N {
        (b1, b2) = (b0, b1);
        b0 = x.mul_add(b1, coefficients[i] - b2);
        i += 1;
    }
    0.5 * (b0 - b2)
}

#[inline(always)]
pub fn i0e(x: f64) -> f64 {
    let a = x.abs();
    let near = chebyshev(a / 2.0 - 2.0, &I0_A);
    let far = chebyshev(32.0 / a - 2.0, &I0_B) / a.sqrt();
    if a <= 8.0 { near } else { far }
}

/// Chebyshev fits of `(i0(x) - 1) / (x²/4)` in `x²/4`, and of `i0(x) sqrt(x) exp(-x)` in `1 / x` from 8 on.
#[inline(always)]
pub fn i0(x: f64) -> f64 {
    let a = x.abs();
    let half = 0.5 * x;
    let z = half * half;
    let lost = half.mul_add(half, -z);
    let near = math64::horner(
        z,
        [
            9.320957982657394e-25,
            1.1140578626577648e-22,
            2.6460556344031166e-20,
            4.343826738538556e-18,
            6.278265696233405e-16,
            7.593825457868694e-14,
            7.594076278142541e-12,
            6.151186347213467e-10,
            3.9367599270566226e-08,
            1.9290123446740302e-06,
            6.94444444461813e-05,
            0.0017361111111093047,
            0.02777777777777876,
            0.24999999999999978,
            1.0,
        ],
    );
    let near = z.mul_add(near, 1.0);
    // The logarithmic derivative is near 1 / sqrt(1 + z).
    let near = near.mul_add(lost / (1.0 + z).sqrt(), near);
    let far = math64::horner(
        1.0 / a - 0.05859375,
        [
            -1.0032565482704416e+17,
            3.7997173167104664e+16,
            77350138275322.08,
            -931601662798264.4,
            26064866366387.71,
            11073122859974.555,
            -335620036257.3151,
            -88433730865.19907,
            1632425171.569501,
            544550658.6167204,
            4668239.669010977,
            -2416946.605064527,
            -140126.18831374063,
            715.8063323657783,
            638.7020165156215,
            71.32577923646663,
            7.98400344659055,
            1.2365278836745521,
            0.28000821746032256,
            0.09147561988361112,
            0.0441682910422101,
            0.034345171663690055,
            0.053498466078740155,
            0.4019670043419655,
        ],
    );
    // The quotient by the root, and what it and the root lost.
    let root = a.sqrt();
    let root_lost = (-root).mul_add(root, a) / (root + root);
    let factor = far / root;
    let lost = (-factor).mul_add(root_lost, (-factor).mul_add(root, far)) / root;
    let (k, r) = reduce_ln2(bound(a, 0.0, 750.0), 0.0);
    let p = expm1_reduced(r);
    let far = scale(p.mul_add(factor, p.mul_add(lost, lost)) + factor, k);
    if a <= 8.0 { near } else { far }
}

#[inline(always)]
pub fn i1e(x: f64) -> f64 {
    let a = x.abs();
    let near = chebyshev(a / 2.0 - 2.0, &I1_A) * a;
    let far = chebyshev(32.0 / a - 2.0, &I1_B) / a.sqrt();
    let y = if a <= 8.0 { near } else { far };
    if x < 0.0 { -y } else { y }
}

#[inline(always)]
pub fn i1(x: f64) -> f64 {
    exp(x.abs()) * i1e(x)
}

#[inline(always)]
pub fn modified_bessel_i0(x: f64) -> f64 {
    i0(x)
}

#[inline(always)]
pub fn modified_bessel_i1(x: f64) -> f64 {
    i1(x)
}

/// Value of K0 or K1 outside `x > 0`.
fn modified_edge(x: f64) -> Option<f64> {
    if x == 0.0 {
        Some(f64::INFINITY)
    } else if x < 0.0 {
        Some(f64::NAN)
    } else {
        None
    }
}

fn k0_near(x: f64) -> f64 {
    chebyshev(x * x - 2.0, &K0_A) - (0.5 * x).ln() * i0(x)
}

fn k1_near(x: f64) -> f64 {
    (0.5 * x).ln() * i1(x) + chebyshev(x * x - 2.0, &K1_A) / x
}

fn far<const N: usize>(x: f64, table: &[f64; N]) -> f64 {
    chebyshev(8.0 / x - 2.0, table) / x.sqrt()
}

pub fn modified_bessel_k0(x: f64) -> f64 {
    let value = || {
        if x <= 2.0 {
            k0_near(x)
        } else {
            (-x).exp() * far(x, &K0_B)
        }
    };
    modified_edge(x).unwrap_or_else(value)
}

pub fn modified_bessel_k1(x: f64) -> f64 {
    let value = || {
        if x <= 2.0 {
            k1_near(x)
        } else {
            (-x).exp() * far(x, &K1_B)
        }
    };
    modified_edge(x).unwrap_or_else(value)
}

pub fn scaled_modified_bessel_k0(x: f64) -> f64 {
    let value = || {
        if x <= 2.0 {
            k0_near(x) * x.exp()
        } else {
            far(x, &K0_B)
        }
    };
    modified_edge(x).unwrap_or_else(value)
}

pub fn scaled_modified_bessel_k1(x: f64) -> f64 {
    let value = || {
        if x <= 2.0 {
            k1_near(x) * x.exp()
        } else {
            far(x, &K1_B)
        }
    };
    modified_edge(x).unwrap_or_else(value)
}

pub fn spherical_bessel_j0(x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    if x.abs() < 0.5 {
        let z = x * x;
        let terms = [
            1.0 / 6_227_020_800.0,
            -1.0 / 39_916_800.0,
            1.0 / 362_880.0,
            -1.0 / 5040.0,
            1.0 / 120.0,
            -1.0 / 6.0,
            1.0,
        ];
        return horner(z, &terms);
    }
    x.sin() / x
}

/// The Maclaurin series of Ai.
fn airy_series(x: f64) -> f64 {
    let z = x * x * x;
    let (mut f, mut g, mut k) = (1.0, x, 1.0);
    let (mut m, mut n, mut t) = (1.0, x, 1.0f64);
    while t > f64::EPSILON {
        m *= z;
        n *= z;
        m /= k + 1.0;
        n /= k + 2.0;
        m /= k + 2.0;
        n /= k + 3.0;
        k += 3.0;
        f += m;
        g += n;
        t = (m / f).abs();
    }
    0.355_028_053_887_817_24 * f - 0.258_819_403_792_806_8 * g
}

pub fn airy_ai(x: f64) -> f64 {
    const FRAC_1_SQRT_PI: f64 = 0.564_189_583_547_756_3;
    if x.is_infinite() || x.is_nan() {
        return f64::NAN;
    }
    if x > 103.892 {
        return 0.0;
    }
    if x < -2.09 {
        let zeta = -2.0 * x * (-x).sqrt() / 3.0;
        let z = 1.0 / zeta;
        let square = z * z;
        let f = square * horner(square, &AIRY_AFN) / horner(square, &AIRY_AFD);
        let g = z * horner(square, &AIRY_AGN) / horner(square, &AIRY_AGD);
        let t = zeta + 0.25 * PI;
        let wave = t.sin() * (1.0 + f) - t.cos() * g;
        return FRAC_1_SQRT_PI / (-x).sqrt().sqrt() * wave;
    }
    if x >= 2.09 {
        let zeta = 2.0 * x * x.sqrt() / 3.0;
        let ratio = horner(1.0 / zeta, &AIRY_AN) / horner(1.0 / zeta, &AIRY_AD);
        return FRAC_1_SQRT_PI * ratio / (2.0 * x.sqrt().sqrt() * zeta.exp());
    }
    airy_series(x)
}
