//! Matrix products added to a tensor: `addmm` and its kin.

use super::matmul::{Batch, bmm_shape, mm_shape, multiply, mv_shape, single};
use super::{Args, F, I, M, O, Out, Outs, Val, arg, kernel, named, rule};
use crate::tensor::{DType, Scalar, Tensor};
use crate::{Result, ensure, grads, ops};
use smallvec::{SmallVec, smallvec};

/// The factors of a fused sum: `beta` at `position`, `alpha` after it.
fn factors(a: Args, position: usize) -> Result<(Scalar, Scalar)> {
    let (beta, alpha) = (a.scalar(position)?, a.scalar(position + 1)?);
    Ok((alpha, beta))
}

fn is_zero(s: Scalar) -> bool {
    s.to_c128() == crate::tensor::c128::new(0.0, 0.0)
}

/// What a fused sum starts from: the input, or a copy in the output where the two overlap.
fn start_sum<'a>(input: &'a Tensor, out: &'a Tensor) -> Result<&'a Tensor> {
    let same = input.layout().offset == out.layout().offset && input.strides() == out.strides();
    if !input.shares_storage(out) || same {
        return Ok(input);
    }
    crate::cpu::copy::copy(out, &input.alias(input.layout().expand(out.shape())?)?)?;
    Ok(out)
}

/// The output of a fused sum: the input must expand to it and have its dtype.
fn sum_meta(input: &Tensor, other: &Tensor, shape: &[i64]) -> Result<Outs> {
    ensure!(
        input.dtype() == other.dtype(),
        Runtime,
        "self and mat2 must have the same dtype, but got {} and {}",
        input.dtype().scalar_name(),
        other.dtype().scalar_name()
    );
    input.layout().expand(shape)?;
    Ok(smallvec![Out::new(shape, input.dtype())])
}

fn addmm_meta(a: Args) -> Result<Outs> {
    factors(a, 3)?;
    sum_meta(
        a.t(0)?,
        a.t(1)?,
        &mm_shape(a.t(1)?, a.t(2)?, "mat1", "mat2")?,
    )
}

fn addmv_meta(a: Args) -> Result<Outs> {
    factors(a, 3)?;
    sum_meta(a.t(0)?, a.t(1)?, &mv_shape(a.t(1)?, a.t(2)?)?)
}

fn baddbmm_meta(a: Args) -> Result<Outs> {
    factors(a, 3)?;
    sum_meta(a.t(0)?, a.t(1)?, &bmm_shape(a.t(1)?, a.t(2)?)?)
}

fn addbmm_meta(a: Args) -> Result<Outs> {
    factors(a, 3)?;
    let [_, rows, cols] = bmm_shape(a.t(1)?, a.t(2)?)?;
    sum_meta(a.t(0)?, a.t(1)?, &[rows, cols])
}

/// `addmm`, `addmv`, `baddbmm` and `addbmm`, whose output has the step 0 along the batch.
fn add_product(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, y, out) = (a.t(1)?, a.t(2)?, &outs[0]);
    let (alpha, beta) = factors(a, 3)?;
    multiply(
        "addmm_impl_cpu_",
        (out, Batch::of(out)),
        (x, Batch::of(x)),
        (y, Batch::of(y)),
        Some((start_sum(a.t(0)?, out)?, beta)),
        alpha,
    )
}

fn addbmm(a: Args, outs: &[Tensor]) -> Result<()> {
    if a.t(1)?.shape()[0] == 0 {
        let (_, beta) = factors(a, 3)?;
        let scaled = Val::from(a.t(0)?)
            .mul(beta)
            .expand(outs[0].shape().to_vec())
            .get()?;
        return crate::cpu::copy::copy(&outs[0], &scaled);
    }
    add_product(a, outs)
}

/// `factor` conjugated, as gradients see it.
fn scaled(v: Val, factor: Result<Scalar>) -> Val {
    match factor {
        Ok(Scalar::Complex(z)) => v.mul(Scalar::Complex(z.conj())),
        Ok(s) if s.to_f64() == 1.0 => v,
        Ok(s) => v.mul(s),
        Err(e) => Val(Err(e)),
    }
}

