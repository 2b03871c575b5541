//! Factorisations with orthonormal parts: singular values, eigenvalues, QR.

use super::linalg::{
    batch, check_matrix, check_square, fresh, matrix, pair, row, size, triangular, with_lead,
};
use super::{Args, Body, F, M, O, Outputs, Val, named, out};
use crate::autograd::Ctx;
use crate::cpu::linalg::{self, Field};
use crate::cpu::linalg_factor::{self, Failure};
use crate::cpu::linalg_qr;
use crate::tensor::Tensor;
use crate::{DType, Error, Result, call, call_all, dispatch, ensure, err, fail, grads, ops};
use num_complex::Complex;
use parking_lot::Mutex;

/// The first failure among the matrices of a batch.
#[derive(Default)]
pub(super) struct Failures(Mutex<Option<Failure>>);

impl Failures {
    pub fn note(&self, outcome: std::result::Result<(), Failure>) {
        if let Err(failure) = outcome {
            self.0.lock().get_or_insert(failure);
        }
    }

    pub fn check(self, op: &str) -> Result<()> {
        match self.0.into_inner() {
            None => Ok(()),
            Some(failure) => Err(failure_error(op, failure)),
        }
    }
}

fn failure_error(op: &str, failure: Failure) -> Error {
    match failure {
        Failure::NotFinite => err!(
            Linalg,
            "{op}: The algorithm failed to converge because the input matrix contained non-finite values."
        ),
        Failure::NoConvergence => err!(
            Linalg,
            "{op}: The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated singular values."
        ),
    }
}

/// `_linalg_svd(A, full_matrices, compute_uv)`: (U, S, Vh); empty U and Vh where they are not wanted.
fn svd(a: Args) -> Result<Vec<Tensor>> {
    let (x, full, vectors) = (a.t(0)?, a.bool(1)?, a.bool(2)?);
    check_matrix(x, "linalg.svd")?;
    let (m, n) = size(x);
    let k = m.min(n);
    let (work, dtype) = (fresh(x)?, x.dtype());
    let values = Tensor::empty(&with_lead(x, &[k]), dtype.to_real())?;
    let (left, right) = match (vectors, full) {
        (false, _) => (vec![0], vec![0]),
        (true, true) => (with_lead(x, &[m, m]), with_lead(x, &[n, n])),
        (true, false) => (with_lead(x, &[m, k]), with_lead(x, &[k, n])),
    };
    let (u, vh) = (Tensor::empty(&left, dtype)?, Tensor::empty(&right, dtype)?);
    let failures = Failures::default();
    dispatch!(wide dtype, T => linalg::for_each_matrix(batch(x), 4 * m * n * k, |i, threads| {
        let factors = vectors.then(|| (matrix::<T>(&u, i), matrix::<T>(&vh, i)));
        if k == 0 {
            factors.iter().for_each(|(u, vh)| { u.set_identity(); vh.set_identity() });
            return;
        }
        // SAFETY: one row per matrix.
        let values = unsafe { row::<<T as Field>::Part>(&values, i) };
        let factors = factors.as_ref().map(|(u, vh)| (u, vh));
        failures.note(linalg_factor::svd(&matrix::<T>(&work, i), values, factors, threads));
    }), else fail!(Runtime, "linalg.svd: {dtype}"));
    failures.check("linalg.svd")?;
    Ok(vec![u, values, vh])
}

fn svd_grad(c: &Ctx) -> super::Grads {
    let s = c.y(1);
    let k = s.shape()[s.ndim() - 1];
    let (u, vh) = (c.y(0).narrow(-1, 0, k), c.y(2).narrow(-2, 0, k));
    let gs = c.grad(1).map(|g| g.to(u.dtype()));
    let diagonal = |v: Val| Val(call!("diag_embed", v));
    let (gu, gvh) = (
        c.grad(0).map(|g| g.narrow(-1, 0, k)),
        c.grad(2).map(|g| g.narrow(-2, 0, k)),
    );
    if gu.is_none() && gvh.is_none() {
        let gs = gs.unwrap_or_else(|| s.zeros_like().to(u.dtype()));
        return grads![u.mul(gs.unsqueeze(-2)).matmul(vh)];
    }
    let (m, n) = (u.shape()[u.ndim() - 2], vh.shape()[vh.ndim() - 1]);
    let skew = |v: Val| v.sub(v.mh());
    let squares = s.square();
    let eye = s.eye(k, k, s.dtype());
    let gaps = squares
        .unsqueeze(-2)
        .sub(squares.unsqueeze(-1))
        .add(&eye)
        .to(u.dtype());
    let (columns, rows) = (s.unsqueeze(-2).to(u.dtype()), s.unsqueeze(-1).to(u.dtype()));
    let mut inner = Val(call!("zeros_like", &gaps));
    if let Some(gu) = &gu {
        let turn = skew(u.mh().matmul(gu));
        inner = inner + turn.div(&gaps).mul(&columns);
        if u.is_complex() {
            inner = inner + diagonal(turn.diagonal(0, -2, -1).div(s.to(u.dtype()) * 2.0));
        }
    }
    if let Some(gvh) = &gvh {
        inner = inner + rows.mul(skew(vh.matmul(gvh.mh())).div(&gaps));
    }
    if let Some(gs) = gs {
        inner = inner + diagonal(gs);
    }
    let mut ga = u.matmul(inner);
    if let Some(gu) = gu.filter(|_| m > k) {
        let scaled = gu.div(&columns);
        ga = ga + scaled.sub(u.matmul(u.mh().matmul(&scaled)));
    }
    ga = ga.matmul(&vh);
    if let Some(gvh) = gvh.filter(|_| n > k) {
        let scaled = gvh.div(&rows);
        ga = ga + u.matmul(scaled.sub(scaled.matmul(vh.mh()).matmul(&vh)));
    }
    grads![ga]
}

