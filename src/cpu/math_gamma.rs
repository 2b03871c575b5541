//! The logarithm of the gamma function for `f32`, computed in `f64` and free of branches.

use std::f64::consts::PI;

use super::math64::{horner, log_pair};

/// ln(sqrt(2 pi))
const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_8;
/// From here on the series is accurate; smaller arguments are shifted by as much.
const SHIFT: f64 = 8.0;
/// Stirling's series: Bernoulli numbers B(2n) / (2n (2n - 1)), from the highest power of 1/z^2 down.
const STIRLING: [f64; 6] = [
    -691.0 / 360_360.0,
    1.0 / 1188.0,
    -1.0 / 1680.0,
    1.0 / 1260.0,
    -1.0 / 360.0,
    1.0 / 12.0,
];

/// The sine of `pi t` for |t| <= 1/2, by its power series.
#[inline(always)]
fn sin_pi(t: f64) -> f64 {
    let z = PI * t;
    let square = z * z;
    let series = horner(
        square,
        [
            -1.0 / 121_645_100_408_832_000.0,
            1.0 / 355_687_428_096_000.0,
            -1.0 / 1_307_674_368_000.0,
            1.0 / 6_227_020_800.0,
            -1.0 / 39_916_800.0,
            1.0 / 362_880.0,
            -1.0 / 5040.0,
            1.0 / 120.0,
            -1.0 / 6.0,
        ],
    );
    (z * square).mul_add(series, z)
}

/// ln|gamma(x)| by Stirling's series; arguments below 1/2 are reflected, small ones shifted.
#[inline(always)]
pub fn lgamma32(x: f32) -> f32 {
    let x = f64::from(x);
    let reflected = x < 0.5;
    let y = if reflected { 1.0 - x } else { x };
    let sine = sin_pi(x - x.round_ties_even()).abs();
    let sine = if reflected { sine } else { 1.0 };
    let small = y < SHIFT;
    // y (y + 1) ... (y + 7), by factors from both ends.
    let ends = y * (y + 7.0);
    let shifted = (ends * (ends + 6.0)) * ((ends + 10.0) * (ends + 12.0));
    let product = if small { shifted } else { 1.0 };
    let z = if small { y + SHIFT } else { y };
    // One division serves 1 / z and pi / sine.
    let inverse = 1.0 / (z * sine);
    let (mirror, inverse) = (inverse * z * PI, inverse * sine);
    let lost = if reflected { mirror * product } else { product };
    let (log_z, log_lost) = log_pair(z, lost);
    let series = horner(inverse * inverse, STIRLING);
    let sum = (z - 0.5).mul_add(log_z, series.mul_add(inverse, HALF_LOG_TAU - z));
    let value = if reflected {
        log_lost - sum
    } else {
        sum - log_lost
    };
    // The roots, where the difference is of rounding errors alone.
    let value = if (x == 1.0) | (x == 2.0) { 0.0 } else { value };
    (if x.is_infinite() | (sine == 0.0) {
        f64::INFINITY
    } else {
        value
    }) as f32
}
