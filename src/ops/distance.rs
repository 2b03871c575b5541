//! Distances between rows.

use super::matmul::single;
use super::view::beside;
use super::{ANY_DEVICE, Args, Body, F, Outputs, SHAPES, Val, arg, named, out};
use crate::autograd::{Ctx, NoGrad};
use crate::tensor::Tensor;
use crate::{Result, call, ensure, fail, grads, inplace, ops};

/// `_cdist(x1, x2, p)` of batches [.., P, M] and [.., R, M]: norms of all differences.
fn cdist_value(a: Args) -> Result<Vec<Tensor>> {
    let _guard = NoGrad::enter();
    let (x, y, p) = (Val::from(a.t(0)?), Val::from(a.t(1)?), a.float(2)?);
    let difference = x.unsqueeze(-2) - &y.unsqueeze(-3);
    Ok(vec![
        Val(call!("linalg.vector_norm", difference, p, [-1i64])).get()?,
    ])
}

/// Euclidean distances from one matrix product, PyTorch's: `|x|^2 + |y|^2 - 2 x y` as rows `[-2 x, |x|^2, 1]` times
/// rows `[y, 1, |y|^2]`.
fn euclidean(a: Args) -> Result<Vec<Tensor>> {
    let _guard = NoGrad::enter();
    let (x, y) = (Val::from(a.t(0)?), Val::from(a.t(1)?));
    let row = |v: &Val, parts: [Val; 2]| {
        let [first, second] = parts.map(Val::get);
        let list = v.clone().get().and_then(|v| Ok(vec![v, first?, second?]));
        Val(call!("cat", list, -1))
    };
    let (xx, yy) = (squares(&x), squares(&y));
    let (ones_x, ones_y) = (xx.ones_like(), yy.ones_like());
    let (left, right) = (row(&(&x * -2.0), [xx, ones_x]), row(&y, [ones_y, yy]));
    let squares = left.matmul(right.transpose(-2, -1));
    let floored = call!("clamp_min", squares, 0.0)?;
    inplace!("sqrt", &floored)?;
    Ok(vec![floored])
}

/// The sums of the squares of rows.
fn squares(v: &Val) -> Val {
    v.square().sum([-1i64], true)
}

/// The derivative of Euclidean distances, taken as zero where the distance is.
fn euclidean_grad(c: &Ctx) -> super::Grads {
    let (x, y, d, g) = (c.x(0), c.x(1), c.y(0), c.g());
    let ratio = g.div(&d).masked_fill(d.eq(0.0), 0.0);
    let toward = |own: &Val, other: &Val, ratio: &Val| {
        own.mul(ratio.sum([-1i64], true)) - ratio.matmul(other)
    };
    let turned = ratio.transpose(-2, -1);
    grads![
        c.when(0, || toward(&x, &y, &ratio)),
        c.when(1, || toward(&y, &x, &turned))
    ]
}

/// The derivative, taken as zero where the distance is.
fn cdist_grad(c: &Ctx) -> super::Grads {
    let (x, y, d, g, p) = (
        c.x(0),
        c.x(1),
        c.y(0),
        c.g(),
        c.args().float(2).unwrap_or(2.0),
    );
    if p == 2.0 {
        return euclidean_grad(c);
    }
    let slope = {
        let difference = x.unsqueeze(-2) - &y.unsqueeze(-3);
        let (d, g) = (d.unsqueeze(-1), g.unsqueeze(-1));
        let size = difference.abs();
        let each = if p == 0.0 {
            difference.zeros_like()
        } else if p == 1.0 {
            difference.sign().mul(g)
        } else if p.is_infinite() {
            difference
                .sign()
                .mul(size.eq(&d).to(difference.dtype()))
                .mul(g)
        } else {
            let ratio = size.pow(p - 1.0).div(d.pow(p - 1.0));
            difference.sign().mul(ratio).mul(g)
        };
        each.masked_fill(d.eq(0.0), 0.0)
    };
    grads![
        c.when(0, || slope.sum([-2i64], false)),
        c.when(1, || -slope.sum([-3i64], false))
    ]
}

/// Rows up to which PyTorch takes differences, which are more precise, unless it is told otherwise.
const FEW_ROWS: i64 = 25;

fn rows(t: &Tensor) -> i64 {
    t.shape()[t.ndim() - 2]
}

