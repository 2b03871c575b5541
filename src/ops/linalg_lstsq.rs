//! Least squares, by the factorisations that PyTorch's drivers name.

use super::linalg::{
    Infos, batch, check_dtype, check_infos, check_matrix, fresh, matrix, same_batch, size,
    with_lead,
};
use super::linalg_pinv::epsilon;
use super::linalg_spectral::Failures;
use super::{ANY_DEVICE, Args, Body, F, O, Outputs, Val, Value, arg, named, out};
use crate::autograd::{Ctx, NoGrad};
use crate::cpu::linalg::{self, Field};
use crate::cpu::linalg_lstsq;
use crate::tensor::{DType, Tensor};
use crate::{Result, call_all, dispatch, ensure, fail, grads, ops};

const OP: &str = "torch.linalg.lstsq";

/// `_linalg_lstsq(A, B, rcond, driver)` of equal batches: (solution, rank, singular values), empty where the driver does
/// not tell them.
fn solve(a: Args) -> Result<Vec<Tensor>> {
    let (x, b, rcond, driver) = (a.t(0)?, a.t(1)?, a.float(2)?, a.str(3)?);
    let _guard = NoGrad::enter();
    // LAPACK's drivers; other devices have singular values.
    if x.device().is_cpu() && driver == "gelsy" {
        pivoted(x, b, rcond)
    } else if x.device().is_cpu() && driver == "gels" {
        full_rank(x, b)
    } else {
        let mut outs = by_values(&x.into(), &b.into(), rcond)?;
        let empty = |dtype| Val::from(x).new_zeros([0i64], dtype).get();
        match driver {
            "gels" => {
                outs[1] = empty(DType::I64)?;
                outs[2] = empty(x.dtype().to_real())?;
            }
            "gelsy" => outs[2] = empty(x.dtype().to_real())?,
            _ => {}
        }
        Ok(outs)
    }
}

fn pivoted(x: &Tensor, b: &Tensor, rcond: f64) -> Result<Vec<Tensor>> {
    let ((m, n), k, dtype) = (size(x), size(b).1, x.dtype());
    let (x, b) = (row_major(x)?, row_major(b)?);
    let solution = Tensor::empty(&with_lead(&x, &[n, k]), dtype)?;
    let (ranks, failures) = (Infos::new(batch(&x)), Failures::default());
    dispatch!(wide dtype, T => linalg::for_each_matrix(batch(&x), 2 * m * n * m.min(n), |i, threads| {
        let (a, b, to) = (matrix::<T>(&x, i), matrix::<T>(&b, i), matrix::<T>(&solution, i));
        let rcond = rcond as <T as Field>::Part;
        let rank = linalg_lstsq::gelsy(&a, &b, &to, rcond, threads);
        ranks.set(i, rank.unwrap_or(0));
        failures.note(rank.map(|_| ()));
    }), else fail!(Runtime, "{OP}: {dtype}"));
    failures.check(OP)?;
    let ranks = Val::from(ranks.tensor(&x)?).to(DType::I64).get()?;
    let values = Tensor::empty(&[0], dtype.to_real())?;
    Ok(vec![solution, ranks, values])
}

fn full_rank(x: &Tensor, b: &Tensor) -> Result<Vec<Tensor>> {
    let ((m, n), k, dtype) = (size(x), size(b).1, x.dtype());
    let (x, b) = (fresh(x)?, row_major(b)?);
    let solution = Tensor::empty(&with_lead(&x, &[n, k]), dtype)?;
    let (infos, failures) = (Infos::new(batch(&x)), Failures::default());
    dispatch!(wide dtype, T => linalg::for_each_matrix(batch(&x), 2 * m * n * m.min(n), |i, threads| {
        let (a, b, to) = (matrix::<T>(&x, i), matrix::<T>(&b, i), matrix::<T>(&solution, i));
        let info = linalg_lstsq::gels(&a, &b, &to, threads);
        infos.set(i, info.unwrap_or(0));
        failures.note(info.map(|_| ()));
    }), else fail!(Runtime, "{OP}: {dtype}"));
    failures.check(OP)?;
    check_infos(OP, &infos.tensor(&x)?, |info| {
        format!(
            "The least squares solution could not be computed because the input matrix does not have full rank (error code: {info})."
        )
    })?;
    let (ranks, values) = (
        Tensor::empty(&[0], DType::I64)?,
        Tensor::empty(&[0], dtype.to_real())?,
    );
    Ok(vec![solution, ranks, values])
}

fn three(outs: Outputs) -> [Val; 3] {
    let mut outs = outs.into_iter();
    std::array::from_fn(|_| Val(outs.next().unwrap_or_default().into_tensor()))
}

/// The tensor, or a copy whose matrices lie by rows.
fn row_major(t: &Tensor) -> Result<Tensor> {
    if t.is_contiguous() {
        Ok(t.clone())
    } else {
        fresh(t)
    }
}

/// The solution by singular values, those below `rcond` times the largest left out.
fn by_values(x: &Val, b: &Val, rcond: f64) -> Result<Vec<Tensor>> {
    let [u, s, vh] = three(call_all!("_linalg_svd", x, false, true)?);
    if s.shape().last() == Some(&0) {
        let solution = vh.mh().matmul(u.mh().matmul(b));
        let ranks = s.sum([-1i64], false).to(DType::I64);
        return Ok(vec![solution.get()?, ranks.get()?, s.get()?]);
    }
    let limit = s.narrow(-1, 0, 1) * rcond;
    let counts = s.gt(&limit);
    let inverted = s.reciprocal().masked_fill(counts.logical_not(), 0.0);
    let turned = u.mh().matmul(b).mul(inverted.unsqueeze(-1).to(x.dtype()));
    let ranks = counts.to(DType::I64).sum([-1i64], false);
    Ok(vec![vh.mh().matmul(turned).get()?, ranks.get()?, s.get()?])
}

