//! Batches of matrices for the linear algebra ops, and LU: `inv`, `det`, `solve`, `lu` and their kin.

use std::sync::atomic::{AtomicI32, Ordering};

use super::contract::square_matrix;
use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val, Value, named, out};
use crate::autograd::Ctx;
use crate::cpu::linalg::Matrix;
use crate::cpu::linalg_batch::{self, Batch, Report};
use crate::cpu::reduce::Pointer;
use crate::tensor::{DType, Element, Tensor};
use crate::{Result, call, call_all, dispatch, ensure, fail, grads, ops};

/// Rows and columns of the matrices of a batch.
pub(super) fn size(t: &Tensor) -> (usize, usize) {
    let s = t.shape();
    (s[s.len() - 2] as usize, s[s.len() - 1] as usize)
}

/// How many matrices a batch has.
pub(super) fn batch(t: &Tensor) -> usize {
    t.shape()[..t.ndim() - 2].iter().product::<i64>() as usize
}

/// The batch dimensions with others behind them.
pub(super) fn with_lead(t: &Tensor, last: &[usize]) -> Vec<i64> {
    t.shape()[..t.ndim() - 2]
        .iter()
        .copied()
        .chain(last.iter().map(|&n| n as i64))
        .collect()
}

/// Matrix `index` of a row-major batch.
pub(super) fn matrix<T: Element>(t: &Tensor, index: usize) -> Matrix<T> {
    matrices(t).matrix(index)
}

/// The matrices of a row-major tensor.
pub(super) fn matrices<T: Element>(t: &Tensor) -> Batch<T> {
    let (rows, cols) = size(t);
    // SAFETY: the tensor is row-major and lives as long as the op; every task has matrices of its own.
    unsafe { Batch::new(t.ptr::<T>(), batch(t), rows, cols) }
}

/// LU of a batch: the factors packed, the rows that were exchanged, counted from one, and the infos.
pub(super) struct Factors {
    pub lu: Tensor,
    pub pivots: Tensor,
    pub infos: Infos,
}

impl Factors {
    pub fn of(x: &Tensor, op: &str) -> Result<Factors> {
        let (rows, cols) = size(x);
        let lu = fresh(x)?;
        let pivots = Tensor::empty(&with_lead(x, &[rows.min(cols)]), DType::I32)?;
        let infos = Infos::new(batch(x));
        let report = Report {
            pivots: Pointer(pivots.ptr()),
            infos: &infos.0,
        };
        // SAFETY: the report was made for these matrices.
        dispatch!(wide x.dtype(), T => unsafe { linalg_batch::lu(matrices::<T>(&lu), report) },
            else fail!(Runtime, "{op}: {}", x.dtype()));
        Ok(Factors { lu, pivots, infos })
    }

    /// Solves in place for as many right-hand sides as there are matrices.
    pub fn solve(&self, b: &Tensor, op: &str) -> Result<()> {
        let pivots = Pointer(self.pivots.ptr());
        // SAFETY: the factors and their pivots were made together.
        dispatch!(wide b.dtype(), T => unsafe {
            linalg_batch::lu_solve(matrices::<T>(&self.lu), pivots, matrices::<T>(b));
        }, else fail!(Runtime, "{op}: {}", b.dtype()));
        Ok(())
    }
}

/// Row `index` of a row-major tensor, as a slice.
///
/// # Safety
/// Every task has rows of its own.
#[allow(clippy::mut_from_ref)]
pub(super) unsafe fn row<T: Element>(t: &Tensor, index: usize) -> &mut [T] {
    let n = t.shape()[t.ndim() - 1] as usize;
    // SAFETY: the tensor is row-major; the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(t.ptr::<T>().wrapping_add(index * n), n) }
}

/// A row-major copy that the op may overwrite.
pub(super) fn fresh(t: &Tensor) -> Result<Tensor> {
    let copy = Tensor::empty(t.shape(), t.dtype())?;
    crate::cpu::copy::copy(&copy, t)?;
    Ok(copy)
}

