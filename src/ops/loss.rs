//! Losses: what PyTorch's native operators compute, with `reduction` as a number (0 none, 1 mean, 2 sum).
//!
//! Most are compositions that carry their own node in the tape: [`primitive`] computes without recording, and the
//! rule is written over tensors, so that it can be differentiated again.

use super::matmul::single;
use super::{ANY_DEVICE, Args, Body, F, Outputs, SHAPES, Val, Value, arg, named};
use crate::autograd::{Ctx, NoGrad};
use crate::tensor::Tensor;
use crate::{Result, call, ensure, grads, ops};

pub(super) const MEAN: i64 = 1;
pub(super) const SUM: i64 = 2;

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
    if a.t(0)?.device().is_cpu() && x.shape().iter().all(|&s| s > 0) {
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

ops! {
    /// Squared difference.
    "nn.functional.mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", F | ANY_DEVICE,
    Body::Dynamic { cpu: mse }, grad named("MseLossBackward0", arg(0) | arg(1) | SHAPES, |c| difference_grad(c, 2, |d| d * 2.0));
    /// Absolute difference.
    "nn.functional.l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", F, Body::Composite(l1);
    /// Absolute difference, rounded to a parabola within `beta`.
    "nn.functional.smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.0) -> Tensor", F | ANY_DEVICE,
    Body::Dynamic { cpu: smooth_l1 },
    grad named("SmoothL1LossBackward0", arg(0) | arg(1) | SHAPES, |c| {
        let beta = c.args().float(3).unwrap_or(1.0);
        difference_grad(c, 2, |d| smooth_l1_slope(d, beta))
    });
    /// Half the square within `delta`, a line beyond.
    "nn.functional.huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.0) -> Tensor", F | ANY_DEVICE,
    Body::Dynamic { cpu: huber },
    grad named("HuberLossBackward0", arg(0) | arg(1) | SHAPES, |c| {
        let delta = c.args().float(3).unwrap_or(1.0);
        difference_grad(c, 2, |d| smooth_l1_slope(d, delta) * delta)
    });
    /// Kullback-Leibler divergence of log-probabilities from a target.
    "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor", F, Body::Composite(kl_div);
    /// Binary cross entropy of probabilities.
    "nn.functional.binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor", F | ANY_DEVICE,
    Body::Dynamic { cpu: bce }, grad named("BinaryCrossEntropyBackward0", arg(0) | arg(1) | arg(2), bce_grad);
    /// Binary cross entropy of logits.
    "binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor",
    F, Body::Composite(bce_logits);
}
