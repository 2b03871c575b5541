//! Packed factorisations of LAPACK: Householder reflectors (`geqrf`, `ormqr`) and L D L^H.

use super::linalg::{
    Infos, batch, check_infos, check_matrix, check_square, fresh, matrix, row, same_batch, size,
    with_lead,
};
use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val};
use crate::cpu::linalg_qr::Reflectors;
use crate::cpu::{linalg, linalg_ldl};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, call_all, dispatch, ensure, fail, ops};

/// (reflectors and R, their factors).
fn geqrf(a: Args) -> Result<Vec<Tensor>> {
    let x = a.t(0)?;
    check_matrix(x, "geqrf")?;
    let ((m, n), packed) = (size(x), fresh(x)?);
    let tau = Tensor::empty(&with_lead(x, &[m.min(n)]), x.dtype())?;
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), m * n * n, |i, threads| {
        // SAFETY: one row per matrix.
        let tau = unsafe { row::<T>(&tau, i) };
        Reflectors::of(&matrix::<T>(&packed, i), tau, threads);
    }), else fail!(Runtime, "geqrf: {}", x.dtype()));
    Ok(vec![packed, tau])
}

fn check_reflectors(x: &Tensor, tau: &Tensor, op: &str) -> Result<()> {
    check_matrix(x, op)?;
    let (m, n) = size(x);
    ensure!(
        m >= n,
        Runtime,
        "{op}: input.shape[-2] must be greater than or equal to input.shape[-1]"
    );
    let k = tau.shape().last().copied().unwrap_or(0);
    ensure!(
        tau.ndim() + 1 == x.ndim() && k as usize <= n,
        Runtime,
        "{op}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
    );
    ensure!(
        tau.shape()[..tau.ndim() - 1] == x.shape()[..x.ndim() - 2],
        Runtime,
        "{op}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {:?}",
        tau.shape()
    );
    ensure!(
        tau.dtype() == x.dtype(),
        Runtime,
        "{op}: tau dtype {} does not match input dtype {}",
        tau.dtype().scalar_name(),
        x.dtype().scalar_name()
    );
    Ok(())
}

/// The product of the reflectors `I - tau v v^H`, or its adjoint, times `c`.
fn reflect(x: &Tensor, tau: &Tensor, mut c: Val, adjoint: bool) -> Val {
    let (m, n) = size(x);
    let eye = c.eye(m as i64, n as i64, x.dtype());
    let (vectors, factors) = (Val::from(x).tril(-1).add(eye), Val::from(tau));
    let k = tau.shape().last().copied().unwrap_or(0);
    for step in 0..k {
        let i = if adjoint { step } else { k - 1 - step };
        let v = vectors.narrow(-1, i, 1);
        let factor = factors.narrow(-1, i, 1).unsqueeze(-1);
        let factor = if adjoint {
            factor.conj_if_complex()
        } else {
            factor
        };
        c = &c - &v.mul(factor).matmul(v.mh().matmul(&c));
    }
    c
}

fn householder_product(a: Args) -> Result<Outputs> {
    let (x, tau) = (a.t(0)?, a.t(1)?);
    check_reflectors(x, tau, "torch.linalg.householder_product")?;
    let (m, n) = size(x);
    let eye = Val::from(x)
        .eye(m as i64, n as i64, x.dtype())
        .expand(x.shape().to_vec());
    let q = reflect(x, tau, eye, false);
    single(Val(call!("clone", q)))
}

fn ormqr(a: Args) -> Result<Outputs> {
    let (x, tau, c, left, transpose) = (a.t(0)?, a.t(1)?, a.t(2)?, a.bool(3)?, a.bool(4)?);
    check_matrix(x, "torch.ormqr")?;
    ensure!(
        c.ndim() >= 2,
        Runtime,
        "torch.ormqr: other must have at least 2 dimensions."
    );
    let (rows, cols) = size(c);
    ensure!(
        size(x).0 == if left { rows } else { cols },
        Runtime,
        "torch.ormqr: other.shape[{}] must be equal to input.shape[-2]",
        if left { "-2" } else { "-1" }
    );
    ensure!(
        tau.shape().last().is_some_and(|&k| k as usize <= size(x).1),
        Runtime,
        "torch.ormqr: tau.shape[-1] must be less than or equal to input.shape[-1]"
    );
    ensure!(
        x.ndim() == c.ndim() && tau.ndim() + 1 == x.ndim(),
        Runtime,
        "torch.ormqr: other should have the same number of dimensions as input, got {} and {}",
        c.ndim(),
        x.ndim()
    );
    ensure!(
        tau.dtype() == x.dtype() && c.dtype() == x.dtype(),
        Runtime,
        "torch.ormqr: Expected input, tau and other to have the same dtype, but got {}, {} and {}",
        x.dtype().scalar_name(),
        tau.dtype().scalar_name(),
        c.dtype().scalar_name()
    );
    single(if left {
        reflect(x, tau, c.into(), transpose)
    } else {
        reflect(x, tau, Val::from(c).mh(), !transpose).mh()
    })
}

