//! Numbers and their parts: absolute value, sign, angle, complex numbers from parts, mantissas.

use num_complex::Complex;

use super::expr::{Expr, Tree};
use super::pointwise::{Formula, Kind, Loops, Pointwise, Spec, fill_with};
use super::pointwise_checks::{not_bool, parts_of_complex};
use super::{
    Args, Body, EXACT, F, Grads, I, M, O, Out, Outs, STRIDED, Val, arg, kernel, out, rule,
};
use crate::autograd::Ctx;
use crate::cpu::lanes::{Field, Real};
use crate::cpu::pointwise::{Map, Run, run};
use crate::cpu::pool::grain;
use crate::tensor::{DType, Scalar, Tensor, c64, c128};
use crate::{Result, grads, ops, tree};

struct Modulus;
struct Angle;
struct Direction;
struct FromParts;
struct FromPolar;

macro_rules! of_parts {
    ($($r:ident)*) => { $(
        impl Map<Complex<$r>, 1, 0> for Modulus {
            type Out = $r;
            #[inline(always)]
            fn at([z]: [Complex<$r>; 1], _: [Complex<$r>; 0]) -> $r {
                Real::hypot(z.re, z.im)
            }
        }
        impl Map<Complex<$r>, 1, 0> for Angle {
            type Out = $r;
            #[inline(always)]
            fn at([z]: [Complex<$r>; 1], _: [Complex<$r>; 0]) -> $r {
                Real::atan2(z.im, z.re)
            }
        }
        impl Map<$r, 1, 0> for Angle {
            type Out = $r;
            #[inline(always)]
            fn at([x]: [$r; 1], _: [$r; 0]) -> $r {
                if x.is_nan() { x } else if x < 0.0 { std::$r::consts::PI } else { 0.0 }
            }
        }
        impl Map<Complex<$r>, 1, 0> for Direction {
            type Out = Complex<$r>;
            fn at([z]: [Complex<$r>; 1], _: [Complex<$r>; 0]) -> Complex<$r> {
                Field::sgn(z)
            }
        }
        impl Map<$r, 2, 0> for FromParts {
            type Out = Complex<$r>;
            #[inline(always)]
            fn at([re, im]: [$r; 2], _: [$r; 0]) -> Complex<$r> {
                Complex::new(re, im)
            }
        }
        impl Map<$r, 2, 0> for FromPolar {
            type Out = Complex<$r>;
            #[inline(always)]
            fn at([size, angle]: [$r; 2], _: [$r; 0]) -> Complex<$r> {
                Complex::new(size * Field::cos(angle), size * Field::sin(angle))
            }
            #[inline(always)]
            fn is_wild([_, angle]: [$r; 2]) -> bool {
                angle.is_wild()
            }
            fn at_wild([size, angle]: [$r; 2], _: [$r; 0]) -> Complex<$r> {
                Complex::new(size * angle.cos(), size * angle.sin())
            }
        }
    )* };
}
of_parts!(f32 f64);

/// The loops of a formula over ordered numbers, with those of complex ones put in.
macro_rules! with_complex {
    ($lanes:ident ($x:ident) => $body:expr, $complex:ident) => {{
        struct This;
        formula!(This keep $lanes [] ($x) $body);
        const REAL: Loops = formula!(@loops $lanes This, 1, 0);
        complex_loops::<$complex>(REAL)
    }};
}

const fn complex_loops<F: Map<c64, 1, 0> + Map<c128, 1, 0>>(mut loops: Loops) -> Loops {
    loops[2] = Some(run::<F, c128, 1, 0> as Run);
    loops[8] = Some(run::<F, c64, 1, 0> as Run);
    loops
}

const fn float_loops<F, const N: usize>() -> Loops
where
    F: Map<f32, N, 0> + Map<f64, N, 0>,
{
    [
        Some(run::<F, f32, N, 0> as Run),
        Some(run::<F, f64, N, 0> as Run),
        None,
        None,
        None,
        None,
        None,
        None,
        None,
    ]
}

const fn spec(
    kernel: &'static str,
    kind: Kind,
    operands: usize,
    loops: Loops,
    tree: fn(bool) -> &'static Tree,
) -> Spec {
    Spec {
        kernel,
        kind,
        operands,
        untyped: 0,
        params: 0,
        formula: Formula {
            loops,
            halves: None,
            tree,
        },
        grain: grain::MATH,
        check: None,
        before: None,
        choose: None,
    }
}

struct Abs;
impl Pointwise for Abs {
    const SPEC: Spec = Spec {
        check: Some(not_bool),
        ..spec(
            "abs_cpu",
            Kind::Real,
            1,
            with_complex!(Ordered (x) => x.abs(), Modulus),
            tree!(Expr::call("abs", &[Expr::input(0)])),
        )
    };
}

struct Sgn;
impl Pointwise for Sgn {
    const SPEC: Spec = spec(
        "sgn_cpu",
        Kind::Keep,
        1,
        with_complex!(Ordered (x) => x.sign(), Direction),
        tree!(Expr::call("sgn", &[Expr::input(0)])),
    );
}

struct Argument;
impl Pointwise for Argument {
    const SPEC: Spec = spec(
        "angle_cpu",
        Kind::FloatReal,
        1,
        complex_loops::<Angle>(float_loops::<Angle, 1>()),
        tree!(Expr::call("angle", &[Expr::input(0)])),
    );
}