/// Are vectors needed for the gradient of the values?
fn recorded(x: &Tensor) -> bool {
    x.requires_grad() && crate::autograd::grad_enabled()
}

fn public_svd(a: Args) -> Result<Outputs> {
    call_all!("_linalg_svd", a.get(0), a.get(1), true)
}

fn svdvals(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let outs = call_all!("_linalg_svd", x, false, recorded(x))?;
    Ok(outs.into_iter().skip(1).take(1).collect())
}

/// torch.svd: V instead of its conjugate transpose.
fn old_svd(a: Args) -> Result<Outputs> {
    let (x, some, vectors) = (a.t(0)?, a.bool(1)?, a.bool(2)?);
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "linalg.svd: input should have at least 2 dimensions, but has {} dimensions instead",
        x.ndim()
    );
    let mut outs = call_all!("_linalg_svd", x, !some, vectors || recorded(x))?;
    if vectors {
        let vh = Val(outs.pop().unwrap_or_default().into_tensor());
        outs.push(vh.mh().get()?.into());
        return Ok(outs);
    }
    let (m, n) = size(x);
    let zeros = |n: usize| super::view::zeros(&with_lead(x, &[n, n]), x);
    let values = outs.into_iter().nth(1).unwrap_or_default();
    Ok([zeros(m)?.into(), values, zeros(n)?.into()]
        .into_iter()
        .collect())
}

fn is_lower(text: &str, op: &str) -> Result<bool> {
    match text.to_ascii_uppercase().as_str() {
        "L" => Ok(true),
        "U" => Ok(false),
        _ => fail!(
            Runtime,
            "Expected UPLO argument to be 'L' or 'U', but got {text} ({op})"
        ),
    }
}

/// `_linalg_eigh(A, UPLO, compute_v)`: (eigenvalues, eigenvectors).
fn eigh(a: Args) -> Result<Vec<Tensor>> {
    let (x, lower, vectors) = (a.t(0)?, is_lower(a.str(1)?, "linalg.eigh")?, a.bool(2)?);
    check_square(x, "linalg.eigh")?;
    let (n, dtype) = (size(x).0, x.dtype());
    let work = fresh(x)?;
    let values = Tensor::empty(&with_lead(x, &[n]), dtype.to_real())?;
    let v = if vectors {
        Tensor::empty(x.shape(), dtype)?
    } else {
        Tensor::empty(&[0], dtype)?
    };
    let failures = Failures::default();
    dispatch!(wide dtype, T => linalg::for_each_matrix(batch(x), 4 * n * n * n, |i, threads| {
        if n > 0 {
            let columns = vectors.then(|| matrix::<T>(&v, i));
            // SAFETY: one row per matrix.
            let values = unsafe { row::<<T as Field>::Part>(&values, i) };
            failures.note(linalg_factor::eigh(&matrix::<T>(&work, i), lower, values, columns.as_ref(), threads));
        }
    }), else fail!(Runtime, "linalg.eigh: {dtype}"));
    failures.check("linalg.eigh")?;
    Ok(vec![values, v])
}

/// `V [diag(gL) + (V^H gV) / E] V^H`, with the differences E of the eigenvalues.
fn eigh_grad(c: &Ctx) -> super::Grads {
    let (l, v) = (c.y(0), c.y(1));
    let gl = c.grad(0).map(|g| g.to(v.dtype()));
    let Some(gv) = c.grad(1) else {
        let gl = gl.unwrap_or_else(|| l.zeros_like().to(v.dtype()));
        return grads![v.mul(gl.unsqueeze(-2)).matmul(v.mh())];
    };
    let n = l.shape()[l.ndim() - 1];
    let eye = l.eye(n, n, l.dtype());
    let gaps = l.unsqueeze(-2).sub(l.unsqueeze(-1)).add(&eye).to(v.dtype());
    let turn = off_diagonal(v.mh().matmul(gv).div(gaps), n);
    let inner = match gl {
        Some(gl) => turn + Val(call!("diag_embed", gl)),
        None => turn,
    };
    grads![v.matmul(inner).matmul(v.mh())]
}

