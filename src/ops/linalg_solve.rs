//! Inverses, and solutions of linear systems.

use super::linalg::{Factors, check_infos, check_square, fresh, matrices, outputs, same_batch};
use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val, arg, named, out};
use crate::autograd::Ctx;
use crate::tensor::Tensor;
use crate::{Result, call, call_all, dispatch, ensure, fail, grads, ops};

fn singular(op: &'static str) -> impl Fn(i32) -> String {
    move |info| {
        let what = if op == "linalg.inv" {
            "inversion"
        } else {
            "solve"
        };
        format!(
            "The diagonal element {info} is zero, the {what} could not be completed because the input matrix is singular."
        )
    }
}

/// (inverse, info) of a batch.
fn inv_ex(a: Args) -> Result<Vec<Tensor>> {
    let x = a.t(0)?;
    check_square(x, "linalg.inv")?;
    let (factors, result) = (
        Factors::of(x, "linalg.inv")?,
        Tensor::empty(x.shape(), x.dtype())?,
    );
    dispatch!(wide x.dtype(), T => matrices::<T>(&result).set_identity(),
        else fail!(Runtime, "linalg.inv: {}", x.dtype()));
    factors.solve(&result, "linalg.inv")?;
    let infos = factors.infos.tensor(x)?;
    if a.bool(1)? {
        check_infos("linalg.inv", &infos, singular("linalg.inv"))?;
    }
    Ok(vec![result, infos])
}

fn inv(a: Args) -> Result<Outputs> {
    let mut outs = call_all!("linalg.inv_ex", a.get(0), false)?;
    if let Some(infos) = outs.pop() {
        check_infos("linalg.inv", &infos.into_tensor()?, singular("linalg.inv"))?;
    }
    Ok(outs)
}

/// (result, info) of `A X = B` for batches of matrices with the same batch.
fn solve_matrices(a: Args) -> Result<Vec<Tensor>> {
    let (x, b) = (a.t(0)?, a.t(1)?);
    let (factors, result) = (Factors::of(x, "linalg.solve")?, fresh(b)?);
    factors.solve(&result, "linalg.solve")?;
    Ok(vec![result, factors.infos.tensor(x)?])
}

/// Is the right-hand side a batch of vectors? PyTorch's rule.
fn is_vector(x: &Tensor, b: &Tensor) -> bool {
    b.ndim() == 1 || (b.ndim() + 1 == x.ndim() && b.shape() == &x.shape()[..x.ndim() - 1])
}

/// (result, info): checks, broadcasts the batches, and turns vectors and right-hand problems round.
fn solve_both(x: &Tensor, b: &Tensor, left: bool) -> Result<(Val, Tensor)> {
    check_square(x, "linalg.solve")?;
    ensure!(
        x.dtype() == b.dtype(),
        Runtime,
        "linalg.solve: Expected A and B to have the same dtype, but found A of type {} and B of type {} instead",
        x.dtype().scalar_name(),
        b.dtype().scalar_name()
    );
    let vector = is_vector(x, b);
    ensure!(
        left || !vector,
        Runtime,
        "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)"
    );
    let mut v = if vector {
        Val::from(b).unsqueeze(-1)
    } else {
        b.into()
    };
    let mut x = Val::from(x);
    if !left {
        (v, x) = (v.transpose(-2, -1), x.transpose(-2, -1));
    }
    let (rows, n) = (v.shape()[v.ndim() - 2], x.shape()[x.ndim() - 1]);
    ensure!(
        rows == n,
        Runtime,
        "linalg.solve: Incompatible shapes of A and B for the equation {}: {n}x{n} and {rows} rows",
        if left { "AX = B" } else { "XA = B" }
    );
    let (x, v) = same_batch(x, v)?;
    let mut outs = call_all!("_linalg_solve", x, v)?;
    let infos = outs.pop().unwrap_or_default().into_tensor()?;
    let mut result = Val(outs.pop().unwrap_or_default().into_tensor());
    if !left {
        result = result.transpose(-2, -1);
    }
    Ok((if vector { result.select(-1, 0) } else { result }, infos))
}

fn solve(a: Args) -> Result<Outputs> {
    let (result, infos) = solve_both(a.t(0)?, a.t(1)?, a.bool(2)?)?;
    check_infos("torch.linalg.solve", &infos, singular("linalg.solve"))?;
    single(result)
}

fn solve_ex(a: Args) -> Result<Outputs> {
    let (result, infos) = solve_both(a.t(0)?, a.t(1)?, a.bool(2)?)?;
    if a.bool(3)? {
        check_infos("torch.linalg.solve", &infos, singular("linalg.solve"))?;
    }
    outputs([result, infos.into()])
}

fn inverse_grad(c: &Ctx) -> super::Grads {
    let inverse = c.y(0).mh();
    grads![-inverse.matmul(c.g()).matmul(&inverse)]
}

fn solve_grad(c: &Ctx) -> super::Grads {
    let gb = Val(call!("linalg.solve", c.x(0).mh(), c.g()));
    grads![c.when(0, || -gb.matmul(c.y(0).mh())), Some(gb.clone())]
}

ops! {
    /// Inverses of square matrices, with LAPACK's info.
    "linalg.inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)", F | O,
    Body::Dynamic { cpu: inv_ex }, grad named("LinalgInvExBackward0", out(0), inverse_grad);
    /// Inverses of square matrices.
    "linalg.inv(Tensor A) -> Tensor", F | O, Body::Composite(inv);
    /// Inverses of square matrices.
    "inverse(Tensor self) -> Tensor", F | M | O, Body::Composite(inv);
    /// Solutions of linear systems, with LAPACK's info.
    "_linalg_solve(Tensor A, Tensor B) -> (Tensor result, Tensor info)", 0,
    Body::Dynamic { cpu: solve_matrices }, grad named("LinalgSolveExBackward0", arg(0) | out(0), solve_grad);
    /// Solution of a system of linear equations.
    "linalg.solve(Tensor A, Tensor B, *, bool left=True) -> Tensor", F | O, Body::Composite(solve);
    /// Solution of a system of linear equations, with LAPACK's info.
    "linalg.solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor info)",
    F | O, Body::Composite(solve_ex);
}