struct Parts;
impl Pointwise for Parts {
    const SPEC: Spec = Spec {
        check: Some(parts_of_complex),
        ..spec(
            "complex_cpu",
            Kind::Complex,
            2,
            float_loops::<FromParts, 2>(),
            tree!(Expr::call("complex", &[Expr::input(0), Expr::input(1)])),
        )
    };
}

struct Polar;
impl Pointwise for Polar {
    const SPEC: Spec = Spec {
        check: Some(parts_of_complex),
        ..spec(
            "polar_cpu",
            Kind::Complex,
            2,
            float_loops::<FromPolar, 2>(),
            tree!(Expr::call("polar", &[Expr::input(0), Expr::input(1)])),
        )
    };
}

fn imaginary_unit(like: &Val) -> Val {
    let dtype = like.dtype().to_complex();
    Val(Tensor::scalar(Scalar::Complex(c128::new(0.0, 1.0)), dtype))
}

fn sgn_grad(c: &Ctx) -> Grads {
    let (g, y) = (c.g(), c.y(0));
    if !y.is_complex() {
        return grads![g.zeros_like()];
    }
    let size = c.x(0).abs();
    let scaled = &g / &size;
    let along = (&scaled * y.conj()).real() * &y;
    grads![(scaled - along).masked_fill(size.eq(0.0), 0.0)]
}

fn angle_grad(c: &Ctx) -> Grads {
    let (g, x) = (c.g(), c.x(0));
    if !x.is_complex() {
        return grads![g.zeros_like()];
    }
    let size = x.abs();
    let slope = (&x / (&size * &size)) * imaginary_unit(&x);
    grads![(g * slope).masked_fill(size.eq(0.0), 0.0)]
}

fn polar_grad(c: &Ctx) -> Grads {
    let (g, y) = (c.g().conj(), c.y(0));
    let size = c.when(0, || (&g * y.sgn()).real());
    let angle = c.when(1, || (&g * (&y * imaginary_unit(&y))).real());
    grads![size, angle]
}

/// Exponent of a number: `mantissa * 2^exponent`, mantissa in 1/2..1.
fn exponent_of(x: f64) -> i32 {
    if x == 0.0 || !x.is_finite() {
        return 0;
    }
    let scaled = if x.abs() < f64::MIN_POSITIVE {
        x * 2f64.powi(54)
    } else {
        x
    };
    let shift = if scaled == x { 0 } else { 54 };
    ((scaled.to_bits() >> 52) & 0x7ff) as i32 - 1022 - shift
}

struct Mantissa;
struct Exponent;

macro_rules! frexp_maps {
    ($($r:ident)*) => { $(
        impl Map<$r, 1, 0> for Mantissa {
            type Out = $r;
            fn at([x]: [$r; 1], _: [$r; 0]) -> $r {
                let x = f64::from(x);
                let half = exponent_of(x) / 2;
                (x * 2f64.powi(-half) * 2f64.powi(half - exponent_of(x))) as $r
            }
        }
        impl Map<$r, 1, 0> for Exponent {
            type Out = i32;
            fn at([x]: [$r; 1], _: [$r; 0]) -> i32 {
                exponent_of(f64::from(x))
            }
        }
    )* };
}
frexp_maps!(f32 f64);

fn frexp_meta(args: Args) -> Result<Outs> {
    let x = args.t(0)?;
    crate::ensure!(
        x.dtype().is_float(),
        Runtime,
        "torch.frexp() only supports floating-point dtypes, but got {}",
        x.dtype().scalar_name()
    );
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        Out::new(x.shape(), DType::I32)
    ])
}

fn frexp(args: Args, outs: &[Tensor]) -> Result<()> {
    let x = args.get(0);
    fill_with(&float_loops::<Mantissa, 1>(), &[x], &outs[0], None)?;
    fill_with(
        &float_loops::<Exponent, 1>(),
        &[x],
        &outs[1],
        Some(DType::I32),
    )
}

ops! {
    /// Absolute value of each element.
    "abs(Tensor self) -> Tensor", F | M | I | O | STRIDED, Body::Pointwise(&Abs::SPEC),
    grad rule(arg(0), |c| grads![c.g() * c.x(0).sgn()]);
    /// The element divided by its absolute value, 0 at 0.
    "sgn(Tensor self) -> Tensor", F | M | I | O | STRIDED, Body::Pointwise(&Sgn::SPEC),
    grad rule(arg(0) | out(0), sgn_grad);
    /// Angle of each element in the complex plane.
    "angle(Tensor self) -> Tensor", F | M | O | STRIDED, Body::Pointwise(&Argument::SPEC),
    grad rule(arg(0), angle_grad);
    /// Complex numbers of real and imaginary parts.
    "complex(Tensor real, Tensor imag) -> Tensor", F | O | STRIDED | EXACT, Body::Pointwise(&Parts::SPEC),
    grad rule(0, |c| grads![c.when(0, || c.g().real()), c.when(1, || c.g().imag())]);
    /// Complex numbers of absolute values and angles.
    "polar(Tensor abs, Tensor angle) -> Tensor", F | O | STRIDED | EXACT, Body::Pointwise(&Polar::SPEC),
    grad rule(out(0), polar_grad);
    /// Mantissa and exponent of each element.
    "frexp(Tensor self) -> (Tensor mantissa, Tensor exponent)", F | M | O | STRIDED, kernel(frexp_meta, frexp),
    grad rule(out(1), |c| grads![Val(crate::call!("exp2", c.y(1))).reciprocal() * c.g()]);
}