/// The matrix with zeros on its diagonal.
fn off_diagonal(v: Val, n: i64) -> Val {
    let eye = v.eye(n, n, DType::Bool);
    v.masked_fill(eye, 0.0)
}

fn public_eigh(a: Args) -> Result<Outputs> {
    call_all!("_linalg_eigh", a.get(0), a.get(1), true)
}

fn eigvalsh(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let mut outs = call_all!("_linalg_eigh", x, a.get(1), recorded(x))?;
    outs.truncate(1);
    Ok(outs)
}

/// (eigenvalues, eigenvectors) of general matrices: complex.
fn eig(a: Args) -> Result<Vec<Tensor>> {
    let x = a.t(0)?;
    check_square(x, "linalg.eig")?;
    let (n, dtype) = (size(x).0, x.dtype().to_complex());
    let work = fresh(x)?;
    let (values, vectors) = (
        Tensor::empty(&with_lead(x, &[n]), dtype)?,
        Tensor::empty(x.shape(), dtype)?,
    );
    let failures = Failures::default();
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), 6 * n * n * n, |i, threads| {
        if n > 0 {
            type C = Complex<<T as Field>::Part>;
            // SAFETY: one row per matrix.
            let values = unsafe { row::<C>(&values, i) };
            failures.note(linalg_factor::eig(&matrix::<T>(&work, i), values, &matrix::<C>(&vectors, i), threads));
        }
    }), else fail!(Runtime, "linalg.eig: {dtype}"));
    if let Some(Failure::NotFinite) = *failures.0.lock() {
        fail!(
            Runtime,
            "torch.linalg.eig: input tensor should not contain infs or NaNs."
        );
    }
    failures.check("linalg.eig")?;
    Ok(vec![values, vectors])
}

/// `V^-H [diag(gL) + (V^H gV - V^H V diag(Re(V^H gV))) / conj(E)] V^H`.
fn eig_grad(c: &Ctx) -> super::Grads {
    let (l, v) = (c.y(0), c.y(1));
    let n = l.shape()[l.ndim() - 1];
    let mut inner = match c.grad(0) {
        Some(gl) => Val(call!("diag_embed", gl)),
        None => v.zeros_like(),
    };
    if let Some(gv) = c.grad(1) {
        let turn = v.mh().matmul(gv);
        let lengths = turn.diagonal(0, -2, -1).real().unsqueeze(-2).to(v.dtype());
        let rest = turn.sub(v.mh().matmul(v.mul(lengths)));
        let eye = l.eye(n, n, l.dtype());
        let gaps = l.unsqueeze(-2).sub(l.unsqueeze(-1)).conj().add(eye);
        inner = inner + off_diagonal(rest.div(gaps), n);
    }
    let ga = Val(call!("linalg.solve", v.mh(), inner.matmul(v.mh())));
    grads![if c.dtype(0).is_complex() {
        ga
    } else {
        ga.real()
    }]
}

fn eigvals(a: Args) -> Result<Outputs> {
    let mut outs = call_all!("linalg.eig", a.get(0))?;
    outs.truncate(1);
    Ok(outs)
}

/// (Q, R); an empty Q where it is not wanted.
fn qr(a: Args) -> Result<Vec<Tensor>> {
    let (x, mode) = (a.t(0)?, a.str(1)?);
    check_matrix(x, "linalg.qr")?;
    let ((m, n), dtype) = (size(x), x.dtype());
    let k = m.min(n);
    let (q_shape, r_rows) = match mode {
        "reduced" => (with_lead(x, &[m, k]), k),
        "complete" => (with_lead(x, &[m, m]), m),
        "r" => (vec![0], k),
        other => fail!(
            Runtime,
            "qr received unrecognized mode '{other}' but expected one of 'reduced' (default), 'r', or 'complete'"
        ),
    };
    let work = fresh(x)?;
    let (q, r) = (
        Tensor::empty(&q_shape, dtype)?,
        Tensor::empty(&with_lead(x, &[r_rows, n]), dtype)?,
    );
    dispatch!(wide dtype, T => linalg::for_each_matrix(batch(x), 2 * m * n * k, |i, threads| {
        let wanted = (mode != "r").then(|| matrix::<T>(&q, i));
        linalg_qr::qr(&matrix::<T>(&work, i), wanted.as_ref(), &matrix::<T>(&r, i), threads);
    }), else fail!(Runtime, "linalg.qr: {dtype}"));
    Ok(vec![q, r])
}

