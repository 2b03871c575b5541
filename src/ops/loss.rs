//! Losses: what PyTorch's native operators compute, with `reduction` as a number (0 none, 1 mean, 2 sum).
//!
//! Most are compositions that carry their own node in the tape: [`primitive`] computes without recording, and the
//! rule is written over tensors, so that it can be differentiated again.

use super::matmul::single;
use super::{Args, Body, F, Outputs, SHAPES, Val, Value, arg, named};
use crate::autograd::{Ctx, NoGrad};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, ensure, fail, grads, ops};

const MEAN: i64 = 1;
const SUM: i64 = 2;

/// The results of a composition whose steps are not recorded: the op has its own rule.
pub(super) fn primitive(compute: impl FnOnce() -> Val) -> Result<Vec<Tensor>> {
    let _guard = NoGrad::enter();
    let result = compute().get()?;
    Ok(vec![result])
}

pub(super) fn reduce(v: Val, reduction: i64) -> Val {
    match reduction {
        MEAN => Val(call!("mean", v)),
        SUM => Val(call!("sum", v)),
        _ => v,
    }
}

/// The gradient of each element of the loss, broadcast.
fn unreduced(g: &Val, reduction: i64, shape: &[i64]) -> Val {
    let count: i64 = shape.iter().product();
    match reduction {
        MEAN => g.div(Value::from(count)).expand(shape.to_vec()),
        SUM => g.expand(shape.to_vec()),
        _ => g.clone(),
    }
}

fn broadcast(c: &Ctx) -> Vec<i64> {
    crate::tensor::broadcast_shapes(&c.shape(0), &c.shape(1))
        .map_or_else(|_| Vec::new(), |s| s.to_vec())
}

/// A loss of `input - target` with the derivative `slope(input - target)`.
fn difference_grad(c: &Ctx, reduction_at: usize, slope: impl Fn(&Val) -> Val) -> super::Grads {
    let shape = broadcast(c);
    let g = unreduced(&c.g(), c.args().int(reduction_at).unwrap_or(0), &shape);
    let d = slope(&c.x(0).sub(c.x(1)));
    let both = g.mul(d.conj_if_complex());
    grads![c.when(0, || both.clone()), c.when(1, || -&both)]
}

fn same_kind(a: Args) -> Result<(Val, Val)> {
    Ok((a.t(0)?.into(), a.t(1)?.into()))
}

fn mse(a: Args) -> Result<Vec<Tensor>> {
    let ((x, y), reduction) = (same_kind(a)?, a.int(2)?);
    primitive(|| reduce(x.sub(y).square(), reduction))
}

fn l1(a: Args) -> Result<Outputs> {
    let (x, y) = same_kind(a)?;
    single(reduce(x.sub(y).abs(), a.int(2)?))
}

fn smooth_l1_of(d: &Val, beta: f64) -> Val {
    let z = d.abs();
    let inner = z.square() * (0.5 / beta);
    inner.select_where(&z.lt(beta), z - 0.5 * beta)
}

fn smooth_l1(a: Args) -> Result<Vec<Tensor>> {
    let ((x, y), reduction, beta) = (same_kind(a)?, a.int(2)?, a.float(3)?);
    ensure!(
        beta >= 0.0,
        Runtime,
        "smooth_l1_loss does not support negative values for beta."
    );
    let d = x.sub(y);
    primitive(|| {
        if beta == 0.0 {
            reduce(d.abs(), reduction)
        } else {
            reduce(smooth_l1_of(&d, beta), reduction)
        }
    })
}

fn smooth_l1_slope(d: &Val, beta: f64) -> Val {
    let slope = d * (1.0 / beta);
    slope.select_where(&d.abs().lt(beta), d.sign())
}

fn huber(a: Args) -> Result<Vec<Tensor>> {
    let ((x, y), reduction, delta) = (same_kind(a)?, a.int(2)?, a.float(3)?);
    ensure!(
        delta > 0.0,
        Runtime,
        "huber_loss does not support non-positive values for delta."
    );
    primitive(|| reduce(smooth_l1_of(&x.sub(y), delta) * delta, reduction))
}

fn kl_div(a: Args) -> Result<Outputs> {
    let ((x, y), reduction, log_target) = (same_kind(a)?, a.int(2)?, a.bool(3)?);
    let out = if log_target {
        y.exp().mul(&y - x)
    } else {
        Val(call!("xlogy", &y, &y)).sub(y.mul(x))
    };
    single(reduce(out, reduction))
}

fn bce_check(a: Args, reduction: i64) -> Result<()> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    ensure!(
        x.shape() == y.shape(),
        Value,
        "Using a target size ({:?}) that is different to the input size ({:?}) is deprecated. Please ensure they have the same size.",
        y.shape(),
        x.shape()
    );
    ensure!(
        (0..=2).contains(&reduction),
        Value,
        "{reduction} is not a valid value for reduction"
    );
    Ok(())
}

