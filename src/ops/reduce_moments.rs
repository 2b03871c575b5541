//! Variance and standard deviation, alone or with the mean.

use super::reduce_dims::{Call, Reduced, dim_list};
use super::{
    Args, F, Grads, M, O, Out, Outputs, Outs, STRIDED, Val, Value, arg, call as call_op, kernel,
    named, out, rule,
};
use crate::autograd::Ctx;
use crate::cpu::number::{Accumulator, Number, Real};
use crate::cpu::reduce::Pointer;
use crate::cpu::reduce_moments::moments;
use crate::tensor::{Scalar, Tensor};
use crate::{Result, dispatch, ensure, fail, grads, ops};

/// The arguments of `var/correction`: self, dim, correction, keepdim.
struct Request<'a> {
    x: &'a Tensor,
    reduced: Reduced,
    correction: f64,
}

fn request(a: Args<'_>) -> Result<Request<'_>> {
    let x = a.t(0)?;
    ensure!(
        x.dtype().is_differentiable(),
        Runtime,
        "std and var only support floating point and complex dtypes"
    );
    let dims = dim_list(a, 1)?;
    let reduced = Reduced::new(x.ndim(), dims.as_deref(), a.bool(3)?)?;
    Ok(Request {
        x,
        reduced,
        correction: correction(a),
    })
}

fn correction(a: Args) -> f64 {
    a.opt_scalar(2).ok().flatten().map_or(1.0, Scalar::to_f64)
}

fn one_meta(a: Args) -> Result<Outs> {
    let r = request(a)?;
    warn_degrees(&r)?;
    Ok(r.reduced.outs(r.x, r.x.dtype().to_real()))
}

fn pair_meta(a: Args) -> Result<Outs> {
    let r = request(a)?;
    warn_degrees(&r)?;
    let (spread, mean): (Out, Out) = (
        r.reduced.out(r.x, r.x.dtype().to_real()),
        r.reduced.out(r.x, r.x.dtype()),
    );
    Ok(smallvec::smallvec![spread, mean])
}

fn warn_degrees(r: &Request) -> Result<()> {
    if r.reduced.count(r.x.shape()) as f64 - r.correction > 0.0 {
        return Ok(());
    }
    crate::error::warn(
        "std(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input numel divided by output numel).",
    )
}

/// Where one real part of the input begins, and how its results are written.
struct Part<'a> {
    offset: usize,
    is_std: bool,
    spread: &'a Tensor,
    mean: Option<&'a Tensor>,
    add: bool,
}

/// Moments of real numbers that lie `scale` times as far apart as the input's elements.
fn run<T: Number<Acc: Real> + 'static>(r: &Request, part: &Part, scale: i64) {
    let mut plan = r.reduced.plan(r.x, part.spread);
    for dim in plan.kept.iter_mut().chain(plan.reduced.iter_mut()) {
        dim.stride *= scale as isize;
    }
    let free = (r.reduced.count(r.x.shape()) as f64 - r.correction).max(0.0);
    let spread = Pointer(part.spread.data_ptr().cast::<T>());
    let mean = part
        .mean
        .map(|t| Pointer(t.data_ptr().cast::<T>().wrapping_add(part.offset)));
    // SAFETY: the plan was made for these layouts; a complex element is two real ones.
    unsafe {
        let src = r.x.data_ptr().cast::<T>().add(part.offset);
        moments(src, &plan, |offset, m| {
            let (spread, mean) = (spread, mean);
            let mut value = m.m2.div(Real::of_f64(free));
            if part.add {
                value = value.add((*spread.0.offset(offset)).widen());
            }
            *spread.0.offset(offset) = T::narrow(if part.is_std { value.sqrt() } else { value });
            if let Some(mean) = mean {
                *mean.0.offset(offset * scale as isize) = T::narrow(if m.count == 0.0 {
                    Real::of_f64(f64::NAN)
                } else {
                    m.mean
                });
            }
        });
    }
}