/// At least two dimensions, in a dtype of LAPACK.
pub(super) fn check_matrix(t: &Tensor, op: &str) -> Result<()> {
    ensure!(
        t.ndim() >= 2,
        Runtime,
        "{op}: The input tensor A must have at least 2 dimensions."
    );
    check_dtype(t.dtype(), op)
}

pub(super) fn check_dtype(dtype: DType, op: &str) -> Result<()> {
    ensure!(
        dtype.is_float() || dtype.is_complex(),
        Runtime,
        "{op}: Expected a floating point or complex tensor as input. Got {}",
        dtype.scalar_name()
    );
    ensure!(
        !matches!(dtype, DType::F16 | DType::BF16),
        Runtime,
        "{op}: Low precision dtypes not supported. Got {}",
        dtype.scalar_name()
    );
    Ok(())
}

pub(super) fn check_square(t: &Tensor, op: &str) -> Result<()> {
    square_matrix(t, op)?;
    check_dtype(t.dtype(), op)
}

/// LAPACK's info of every matrix, which tasks fill.
pub(super) struct Infos(Vec<AtomicI32>);

impl Infos {
    pub fn new(batch: usize) -> Infos {
        Infos((0..batch).map(|_| AtomicI32::new(0)).collect())
    }

    pub fn set(&self, index: usize, info: usize) {
        self.0[index].store(info as i32, Ordering::Relaxed);
    }

    /// The infos as a tensor of the batch's sizes.
    pub fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        let values: Vec<i32> = self.0.iter().map(|i| i.load(Ordering::Relaxed)).collect();
        Tensor::from_slice(&values, &with_lead(like, &[]))
    }
}

/// Fails with `message(info)` for the first matrix whose info is not zero.
pub(super) fn check_infos(op: &str, infos: &Tensor, message: impl Fn(i32) -> String) -> Result<()> {
    let values = infos.to_vec::<i32>()?;
    if let Some((i, &info)) = values.iter().enumerate().find(|(_, info)| **info != 0) {
        let place = if infos.ndim() == 0 {
            String::new()
        } else {
            format!("(Batch element {i}): ")
        };
        fail!(Linalg, "{op}: {place}{}", message(info));
    }
    Ok(())
}

/// (LU, pivots, info) of a batch.
fn lu_factor_ex(a: Args) -> Result<Vec<Tensor>> {
    let x = a.t(0)?;
    check_matrix(x, "torch.linalg.lu_factor_ex")?;
    ensure!(
        a.bool(1)?,
        Runtime,
        "linalg.lu_factor: LU without pivoting is not implemented on the CPU"
    );
    let Factors { lu, pivots, infos } = Factors::of(x, "linalg.lu_factor")?;
    let infos = infos.tensor(x)?;
    if a.bool(2)? {
        check_infos("torch.linalg.lu_factor_ex", &infos, |info| {
            format!(
                "U[{info},{info}] is zero and using it on lu_solve would result in a division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
            )
        })?;
    }
    Ok(vec![lu, pivots, infos])
}

/// L and U of a packed factorisation.
fn unpack(lu: &Val) -> (Val, Val) {
    let shape = lu.shape();
    let (rows, cols) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let k = rows.min(cols);
    let eye = lu.eye(rows, k, lu.dtype());
    (
        lu.narrow(-1, 0, k).tril(-1).add(eye),
        lu.narrow(-2, 0, k).triu(0),
    )
}

/// The permutation matrix of LAPACK's pivots.
fn permutation(pivots: &Val, rows: i64, dtype: DType) -> Val {
    Val(call!("_pivots_to_matrix", pivots, rows, dtype))
}

fn pivots_to_matrix(a: Args) -> Result<Vec<Tensor>> {
    let (pivots, rows, dtype) = (a.t(0)?, a.int(1)? as usize, a.dtype(2)?);
    let steps = pivots.shape()[pivots.ndim() - 1] as usize;
    let mut shape = pivots.shape()[..pivots.ndim() - 1].to_vec();
    shape.extend([rows as i64; 2]);
    let values = pivots.to_vec::<i64>()?;
    let mut ones = vec![0.0f64; shape.iter().product::<i64>() as usize];
    for (matrix, pivots) in ones
        .chunks_mut((rows * rows).max(1))
        .zip(values.chunks(steps.max(1)))
    {
        let mut order: Vec<usize> = (0..rows).collect();
        for (i, &p) in pivots.iter().enumerate().take(steps) {
            ensure!(
                (1..=rows as i64).contains(&p),
                Runtime,
                "lu_unpack: pivot {p} is out of range for {rows} rows"
            );
            order.swap(i, p as usize - 1);
        }
        order
            .iter()
            .enumerate()
            .for_each(|(column, &from)| matrix[from * rows + column] = 1.0);
    }
    Ok(vec![
        Val(Tensor::from_slice(&ones, &shape)).to(dtype).get()?,
    ])
}

