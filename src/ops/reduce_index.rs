//! Extremes with their positions: max, min, argmax, argmin, aminmax.

use super::reduce_dims::{Call, Reduced, compact, dim_list, dispatch_compact, through, unreduced};
use super::{
    APART, Args, EXACT, F, Grads, M, O, Out, Outputs, Outs, Val, Value, arg, kernel, named, out,
    rule,
};
use crate::autograd::Ctx;
use crate::cpu::reduce::Pointer;
use crate::cpu::reduce_index::{Extreme, Found, extreme};
use crate::cpu::reduce_kinds::{Max, Min};
use crate::tensor::{DType, Element, Tensor};
use crate::{Result, call, ensure, fail, grads, ops};

fn along(a: Args<'_>, dim: usize) -> Result<(&Tensor, Reduced)> {
    let x = a.t(0)?;
    Ok((x, Reduced::one(x.ndim(), a.int(dim)?, a.bool(dim + 1)?)?))
}

/// Sizes of values and indices along one dimension, which must not be empty.
fn pair_meta(a: Args, name: &str) -> Result<Outs> {
    let (x, reduced) = along(a, 1)?;
    reduced.require_elements(x, name, true)?;
    ensure!(
        !x.dtype().is_complex(),
        NotImplemented,
        "\"{name}_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    Ok(smallvec::smallvec![
        reduced.out(x, x.dtype()),
        reduced.out(x, DType::I64)
    ])
}

fn find<T: Element + crate::cpu::number::Ordered, E: Extreme<T>>(
    e: E,
    x: &Tensor,
    reduced: &Reduced,
    values: Option<&Tensor>,
    indices: Option<&Tensor>,
) {
    let Some(shaped) = values.or(indices) else {
        return;
    };
    let found = Found {
        values: values.map(|t| Pointer(t.ptr::<T>())),
        indices: indices.map(|t| Pointer(t.ptr::<i64>())),
    };
    // SAFETY: the plan was made for these layouts; values and indices have the same one.
    unsafe { extreme(e, x.ptr::<T>(), &reduced.plan(x, shaped), found) };
}

/// Finds the greatest (or least) along what is reduced: one dimension, or that of a flat tensor.
fn search(
    is_max: bool,
    x: &Tensor,
    reduced: &Reduced,
    values: Option<&Tensor>,
    indices: Option<&Tensor>,
) -> Result<()> {
    let x = &compact(x)?;
    let run = |values: Option<&Tensor>| {
        dispatch_compact!(x.dtype(), T => {
            if is_max {
                find::<T, _>(Max, x, reduced, values, indices);
            } else {
                find::<T, _>(Min, x, reduced, values, indices);
            }
            Ok(())
        }, else fail!(NotImplemented, "max, min: not implemented for '{}'", x.dtype().scalar_name()))
    };
    match values {
        Some(values) => through(values, x.dtype(), |values| run(Some(values))),
        None => run(None),
    }
}

fn pair_kernel(a: Args, outs: &[Tensor], is_max: bool) -> Result<()> {
    let (x, reduced) = along(a, 1)?;
    search(is_max, x, &reduced, Some(&outs[0]), Some(&outs[1]))
}