/// (LD, pivots, info).
fn ldl_factor_ex(a: Args) -> Result<Vec<Tensor>> {
    let (x, hermitian) = (a.t(0)?, a.bool(1)?);
    check_square(x, "torch.linalg.ldl_factor_ex")?;
    let (n, infos) = (size(x).0, Infos::new(batch(x)));
    let packed = fresh(&Val::from(x.detached()).tril(0).get()?)?;
    let pivots = Tensor::empty(&with_lead(x, &[n]), DType::I32)?;
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), n * n * n / 3, |i, _| {
        // SAFETY: one row per matrix.
        let pivots = unsafe { row::<i32>(&pivots, i) };
        infos.set(i, linalg_ldl::factor(&matrix::<T>(&packed, i), pivots, hermitian));
    }), else fail!(Runtime, "linalg.ldl_factor: {}", x.dtype()));
    let infos = infos.tensor(x)?;
    if a.bool(2)? {
        check_infos("torch.linalg.ldl_factor_ex", &infos, zero_block)?;
    }
    Ok(vec![packed, pivots, infos])
}

fn zero_block(info: i32) -> String {
    format!("The factorization could not be completed because the diagonal block {info} is zero.")
}

fn ldl_factor(a: Args) -> Result<Outputs> {
    let mut outs = call_all!("linalg.ldl_factor_ex", a.get(0), a.get(1), false)?;
    if let Some(infos) = outs.pop() {
        check_infos("torch.linalg.ldl_factor", &infos.into_tensor()?, zero_block)?;
    }
    Ok(outs)
}

fn ldl_solve(a: Args) -> Result<Outputs> {
    let (ld, pivots, b) = (a.t(0)?, a.t(1)?, a.t(2)?);
    check_square(ld, "torch.linalg.ldl_solve")?;
    ensure!(
        b.ndim() >= 2,
        Runtime,
        "torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has {} dimensions instead",
        b.ndim()
    );
    ensure!(
        pivots.dtype().is_integral(false),
        Runtime,
        "torch.linalg.ldl_solve: Expected pivots to be integers. Got {}",
        pivots.dtype().scalar_name()
    );
    let (ld, b) = same_batch(ld.into(), b.into())?;
    let shape = [&ld.shape()[..ld.ndim() - 2], &ld.shape()[ld.ndim() - 1..]].concat();
    let pivots = Val::from(pivots).to(DType::I32).expand(shape);
    single(Val(call!("_linalg_ldl_solve", ld, pivots, b, a.get(3))))
}

fn ldl_solve_batch(a: Args) -> Result<Vec<Tensor>> {
    let (ld, pivots, hermitian) = (fresh(a.t(0)?)?, fresh(a.t(1)?)?, a.bool(3)?);
    let result = fresh(a.t(2)?)?;
    let (n, cols) = size(&result);
    dispatch!(wide ld.dtype(), T => linalg::for_each_matrix(batch(&ld), n * n * cols, |i, _| {
        // SAFETY: one row per matrix.
        let pivots = unsafe { row::<i32>(&pivots, i) };
        linalg_ldl::solve(&matrix::<T>(&ld, i), pivots, &matrix::<T>(&result, i), hermitian);
    }), else fail!(Runtime, "linalg.ldl_solve: {}", ld.dtype()));
    Ok(vec![result])
}

ops! {
    /// QR decomposition as Householder reflectors.
    "geqrf(Tensor self) -> (Tensor a, Tensor tau)", F | M | O, Body::Dynamic { cpu: geqrf };
    /// The first columns of a product of Householder reflectors.
    "linalg.householder_product(Tensor input, Tensor tau) -> Tensor", F | O, Body::Composite(householder_product);
    /// The first columns of a product of Householder reflectors.
    "orgqr(Tensor self, Tensor input2) -> Tensor", F | M | O, Body::Composite(householder_product);
    /// The product of Householder reflectors times a matrix.
    "ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor", F | M | O, Body::Composite(ormqr);
    /// L D L^T (or L D L^H) factorisation, packed in one matrix, with LAPACK's info.
    "linalg.ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor pivots, Tensor info)", F | O,
    Body::Dynamic { cpu: ldl_factor_ex };
    /// L D L^T (or L D L^H) factorisation, packed in one matrix.
    "linalg.ldl_factor(Tensor self, *, bool hermitian=False) -> (Tensor LD, Tensor pivots)", F | O, Body::Composite(ldl_factor);
    /// Solutions of linear systems from packed L D L^H factorisations of the same batch.
    "_linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, bool hermitian) -> Tensor", 0, Body::Dynamic { cpu: ldl_solve_batch };
    /// Solution of a linear system from a packed L D L^H factorisation.
    "linalg.ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor", F | O, Body::Composite(ldl_solve);
}