/// The gradient of A from those of the packed L and U.
fn lu_grad(c: &Ctx) -> super::Grads {
    let lu = c.y(0);
    let (l, u) = unpack(&lu);
    let shape = lu.shape();
    let (rows, cols) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let k = rows.min(cols);
    let g = c.g();
    let (gl, gu) = (g.narrow(-1, 0, k).tril(-1), g.narrow(-2, 0, k).triu(0));
    let p = permutation(&c.y(1), rows, lu.dtype());
    let (l1, u1) = (l.narrow(-2, 0, k), u.narrow(-1, 0, k));
    let (gl1, gu1) = (gl.narrow(-2, 0, k), gu.narrow(-1, 0, k));
    let mut lower = l1.mh().matmul(gl1);
    let mut upper = gu1.matmul(u1.mh());
    if cols > k {
        let rest = |v: &Val| v.narrow(-1, k, cols - k);
        lower = lower - rest(&gu).matmul(rest(&u).mh());
    }
    if rows > k {
        let rest = |v: &Val| v.narrow(-2, k, rows - k);
        upper = upper - rest(&l).mh().matmul(rest(&gl));
    }
    let core = lower.tril(-1) + upper.triu(0);
    let core = triangular(&l1.mh(), &core, true, true, true);
    let mut ga = triangular(&u1.mh(), &core, false, false, false);
    if cols > k {
        let right = triangular(&l1.mh(), &gu.narrow(-1, k, cols - k), true, true, true);
        ga = Val(call!("cat", pair(ga, right), -1));
    }
    if rows > k {
        let below = triangular(&u1.mh(), &gl.narrow(-2, k, rows - k), false, false, false);
        ga = Val(call!("cat", pair(ga, below), -2));
    }
    grads![p.matmul(ga)]
}

pub(super) fn pair(a: Val, b: Val) -> Result<Vec<Tensor>> {
    Ok(vec![a.get()?, b.get()?])
}

/// `solve_triangular(a, b)` with its switches.
pub(super) fn triangular(a: &Val, b: &Val, upper: bool, left: bool, unit: bool) -> Val {
    Val(call!("linalg.solve_triangular", a, b, upper, left, unit))
}

pub(super) fn outputs(values: impl IntoIterator<Item = Val>) -> Result<Outputs> {
    values
        .into_iter()
        .map(|v| v.get().map(Value::Tensor))
        .collect()
}

fn lu_factor(a: Args) -> Result<Outputs> {
    let mut outs = call_all!("linalg.lu_factor_ex", a.get(0), a.get(1), true)?;
    outs.truncate(2);
    Ok(outs)
}

/// torch.lu: (LU, pivots), and the infos where asked for.
fn plain_lu(a: Args) -> Result<Outputs> {
    let with_infos = a.bool(2)?;
    let mut outs = call_all!("linalg.lu_factor_ex", a.get(0), a.get(1), !with_infos)?;
    if !with_infos {
        outs.truncate(2);
    }
    Ok(outs)
}

fn full_lu(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    check_matrix(x, "linalg.lu")?;
    let factored: Vec<Val> = call_all!("linalg.lu_factor_ex", x, a.get(1), false)?
        .into_iter()
        .map(|v| Val(v.into_tensor()))
        .collect();
    let (l, u) = unpack(&factored[0]);
    outputs([permutation(&factored[1], size(x).0 as i64, x.dtype()), l, u])
}