fn qr_grad(c: &Ctx) -> super::Grads {
    let (q, r) = (c.y(0), c.y(1));
    let mode = c.args().str(1).unwrap_or("reduced").to_string();
    let (m, n) = match c.shape(0)[..] {
        [.., m, n] => (m, n),
        _ => (0, 0),
    };
    if mode == "r" || (mode == "complete" && m > n) {
        let why = if mode == "r" {
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require gradients"
        } else {
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
        };
        return grads![Val(Err(err!(Runtime, "{why}")))];
    }
    let gq = c.grad(0).unwrap_or_else(|| q.zeros_like());
    let gr = c.grad(1).unwrap_or_else(|| r.zeros_like());
    if m >= n {
        return grads![qr_grad_tall(&q, &r, &gq, &gr)];
    }
    // A = [X | Y] with X = Q U square and V = Q^H Y: the part of V first.
    let (u, gu, gv) = (
        r.narrow(-1, 0, m),
        gr.narrow(-1, 0, m),
        gr.narrow(-1, m, n - m),
    );
    let y = q.matmul(r.narrow(-1, m, n - m));
    let gq = gq + y.matmul(gv.mh());
    let gx = qr_grad_tall(&q, &u, &gq, &gu);
    grads![Val(call!("cat", pair(gx, q.matmul(gv)), -1))]
}

/// `[gQ + Q s(triu(gR R^H - Q^H gQ))] R^-H`, where s adds the adjoint and halves the diagonal.
fn qr_grad_tall(q: &Val, r: &Val, gq: &Val, gr: &Val) -> Val {
    let core = gr.matmul(r.mh()).sub(q.mh().matmul(gq)).triu(0);
    let diagonal = core.diagonal(0, -2, -1);
    let real = if core.is_complex() {
        diagonal.real().to(core.dtype())
    } else {
        diagonal
    };
    let symmetric = core.clone() + core.mh() - Val(call!("diag_embed", real));
    let whole = gq + &q.matmul(symmetric);
    triangular(&r.mh(), &whole, false, false, false)
}

fn old_qr(a: Args) -> Result<Outputs> {
    call_all!(
        "linalg.qr",
        a.get(0),
        if a.bool(1)? { "reduced" } else { "complete" }
    )
}

ops! {
    /// Singular value decomposition.
    "_linalg_svd(Tensor A, bool full_matrices, bool compute_uv) -> (Tensor U, Tensor S, Tensor Vh)", 0,
    Body::Dynamic { cpu: svd }, grad named("LinalgSvdBackward0", out(0) | out(1) | out(2), svd_grad);
    /// Singular value decomposition: A = U diag(S) Vh.
    "linalg.svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)", F | O, Body::Composite(public_svd);
    /// Singular values, largest first.
    "linalg.svdvals(Tensor A, *, str? driver=None) -> Tensor", F | O, Body::Composite(svdvals);
    /// Singular value decomposition: input = U diag(S) V^H.
    "svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)", F | M | O, Body::Composite(old_svd);
    /// Eigenvalues and eigenvectors of Hermitian matrices.
    "_linalg_eigh(Tensor A, str UPLO, bool compute_v) -> (Tensor eigenvalues, Tensor eigenvectors)", 0,
    Body::Dynamic { cpu: eigh }, grad named("LinalgEighBackward0", out(0) | out(1), eigh_grad);
    /// Eigenvalues and eigenvectors of Hermitian matrices.
    "linalg.eigh(Tensor A, str UPLO='L') -> (Tensor eigenvalues, Tensor eigenvectors)", F | O, Body::Composite(public_eigh);
    /// Eigenvalues of Hermitian matrices, smallest first.
    "linalg.eigvalsh(Tensor A, str UPLO='L') -> Tensor", F | O, Body::Composite(eigvalsh);
    /// Eigenvalues and eigenvectors of square matrices.
    "linalg.eig(Tensor A) -> (Tensor eigenvalues, Tensor eigenvectors)", F | O,
    Body::Dynamic { cpu: eig }, grad named("LinalgEigBackward0", out(0) | out(1), eig_grad);
    /// Eigenvalues of square matrices.
    "linalg.eigvals(Tensor A) -> Tensor", F | O, Body::Composite(eigvals);
    /// QR decomposition: 'reduced', 'complete', or 'r' alone.
    "linalg.qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)", F | O,
    Body::Dynamic { cpu: qr }, grad named("LinalgQrBackward0", out(0) | out(1) | super::SHAPES, qr_grad);
    /// QR decomposition.
    "qr(Tensor self, bool some=True) -> (Tensor Q, Tensor R)", F | M | O, Body::Composite(old_qr);
}
