//! Margin losses and other losses that are compositions of pointwise ops; `reduction` is a number as in [`super::loss`].

use super::loss::{MEAN, reduce};
use super::matmul::single;
use super::{Args, Body, F, Outputs, Val, Value};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, ensure, fail, ops};

fn positive_part(v: Val) -> Val {
    Val(call!("clamp_min", v, 0i64))
}

fn soft_margin(a: Args) -> Result<Outputs> {
    let (x, y) = (Val::from(a.t(0)?), Val::from(a.t(1)?));
    single(reduce(Val(call!("log1p", (-y.mul(x)).exp())), a.int(2)?))
}

fn hinge_embedding(a: Args) -> Result<Outputs> {
    let (x, y, margin) = (Val::from(a.t(0)?), Val::from(a.t(1)?), a.float(2)?);
    let far = positive_part(-&(&x - margin));
    let zeros = x.zeros_like();
    let loss = far.select_where(&y.ne(1i64), &zeros) + x.select_where(&y.ne(-1i64), &zeros);
    single(reduce(loss, a.int(3)?))
}

fn margin_ranking(a: Args) -> Result<Outputs> {
    let (x1, x2, y, margin) = (a.t(0)?, a.t(1)?, a.t(2)?, a.float(3)?);
    ensure!(
        x1.ndim() == x2.ndim() && x1.ndim() == y.ndim(),
        Runtime,
        "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {:?}, input2: {:?}, target: {:?} ",
        x1.shape(),
        x2.shape(),
        y.shape()
    );
    let loss = positive_part((-Val::from(y)).mul(Val::from(x1).sub(x2)) + margin);
    single(reduce(loss, a.int(4)?))
}

fn cosine_embedding(a: Args) -> Result<Outputs> {
    let (x1, x2, y, margin) = (a.t(0)?, a.t(1)?, a.t(2)?, a.float(3)?);
    ensure!(
        y.ndim() <= 1 && x1.ndim() == y.ndim() + 1,
        Runtime,
        "{}D target tensor expects {}D input tensors, but found inputs with sizes {:?} and {:?}.",
        y.ndim(),
        y.ndim() + 1,
        x1.shape(),
        x2.shape()
    );
    let (v1, v2, y) = (Val::from(x1), Val::from(x2), Val::from(y));
    let last = [y.ndim() as i64];
    let dot = |a: &Val, b: &Val| a.mul(b).sum(last, false);
    let cosine = dot(&v1, &v2).div(((dot(&v1, &v1) + 1e-12).mul(dot(&v2, &v2) + 1e-12)).sqrt());
    let zeros = cosine.zeros_like();
    let near = -&(&cosine - 1.0);
    let far = positive_part(cosine - margin);
    let loss = near.select_where(&y.eq(1i64), &zeros) + far.select_where(&y.eq(-1i64), &zeros);
    single(reduce(loss, a.int(4)?))
}

fn triplet_margin(a: Args) -> Result<Outputs> {
    let (anchor, positive, negative) = (a.t(0)?, a.t(1)?, a.t(2)?);
    let (margin, p, eps, swap) = (a.float(3)?, a.float(4)?, a.float(5)?, a.bool(6)?);
    ensure!(
        margin > 0.0,
        Runtime,
        "triplet_margin_loss: margin must be greater than 0, got {margin}"
    );
    let (n, m, k) = (anchor.ndim(), positive.ndim(), negative.ndim());
    ensure!(
        n == m && m == k,
        Runtime,
        "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {n}D, positive {m}D, and negative {k}D inputs"
    );
    let distance = |x: &Tensor, y: &Tensor| Val(call!("pairwise_distance", x, y, p, eps));
    let mut far = distance(anchor, negative);
    if swap {
        far = far.minimum(distance(positive, negative));
    }
    single(reduce(
        positive_part(distance(anchor, positive) - far + margin),
        a.int(7)?,
    ))
}

fn poisson_nll(a: Args) -> Result<Outputs> {
    let (x, y) = (Val::from(a.t(0)?), Val::from(a.t(1)?));
    let (log_input, full, eps) = (a.bool(2)?, a.bool(3)?, a.float(4)?);
    let mut loss = if log_input {
        x.exp().sub(y.mul(&x))
    } else {
        x.sub(y.mul((&x + eps).log()))
    };
    if full {
        let stirling = y.mul(y.log()).sub(&y) + (&y * std::f64::consts::TAU).log() * 0.5;
        loss = loss + stirling.masked_fill(y.le(1i64), 0i64);
    }
    single(reduce(loss, a.int(5)?))
}

/// Sizes of the rows of classes: [batch, classes], and whether there is a batch.
fn rows(x: &Tensor) -> Result<(i64, i64)> {
    let s = x.shape();
    ensure!(
        s.len() <= 2 && s.last().is_none_or(|&n| n != 0),
        Runtime,
        "Expected non-empty vector or matrix with optional 0-dim batch size, but got: {s:?}"
    );
    Ok(if s.len() == 2 {
        (s[0], s[1])
    } else {
        (1, s.first().copied().unwrap_or(1))
    })
}