fn addr(a: Args) -> Result<super::Outputs> {
    let (x, vec1, vec2) = (Val::from(a.t(0)?), a.t(1)?, a.t(2)?);
    ensure!(
        vec1.ndim() == 1 && vec2.ndim() == 1,
        Runtime,
        "addr: Expected 1-D arguments vec1 and vec2, but got {}-D and {}-D",
        vec1.ndim(),
        vec2.ndim()
    );
    let (beta, alpha) = (a.scalar(3)?, a.scalar(4)?);
    let size = [vec1.shape()[0], vec2.shape()[0]];
    a.t(0)?.layout().expand(&size)?;
    let product = Val::from(vec1).unsqueeze(1).mul(Val::from(vec2));
    let result = if x.dtype() == DType::Bool && product.dtype() == DType::Bool {
        let keep = |v: Val, factor: Scalar| v.logical_and(factor.to_bool());
        if beta.to_bool() {
            keep(x, beta).logical_or(keep(product, alpha))
        } else {
            keep(product, alpha)
        }
    } else {
        factors(a, 3)?;
        let product = scaled_plain(product, alpha);
        if is_zero(beta) {
            product
        } else {
            scaled_plain(x, beta).add(product)
        }
    };
    single(result)
}

fn scaled_plain(v: Val, factor: Scalar) -> Val {
    if factor == Scalar::Int(1) {
        v
    } else {
        v.mul(factor)
    }
}

/// The gradients of `beta * self + alpha * a @ b` where `product` multiplies as the op does.
fn sum_grads(c: &crate::autograd::Ctx, product: fn(&Val, &Val) -> Val) -> super::Grads {
    let (g, args) = (c.g(), c.args());
    let (beta, alpha) = (args.scalar(3), args.scalar(4));
    grads![
        c.when(0, || scaled(g.clone(), beta)),
        c.when(1, || scaled(product(&g, &c.x(2).mh()), alpha.clone())),
        c.when(2, || scaled(product(&c.x(1).mh(), &g), alpha.clone())),
    ]
}

/// The gradient of a factor needs the other one, that of what is added none.
fn other_factor() -> SmallVec<[u32; 3]> {
    smallvec![0, arg(2), arg(1)]
}

ops! {
    /// `beta * self + alpha * mat1 @ mat2`.
    "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", F | M | I | O,
    kernel(addmm_meta, add_product), grad rule(arg(1) | arg(2), |c| sum_grads(c, |a, b| a.mm(b))).each(other_factor);
    /// `beta * self + alpha * mat @ vec`.
    "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor", F | M | I | O,
    kernel(addmv_meta, add_product),
    grad rule(arg(1) | arg(2), |c| {
        let (g, args) = (c.g(), c.args());
        let (beta, alpha) = (args.scalar(3), args.scalar(4));
        grads![
            c.when(0, || scaled(g.clone(), beta)),
            c.when(1, || scaled(g.unsqueeze(1).mul(c.x(2).conj_if_complex()), alpha.clone())),
            c.when(2, || scaled(c.x(1).mh().mv(&g), alpha.clone())),
        ]
    }).each(other_factor);
    /// `beta * self + alpha * batch1 @ batch2`, one product per matrix of the batch.
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", F | M | I | O,
    kernel(baddbmm_meta, add_product), grad rule(arg(1) | arg(2), |c| sum_grads(c, |a, b| a.bmm(b))).each(other_factor);
    /// `beta * self + alpha * sum(batch1 @ batch2)` over the batch.
    "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", F | M | I | O,
    kernel(addbmm_meta, addbmm),
    grad named("AddbmmBackward0", arg(1) | arg(2), |c| {
        let (args, lead) = (c.args(), c.opt_x(1).or(c.opt_x(2)).map_or(0, |x| x.shape().first().copied().unwrap_or(0)));
        let shape = c.out_shape(0);
        let (beta, alpha) = (args.scalar(3), args.scalar(4));
        let g = c.g();
        let all = g.expand([lead, shape[0], shape[1]]);
        grads![
            c.when(0, || scaled(g.clone(), beta)),
            c.when(1, || scaled(all.bmm(c.x(2).mh()), alpha.clone())),
            c.when(2, || scaled(c.x(1).mh().bmm(&all), alpha.clone())),
        ]
    });
    /// `beta * self + alpha * outer(vec1, vec2)`.
    "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", F | M | I | O,
    super::Body::Composite(addr);
}
