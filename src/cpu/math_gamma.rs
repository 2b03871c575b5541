//! The logarithm of the gamma function for `f32`, computed in `f64` and free of branches.

use std::f64::consts::PI;

use super::math64::{log, sin};

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

/// ln|gamma(x)| for x >= 1/2, by Stirling's series.
#[inline(always)]
fn positive(x: f64) -> f64 {
    let small = x < SHIFT;
    let mut product = 1.0;
    for step in 0..SHIFT as i32 {
        product *= if small { x + f64::from(step) } else { 1.0 };
    }
    let z = if small { x + SHIFT } else { x };
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    let series = STIRLING
        .iter()
        .fold(0.0, |sum, coefficient| sum * square + coefficient);
    (z - 0.5) * log(z) - z + (HALF_LOG_TAU + series * inverse) - log(product)
}

/// ln|gamma(x)|; arguments below 1/2 are reflected.
#[inline(always)]
pub fn lgamma32(x: f32) -> f32 {
    let x = f64::from(x);
    let reflected = x < 0.5;
    let size = positive(if reflected { 1.0 - x } else { x });
    let sine = sin(PI * (x - x.round_ties_even()));
    let value = if reflected {
        log(PI / sine.abs()) - size
    } else {
        size
    };
    (if x.is_infinite() {
        f64::INFINITY
    } else {
        value
    }) as f32
}
