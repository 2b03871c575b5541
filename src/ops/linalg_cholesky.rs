//! Triangular systems and Cholesky factors.

use super::linalg::{
    Infos, batch, check_dtype, check_infos, check_square, fresh, matrix, same_batch, size,
    triangular,
};
use super::loss::primitive;
use super::matmul::single;
use super::{ANY_DEVICE, Args, Body, F, M, O, Outputs, Val, Value, arg, named, out};
use crate::autograd::Ctx;
use crate::cpu::{linalg, linalg_factor};
use crate::tensor::Tensor;
use crate::{Result, call, call_all, dispatch, ensure, fail, grads, ops};

/// `A^-1 B` for batches of equal size.
fn solve_left(a: Args) -> Result<Vec<Tensor>> {
    let (x, b, upper, unit) = (a.t(0)?, a.t(1)?, a.bool(2)?, a.bool(3)?);
    let (work, result) = (fresh(x)?, fresh(b)?);
    let (n, cols) = size(b);
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), n * n * cols, |i, threads| {
        linalg::solve_triangular(&matrix::<T>(&work, i), &matrix::<T>(&result, i), upper, unit, threads);
    }), else fail!(Runtime, "linalg.solve_triangular: {}", x.dtype()));
    Ok(vec![result])
}

fn solve_left_grad(c: &Ctx) -> super::Grads {
    let (upper, unit) = (
        c.args().bool(2).unwrap_or(false),
        c.args().bool(3).unwrap_or(false),
    );
    let gb = Val(call!("_solve_triangular", c.x(0).mh(), c.g(), !upper, unit));
    let ga = c.when(0, || {
        let whole = -gb.matmul(c.y(0).mh());
        let skip = i64::from(unit);
        if upper {
            whole.triu(skip)
        } else {
            whole.tril(-skip)
        }
    });
    grads![ga, Some(gb.clone())]
}

fn solve_triangular(a: Args) -> Result<Outputs> {
    let (x, b, upper, left, unit) = (a.t(0)?, a.t(1)?, a.bool(2)?, a.bool(3)?, a.bool(4)?);
    check_square(x, "linalg.solve_triangular")?;
    ensure!(
        b.ndim() >= 2,
        Runtime,
        "linalg.solve_triangular: The input tensor B must have at least 2 dimensions."
    );
    ensure!(
        x.dtype() == b.dtype(),
        Runtime,
        "linalg.solve_triangular: Expected A and B to have the same dtype, but found A of type {} and B of type {} instead",
        x.dtype().scalar_name(),
        b.dtype().scalar_name()
    );
    let (n, (rows, cols)) = (size(x).0, size(b));
    ensure!(
        n == if left { rows } else { cols },
        Runtime,
        "linalg.solve_triangular: Incompatible shapes of A and B for the equation {}: ({n}x{n} and {rows}x{cols})",
        if left { "AX = B" } else { "XA = B" }
    );
    let turned = |t: &Tensor| {
        if left {
            Val::from(t)
        } else {
            Val::from(t).transpose(-2, -1)
        }
    };
    let (x, b) = same_batch(turned(x), turned(b))?;
    let result = Val(call!("_solve_triangular", x, b, upper == left, unit));
    single(if left {
        result
    } else {
        result.transpose(-2, -1)
    })
}

/// The older form: (solution, coefficients).
fn old_triangular_solve(a: Args) -> Result<Outputs> {
    let (b, x, upper, transpose, unit) = (a.t(0)?, a.t(1)?, a.bool(2)?, a.bool(3)?, a.bool(4)?);
    check_square(x, "triangular_solve")?;
    let (mut m, coefficients) = (Val::from(x), Val(call!("clone", x)));
    if transpose {
        m = m.transpose(-2, -1);
    }
    let solution = triangular(&m, &Val::from(b), upper != transpose, true, unit);
    [solution, coefficients]
        .into_iter()
        .map(|v| v.get().map(Value::Tensor))
        .collect()
}

fn cholesky_ex(a: Args) -> Result<Vec<Tensor>> {
    let (x, upper) = (a.t(0)?, a.bool(1)?);
    check_square(x, "linalg.cholesky")?;
    let source = if upper {
        Val::from(x).mh().get()?
    } else {
        x.clone()
    };
    let (factor, n) = (fresh(&source)?, size(x).0);
    let infos = Infos::new(batch(x));
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), n * n * n, |i, threads| {
        infos.set(i, linalg_factor::cholesky(&matrix::<T>(&factor, i), threads));
    }), else fail!(Runtime, "linalg.cholesky: {}", x.dtype()));
    let infos = infos.tensor(x)?;
    if a.bool(2)? {
        check_positive("linalg.cholesky_ex", &infos)?;
    }
    let factor = if upper {
        Val::from(factor).mh().contiguous().get()?.resolved()?
    } else {
        factor
    };
    Ok(vec![factor, infos])
}

fn check_positive(op: &str, infos: &Tensor) -> Result<()> {
    check_infos(op, infos, |info| {
        format!(
            "The factorization could not be completed because the input is not positive-definite (the leading minor of order {info} is not positive-definite)."
        )
    })
}

