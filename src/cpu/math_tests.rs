//! Every vector function against the C library, with a bound in units in the last place.

use super::{
    math_gamma, math_normal, math_pow, math32, math32_normal, math64, math64_inverse, math64_more,
};

/// Distance in representable values; NaN equals NaN.
fn ulps64(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let key = |x: f64| {
        let bits = x.to_bits() as i64;
        if bits < 0 {
            i64::MIN.wrapping_sub(bits)
        } else {
            bits
        }
    };
    key(a).wrapping_sub(key(b)).unsigned_abs() as f64
}

fn ulps32(a: f32, exact: f64) -> f64 {
    let b = exact as f32;
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let spacing = f64::from(f32::from_bits((b.abs().to_bits()).max(0x0080_0000) + 1))
        - f64::from(f32::from_bits(b.abs().to_bits().max(0x0080_0000)));
    (f64::from(a) - exact).abs() / spacing
}

const SPECIAL: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    1e-310,
    -1e-310,
    5e-324,
    1e300,
    -1e300,
];

/// `count` values, evenly and logarithmically spread over `-high..high`.
fn samples(high: f64) -> Vec<f64> {
    let n = 20_000;
    let even = (0..n).map(|i| high * (2.0 * (f64::from(i) + 0.3) / f64::from(n) - 1.0));
    let spread = (0..n).map(|i| {
        let t = f64::from(i) / f64::from(n);
        let x = high * 10f64.powf(-12.0 * t);
        if i % 2 == 0 { x } else { -x }
    });
    even.chain(spread).chain(SPECIAL).collect()
}

fn check64(name: &str, high: f64, bound: f64, f: fn(f64) -> f64, exact: fn(f64) -> f64) -> bool {
    let (worst, at) = samples(high)
        .into_iter()
        .fold((0.0, 0.0), |(worst, at), x| {
            let e = ulps64(f(x), exact(x));
            if e > worst { (e, x) } else { (worst, at) }
        });
    if worst > bound {
        eprintln!(
            "{name}: {worst} ulp at {at:e}: {:e}, expected {:e}",
            f(at),
            exact(at)
        );
    }
    worst <= bound
}