fn bce(a: Args) -> Result<Vec<Tensor>> {
    let reduction = a.int(3)?;
    bce_check(a, reduction)?;
    let ((x, y), weight) = (same_kind(a)?, a.opt_t(2)?);
    if x.shape().iter().all(|&s| s > 0) {
        let all = Vec::<i64>::new();
        let low = call!("amin", &x, all.clone(), false)?.item()?.to_f64();
        let high = call!("amax", &x, all, false)?.item()?.to_f64();
        ensure!(
            low >= 0.0 && high <= 1.0,
            Runtime,
            "all elements of input should be between 0 and 1"
        );
    }
    primitive(|| {
        let floor = |v: Val| Val(call!("clamp", v, -100.0));
        let rest = Val(call!("log1p", -&x));
        let loss = (&y - 1.0).mul(floor(rest)).sub(y.mul(floor(x.log())));
        reduce(weighed(loss, weight), reduction)
    })
}

fn weighed(v: Val, weight: Option<&Tensor>) -> Val {
    match weight {
        Some(weight) => v.mul(weight),
        None => v,
    }
}

fn bce_grad(c: &Ctx) -> super::Grads {
    let reduction = c.args().int(3).unwrap_or(0);
    let (x, y) = (c.x(0), c.x(1));
    let mut g = unreduced(&c.g(), reduction, x.shape());
    if let Some(weight) = c.opt_x(2) {
        g = g.mul(weight);
    }
    let rest = -&(&x - 1.0);
    let room = Val(call!("clamp_min", rest.mul(&x), 1e-12));
    grads![
        c.when(0, || g.mul((&x - &y).div(room))),
        c.when(1, || g.mul(Val(call!("log1p", -&x)).sub(x.log()))),
        None
    ]
}

/// `bce(sigmoid(x), y)` in a form that does not overflow.
fn bce_logits(a: Args) -> Result<Outputs> {
    let ((x, y), weight, pos_weight, reduction) =
        (same_kind(a)?, a.opt_t(2)?, a.opt_t(3)?, a.int(4)?);
    ensure!(
        x.shape() == y.shape(),
        Value,
        "Target size ({:?}) must be the same as input size ({:?})",
        y.shape(),
        x.shape()
    );
    let log_sigmoid = Val(call!("nn.functional.log_sigmoid", &x));
    let rest = -&(&y - 1.0);
    let loss = match pos_weight {
        None => rest.mul(&x).sub(log_sigmoid),
        Some(p) => {
            let factor = Val::from(p).sub(Value::from(1i64)).mul(&y) + 1.0;
            rest.mul(&x).sub(factor.mul(log_sigmoid))
        }
    };
    single(reduce(weighed(loss, weight), reduction))
}

/// Position of the classes: the second dimension, or the only one.
fn class_dim(x: &Tensor) -> i64 {
    i64::from(x.ndim() > 1)
}

fn nll_check(x: &Tensor, y: &Tensor, weight: Option<&Tensor>) -> Result<()> {
    let (xs, ys) = (x.shape(), y.shape());
    ensure!(!xs.is_empty(), Runtime, "input tensor should be 1D or 2D");
    ensure!(
        y.dtype() == DType::I64 || y.dtype() == DType::U8,
        Runtime,
        "expected scalar type Long but found {}",
        y.dtype().scalar_name()
    );
    if xs.len() > 1 {
        ensure!(
            ys.first() == xs.first(),
            Value,
            "Expected input batch_size ({}) to match target batch_size ({}).",
            xs[0],
            ys.first().copied().unwrap_or(0)
        );
        ensure!(
            ys.len() + 1 == xs.len() && ys[1..] == xs[2..],
            Runtime,
            "Expected target size {:?}, got {ys:?}",
            [&xs[..1], &xs[2..]].concat()
        );
    } else {
        ensure!(
            ys.is_empty() || ys == [1],
            Value,
            "Expected input batch_size (1) to match target batch_size ({}).",
            ys[0]
        );
    }
    let classes = xs[class_dim(x) as usize];
    if let Some(w) = weight {
        ensure!(
            w.ndim() == 1 && w.numel() == classes,
            Runtime,
            "weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {:?}",
            w.shape()
        );
    }
    Ok(())
}

/// Targets as classes to look up, and the weight of each: 0 where ignored.
struct Targets {
    class: Val,
    weight: Val,
    dim: i64,
}