/// `L^-H pi(L^H gL) L^-1`, where pi halves the diagonal and mirrors the lower triangle.
fn cholesky_grad(c: &Ctx) -> super::Grads {
    let upper = c.args().bool(1).unwrap_or(false);
    let turned = |v: Val| if upper { v.mh() } else { v };
    let (l, gl) = (turned(c.y(0)), turned(c.g()));
    let x = l.mh().matmul(gl);
    let core = (x.tril(0) + x.tril(-1).mh()) * 0.5;
    let left = triangular(&l.mh(), &core, true, true, false);
    grads![triangular(&l, &left, false, false, false)]
}

fn cholesky(a: Args) -> Result<Outputs> {
    let mut outs = call_all!("linalg.cholesky_ex", a.get(0), a.get(1), false)?;
    if let Some(infos) = outs.pop() {
        check_positive("linalg.cholesky", &infos.into_tensor()?)?;
    }
    Ok(outs)
}

/// The inverse of `L L^H` (or `U^H U`).
fn cholesky_inverse(a: Args) -> Result<Vec<Tensor>> {
    let (x, upper) = (a.t(0)?, a.bool(1)?);
    check_square(x, "cholesky_inverse")?;
    let eye = Val::from(x).eye(size(x).0 as i64, size(x).1 as i64, x.dtype());
    primitive(|| solve_with_factor(&eye.expand(x.shape().to_vec()), &Val::from(x), upper))
}

/// What both rules have in common: the factor's gradient from that of `L L^H`; both triangles, as PyTorch gives it.
fn factor_grad(factor: &Val, core: &Val, upper: bool) -> Val {
    let both = core + &core.mh();
    if upper {
        -factor.matmul(both)
    } else {
        -both.matmul(factor)
    }
}

fn cholesky_inverse_grad(c: &Ctx) -> super::Grads {
    let core = c.y(0).matmul(c.g()).matmul(c.y(0));
    grads![factor_grad(
        &c.x(0),
        &core,
        c.args().bool(1).unwrap_or(false)
    )]
}

fn cholesky_solve_grad(c: &Ctx) -> super::Grads {
    let upper = c.args().bool(2).unwrap_or(false);
    let gb = Val(call!("_cholesky_solve", c.g(), c.x(1), upper));
    grads![
        Some(gb.clone()),
        c.when(1, || factor_grad(&c.x(1), &gb.matmul(c.y(0).mh()), upper))
    ]
}

fn solve_same_batch(a: Args) -> Result<Vec<Tensor>> {
    let (b, l, upper) = (a.t(0)?, a.t(1)?, a.bool(2)?);
    primitive(|| solve_with_factor(&Val::from(b), &Val::from(l), upper))
}

fn cholesky_solve(a: Args) -> Result<Outputs> {
    let (b, l, upper) = (a.t(0)?, a.t(1)?, a.bool(2)?);
    ensure!(
        b.ndim() >= 2 && l.ndim() >= 2,
        Runtime,
        "b should have at least 2 dimensions, but has {} dimensions instead",
        b.ndim()
    );
    check_dtype(b.dtype(), "cholesky_solve")?;
    check_square(l, "cholesky_solve")?;
    let (l, b) = same_batch(l.into(), b.into())?;
    single(Val(call!("_cholesky_solve", b, l, upper)))
}

fn solve_with_factor(b: &Val, factor: &Val, upper: bool) -> Val {
    let l = if upper { factor.mh() } else { factor.clone() };
    let y = triangular(&l, b, false, true, false);
    triangular(&l.mh(), &y, true, true, false)
}

ops! {
    /// Solutions of triangular systems for batches of equal size.
    "_solve_triangular(Tensor A, Tensor B, bool upper, bool unitriangular) -> Tensor", 0,
    Body::Dynamic { cpu: solve_left }, grad named("LinalgSolveTriangularBackward0", arg(0) | out(0), solve_left_grad);
    /// Solution of a triangular system of linear equations.
    "linalg.solve_triangular(Tensor A, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor", F | O,
    Body::Composite(solve_triangular);
    /// Solution of a triangular system of linear equations, and the matrix.
    "triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)",
    F | M | O, Body::Composite(old_triangular_solve);
    /// Cholesky factors of Hermitian matrices, with LAPACK's info.
    "linalg.cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)", F | O,
    Body::Dynamic { cpu: cholesky_ex }, grad named("LinalgCholeskyExBackward0", out(0), cholesky_grad);
    /// Cholesky factors of Hermitian matrices.
    "linalg.cholesky(Tensor self, *, bool upper=False) -> Tensor", F | O, Body::Composite(cholesky);
    /// Cholesky factors of Hermitian matrices.
    "cholesky(Tensor self, bool upper=False) -> Tensor", F | M | O, Body::Composite(cholesky);
    /// Inverses of Hermitian matrices from their Cholesky factors.
    "cholesky_inverse(Tensor self, bool upper=False) -> Tensor", F | M | O | ANY_DEVICE, Body::Dynamic { cpu: cholesky_inverse },
    grad named("CholeskyInverseBackward0", arg(0) | out(0), cholesky_inverse_grad);
    /// Solution of linear systems from Cholesky factors of the same batch.
    "_cholesky_solve(Tensor self, Tensor input2, bool upper) -> Tensor", ANY_DEVICE, Body::Dynamic { cpu: solve_same_batch },
    grad named("CholeskySolveBackward0", arg(1) | out(0), cholesky_solve_grad);
    /// Solution of a linear system from a Cholesky factor.
    "cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor", F | M | O, Body::Composite(cholesky_solve);
}