fn arg_meta(a: Args, name: &str) -> Result<Outs> {
    let x = a.t(0)?;
    let reduced = match dim_list(a, 1)? {
        Some(dims) => {
            let reduced = Reduced::new(x.ndim(), Some(&dims), a.bool(2)?)?;
            reduced.require_elements(x, name, true)?;
            reduced
        }
        None => {
            ensure!(
                x.numel() != 0,
                Index,
                "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
            );
            Reduced::new(x.ndim(), None, a.bool(2)?)?
        }
    };
    ensure!(
        !x.dtype().is_complex(),
        NotImplemented,
        "\"{name}_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    Ok(reduced.outs(x, DType::I64))
}

fn arg_kernel(a: Args, outs: &[Tensor], is_max: bool) -> Result<()> {
    let x = a.t(0)?;
    if let Some(dims) = dim_list(a, 1)? {
        let reduced = Reduced::new(x.ndim(), Some(&dims), a.bool(2)?)?;
        return search(is_max, x, &reduced, None, Some(&outs[0]));
    }
    // Positions count in row-major order, so the input is read in that order.
    let flat = call!("reshape", x.detached(), [-1])?;
    let target = call!("reshape", &outs[0], Vec::<i64>::new())?;
    search(
        is_max,
        &flat,
        &Reduced::one(1, 0, false)?,
        None,
        Some(&target),
    )
}

fn whole_meta(a: Args, name: &str) -> Result<Outs> {
    let x = a.t(0)?;
    ensure!(
        x.numel() != 0,
        Runtime,
        "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
    );
    ensure!(
        !x.dtype().is_complex(),
        NotImplemented,
        "\"{name}_all\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    Ok(smallvec::smallvec![Out::new(&[], x.dtype())])
}

fn whole(a: Args, outs: &[Tensor], is_max: bool) -> Result<()> {
    let entry = super::find_overload(if is_max { "amax" } else { "amin" });
    match entry.map(|e| e.op.body) {
        Some(super::Body::Kernel { cpu, .. }) => cpu(Args(&[a.get(0).clone()]), outs),
        _ => fail!(NotImplemented, "no operator 'amax'"),
    }
}

/// The gradient of elements picked by position along the dimension in argument `dim`.
pub(super) fn picked(c: &Ctx, dim: usize, keepdim: usize) -> Grads {
    let call = Call::at(c, dim, keepdim);
    let Some(&[dim]) = call.dims.as_deref().and_then(|d| d.first_chunk()) else {
        return grads![None];
    };
    let zeros = Val(call!("new_zeros", c.g(), &call.input));
    if call.input.is_empty() {
        return grads![c.g()];
    }
    grads![zeros.scatter(dim, call.restore(&c.y(1)), call.restore(&c.g()))]
}

/// All elements equal to the result share the gradient; NaN equals NaN here.
pub(super) fn evenly(c: &Ctx) -> Grads {
    let (x, y) = (c.x(0), c.y(0));
    let same = x
        .eq(&y)
        .logical_or(x.isnan().logical_and(y.isnan()))
        .to(c.g().dtype());
    let count = same.sum(None::<i64>, false);
    grads![same * (c.g() / count)]
}

fn aminmax_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    ensure!(
        !x.dtype().is_complex(),
        NotImplemented,
        "\"aminmax\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    let reduced = match a.opt_int(1)? {
        Some(dim) => Reduced::one(x.ndim(), dim, a.bool(2)?)?,
        None => Reduced::new(x.ndim(), None, a.bool(2)?)?,
    };
    if a.opt_int(1)?.is_none() {
        ensure!(
            x.numel() != 0,
            Runtime,
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        );
    }
    reduced.require_elements(x, "aminmax", true)?;
    Ok(smallvec::smallvec![
        reduced.out(x, x.dtype()),
        reduced.out(x, x.dtype())
    ])
}

fn aminmax(a: Args, outs: &[Tensor]) -> Result<()> {
    let dims = a.opt_int(1)?.map(|d| vec![d]);
    let args = [
        a.get(0).clone(),
        dims.map_or(Value::None, Value::Ints),
        a.get(2).clone(),
    ];
    for (name, target) in [("amin", &outs[0]), ("amax", &outs[1])] {
        if let Some(super::Body::Kernel { cpu, .. }) = super::find_overload(name).map(|e| e.op.body)
        {
            cpu(Args(&args), std::slice::from_ref(target))?;
        }
    }
    Ok(())
}

fn aminmax_rule(c: &Ctx) -> Grads {
    let call = Call::of(c);
    let share = |i: usize| {
        c.grad(i).map(|g| {
            let mask = c
                .x(0)
                .eq(unreduced(
                    &c.y(i),
                    &call.input,
                    call.dims.as_deref(),
                    call.keepdim,
                ))
                .to(g.dtype());
            let each = call.restore(&g) / call.total(&mask);
            mask * each
        })
    };
    grads![match (share(0), share(1)) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }]
}

fn other(a: Args, name: &str) -> Result<Outputs> {
    super::find_overload(name).map_or_else(
        || fail!(NotImplemented, "no operator '{name}'"),
        |entry| super::call(entry, a.0),
    )
}

ops! {
    /// The greatest element.
    "max(Tensor self) -> Tensor", F | M | O | APART, kernel(|a| whole_meta(a, "max"), |a, o| whole(a, o, true)),
        grad rule(arg(0) | out(0), evenly);

    /// The greatest elements along a dimension, and where they are.
    "max/dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(|a| pair_meta(a, "max"), |a, o| pair_kernel(a, o, true)), grad rule(out(1), |c| picked(c, 1, 2));

    /// Elementwise the greater of two tensors.
    "max/other(Tensor self, Tensor other) -> Tensor", F | M | O, super::Body::Composite(|a| other(a, "maximum"));

    /// The least element.
    "min(Tensor self) -> Tensor", F | M | O | APART, kernel(|a| whole_meta(a, "min"), |a, o| whole(a, o, false)),
        grad rule(arg(0) | out(0), evenly);

    /// The least elements along a dimension, and where they are.
    "min/dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(|a| pair_meta(a, "min"), |a, o| pair_kernel(a, o, false)), grad rule(out(1), |c| picked(c, 1, 2));

    /// Elementwise the lesser of two tensors.
    "min/other(Tensor self, Tensor other) -> Tensor", F | M | O, super::Body::Composite(|a| other(a, "minimum"));

    /// The position of the greatest element, of all or along a dimension.
    "argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", F | M | O | APART,
        kernel(|a| arg_meta(a, "argmax"), |a, o| arg_kernel(a, o, true));

    /// The position of the least element, of all or along a dimension.
    "argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", F | M | O | APART,
        kernel(|a| arg_meta(a, "argmin"), |a, o| arg_kernel(a, o, false));

    /// The least and the greatest element, of all or along a dimension.
    "aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)", F | M | O | APART | EXACT,
        kernel(aminmax_meta, aminmax), grad named("AminmaxBackward0", arg(0) | out(0) | out(1), aminmax_rule);
}