fn targets(x: &Tensor, y: &Tensor, weight: Option<&Tensor>, ignore: i64) -> Result<Targets> {
    let dim = class_dim(x);
    let classes = x.shape()[dim as usize];
    let y = Val::from(y).to(DType::I64);
    let y = if x.ndim() == 1 {
        y.reshape(Vec::<i64>::new())
    } else {
        y
    };
    let kept = y.ne(Value::from(ignore));
    let class = y.masked_fill(kept.logical_not(), 0i64);
    for found in class.clone().get()?.to_vec::<i64>()? {
        ensure!(
            (0..classes).contains(&found),
            Index,
            "Target {found} is out of bounds."
        );
    }
    let weight = match weight {
        Some(w) => {
            let looked_up = Val::from(w)
                .index_select(0, class.reshape([-1i64]))
                .reshape(class.shape().to_vec());
            looked_up.mul(kept.to(w.dtype()))
        }
        None => kept.to(x.dtype()),
    };
    Ok(Targets { class, weight, dim })
}

fn nll(a: Args) -> Result<Vec<Tensor>> {
    let (x, y, weight, reduction, ignore) = (a.t(0)?, a.t(1)?, a.opt_t(2)?, a.int(3)?, a.int(4)?);
    nll_check(x, y, weight)?;
    let _guard = NoGrad::enter();
    let t = targets(x, y, weight, ignore)?;
    let picked = Val::from(x)
        .gather(t.dim, t.class.unsqueeze(t.dim))
        .select(t.dim, 0);
    // A weight of 0 leaves even an infinite loss out.
    let loss = (-picked)
        .mul(&t.weight)
        .masked_fill(t.weight.eq(0i64), 0i64);
    let total = Val(call!("sum", &t.weight));
    let loss = match reduction {
        MEAN => Val(call!("sum", loss)).div(&total),
        SUM => Val(call!("sum", loss)),
        _ => loss,
    };
    Ok(vec![loss.get()?, total.get()?])
}

fn nll_grad(c: &Ctx) -> super::Grads {
    let (a, shape) = (c.args(), c.shape(0));
    let (reduction, ignore) = (a.int(3).unwrap_or(MEAN), a.int(4).unwrap_or(-100));
    let grad = || -> Result<Val> {
        let (y, weight) = (c.x(1).get()?, c.opt_x(2).map(Val::get).transpose()?);
        let like = Tensor::empty(&shape, c.dtype(0))?;
        let t = targets(&like, &y, weight.as_ref(), ignore)?;
        let g = match reduction {
            MEAN => c.g().div(c.y(1)).expand(t.weight.shape().to_vec()),
            SUM => c.g().expand(t.weight.shape().to_vec()),
            _ => c.g(),
        };
        let values = (-g).mul(&t.weight).unsqueeze(t.dim);
        let zeros = Val(call!("zeros", &shape, c.dtype(0)));
        Ok(zeros.scatter(t.dim, t.class.unsqueeze(t.dim), values))
    };
    grads![
        c.when(0, || grad().unwrap_or_else(|e| Val(Err(e)))),
        None,
        None
    ]
}

fn nll_value(a: Args) -> Result<Outputs> {
    single(Val(call!(
        "_nll_loss",
        a.get(0),
        a.get(1),
        a.get(2),
        a.get(3),
        a.get(4)
    )))
}

fn cross_entropy(a: Args) -> Result<Outputs> {
    let (x, y, weight, reduction, ignore, smoothing) = (
        a.t(0)?,
        a.t(1)?,
        a.opt_t(2)?,
        a.int(3)?,
        a.int(4)?,
        a.float(5)?,
    );
    ensure!(x.ndim() > 0, Runtime, "input tensor should be 1D or 2D");
    let logs = Val(call!("log_softmax", x, class_dim(x)));
    if x.shape() == y.shape() {
        return by_probability(&logs, a);
    }
    if smoothing <= 0.0 {
        return single(Val(call!("_nll_loss", logs, y, weight, reduction, ignore)));
    }
    ensure!(
        smoothing <= 1.0,
        Runtime,
        "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}"
    );
    smoothed(&logs, a)
}

/// Classes as targets, with a part of the probability spread over all of them.
fn smoothed(logs: &Val, a: Args) -> Result<Outputs> {
    let (x, y, weight, reduction, ignore, smoothing) = (
        a.t(0)?,
        a.t(1)?,
        a.opt_t(2)?,
        a.int(3)?,
        a.int(4)?,
        a.float(5)?,
    );
    nll_check(x, y, weight)?;
    let nll = Val(call!("_nll_loss", logs, y, weight, reduction, ignore));
    let t = targets(x, y, weight, ignore)?;
    let dim = t.dim;
    let classes = x.shape()[dim as usize] as f64;
    let spread = match weight {
        Some(w) => -logs.mul(along(w, x.ndim(), dim)).sum([dim], false),
        None => -logs.sum([dim], false),
    };
    let kept = t
        .class
        .ones_like()
        .to(x.dtype())
        .masked_fill(Val::from(y).eq(Value::from(ignore)), 0i64);
    let spread = spread.mul(&kept);
    let spread = match reduction {
        MEAN => {
            let divisor = if weight.is_some() { &t.weight } else { &kept };
            Val(call!("sum", spread)).div(Val(call!("sum", divisor)))
        }
        SUM => Val(call!("sum", spread)),
        _ => spread,
    };
    single(nll * (1.0 - smoothing) + spread * (smoothing / classes))
}