fn check32(name: &str, high: f64, bound: f64, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> bool {
    let (worst, at) = samples(high)
        .into_iter()
        .fold((0.0, 0f32), |(worst, at), x| {
            let x = x as f32;
            let e = ulps32(f(x), exact(f64::from(x)));
            if e > worst { (e, x) } else { (worst, at) }
        });
    if worst > bound {
        eprintln!(
            "{name}: {worst} ulp at {at:e}: {:e}, expected {:e}",
            f(at),
            exact(f64::from(at))
        );
    }
    worst <= bound
}

#[test]
fn elementary_functions_of_f64_are_within_two_ulp() {
    let good = [
        check64("exp", 745.0, 1.0, math64::exp, f64::exp),
        check64("exp2", 1074.0, 2.0, math64::exp2, f64::exp2),
        check64("expm1", 709.0, 2.0, math64::expm1, f64::exp_m1),
        check64("log", 1e9, 1.0, math64::log, f64::ln),
        check64("log2", 1e9, 1.0, math64::log2, f64::log2),
        check64("log10", 1e9, 2.0, math64::log10, f64::log10),
        check64("log1p", 1e3, 2.0, math64::log1p, f64::ln_1p),
        check64("log1p", 1.0, 2.0, math64::log1p, f64::ln_1p),
        check64("asin", 1.01, 2.0, math64_inverse::asin, f64::asin),
        check64("acos", 1.01, 2.0, math64_inverse::acos, f64::acos),
        check64("atan", 50.0, 2.0, math64_inverse::atan, f64::atan),
        check64("tanh", 25.0, 3.0, math64_more::tanh, f64::tanh),
        check64("sinh", 711.0, 4.0, math64_more::sinh, f64::sinh),
        check64("cosh", 711.0, 4.0, math64_more::cosh, f64::cosh),
        check64("asinh", 1e9, 4.0, math64_more::asinh, libm::asinh),
        check64("acosh", 1e9, 4.0, math64_more::acosh, |x| {
            if x < 1.0 { f64::NAN } else { libm::acosh(x) }
        }),
        check64("atanh", 1.0, 4.0, math64_more::atanh, libm::atanh),
        check64("erf", 7.0, 2.0, math64_more::erf, libm::erf),
        check64("erfc", 28.0, 3.0, math64_more::erfc, libm::erfc),
    ];
    assert!(good.iter().all(|&g| g));
}

#[test]
fn trigonometry_of_f64_is_within_two_ulp() {
    let within = |f: fn(f64) -> f64| {
        move |x: f64| {
            if x.abs() < math64::TRIG_LIMIT {
                f(x)
            } else {
                0.0
            }
        }
    };
    for (name, f, exact, bound) in [
        (
            "sin",
            math64::sin as fn(f64) -> f64,
            f64::sin as fn(f64) -> f64,
            1.0,
        ),
        ("cos", math64::cos, f64::cos, 1.0),
        ("tan", math64::tan, f64::tan, 2.0),
    ] {
        for high in [1.0, 100.0, 1e9] {
            for x in samples(high) {
                let e = ulps64(within(f)(x), within(exact)(x));
                assert!(e <= bound, "{name}({x:e}): {e} ulp");
            }
        }
    }
}

#[test]
fn elementary_functions_of_f32_are_within_two_ulp() {
    let good = [
        check32("exp", 104.0, 1.1, math32::exp, f64::exp),
        check32("exp2", 150.0, 1.1, math32::exp2, f64::exp2),
        check32("expm1", 89.0, 2.0, math32::expm1, f64::exp_m1),
        check32("log", 1e9, 1.1, math32::log, f64::ln),
        check32("log2", 1e9, 1.5, math32::log2, f64::log2),
        check32("log1p", 1e3, 1.5, math32::log1p, f64::ln_1p),
        check32("log1p", 1.0, 1.5, math32::log1p, f64::ln_1p),
        check32("tanh", 12.0, 2.0, math32::tanh, f64::tanh),
        check32("erf", 5.0, 1.5, math32_normal::erf, libm::erf),
        check32("erfc", 10.5, 2.0, math32_normal::erfc, libm::erfc),
        check32("log10", 1e9, 2.0, math32::log10, f64::log10),
        check32("atan", 50.0, 2.0, math32::atan, f64::atan),
        check32("atanh", 1.0, 2.5, math32::atanh, libm::atanh),
        check32("lgamma", 60.0, 4.0, math_gamma::lgamma32, libm::lgamma),
        check32("ndtr", 6.0, 2.0, math32_normal::ndtr, math_normal::ndtr64),
        check32("sigmoid", 100.0, 2.0, math32::sigmoid, math64_more::sigmoid),
        check32("silu", 100.0, 2.0, math32::silu, math64_more::silu),
        check32(
            "erfinv",
            1.0,
            2.0,
            math32_normal::erfinv,
            math_normal::erfinv64,
        ),
    ];
    assert!(good.iter().all(|&g| g));
}

#[test]
fn trigonometry_of_f32_is_within_one_and_a_half_ulp() {
    for high in [1.0, 100.0, 6e4] {
        for x in samples(high) {
            let x = x as f32;
            if x.abs() < math32::TRIG_LIMIT {
                assert!(ulps32(math32::sin(x), f64::from(x).sin()) < 1.5, "sin {x}");
                assert!(ulps32(math32::cos(x), f64::from(x).cos()) < 1.5, "cos {x}");
            }
        }
    }
}

#[test]
fn functions_of_two_arguments_follow_c() {
    let mut values: Vec<f64> = samples(30.0).into_iter().step_by(397).collect();
    values.extend(SPECIAL);
    values.extend([2.0, 3.0, -3.0, 0.5, 1e-200, 1e200, 1023.0]);
    for &x in &values {
        for &y in &values {
            let e = ulps64(math_pow::pow64(x, y), x.powf(y));
            assert!(
                e <= 1.0,
                "pow({x:e}, {y:e}): {e} ulp, {:e} {:e}",
                math_pow::pow64(x, y),
                x.powf(y)
            );
            let e = ulps64(math64_inverse::atan2(y, x), y.atan2(x));
            assert!(
                e <= 2.0,
                "atan2({y:e}, {x:e}): {e} ulp, {:e} {:e}",
                math64_inverse::atan2(y, x),
                y.atan2(x)
            );
            let e = ulps64(math64_more::hypot(y, x), y.hypot(x));
            assert!(
                e <= 2.0,
                "hypot({y:e}, {x:e}): {e} ulp {:e} {:e}",
                math64_more::hypot(y, x),
                y.hypot(x)
            );
        }
    }
}

#[test]
fn powers_of_f32_are_within_one_ulp() {
    let values: Vec<f64> = samples(30.0).into_iter().step_by(397).collect();
    for &x in &values {
        for &y in &values {
            let (x, y) = (x as f32, y as f32);
            let e = ulps32(math_pow::pow32(x, y), f64::from(x).powf(f64::from(y)));
            assert!(e <= 1.0, "pow({x:e}, {y:e}): {e} ulp");
        }
    }
}

#[test]
fn the_inverse_error_function_undoes_the_error_function() {
    for x in samples(5.0) {
        let y = libm::erf(x);
        if y.abs() < 0.9 {
            let e = ulps64(math_normal::erfinv64(y), x);
            assert!(e <= 8.0 || x.abs() < 1e-300, "erfinv({y:e}): {e} ulp");
        }
    }
}
