//! Vector norms.

use super::reduce_dims::{Call, Reduced, dim_list};
use super::{Args, F, Grads, O, Outs, STRIDED, Val, Value, arg, kernel, named, out};
use crate::autograd::Ctx;
use crate::cpu::number::Magnitude;
use crate::cpu::reduce::{Reduction, reduce};
use crate::cpu::reduce_kinds::{Norm0, Norm1, Norm2, NormInf, NormNegInf, NormP};
use crate::tensor::{DType, Element, Tensor};
use crate::{Result, call, dispatch, ensure, fail, grads, ops};

/// The dtype that elements are converted to.
fn element_dtype(x: &Tensor, asked: Option<DType>) -> Result<DType> {
    let name = "linalg.vector_norm";
    ensure!(
        x.dtype().is_differentiable(),
        Runtime,
        "{name}: Expected a floating point or complex tensor as input. Got {}",
        x.dtype().scalar_name()
    );
    let Some(dtype) = asked else {
        return Ok(x.dtype());
    };
    ensure!(
        dtype.is_differentiable(),
        Runtime,
        "{name}: dtype should be floating point or complex, but got {}",
        dtype.scalar_name()
    );
    ensure!(
        dtype.is_complex() == x.dtype().is_complex(),
        Runtime,
        "{name}: dtype should be {} for {} inputs, but got {}",
        if x.dtype().is_complex() {
            "complex"
        } else {
            "real"
        },
        if x.dtype().is_complex() {
            "complex"
        } else {
            "real"
        },
        dtype.scalar_name()
    );
    ensure!(
        x.dtype().promote(dtype)? == dtype,
        Runtime,
        "{name}: the dtype of the input ({}) should be convertible without narrowing to the specified dtype ({})",
        x.dtype().scalar_name(),
        dtype.scalar_name()
    );
    Ok(dtype)
}

fn meta(a: Args) -> Result<Outs> {
    let (x, order) = (a.t(0)?, order(a)?);
    let dims = dim_list(a, 2)?;
    let reduced = Reduced::new(x.ndim(), dims.as_deref(), a.bool(3)?)?;
    if order < 0.0 || order == f64::INFINITY {
        let given = dims.is_some_and(|d| !d.is_empty());
        ensure!(
            x.numel() != 0 || given,
            Runtime,
            "linalg.vector_norm cannot compute the {order} norm on an empty tensor because the operation does not have an identity"
        );
        for (d, &n) in x.shape().iter().enumerate() {
            ensure!(
                !reduced.mask[d] || n != 0,
                Runtime,
                "linalg.vector_norm cannot compute the {order} norm on the dimension {d} because this dimension is empty and the operation does not have an identity"
            );
        }
    }
    let dtype = element_dtype(x, a.opt_dtype(4)?)?;
    Ok(reduced.outs(x, dtype.to_real()))
}

fn order(a: Args) -> Result<f64> {
    match a.get(1) {
        Value::Num(crate::tensor::Scalar::Complex(_)) => fail!(
            Runtime,
            "linalg.vector_norm: Expected a non-complex scalar as the order of norm."
        ),
        _ => a.float(1),
    }
}

fn run<T: Element, R: Reduction<T>>(r: R, x: &Tensor, reduced: &Reduced, out: &Tensor) {
    // SAFETY: the plan was made for these layouts; the output has the norm's dtype.
    unsafe {
        reduce(
            r,
            x.ptr::<T>(),
            &reduced.plan(x, out),
            out.data_ptr().cast(),
        );
    };
}

fn by_order<T: Element + Magnitude>(order: f64, x: &Tensor, reduced: &Reduced, out: &Tensor) {
    match order {
        0.0 => run::<T, _>(Norm0, x, reduced, out),
        1.0 => run::<T, _>(Norm1, x, reduced, out),
        2.0 => run::<T, _>(Norm2, x, reduced, out),
        f64::INFINITY => run::<T, _>(NormInf, x, reduced, out),
        f64::NEG_INFINITY => run::<T, _>(NormNegInf, x, reduced, out),
        p => run::<T, _>(NormP(p), x, reduced, out),
    }
}

fn compute(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let x = Val::from(x.detached())
        .to(element_dtype(x, a.opt_dtype(4)?)?)
        .get()?;
    let reduced = Reduced::new(x.ndim(), dim_list(a, 2)?.as_deref(), a.bool(3)?)?;
    let order = order(a)?;
    match x.dtype() {
        DType::F16 => by_order::<crate::tensor::f16>(order, &x, &reduced, &outs[0]),
        DType::BF16 => by_order::<crate::tensor::bf16>(order, &x, &reduced, &outs[0]),
        dtype => dispatch!(wide dtype, T => by_order::<T>(order, &x, &reduced, &outs[0]), else ()),
    }
    Ok(())
}

/// PyTorch's subgradients: zero where the norm is zero.
fn gradient(c: &Ctx) -> Grads {
    let call = Call::at(c, 2, 3);
    let order = c.args().float(1).unwrap_or(2.0);
    let (x, norm, g) = (c.x(0), call.restore(&c.y(0)), call.restore(&c.g()));
    let zero = norm.eq(0.0);
    let size = |p: f64| x.abs().pow(p);
    grads![match order {
        0.0 => x.zeros_like(),
        1.0 => x.sgn() * g,
        2.0 => &x * (g / &norm).masked_fill(zero, 0.0),
        p if p.is_infinite() => {
            let both_nan = x.isnan().logical_and(norm.isnan());
            let extreme = x.abs().eq(&norm).logical_or(both_nan).to(g.dtype());
            let each = g / call.total(&extreme);
            x.sgn() * extreme * each
        }
        p if p < 1.0 => x.sgn() * size(p - 1.0).masked_fill(x.eq(0.0), 0.0) * g * norm.pow(1.0 - p),
        p if p < 2.0 => x.sgn() * size(p - 1.0) * (g / norm.pow(p - 1.0)).masked_fill(zero, 0.0),
        p => &x * size(p - 2.0) * (g / norm.pow(p - 1.0)).masked_fill(zero, 0.0),
    }]
}

/// `dist(a, b, p)`: the norm of the difference.
fn dist(a: Args) -> Result<super::Outputs> {
    let difference = call!("sub", a.t(0)?, a.t(1)?)?;
    Ok(smallvec::smallvec![
        call!("linalg.vector_norm", difference, a.float(2)?)?.into()
    ])
}

ops! {
    /// The norm of the elements as one vector, of all or along dimensions.
    "linalg.vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | O | STRIDED,
        kernel(meta, compute), grad named("LinalgVectorNormBackward0", arg(0) | out(0), gradient);

    /// The p-norm of the difference of two tensors.
    "dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", F | super::M, super::Body::Composite(dist);
}