/// The gradients at constant rank, from the derivative of the pseudo-inverse (Golub and Pereyra, "The differentiation
/// of pseudo-inverses and nonlinear least squares problems whose variables separate", 1973): with `Z = A^+H G`,
/// `gA = -Z X^H + (B - A X) (A^+ Z)^H + A^+H X (G - A^H Z)^H`.
fn solve_grad(c: &Ctx) -> super::Grads {
    let (a, x, g) = (c.x(0), c.y(0), c.g());
    let (rcond, driver) = (
        c.args().float(2).unwrap_or_default(),
        c.args().str(3).unwrap_or("gelsy").to_string(),
    );
    let solve = |a: &Val, b: &Val| match call_all!("_linalg_lstsq", a, b, rcond, driver.as_str()) {
        Ok(outs) => {
            let [solution, ..] = three(outs);
            solution
        }
        Err(e) => Val(Err(e)),
    };
    let adjoint = a.mh();
    let z = solve(&adjoint, &g);
    let ga = c.when(0, || {
        let rest = c.x(1).sub(a.matmul(&x));
        let outside = &g - &adjoint.matmul(&z);
        rest.matmul(solve(&a, &z).mh()) + solve(&adjoint, &x).matmul(outside.mh())
            - z.matmul(x.mh())
    });
    grads![ga, Some(z.clone())]
}

fn check(x: &Tensor, b: &Tensor, driver: &str) -> Result<()> {
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "{OP}: input must have at least 2 dimensions."
    );
    ensure!(
        b.ndim() >= 1,
        Runtime,
        "{OP}: other must have at least 1 dimension."
    );
    ensure!(
        b.ndim() <= x.ndim() && x.ndim() - b.ndim() <= 1,
        Runtime,
        "{OP}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
    );
    ensure!(
        x.dtype() == b.dtype(),
        Runtime,
        "{OP}: Expected input and other to have the same dtype, but got input's dtype {} and other's dtype {}",
        x.dtype().scalar_name(),
        b.dtype().scalar_name()
    );
    check_matrix(x, OP)?;
    check_dtype(b.dtype(), OP)?;
    ensure!(
        ["gels", "gelsy", "gelsd", "gelss"].contains(&driver),
        Runtime,
        "{OP}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
    );
    Ok(())
}

/// (solution, residuals, rank, singular values) of least-squares problems.
fn lstsq(a: Args) -> Result<Outputs> {
    let (x, b, driver) = (a.t(0)?, a.t(1)?, a.opt_str(3)?.unwrap_or("gelsy"));
    check(x, b, driver)?;
    let is_vector =
        b.ndim() == 1 || (b.ndim() + 1 == x.ndim() && b.shape() == &x.shape()[..x.ndim() - 1]);
    let right = if is_vector {
        Val::from(b).unsqueeze(-1)
    } else {
        b.into()
    };
    let (m, n) = size(x);
    ensure!(
        right.ndim() >= 2 && right.shape()[right.ndim() - 2] == m as i64,
        Runtime,
        "{OP}: input.size(-2) should match other.size(-2)"
    );
    let rcond = match a.get(2) {
        Value::None => epsilon(x.dtype()) * m.max(n) as f64,
        _ => a.float(2)?,
    };
    let (whole, right) = same_batch(x.into(), right)?;
    let [solution, ranks, values] =
        three(call_all!("_linalg_lstsq", &whole, &right, rcond, driver)?);
    let lead = &whole.shape()[..whole.ndim() - 2];
    let (ranks, values) = (of_batch(x, lead, ranks), of_batch(x, lead, values));
    let residuals = if m > n && has_residuals(driver, &ranks, n)? {
        let rest = whole.matmul(&solution).sub(&right);
        rest.abs().square().sum([-2i64], false)
    } else {
        Val::from(x).new_zeros([0i64], x.dtype().to_real())
    };
    let solution = if is_vector {
        solution.select(-1, 0)
    } else {
        solution
    };
    super::linalg::outputs([solution, residuals, ranks, values])
}

/// What was found for the expanded `batch`, for the matrices as they were given.
fn of_batch(x: &Tensor, batch: &[i64], found: Val) -> Val {
    if !found.shape().starts_with(batch) {
        return found;
    }
    let own = x.shape()[..x.ndim() - 2].iter().enumerate();
    own.fold(found, |found, (dim, &size)| {
        found.narrow(dim as i64, 0, size)
    })
}

/// PyTorch's rule: not those of `gelsy`, nor of matrices that lack rank where it is known.
fn has_residuals(driver: &str, ranks: &Val, n: usize) -> Result<bool> {
    Ok(match driver {
        "gels" => true,
        "gelsy" => false,
        _ => {
            let ranks = ranks.clone().get()?.to_vec::<i64>()?;
            ranks.iter().all(|&rank| rank == n as i64)
        }
    })
}

ops! {
    /// Solutions of least-squares problems of one batch.
    "_linalg_lstsq(Tensor A, Tensor B, float rcond, str driver) -> (Tensor solution, Tensor rank, Tensor singular_values)", ANY_DEVICE,
    Body::Dynamic { cpu: solve }, grad named("LinalgLstsqBackward0", arg(0) | arg(1) | out(0), solve_grad);
    /// Solutions of least-squares problems.
    "linalg.lstsq(Tensor A, Tensor B, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)",
    F | O, Body::Composite(lstsq);
}
