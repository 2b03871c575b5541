//! Scaled dot-product attention: one kernel, or products and a softmax where weights are dropped.

use smallvec::smallvec;

use super::{Args, Body, F, Grads, Out, Outputs, Outs, Val, Value, arg, kernel, named};
use crate::autograd::{Ctx, grad_enabled};
use crate::cpu::attention::{Attention, Head, HeadGrads};
use crate::cpu::gemm::{Gemm, Mat};
use crate::cpu::number::{Number, Real};
use crate::tensor::{DType, Dims, Element, Tensor, broadcast_shapes};
use crate::{Result, call, call_all, ensure, grads, ops};

/// Kernels of other devices take halves as they are.
fn computed_in(query: &Tensor) -> DType {
    if query.device().is_cpu() {
        query.dtype().compute()
    } else {
        query.dtype()
    }
}

/// Operands must agree in dtype, and have at least a length and a size.
fn check(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<()> {
    ensure!(
        query.dtype() == key.dtype() && query.dtype() == value.dtype(),
        Runtime,
        "Expected query, key, and value to have the same dtype, but got query.dtype: {} key.dtype: {} and value.dtype: {} instead.",
        query.dtype(),
        key.dtype(),
        value.dtype()
    );
    ensure!(
        query.ndim() >= 2 && key.ndim() >= 2 && value.ndim() >= 2,
        Runtime,
        "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {}, key.dim: {} and value.dim: {} instead.",
        query.ndim(),
        key.ndim(),
        value.ndim()
    );
    Ok(())
}

/// What is added to the scores: minus infinity where a position is masked.
fn bias(mask: &Tensor, dtype: DType) -> Result<Val> {
    if mask.dtype() == DType::Bool {
        let zeros = Val(call!("zeros_like", mask, dtype));
        return Ok(zeros.masked_fill(Val::from(mask).logical_not(), f64::NEG_INFINITY));
    }
    ensure!(
        mask.dtype().is_float(),
        Runtime,
        "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: {} instead.",
        mask.dtype()
    );
    Ok(Val::from(mask).to(dtype))
}

/// The lower triangle: a position attends to those up to itself.
fn causal_mask(query: &Tensor, key: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (query.shape()[query.ndim() - 2], key.shape()[key.ndim() - 2]);
    let ones = Val(call!("new_ones", query, [rows, columns], DType::Bool));
    ones.tril(0_i64).get()
}

/// Each head of keys or values repeated for the heads of queries that share it.
fn repeat_heads(x: &Val, heads: i64) -> Val {
    let n = x.ndim();
    if n < 3 || x.shape()[n - 3] == 0 {
        return x.clone();
    }
    let mut wide = x.shape().to_vec();
    wide.insert(n - 2, heads / x.shape()[n - 3]);
    let mut joined = x.shape().to_vec();
    joined[n - 3] = heads;
    x.unsqueeze(-3_i64)
        .expand(wide.as_slice())
        .reshape(joined.as_slice())
}

/// Softmax of the last dimension that gives zeros where everything is masked.
fn safe_softmax(scores: &Val) -> Val {
    let weights = Val(call!("softmax", scores, -1_i64));
    if scores.shape().last().is_none_or(|&n| n == 0) {
        return weights;
    }
    let empty = Val(call!("amax", scores, [-1_i64], true)).eq(f64::NEG_INFINITY);
    weights.masked_fill(empty, 0.0)
}

fn attention(args: Args) -> Result<Outputs> {
    let (query, key, value, mask) = (args.t(0)?, args.t(1)?, args.t(2)?, args.opt_t(3)?);
    let (dropout, causal) = (args.float(4)?, args.bool(5)?);
    check(query, key, value)?;
    ensure!(
        !causal || mask.is_none(),
        Runtime,
        "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
    );
    let gqa = args.bool(7)? && query.ndim() > 2;
    let size = query.shape()[query.ndim() - 1].max(1) as f64;
    let scale = args.opt_float(6)?.unwrap_or(1.0 / size.sqrt());
    let dtype = computed_in(query);
    let [q, k, v] = [query, key, value].map(|t| Val::from(t).to(dtype));
    let out = if dropout == 0.0 && dtype.is_float() {
        let mask = mask.map(|mask| bias(mask, dtype)).transpose()?;
        Val(call!("_attention", q, k, v, mask, causal, scale, gqa))
    } else {
        let heads = Heads { causal, scale, gqa };
        let weights = heads.weights(&q, &k, mask)?;
        let weights = if dropout > 0.0 {
            Val(call!("dropout", weights, dropout, true))
        } else {
            weights
        };
        weights.matmul(heads.repeated(&v, &q))
    };
    Ok(smallvec![Value::Tensor(out.to(query.dtype()).get()?)])
}

/// How scores are made.
struct Heads {
    causal: bool,
    scale: f64,
    /// Heads of keys and values serve several of queries.
    gqa: bool,
}

impl Heads {
    fn repeated(&self, x: &Val, query: &Val) -> Val {
        if self.gqa {
            repeat_heads(x, query.shape()[query.ndim() - 3])
        } else {
            x.clone()
        }
    }

    fn weights(&self, q: &Val, k: &Val, mask: Option<&Tensor>) -> Result<Val> {
        let k = self.repeated(k, q);
        let causal = if self.causal {
            Some(causal_mask(&q.clone().get()?, &k.clone().get()?)?)
        } else {
            None
        };
        // Both sides take the root of the scale, so that neither overflows.
        let root = self.scale.abs().sqrt();
        let scores = (q * root.copysign(self.scale)).matmul(k.transpose(-2_i64, -1_i64) * root);
        Ok(match mask.or(causal.as_ref()) {
            Some(mask) => safe_softmax(&(scores + bias(mask, q.dtype())?)),
            None => Val(call!("softmax", &scores, -1_i64)),
        })
    }
}

/// The leading dimensions of the result, where heads of keys and values may be fewer.
fn lead(a: Args) -> Result<Dims> {
    let (q, k, v) = (a.t(0)?, a.t(1)?, a.t(2)?);
    let all = |t: &Tensor| Dims::from_slice(&t.shape()[..t.ndim() - 2]);
    let mut kinds = [all(q), all(k), all(v)];
    if a.bool(6)? {
        let heads = kinds[0].last().copied().unwrap_or(1);
        for kind in &mut kinds[1..] {
            if let Some(last) = kind.last_mut() {
                ensure!(
                    *last > 0 && heads % *last == 0,
                    Runtime,
                    "Number of heads in key and value must divide the number of heads in query"
                );
                *last = heads;
            }
        }
    }
    broadcast_shapes(&broadcast_shapes(&kinds[0], &kinds[1])?, &kinds[2])
}

fn attention_meta(a: Args) -> Result<Outs> {
    let (q, k, v) = (a.t(0)?, a.t(1)?, a.t(2)?);
    let [q_last, k_last] = [q, k].map(|t| t.shape()[t.ndim() - 1]);
    let [keys, values] = [k, v].map(|t| t.shape()[t.ndim() - 2]);
    ensure!(
        q_last == k_last && keys == values,
        Runtime,
        "mat1 and mat2 shapes cannot be multiplied: query {:?}, key {:?}, value {:?}",
        q.shape(),
        k.shape(),
        v.shape()
    );
    let mut shape = lead(a)?;
    shape.push(q.shape()[q.ndim() - 2]);
    if let Some(bias) = a.opt_t(3)? {
        let scores: Dims = shape.iter().copied().chain([keys]).collect();
        bias.layout().expand(&scores)?;
    }
    shape.push(v.shape()[v.ndim() - 1]);
    Ok(smallvec![Out::new(&shape, q.dtype())])
}

/// Where the heads of an operand are: a step for each leading dimension of the result.
struct Steps<'a> {
    tensor: &'a Tensor,
    lead: Dims,
    sizes: &'a [i64],
    /// Neighbours in the last leading dimension that share a head.
    shared: i64,
}