fn compute(a: Args, outs: &[Tensor], is_std: bool) -> Result<()> {
    let r = request(a)?;
    let (spread, mean) = (&outs[0], outs.get(1));
    if r.x.dtype().is_complex() {
        let first = Part {
            offset: 0,
            is_std: false,
            spread,
            mean,
            add: false,
        };
        let second = Part {
            offset: 1,
            is_std,
            spread,
            mean,
            add: true,
        };
        for part in [first, second] {
            dispatch!(float r.x.dtype().to_real(), T => run::<T>(&r, &part, 2), else ());
        }
        return Ok(());
    }
    let part = Part {
        offset: 0,
        is_std,
        spread,
        mean,
        add: false,
    };
    dispatch!(float r.x.dtype(), T => run::<T>(&r, &part, 1),
        else fail!(Runtime, "std and var only support floating point and complex dtypes"));
    Ok(())
}

/// The gradient of the variance.
fn var_grad(call: &Call, x: &Val, correction: f64, g: &Val) -> Val {
    let free = call.count() - correction;
    let mean = Val(crate::call!(
        "mean",
        x,
        call.dims.as_ref().map(|d| Value::Ints(d.to_vec())),
        true
    ));
    if free <= 0.0 && call.dims.is_none() {
        let at_mean = x.eq(&mean).to(g.dtype());
        return call.restore(g) * (at_mean * f64::NAN).masked_fill(x.ne(&mean), f64::INFINITY);
    }
    (x - mean) * call.restore(g) * (2.0 / free)
}

fn std_grad(call: &Call, c: &Ctx, g: &Val) -> Val {
    let result = c.y(0);
    let g = (g / (&result * 2.0)).masked_fill(result.eq(0.0), 0.0);
    var_grad(call, &c.x(0), correction(c.args()), &g)
}

fn pair_rule(c: &Ctx, is_std: bool) -> Grads {
    let call = Call::at(c, 1, 3);
    let spread = c.grad(0).map(|g| {
        if is_std {
            std_grad(&call, c, &g)
        } else {
            var_grad(&call, &c.x(0), correction(c.args()), &g)
        }
    });
    let mean = c.grad(1).map(|g| call.spread(&g) / call.count());
    grads![match (spread, mean) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }]
}

/// `f(self, unbiased)` and `f(self, dim, unbiased, keepdim)` in terms of `f/correction`.
fn unbiased(a: Args, name: &'static str) -> Result<Outputs> {
    let (dim, unbiased, keepdim) = match a.0.len() {
        2 => (Value::None, a.bool(1)?, false),
        _ => (a.get(1).clone(), a.bool(2)?, a.bool(3)?),
    };
    let correction = Value::from(i64::from(unbiased));
    match super::find_overload(name) {
        Some(entry) => call_op(entry, &[a.get(0).clone(), dim, correction, keepdim.into()]),
        None => fail!(NotImplemented, "no operator '{name}'"),
    }
}

const VARIANTS: u16 = F | M | O;
const FIELDS: u32 = arg(0) | out(0);

/// The three overloads of a moment.
macro_rules! moments_ops {
    ($($(#[doc = $doc:literal])+ $name:literal -> $returns:literal, $meta:expr, $std:literal, $grad:expr;)*) => {
        ops! {$(
            $(#[doc = $doc])+
            concat!($name, "(Tensor self, bool unbiased=True) -> ", $returns), VARIANTS,
                super::Body::Composite(|a| unbiased(a, concat!($name, "/correction")));
            $(#[doc = $doc])+
            concat!($name, "/dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> ", $returns), VARIANTS,
                super::Body::Composite(|a| unbiased(a, concat!($name, "/correction")));
            $(#[doc = $doc])+
            concat!($name, "/correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> ", $returns),
                VARIANTS | STRIDED, kernel($meta, |a, o| compute(a, o, $std)), grad $grad;
        )*}
    };
}

moments_ops! {
    /// The variance, with `correction` degrees of freedom taken off.
    "var" -> "Tensor", one_meta, false, rule(arg(0), |c| {
        grads![var_grad(&Call::at(c, 1, 3), &c.x(0), correction(c.args()), &c.g())]
    });

    /// The standard deviation, with `correction` degrees of freedom taken off.
    "std" -> "Tensor", one_meta, true, rule(FIELDS, |c| grads![std_grad(&Call::at(c, 1, 3), c, &c.g())]);

    /// The variance and the mean.
    "var_mean" -> "(Tensor, Tensor)", pair_meta, false, named("VarMeanBackward0", FIELDS, |c| pair_rule(c, false));

    /// The standard deviation and the mean.
    "std_mean" -> "(Tensor, Tensor)", pair_meta, true, named("StdMeanBackward0", FIELDS, |c| pair_rule(c, true));
}
