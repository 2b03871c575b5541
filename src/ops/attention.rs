//! Scaled dot-product attention, composed of products and a softmax.

use smallvec::smallvec;

use super::{Args, Body, F, Outputs, Val, Value};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, ensure, ops};

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
    let causal = if causal {
        Some(causal_mask(query, key)?)
    } else {
        None
    };
    let mask = mask.or(causal.as_ref());
    let dtype = query.dtype().compute();
    let (q, mut k, mut v) = (
        Val::from(query).to(dtype),
        Val::from(key).to(dtype),
        Val::from(value).to(dtype),
    );
    if args.bool(7)? && query.ndim() > 2 {
        let heads = query.shape()[query.ndim() - 3];
        (k, v) = (repeat_heads(&k, heads), repeat_heads(&v, heads));
    }
    let size = query.shape()[query.ndim() - 1].max(1) as f64;
    let scale = args.opt_float(6)?.unwrap_or(1.0 / size.sqrt());
    // Both sides take the root of the scale, so that neither overflows.
    let root = scale.abs().sqrt();
    let mut scores = (q * root.copysign(scale)).matmul(k.transpose(-2_i64, -1_i64) * root);
    let mut weights = match mask {
        Some(mask) => {
            scores = scores + bias(mask, dtype)?;
            safe_softmax(&scores)
        }
        None => Val(call!("softmax", &scores, -1_i64)),
    };
    if dropout > 0.0 {
        weights = Val(call!("dropout", weights, dropout, true));
    }
    Ok(smallvec![Value::Tensor(
        weights.matmul(v).to(query.dtype()).get()?
    )])
}

ops! {
    /// Values averaged with the softmax of the scaled products of queries and keys as weights.
    "nn.functional.scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    F, Body::Composite(attention);
}