impl<'a> Steps<'a> {
    fn new(tensor: &'a Tensor, sizes: &'a [i64]) -> Steps<'a> {
        let own = tensor.ndim() - 2;
        let (shape, strides) = (tensor.shape(), tensor.strides());
        let mut lead: Dims = smallvec![0; sizes.len()];
        let mut shared = 1;
        for i in 0..own {
            let to = sizes.len() - own + i;
            lead[to] = if shape[i] == 1 { 0 } else { strides[i] };
            if to + 1 == sizes.len() && shape[i] > 1 {
                shared = sizes[to] / shape[i];
            }
        }
        Steps {
            tensor,
            lead,
            sizes,
            shared,
        }
    }

    fn head<T: Element>(&self, mut index: i64) -> Mat<*mut T> {
        let mut offset = 0;
        for (i, (&size, &step)) in self.sizes.iter().zip(&self.lead).enumerate().rev() {
            let shared = if i + 1 == self.sizes.len() {
                self.shared
            } else {
                1
            };
            offset += index % size / shared * step;
            index /= size;
        }
        let [.., row, col] = self.tensor.strides() else {
            return Mat::new(self.tensor.ptr::<T>(), 0, 0);
        };
        let ptr = self.tensor.ptr::<T>().wrapping_offset(offset as isize);
        Mat::new(ptr, *row as isize, *col as isize)
    }
}