fn multi_margin(a: Args) -> Result<Outputs> {
    let (x, y, p, margin, weight) = (a.t(0)?, a.t(1)?, a.scalar(2)?, a.scalar(3)?, a.opt_t(4)?);
    let (batch, classes) = rows(x)?;
    ensure!(
        p.to_f64() == 1.0 || p.to_f64() == 2.0,
        Runtime,
        "only p == 1 and p == 2 supported"
    );
    ensure!(
        y.ndim() <= 1 && y.numel() == batch,
        Runtime,
        "inconsistent target size, target tensor should be 1-D with size equal to the batch size. Expected target size [{batch}], but got {:?}",
        y.shape()
    );
    if let Some(w) = weight {
        ensure!(
            w.ndim() <= 1 && w.numel() == classes,
            Runtime,
            "inconsistent weight size, expected {classes} but got {:?}",
            w.shape()
        );
    }
    ensure!(
        y.dtype() == DType::I64,
        Runtime,
        "expected scalar type Long but found {}",
        y.dtype().scalar_name()
    );
    if y.device().is_cpu() {
        let inside = y.to_vec::<i64>()?.iter().all(|t| (0..classes).contains(t));
        ensure!(inside, Runtime, "target out of range");
    }
    let (v, y) = (
        Val::from(x).reshape([batch, classes]),
        Val::from(y).reshape([batch, 1]),
    );
    let own = v.gather(1, &y);
    let mut loss = positive_part(v.sub(own - margin.to_f64()));
    if p.to_f64() == 2.0 {
        loss = loss.square();
    }
    if let Some(w) = weight {
        loss = loss.mul(
            Val::from(w)
                .index_select(0, y.reshape([-1i64]))
                .unsqueeze(1),
        );
    }
    let others = Val(call!("scatter/value", loss, 1i64, y, 0i64));
    // Every row has as many classes, so that the mean of all is that of the rows.
    if a.int(5)? == MEAN {
        return single(reduce(others, MEAN));
    }
    let each = others.mean([1i64], false);
    let each = if x.ndim() < 2 {
        each.select(0, 0)
    } else {
        each
    };
    single(reduce(each, a.int(5)?))
}

fn multilabel_margin(a: Args) -> Result<Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    let (batch, classes) = rows(x)?;
    ensure!(
        x.shape() == y.shape() || (x.ndim() < 2 && x.numel() == y.numel() && y.ndim() < 2),
        Runtime,
        "inconsistent target size: {:?} for input of size: {:?}",
        y.shape(),
        x.shape()
    );
    ensure!(
        y.dtype() == DType::I64,
        Runtime,
        "expected scalar type Long but found {}",
        y.dtype().scalar_name()
    );
    let mut labels = y.to_vec::<i64>()?;
    let mut is_target = vec![0.0f64; labels.len()];
    for (row, marks) in labels
        .chunks_mut(classes as usize)
        .zip(is_target.chunks_mut(classes as usize))
    {
        let end = row.iter().position(|&t| t < 0).unwrap_or(row.len());
        for t in &row[..end] {
            let Some(mark) = marks.get_mut(*t as usize) else {
                fail!(Runtime, "target out of range")
            };
            *mark = 1.0;
        }
        row[end..].fill(-1);
    }
    let shape = [batch, classes];
    let v = Val::from(x).reshape(shape);
    let marks = v.beside(&is_target, &shape).to(x.dtype());
    let labels = v.beside(&labels, &shape);
    let listed = labels.ge(0i64).to(x.dtype());
    let own = v.gather(1, labels.maximum(Val(call!("zeros_like", &labels))));
    // [batch, label, class]: the margin of every listed label over every other class.
    let margins = positive_part(-own.unsqueeze(2).sub(v.unsqueeze(1)) + 1.0);
    let counted = margins
        .mul(listed.unsqueeze(2))
        .mul((-&(&marks - 1.0)).unsqueeze(1));
    let each = counted.sum([1i64, 2], false).div(Value::from(classes));
    let each = if x.ndim() < 2 {
        each.select(0, 0)
    } else {
        each
    };
    single(reduce(each, a.int(2)?))
}

ops! {
    /// Logistic loss of targets -1 and 1.
    "nn.functional.soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", F, Body::Composite(soft_margin);
    /// The input itself for targets 1, a hinge for targets -1.
    "hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=1) -> Tensor", F, Body::Composite(hinge_embedding);
    /// Hinge loss of the order of two inputs.
    "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor", F,
    Body::Composite(margin_ranking);
    /// Loss of the cosine of two inputs.
    "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor", F,
    Body::Composite(cosine_embedding);
    /// Hinge loss of the distances from an anchor.
    "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, float eps=1e-06, bool swap=False, int reduction=1) -> Tensor",
    F, Body::Composite(triplet_margin);
    /// Negative log-likelihood of Poisson counts.
    "poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor", F,
    Body::Composite(poisson_nll);
    /// Hinge loss of the target class against all others.
    "nn.functional.multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1) -> Tensor",
    F, Body::Composite(multi_margin);
    /// Hinge loss of several target classes against all others.
    "nn.functional.multilabel_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", F, Body::Composite(multilabel_margin);
}
