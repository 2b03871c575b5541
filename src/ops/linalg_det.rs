//! Determinants and their logarithms.

use super::linalg::{Factors, batch, check_square, matrix, row, size, with_lead};
use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val, arg, named, out};
use crate::autograd::Ctx;
use crate::cpu::linalg::{self, Field};
use crate::tensor::Tensor;
use crate::{Result, call, call_all, dispatch, fail, grads, ops};

/// The sign of the permutation that pivots make.
fn sign_of<T: Field>(pivots: &[i32]) -> T {
    let stays = |(i, &pivot): (usize, &i32)| pivot as usize == i + 1;
    let swaps = pivots.iter().enumerate().filter(|&p| !stays(p)).count();
    if swaps % 2 == 0 { T::ONE } else { -T::ONE }
}

fn det(a: Args) -> Result<Vec<Tensor>> {
    let x = a.t(0)?;
    check_square(x, "linalg.det")?;
    let (factors, result) = (
        Factors::of(x, "linalg.det")?,
        Tensor::empty(&with_lead(x, &[1]), x.dtype())?,
    );
    let n = size(x).0;
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), n, |i, _| {
        let lu = matrix::<T>(&factors.lu, i);
        // SAFETY: one row per matrix.
        unsafe {
            let sign = sign_of::<T>(row(&factors.pivots, i));
            row::<T>(&result, i)[0] = (0..n).fold(sign, |product, d| product * lu.get(d, d));
        }
    }), else fail!(Runtime, "linalg.det: {}", x.dtype()));
    Ok(vec![Val::from(result).select(-1, 0).get()?])
}

/// `g * conj(det) * A^-H`; where a determinant is zero, the cofactors come from the singular values.
fn det_grad(c: &Ctx) -> super::Grads {
    let (x, det) = (c.x(0), c.y(0));
    let spread = |v: Val| v.unsqueeze(-1).unsqueeze(-1);
    let is_singular = Val(call!("any", det.eq(0.0))).get().and_then(|t| t.item());
    if is_singular.is_ok_and(|s| s.to_bool()) {
        return grads![
            cofactors(&x).map_or_else(|e| Val(Err(e)), |cofactors| spread(c.g()).mul(cofactors))
        ];
    }
    let inverse = Val(call!("linalg.inv", x));
    grads![spread(c.g().mul(det.conj_if_complex())).mul(inverse.mh())]
}

/// `conj(det(A)) A^-H` in a form that singular matrices have too.
fn cofactors(x: &Val) -> Result<Val> {
    let mut parts = call_all!("linalg.svd", x, true)?
        .into_iter()
        .map(|v| Val(v.into_tensor()));
    let mut next = || {
        parts
            .next()
            .unwrap_or_else(|| Val(Err(crate::err!(Runtime, "linalg.svd: no result"))))
    };
    let (u, s, vh) = (next(), next(), next());
    let n = s.shape()[s.ndim() - 1];
    let mut others = Vec::new();
    for i in 0..n {
        let rest: Vec<Val> = (0..n)
            .filter(|&j| j != i)
            .map(|j| s.select(-1, j))
            .collect();
        let product = rest
            .into_iter()
            .fold(s.select(-1, i).ones_like(), |p, v| p.mul(v));
        others.push(product.unsqueeze(-1).get()?);
    }
    let scale = if others.is_empty() {
        s.clone()
    } else {
        Val(call!("cat", others, -1))
    };
    let turn = Val(call!("linalg.det", &u)).mul(Val(call!("linalg.det", &vh)));
    let scaled = u.mul(scale.to(u.dtype()).unsqueeze(-2)).matmul(vh);
    Ok(turn
        .conj_if_complex()
        .unsqueeze(-1)
        .unsqueeze(-1)
        .mul(scaled))
}

/// (sign, logabsdet), which do not overflow.
fn slogdet(a: Args) -> Result<Vec<Tensor>> {
    let x = a.t(0)?;
    check_square(x, "linalg.slogdet")?;
    let factors = Factors::of(x, "linalg.slogdet")?;
    let sign = Tensor::empty(&with_lead(x, &[1]), x.dtype())?;
    let log = Tensor::empty(&with_lead(x, &[1]), x.dtype().to_real())?;
    let n = size(x).0;
    dispatch!(wide x.dtype(), T => linalg::for_each_matrix(batch(x), 16 * n, |i, _| {
        type R = <T as Field>::Part;
        let lu = matrix::<T>(&factors.lu, i);
        // SAFETY: one row per matrix.
        let mut turn = sign_of::<T>(unsafe { row(&factors.pivots, i) });
        let mut sum: R = 0.0;
        for d in 0..n {
            let (value, length) = (lu.get(d, d), lu.get(d, d).modulus());
            sum += length.ln();
            turn = if length == 0.0 { T::of(0.0) } else { turn * (value / T::of(length)) };
        }
        // SAFETY: one element per matrix.
        unsafe {
            row::<T>(&sign, i)[0] = turn;
            row::<R>(&log, i)[0] = sum;
        }
    }), else fail!(Runtime, "linalg.slogdet: {}", x.dtype()));
    let first = |t: Tensor| Val::from(t).select(-1, 0).get();
    Ok(vec![first(sign)?, first(log)?])
}

fn slogdet_grad(c: &Ctx) -> super::Grads {
    let (x, sign) = (c.x(0), c.y(0));
    let log = c.grad(1).map(|g| g.to(x.dtype()));
    let turn = c.grad(0).filter(|_| x.is_complex()).map(|g| {
        let imaginary = sign.conj().mul(g).imag();
        Val(call!("complex", imaginary.zeros_like(), imaginary))
    });
    let weight = match (log, turn) {
        (Some(log), Some(turn)) => log + turn,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => sign.zeros_like(),
    };
    grads![
        weight
            .unsqueeze(-1)
            .unsqueeze(-1)
            .mul(Val(call!("linalg.inv", x)).mh())
    ]
}

fn logdet(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    check_square(x, "logdet")?;
    let mut parts = call_all!("linalg.slogdet", x)?
        .into_iter()
        .map(|v| Val(v.into_tensor()));
    let (Some(sign), Some(log)) = (parts.next(), parts.next()) else {
        fail!(Runtime, "logdet: no result");
    };
    if x.dtype().is_complex() {
        return single(sign.log() + log);
    }
    single(log.masked_fill(sign.lt(0.0), f64::NAN))
}

ops! {
    /// Determinants of square matrices.
    "linalg.det(Tensor A) -> Tensor", F | O, Body::Dynamic { cpu: det },
    grad named("LinalgDetBackward0", arg(0) | out(0), det_grad);
    /// Determinants of square matrices.
    "det(Tensor self) -> Tensor", F | M, Body::Composite(|a| single(Val(call!("linalg.det", a.get(0)))));
    /// Sign and logarithm of the absolute value of determinants.
    "linalg.slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)", F | O, Body::Dynamic { cpu: slogdet },
    grad named("LinalgSlogdetBackward0", arg(0) | out(0), slogdet_grad);
    /// Sign and logarithm of the absolute value of determinants.
    "slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)", F | M | O, Body::Composite(|a| call_all!("linalg.slogdet", a.get(0)));
    /// Logarithms of determinants.
    "logdet(Tensor self) -> Tensor", F | M, Body::Composite(logdet);
}