fn lu_unpack(a: Args) -> Result<Outputs> {
    let (lu, pivots, data, order) = (
        Val::from(a.t(0)?),
        Val::from(a.t(1)?),
        a.bool(2)?,
        a.bool(3)?,
    );
    ensure!(
        pivots.dtype() == DType::I32,
        Runtime,
        "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype. Note: this function is intended to be used with the output produced by torch.linalg.lu_factor"
    );
    let none = || lu.new_zeros([0i64], lu.dtype());
    let rows = lu.shape()[lu.ndim() - 2];
    let p = if order {
        permutation(&pivots, rows, lu.dtype())
    } else {
        none()
    };
    let (l, u) = if data { unpack(&lu) } else { (none(), none()) };
    outputs([p, l, u])
}

/// `X` with `A X = B` (or its adjoint or transposed forms) from a packed factorisation.
fn lu_solve(a: Args) -> Result<Outputs> {
    let (lu, pivots, b) = (Val::from(a.t(0)?), Val::from(a.t(1)?), Val::from(a.t(2)?));
    let (left, adjoint) = (a.bool(3)?, a.bool(4)?);
    single(solve_factored(&lu, &pivots, &b, left, adjoint))
}

fn solve_factored(lu: &Val, pivots: &Val, b: &Val, left: bool, adjoint: bool) -> Val {
    if !left {
        return solve_factored(lu, pivots, &b.mh(), true, !adjoint).mh();
    }
    let rows = lu.shape()[lu.ndim() - 2];
    let p = permutation(pivots, rows, lu.dtype());
    if adjoint {
        let y = triangular(&lu.mh(), b, false, true, false);
        p.matmul(triangular(&lu.mh(), &y, true, true, true))
    } else {
        let y = triangular(lu, &p.mh().matmul(b), false, true, true);
        triangular(lu, &y, true, true, false)
    }
}

fn old_lu_solve(a: Args) -> Result<Outputs> {
    let (b, lu, pivots) = (Val::from(a.t(0)?), Val::from(a.t(1)?), Val::from(a.t(2)?));
    single(solve_factored(&lu, &pivots, &b, true, false))
}

/// Both batches expanded to the sizes that they broadcast to.
pub(super) fn same_batch(x: Val, y: Val) -> Result<(Val, Val)> {
    let (xs, ys) = (x.shape().to_vec(), y.shape().to_vec());
    let ((x_lead, x_mat), (y_lead, y_mat)) = (xs.split_at(xs.len() - 2), ys.split_at(ys.len() - 2));
    if x_lead == y_lead {
        return Ok((x, y));
    }
    let lead = crate::tensor::broadcast_shapes(x_lead, y_lead)?;
    let grown = |v: Val, mat: &[i64]| v.expand([&lead[..], mat].concat());
    Ok((grown(x, x_mat), grown(y, y_mat)))
}

ops! {
    /// LU factorisation with partial pivoting, packed in one matrix, with LAPACK's info.
    "linalg.lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, Tensor info)",
    F | O, Body::Dynamic { cpu: lu_factor_ex }, grad named("LinalgLuFactorExBackward0", out(0) | out(1), lu_grad);
    /// LU factorisation with partial pivoting, packed in one matrix.
    "linalg.lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)", F | O, Body::Composite(lu_factor);
    /// LU factorisation with partial pivoting, packed in one matrix.
    "lu(Tensor self, bool pivot=True, bool get_infos=False) -> (Tensor, Tensor, Tensor)", F | M | O, Body::Composite(plain_lu);
    /// P, L and U with A = P L U.
    "linalg.lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)", F | O, Body::Composite(full_lu);
    /// P, L and U of a packed factorisation.
    "lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)",
    F | O, Body::Composite(lu_unpack);
    /// The permutation matrix of LAPACK's pivots.
    "_pivots_to_matrix(Tensor pivots, int rows, ScalarType dtype) -> Tensor", 0, Body::Dynamic { cpu: pivots_to_matrix };
    /// Solves a linear system with a packed factorisation.
    "linalg.lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor", F | O, Body::Composite(lu_solve);
    /// Solves a linear system with a packed factorisation.
    "lu_solve(Tensor self, Tensor LU_data, Tensor LU_pivots) -> Tensor", F | M | O, Body::Composite(old_lu_solve);
}