/// A weight per class, shaped to multiply along `dim`.
fn along(weight: &Tensor, ndim: usize, dim: i64) -> Val {
    let mut shape = vec![1i64; ndim];
    shape[dim as usize] = -1;
    Val::from(weight).reshape(shape)
}

/// Targets given as probabilities of all classes.
fn by_probability(logs: &Val, a: Args) -> Result<Outputs> {
    let (x, y, weight, reduction, ignore, smoothing) = (
        a.t(0)?,
        a.t(1)?,
        a.opt_t(2)?,
        a.int(3)?,
        a.int(4)?,
        a.float(5)?,
    );
    ensure!(
        y.dtype().is_float(),
        Runtime,
        "Expected floating point type for target with class probabilities, got {}",
        y.dtype().scalar_name()
    );
    ensure!(
        ignore < 0,
        Runtime,
        "ignore_index is not supported for floating point target"
    );
    let dim = class_dim(x);
    let classes = x.shape()[dim as usize];
    if let Some(w) = weight {
        ensure!(
            w.ndim() == 1 && w.numel() == classes,
            Runtime,
            "cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {:?}",
            w.shape()
        );
    }
    let mut y = Val::from(y);
    if smoothing > 0.0 {
        ensure!(
            smoothing <= 1.0,
            Runtime,
            "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}"
        );
        y = y * (1.0 - smoothing) + smoothing / classes as f64;
    }
    let mut loss = logs.mul(y);
    if let Some(w) = weight {
        loss = loss.mul(along(w, x.ndim(), dim));
    }
    single(match reduction {
        MEAN => {
            let count = x.numel() / classes.max(1);
            -Val(call!("sum", loss)).div(Value::from(count))
        }
        SUM => -Val(call!("sum", loss)),
        0 => -loss.sum([dim], false),
        other => fail!(Value, "{other} is not a valid value for reduction"),
    })
}

ops! {
    /// Squared difference.
    "nn.functional.mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", F,
    Body::Dynamic { cpu: mse }, grad named("MseLossBackward0", arg(0) | arg(1) | SHAPES, |c| difference_grad(c, 2, |d| d * 2.0));
    /// Absolute difference.
    "nn.functional.l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", F, Body::Composite(l1);
    /// Absolute difference, rounded to a parabola within `beta`.
    "nn.functional.smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.0) -> Tensor", F,
    Body::Dynamic { cpu: smooth_l1 },
    grad named("SmoothL1LossBackward0", arg(0) | arg(1) | SHAPES, |c| {
        let beta = c.args().float(3).unwrap_or(1.0);
        difference_grad(c, 2, |d| smooth_l1_slope(d, beta))
    });
    /// Half the square within `delta`, a line beyond.
    "nn.functional.huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.0) -> Tensor", F,
    Body::Dynamic { cpu: huber },
    grad named("HuberLossBackward0", arg(0) | arg(1) | SHAPES, |c| {
        let delta = c.args().float(3).unwrap_or(1.0);
        difference_grad(c, 2, |d| smooth_l1_slope(d, delta) * delta)
    });
    /// Kullback-Leibler divergence of log-probabilities from a target.
    "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor", F, Body::Composite(kl_div);
    /// Binary cross entropy of probabilities.
    "nn.functional.binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor", F,
    Body::Dynamic { cpu: bce }, grad named("BinaryCrossEntropyBackward0", arg(0) | arg(1) | arg(2), bce_grad);
    /// Binary cross entropy of logits.
    "binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor",
    F, Body::Composite(bce_logits);
    /// Negative log-likelihood of target classes, and the sum of their weights.
    "_nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> (Tensor, Tensor)", 0,
    Body::Dynamic { cpu: nll }, grad named("NllLossBackward0", arg(1) | arg(2) | super::out(1) | SHAPES, nll_grad);
    /// Negative log-likelihood of target classes.
    "nn.functional.nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> Tensor",
    F, Body::Composite(nll_value);
    /// Negative log-likelihood of classes, or of class probabilities, under the softmax of the input.
    "nn.functional.cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100, float label_smoothing=0.0) -> Tensor",
    F, Body::Composite(cross_entropy);
}