fn attention_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    match a.t(0)?.dtype() {
        DType::F32 => attend::<f32>(a, &outs[0]),
        _ => attend::<f64>(a, &outs[0]),
    }
}

/// Heads in memory, as the kernels take them.
struct Operands<'a> {
    q: Steps<'a>,
    k: Steps<'a>,
    v: Steps<'a>,
    bias: Option<Steps<'a>>,
}

impl Operands<'_> {
    fn head<T: Element>(&self, index: i64, out: Mat<*mut T>) -> Head<T> {
        Head {
            q: self.q.head::<T>(index).into(),
            k: self.k.head::<T>(index).into(),
            v: self.v.head::<T>(index).into(),
            bias: self
                .bias
                .as_ref()
                .map(|steps| steps.head::<T>(index).into()),
            out,
        }
    }
}

/// What is added to the scores, expanded to them.
fn expanded_bias(a: Args, lead: &[i64]) -> Result<Option<Tensor>> {
    let Some(bias) = a.opt_t(3)? else {
        return Ok(None);
    };
    let (q, k) = (a.t(0)?, a.t(1)?);
    let sizes = [q.shape()[q.ndim() - 2], k.shape()[k.ndim() - 2]];
    let scores: Dims = lead.iter().copied().chain(sizes).collect();
    bias.alias(bias.layout().expand(&scores)?).map(Some)
}

fn operands<'a>(a: Args<'a>, bias: Option<&'a Tensor>, lead: &'a [i64]) -> Result<Operands<'a>> {
    Ok(Operands {
        q: Steps::new(a.t(0)?, lead),
        k: Steps::new(a.t(1)?, lead),
        v: Steps::new(a.t(2)?, lead),
        bias: bias.map(|bias| Steps::new(bias, lead)),
    })
}

fn common<T: Real>(a: Args) -> Result<Attention<T>> {
    let (q, k, v) = (a.t(0)?, a.t(1)?, a.t(2)?);
    let size = |t: &Tensor, back: usize| t.shape()[t.ndim() - back] as usize;
    Ok(Attention {
        queries: size(q, 2),
        keys: size(k, 2),
        size: size(q, 1),
        value_size: size(v, 1),
        scale: T::of_f64(a.float(5)?),
        causal: a.bool(4)?,
    })
}

fn attend<T: Element + Gemm + Number<Acc = T> + Real>(a: Args, out: &Tensor) -> Result<()> {
    if out.numel() == 0 {
        return Ok(());
    }
    let lead = lead(a)?;
    let bias = expanded_bias(a, &lead)?;
    let (operands, outputs) = (operands(a, bias.as_ref(), &lead)?, Steps::new(out, &lead));
    let head = |index: usize| {
        let index = index as i64;
        operands.head::<T>(index, outputs.head::<T>(index))
    };
    // SAFETY: meta checked the sizes; the output was made for this call.
    unsafe { common::<T>(a)?.run(lead.iter().product::<i64>() as usize, head) };
    Ok(())
}

/// Gradients of queries, keys and values for all heads of the result.
fn backward_meta(a: Args) -> Result<Outs> {
    let outs = attention_meta(a)?;
    let lead = lead(a)?;
    let like = |t: &Tensor| {
        let shape: Dims = lead
            .iter()
            .chain(&t.shape()[t.ndim() - 2..])
            .copied()
            .collect();
        Out::new(&shape, t.dtype())
    };
    ensure!(
        a.t(7)?.shape() == &outs[0].shape[..],
        Runtime,
        "attention: the gradient must have the sizes of the result"
    );
    Ok([like(a.t(0)?), like(a.t(1)?), like(a.t(2)?)]
        .into_iter()
        .collect())
}

fn backward_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    match a.t(0)?.dtype() {
        DType::F32 => attend_backward::<f32>(a, outs),
        _ => attend_backward::<f64>(a, outs),
    }
}

