//! What rests on singular values: rank and pseudo-inverse.

use super::linalg::{check_matrix, size, with_lead};
use super::loss::primitive;
use super::matmul::single;
use super::{ANY_DEVICE, Args, Body, F, M, O, Outputs, Val, Value, arg, named, out};
use crate::autograd::Ctx;
use crate::tensor::{DType, Tensor};
use crate::{Result, call, call_all, grads, ops};

/// The precision of a dtype of LAPACK.
pub(super) fn epsilon(dtype: DType) -> f64 {
    if dtype.to_real() == DType::F32 {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    }
}

/// The tolerance under which singular values count as zero: the larger of `atol` and `rtol` times the largest.
fn tolerance(x: &Tensor, largest: &Val, atol: &Value, rtol: &Value) -> Result<Val> {
    let (m, n) = size(x);
    let epsilon = epsilon(x.dtype());
    let absolute = match atol {
        Value::None => None,
        Value::Tensor(t) => Some(Val::from(t)),
        other => Some(largest.zeros_like().add(other)),
    };
    let relative: Val = match rtol {
        Value::Tensor(t) => Val::from(t).mul(largest),
        Value::None => {
            let default = largest * (epsilon * m.max(n) as f64);
            match &absolute {
                // Where atol is given and positive, the default of rtol is zero.
                Some(a) => default.masked_fill(a.gt(0.0), 0.0),
                None => default,
            }
        }
        other => largest.mul(other),
    };
    Ok(match absolute {
        Some(absolute) => absolute.maximum(relative),
        None => relative,
    })
}

fn hermitian_values(x: &Tensor, hermitian: bool) -> Result<Val> {
    Ok(if hermitian {
        super::contract::square_matrix(x, "linalg.matrix_rank")?;
        Val(call!("linalg.eigvalsh", x)).abs()
    } else {
        Val(call!("linalg.svdvals", x))
    })
}

fn largest_of(s: &Val) -> Val {
    Val(call!("amax", s, [-1i64], false))
}

fn rank(x: &Tensor, atol: &Value, rtol: &Value, hermitian: bool) -> Result<Outputs> {
    check_matrix(x, "torch.linalg.matrix_rank")?;
    if x.numel() == 0 {
        return single(Val::from(x).new_zeros(with_lead(x, &[]), DType::I64));
    }
    let s = hermitian_values(&x.detached(), hermitian)?;
    let limit = tolerance(x, &largest_of(&s), atol, rtol)?;
    single(s.gt(limit.unsqueeze(-1)).to(DType::I64).sum([-1i64], false))
}

fn matrix_rank(a: Args) -> Result<Outputs> {
    rank(a.t(0)?, a.get(1), a.get(2), a.bool(3)?)
}

fn matrix_rank_tol(a: Args) -> Result<Outputs> {
    let zero = Value::from(0.0);
    rank(a.t(0)?, a.get(1), &zero, a.bool(2)?)
}

/// The pseudo-inverse from singular values (or eigenvalues); `_linalg_pinv(A, atol, rtol, hermitian)`.
fn pinv_value(a: Args) -> Result<Vec<Tensor>> {
    let (x, hermitian) = (a.t(0)?.detached(), a.bool(3)?);
    primitive(|| Val(pinv_of(&x, a.get(1), a.get(2), hermitian).and_then(Val::get)))
}

fn pinv_of(x: &Tensor, atol: &Value, rtol: &Value, hermitian: bool) -> Result<Val> {
    let (m, n) = size(x);
    if x.numel() == 0 {
        return Ok(super::view::zeros(&with_lead(x, &[n, m]), x).into());
    }
    let parts: Vec<Val> = if hermitian {
        call_all!("linalg.eigh", x)
    } else {
        call_all!("linalg.svd", x, false)
    }?
    .into_iter()
    .map(|v| Val(v.into_tensor()))
    .collect();
    let (left, s, right) = if hermitian {
        (parts[1].clone(), parts[0].clone(), parts[1].mh())
    } else {
        (parts[0].clone(), parts[1].clone(), parts[2].clone())
    };
    let limit = tolerance(x, &largest_of(&s.abs()), atol, rtol)?;
    let small = s.abs().le(limit.unsqueeze(-1));
    let inverted = s.reciprocal().masked_fill(small, 0.0).to(x.dtype());
    Ok(right.mh().mul(inverted.unsqueeze(-2)).matmul(left.mh()))
}

/// The derivative of the pseudo-inverse at constant rank.
fn pinv_grad(c: &Ctx) -> super::Grads {
    let (x, p, gh) = (c.x(0), c.y(0), c.g().mh());
    let ph = p.mh();
    let (m, n) = (x.shape()[x.ndim() - 2], x.shape()[x.ndim() - 1]);
    let ga = if m <= n {
        let k = gh.matmul(&p);
        let kph = k.matmul(&ph);
        -p.matmul(&k).mh() + &kph - x.matmul(&p).matmul(&kph)
            + ph.matmul(&p).matmul(gh - k.matmul(&x))
    } else {
        let k = p.matmul(&gh);
        let phk = ph.matmul(&k);
        -k.matmul(&p).mh() + (gh - x.matmul(&k)).matmul(&p).matmul(&ph) + &phk
            - phk.matmul(&p).matmul(&x)
    };
    grads![ga]
}

fn pinv(a: Args) -> Result<Outputs> {
    check_matrix(a.t(0)?, "linalg.pinv")?;
    single(Val(call!(
        "_linalg_pinv",
        a.get(0),
        a.get(1),
        a.get(2),
        a.get(3)
    )))
}

fn pinv_rcond(a: Args) -> Result<Outputs> {
    check_matrix(a.t(0)?, "linalg.pinv")?;
    let zero = Value::from(0.0);
    single(Val(call!(
        "_linalg_pinv",
        a.get(0),
        zero,
        a.get(1),
        a.get(2)
    )))
}

ops! {
    /// Ranks of matrices.
    "linalg.matrix_rank(Tensor A, *, Tensor|Scalar? atol=None, Tensor|Scalar? rtol=None, bool hermitian=False) -> Tensor", F | O,
    Body::Composite(matrix_rank);
    /// Ranks of matrices, given the tolerance.
    "linalg.matrix_rank/tol(Tensor A, Tensor|Scalar tol, bool hermitian=False) -> Tensor", F | O, Body::Composite(matrix_rank_tol);
    /// Pseudo-inverses, with PyTorch's defaults filled in.
    "_linalg_pinv(Tensor A, Tensor|Scalar? atol, Tensor|Scalar? rtol, bool hermitian) -> Tensor", ANY_DEVICE,
    Body::Dynamic { cpu: pinv_value }, grad named("LinalgPinvBackward0", arg(0) | out(0), |c| {
        let mut all = pinv_grad(c);
        all.resize(c.slots(), None);
        all
    });
    /// Pseudo-inverses of matrices.
    "linalg.pinv(Tensor A, *, Tensor|Scalar? atol=None, Tensor|Scalar? rtol=None, bool hermitian=False) -> Tensor", F | O, Body::Composite(pinv);
    /// Pseudo-inverses of matrices, given the relative tolerance.
    "linalg.pinv/rcond(Tensor A, Tensor|Scalar rcond, bool hermitian=False) -> Tensor", F | O, Body::Composite(pinv_rcond);
    /// Pseudo-inverses of matrices.
    "pinverse(Tensor self, float rcond=1e-15) -> Tensor", F | M,
    Body::Composite(|a| single(Val(call!("linalg.pinv/rcond", a.get(0), a.get(1)))));
}
