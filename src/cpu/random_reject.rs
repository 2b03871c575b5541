//! Distributions sampled by rejection: Poisson, binomial, gamma.

use super::random::Generator;

/// From this mean on the transformed rejection methods take over from counting.
const LARGE_MEAN: f64 = 10.0;

/// A Poisson sample of rate `lambda` (>= 0).
pub fn poisson(generator: &mut Generator, lambda: f64) -> f64 {
    if lambda >= LARGE_MEAN {
        return poisson_transformed(generator, lambda);
    }
    if lambda == 0.0 {
        return 0.0;
    }
    let limit = (-lambda).exp();
    let (mut count, mut product) = (0.0, 1.0);
    loop {
        product *= generator.uniform_f64();
        // Not `<=`: a NaN rate must end the loop.
        if !(product > limit) {
            return count;
        }
        count += 1.0;
    }
}

/// Hoermann's transformed rejection (1993).
fn poisson_transformed(generator: &mut Generator, lambda: f64) -> f64 {
    let (root, log_lambda) = (lambda.sqrt(), lambda.ln());
    let b = 0.931 + 2.53 * root;
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = generator.uniform_f64() - 0.5;
        let v = generator.uniform_f64();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + lambda + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let accept = v.ln() + inverse_alpha.ln() - (a / (us * us) + b).ln();
        // Negated so that an infinite rate, which makes both sides NaN, ends the loop.
        if !(accept > -lambda + k * log_lambda - libm::lgamma(k + 1.0)) {
            return k;
        }
    }
}

/// A binomial sample: successes in `count` trials of probability `p`.
pub fn binomial(generator: &mut Generator, count: f64, p: f64) -> f64 {
    if count <= 0.0 || p <= 0.0 {
        0.0
    } else if p >= 1.0 {
        count
    } else if p <= 0.5 {
        binomial_lower(generator, count, p)
    } else if p > 0.5 {
        count - binomial_lower(generator, count, 1.0 - p)
    } else {
        f64::NAN
    }
}

fn binomial_lower(generator: &mut Generator, count: f64, p: f64) -> f64 {
    if count * p >= LARGE_MEAN {
        binomial_transformed(generator, count, p)
    } else {
        binomial_inversion(generator, count, p)
    }
}

fn binomial_inversion(generator: &mut Generator, count: f64, p: f64) -> f64 {
    let log_failure = (-p).ln_1p();
    let (mut trials, mut successes) = (0.0, 0.0);
    loop {
        trials += (generator.uniform_f64().ln() / log_failure).ceil();
        if !(trials <= count) {
            return successes;
        }
        successes += 1.0;
    }
}

/// Hoermann's BTRS (1993).
fn binomial_transformed(generator: &mut Generator, count: f64, p: f64) -> f64 {
    let deviation = (count * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * deviation;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let c = count * p + 0.5;
    let v_r = 0.92 - 4.2 / b;
    let ratio = p / (1.0 - p);
    let alpha = (2.83 + 5.1 / b) * deviation;
    let m = ((count + 1.0) * p).floor();
    loop {
        let u = generator.uniform_f64() - 0.5;
        let v = generator.uniform_f64();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + c).floor();
        if k < 0.0 || k > count {
            continue;
        }
        if us >= 0.07 && v <= v_r {
            return k;
        }
        let v = (v * alpha / (a / (us * us) + b)).ln();
        let bound = (m + 0.5) * ((m + 1.0) / (ratio * (count - m + 1.0))).ln()
            + (count + 1.0) * ((count - m + 1.0) / (count - k + 1.0)).ln()
            + (k + 0.5) * (ratio * (count - k + 1.0) / (k + 1.0)).ln()
            + stirling_tail(m)
            + stirling_tail(count - m)
            - stirling_tail(k)
            - stirling_tail(count - k);
        // Negated so that infinite counts, which make the bound NaN, end the loop.
        if !(v > bound) {
            return k;
        }
    }
}

/// What Stirling's formula leaves of ln k!.
fn stirling_tail(k: f64) -> f64 {
    const SMALL: [f64; 10] = [
        0.081_061_466_795_327_2,
        0.041_340_695_955_409_2,
        0.027_677_925_684_998_3,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_1,
        0.013_876_128_823_070_7,
        0.011_896_709_945_891_7,
        0.010_411_265_261_972_0,
        0.009_255_462_182_712_73,
        0.008_330_563_433_362_87,
    ];
    if let Some(&tail) = SMALL.get(k as usize) {
        return tail;
    }
    let square = (k + 1.0) * (k + 1.0);
    (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)
}

/// A standard gamma sample of shape `alpha`, by Marsaglia and Tsang (2000).
pub fn gamma(generator: &mut Generator, alpha: f64) -> f64 {
    let (mut scale, mut alpha) = (1.0, alpha);
    // A larger shape is accepted more often.
    if alpha < 1.0 {
        if alpha == 0.0 {
            return 0.0;
        }
        scale *= (1.0 - generator.uniform_f64()).powf(1.0 / alpha);
        alpha += 1.0;
    }
    let d = alpha - f64::from(1.0_f32 / 3.0);
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let (x, y) = loop {
            let x = generator.normal();
            let y = 1.0 + c * x;
            // Not `y > 0`: a NaN shape must end the loop.
            if !(y <= 0.0) {
                break (x, y);
            }
        };
        let v = y * y * y;
        let u = 1.0 - generator.uniform_f64();
        let xx = x * x;
        let squeeze = u < 1.0 - f64::from(0.0331_f32) * xx * xx;
        if squeeze || !(u.ln() >= 0.5 * xx + d * (1.0 - v + v.ln())) {
            return scale * d * v;
        }
    }
}