fn attend_backward<T: Element + Gemm + Number<Acc = T> + Real>(
    a: Args,
    outs: &[Tensor],
) -> Result<()> {
    for out in outs {
        // SAFETY: the output was made for this call.
        unsafe { out.as_mut_slice::<T>()?.fill(<T as Gemm>::ZERO) };
    }
    let (lead, grad) = (lead(a)?, a.t(7)?);
    if grad.numel() == 0 {
        return Ok(());
    }
    let bias = expanded_bias(a, &lead)?;
    let operands = operands(a, bias.as_ref(), &lead)?;
    let [of_q, of_k, of_v, of_grad] =
        [&outs[0], &outs[1], &outs[2], grad].map(|t| Steps::new(t, &lead));
    let head = |index: usize| {
        let index = index as i64;
        let grads = HeadGrads {
            out: of_grad.head::<T>(index).into(),
            q: of_q.head::<T>(index),
            k: of_k.head::<T>(index),
            v: of_v.head::<T>(index),
        };
        (operands.head::<T>(index, grads.q), grads)
    };
    // SAFETY: meta checked the sizes; the outputs were made for this call.
    unsafe { common::<T>(a)?.backward(lead.iter().product::<i64>() as usize, head) };
    Ok(())
}

/// Weights are computed again: keeping them all would take far more memory than the operands.
fn attention_grad(c: &Ctx) -> Grads {
    let failed = |e| grads![Val(Err(e)), None, None, None];
    let a = c.args();
    let (Ok(causal), Ok(scale), Ok(gqa)) = (a.bool(4), a.float(5), a.bool(6)) else {
        return grads![None, None, None, None];
    };
    let (heads, g) = (Heads { causal, scale, gqa }, c.g());
    let (q, k, v, mask) = (c.x(0), c.x(1), c.x(2), c.opt_x(3));
    let mask = match mask.map(Val::get).transpose() {
        Ok(mask) => mask,
        Err(e) => return failed(e),
    };
    // Gradients of repeated heads are added up.
    let gathered = |grad: Val, like: &Val| {
        if !gqa {
            return grad;
        }
        let (n, own) = (grad.ndim(), like.shape()[like.ndim() - 3]);
        let mut shape = grad.shape().to_vec();
        shape.insert(n - 2, shape[n - 3] / own);
        shape[n - 3] = own;
        grad.reshape(shape).sum([-3_i64], false)
    };
    if !grad_enabled() && !c.needs(3) {
        let all = call_all!(
            "_attention_backward",
            &q,
            &k,
            &v,
            mask,
            causal,
            scale,
            gqa,
            g
        );
        return match all {
            Ok(list) => {
                let [dq, dk, dv] = [0, 1, 2].map(|i| Val(list[i].clone().into_tensor()));
                grads![
                    c.when(0, || dq),
                    c.when(1, || gathered(dk, &k)),
                    c.when(2, || gathered(dv, &v)),
                    None
                ]
            }
            Err(e) => failed(e),
        };
    }
    let weights = match heads.weights(&q, &k, mask.as_ref()) {
        Ok(weights) => weights,
        Err(e) => return failed(e),
    };
    let to_weights = g.matmul(heads.repeated(&v, &q).transpose(-2_i64, -1_i64));
    let to_scores = Val(call!(
        "_softmax_backward_data",
        to_weights,
        &weights,
        -1_i64
    ));
    grads![
        c.when(0, || to_scores.matmul(heads.repeated(&k, &q)) * scale),
        c.when(1, || gathered(
            to_scores.transpose(-2_i64, -1_i64).matmul(&q) * scale,
            &k
        )),
        c.when(2, || gathered(
            weights.transpose(-2_i64, -1_i64).matmul(&g),
            &v
        )),
        c.when(3, || to_scores.clone()),
    ]
}

ops! {
    /// Scaled dot-product attention with something added to the scores; heads of keys may be shared.
    "_attention(Tensor query, Tensor key, Tensor value, Tensor? bias, bool causal, float scale, bool shared) -> Tensor",
    0, kernel(attention_meta, attention_kernel),
    grad named("ScaledDotProductAttentionBackward0", arg(0) | arg(1) | arg(2) | arg(3), attention_grad);
    /// The gradients of query, key and value, for each head of the result.
    "_attention_backward(Tensor query, Tensor key, Tensor value, Tensor? bias, bool causal, float scale, bool shared, Tensor grad) -> (Tensor, Tensor, Tensor)",
    0, kernel(backward_meta, backward_kernel);
    /// Values averaged with the softmax of the scaled products of queries and keys as weights.
    "nn.functional.scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    F, Body::Composite(attention);
}