fn cdist(a: Args) -> Result<Outputs> {
    let (x, y, p) = (a.t(0)?, a.t(1)?, a.float(2)?);
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "cdist only supports at least 2D tensors, X1 got: {}D",
        x.ndim()
    );
    ensure!(
        y.ndim() >= 2,
        Runtime,
        "cdist only supports at least 2D tensors, X2 got: {}D",
        y.ndim()
    );
    let (m, n) = (x.shape()[x.ndim() - 1], y.shape()[y.ndim() - 1]);
    ensure!(
        m == n,
        Runtime,
        "X1 and X2 must have the same number of columns. X1: {m} X2: {n}"
    );
    ensure!(
        p >= 0.0,
        Runtime,
        "cdist only supports non-negative p values"
    );
    ensure!(
        x.dtype().is_float() && y.dtype().is_float(),
        Runtime,
        "cdist only supports floating-point dtypes, X1 got: {}",
        x.dtype().scalar_name()
    );
    let product = match a.opt_str(3)? {
        None | Some("use_mm_for_euclid_dist_if_necessary") => rows(x).max(rows(y)) > FEW_ROWS,
        Some("use_mm_for_euclid_dist") => true,
        Some("donot_use_mm_for_euclid_dist") => false,
        Some(mode) => fail!(Value, "{mode} is not a valid value for compute_mode"),
    };
    let (x, y) = super::linalg::same_batch(x.into(), y.into())?;
    if p == 2.0 && product && m > 0 {
        return single(Val(call!("_euclidean_dist", x, y)));
    }
    single(Val(call!("_cdist", x, y, p)))
}

/// Distances of all pairs of rows, in order.
fn pdist(a: Args) -> Result<Outputs> {
    let (x, p) = (a.t(0)?, a.float(1)?);
    ensure!(
        x.ndim() == 2,
        Runtime,
        "pdist only supports 2D tensors, got: {}D",
        x.ndim()
    );
    ensure!(
        x.dtype().is_float(),
        Runtime,
        "pdist only supports floating-point dtypes"
    );
    ensure!(
        p >= 0.0,
        Runtime,
        "pdist only supports non-negative p values"
    );
    let n = x.shape()[0];
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    let (first, second): (Vec<i64>, Vec<i64>) = pairs.unzip();
    let rows =
        |index: &[i64]| Val::from(x).index_select(0, Val(beside(index, &[index.len() as i64], x)));
    let difference = rows(&first) - &rows(&second);
    single(Val(call!("linalg.vector_norm", difference, p, [1i64])))
}

fn cosine_similarity(a: Args) -> Result<Outputs> {
    let (x1, x2, dim, eps) = (a.t(0)?, a.t(1)?, a.int(2)?, a.float(3)?);
    let dtype = x1.dtype().promote(x2.dtype())?;
    ensure!(
        dtype.is_float(),
        Runtime,
        "expected common dtype to be floating point, yet common dtype is {}",
        dtype.scalar_name()
    );
    let shape = crate::tensor::broadcast_shapes(x1.shape(), x2.shape())?;
    let (a, b) = (
        Val::from(x1).to(dtype).expand(&shape),
        Val::from(x2).to(dtype).expand(&shape),
    );
    let norm = |v: &Val| {
        let n = Val(call!("linalg.vector_norm", v, 2.0, [dim], true));
        // The floor is a constant: no gradient flows where it holds.
        n.clone()
            .select_where(&n.ge(eps), Val(call!("full_like", &n, eps)))
    };
    let (scaled_a, scaled_b) = (a.div(norm(&a)), b.div(norm(&b)));
    single(scaled_a.mul(scaled_b).sum([dim], false))
}

ops! {
    /// Distances between the rows of batches of equal size.
    "_cdist(Tensor x1, Tensor x2, float p) -> Tensor", 0, Body::Dynamic { cpu: cdist_value },
    grad named("CdistBackward0", arg(0) | arg(1) | out(0) | SHAPES, cdist_grad);
    /// Euclidean distances between the rows of batches of equal size.
    "_euclidean_dist(Tensor x1, Tensor x2) -> Tensor", ANY_DEVICE, Body::Dynamic { cpu: euclidean },
    grad named("EuclideanDistBackward0", arg(0) | arg(1) | out(0), euclidean_grad);
    /// The p-norm distances between the rows of two collections.
    "cdist(Tensor x1, Tensor x2, float p=2.0, str? compute_mode=None) -> Tensor", F, Body::Composite(cdist);
    /// The p-norm distances between all pairs of rows.
    "pdist(Tensor input, float p=2.0) -> Tensor", F, Body::Composite(pdist);
    /// The cosine of the angle between vectors.
    "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor", F, Body::Composite(cosine_similarity);
}
