//! Look-up of rows by index: embeddings and one-hot vectors.

use smallvec::smallvec;

use super::matmul::single;
use super::selection::{long, row_major};
use super::view::beside;
use super::{Args, Body, F, Out, Outputs, Outs, SHAPES, Val, Value, arg, kernel, named};
use crate::autograd::Ctx;
use crate::cpu::index::{extremes, gather_tensor};
use crate::tensor::{DType, Dims, Layout, Tensor};
use crate::{Result, call, ensure, grads, ops};

fn check_indices(indices: &Tensor, what: &str) -> Result<()> {
    ensure!(
        matches!(indices.dtype(), DType::I64 | DType::I32),
        Runtime,
        "Expected tensor for argument #1 '{what}' to have one of the following scalar types: Long, Int; but got torch.{} instead (while checking arguments for embedding)",
        indices.dtype()
    );
    Ok(())
}

fn embedding_meta(a: Args) -> Result<Outs> {
    let (weight, indices) = (a.t(0)?, a.t(1)?);
    ensure!(weight.ndim() == 2, Runtime, "'weight' must be 2-D");
    check_indices(indices, "indices")?;
    let mut shape = Dims::from_slice(indices.shape());
    shape.push(weight.shape()[1]);
    Ok(smallvec![Out::new(&shape, weight.dtype())])
}

/// The rows lie one after the other, whatever the sizes of the indices.
fn embedding(a: Args, outs: &[Tensor]) -> Result<()> {
    let (weight, index) = (a.t(0)?, long(&row_major(a.t(1)?)?)?);
    let count = index.numel();
    let index = index.alias(Layout {
        offset: index.layout().offset,
        ..Layout::contiguous(&[count])
    })?;
    let rows = outs[0].alias(Layout::contiguous(&[count, weight.shape()[1]]))?;
    ensure!(
        gather_tensor(&rows, weight, 0, &index, &[1, 0]),
        Index,
        "index out of range in self"
    );
    Ok(())
}

/// Rows of the gradient added up per index; the padding row gets none, frequent rows get their mean if asked.
fn embedding_grad(c: &Ctx) -> super::Grads {
    let (a, shape) = (c.args(), c.shape(0));
    let (padding, by_frequency) = (a.int(2).unwrap_or(-1), a.bool(3).unwrap_or(false));
    let grad = || {
        let index = c.x(1).reshape([-1i64]);
        let count = index.shape()[0];
        let mut g = c.g().reshape([count, shape[1]]);
        if padding >= 0 {
            g = g.masked_fill(index.eq(Value::from(padding)).unsqueeze(1), 0i64);
        }
        if by_frequency {
            let ones = g.new_ones([count], g.dtype());
            let zeros = g.new_zeros([shape[0]], g.dtype());
            let frequency = zeros.index_add(0, &index, ones).index_select(0, &index);
            g = g.div(frequency.unsqueeze(1));
        }
        g.new_zeros(&shape, g.dtype()).index_add(0, &index, g)
    };
    grads![c.when(0, grad), None]
}

fn embedding_renorm(a: Args) -> Result<Outputs> {
    let (weight, indices, max_norm, p) = (a.t(0)?, a.t(1)?, a.float(2)?, a.float(3)?);
    check_indices(indices, "indices")?;
    let index = Val::from(indices).reshape([-1i64]);
    let used = Val::from(weight).index_select(0, &index);
    let norms = Val(call!("linalg.vector_norm", &used, p, [1i64], true));
    let scale = (norms.clone() + 1e-7).reciprocal() * max_norm;
    let renormed = used.mul(scale.select_where(&norms.gt(max_norm), scale.ones_like()));
    single(Val(call!("index_copy", weight, 0, index, renormed)))
}

fn one_hot(a: Args) -> Result<Outputs> {
    let (x, classes) = (a.t(0)?, a.int(1)?);
    ensure!(
        x.dtype() == DType::I64,
        Runtime,
        "one_hot is only applicable to index tensor of type LongTensor."
    );
    if !x.device().is_cpu() {
        return single(one_hot_by_scatter(&x.into(), classes));
    }
    let index = row_major(x)?;
    let values = index.as_slice::<i64>()?;
    let (low, high) = extremes(values);
    ensure!(
        values.is_empty() || low >= 0,
        Runtime,
        "Class values must be non-negative."
    );
    let needed = (!values.is_empty()).then(|| high + 1);
    let classes = match (classes, needed) {
        (-1, Some(n)) => n,
        (-1, None) => crate::fail!(
            Runtime,
            "Can not infer total number of classes from empty tensor."
        ),
        (n, _) => {
            ensure!(
                n > 0 || (n == 0 && needed.is_none()),
                Runtime,
                "num_classes should be positive"
            );
            n
        }
    };
    ensure!(
        needed.is_none_or(|n| n <= classes),
        Runtime,
        "Class values must be smaller than num_classes."
    );
    let mut shape = x.shape().to_vec();
    shape.push(classes);
    let out = Tensor::zeros(&shape, DType::I64)?;
    // SAFETY: the tensor was made for this call.
    let slots = unsafe { out.as_mut_slice::<i64>()? };
    for (row, &class) in values.iter().enumerate() {
        slots[row * classes as usize + class as usize] = 1;
    }
    single(Val(Ok(out)))
}

/// Off the CPU, where values are read only to infer how many classes there are.
fn one_hot_by_scatter(x: &Val, classes: i64) -> Val {
    let filled = || {
        let classes = if classes == -1 {
            call!("amax", x, Vec::<i64>::new(), false)?.item()?.to_i64() + 1
        } else {
            classes
        };
        let mut shape = x.shape().to_vec();
        shape.push(classes);
        let zeros = x.new_zeros(shape, DType::I64);
        call!("scatter/value", zeros, -1, x.unsqueeze(-1), 1i64)
    };
    Val(filled())
}

/// The bag of each row, and how many bags there are.
fn bag_of_each(total: i64, offsets: &Tensor, include_last: bool) -> Result<(Vec<i64>, usize)> {
    let mut starts = offsets.to_vec::<i64>()?;
    ensure!(
        starts.first().is_none_or(|&s| s == 0),
        Runtime,
        "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got {}",
        starts[0]
    );
    if include_last {
        ensure!(
            !starts.is_empty(),
            Runtime,
            "include_last_offset: number of offset should be at least 1"
        );
        starts.pop();
    }
    ensure!(
        starts.iter().all(|&s| (0..=total).contains(&s)),
        Runtime,
        "offsets[-1] can not be greater than input's length {total}"
    );
    let bags = starts.len();
    let mut owner = Vec::new();
    for (bag, &start) in starts.iter().enumerate() {
        let end = starts.get(bag + 1).copied().unwrap_or(total);
        owner.extend(std::iter::repeat_n(
            bag as i64,
            (end - start).max(0) as usize,
        ));
    }
    Ok((owner, bags))
}

/// Rows summed, averaged (mode 1) or maximised (mode 2) per bag.
fn embedding_bag(a: Args) -> Result<Outputs> {
    let (weight, indices, offsets) = (a.t(0)?, a.t(1)?, a.t(2)?);
    let (mode, sample_weights, include_last) = (a.int(4)?, a.opt_t(6)?, a.bool(7)?);
    let padding = a.opt_int(8)?;
    check_indices(indices, "indices")?;
    let (owner, bags) = bag_of_each(indices.numel(), offsets, include_last)?;
    let (width, rows) = (weight.shape()[1], weight.shape()[0]);
    let flat = Val::from(indices).reshape([-1i64]).to(DType::I64);
    let owner = Val(beside(&owner, &[owner.len() as i64], weight));
    let (flat, owner, keep) = match padding {
        None => (flat, owner, None),
        Some(p) => {
            let kept = Val(call!(
                "nonzero",
                flat.ne(Value::from(if p < 0 { p + rows } else { p }))
            ))
            .reshape([-1i64]);
            (
                flat.index_select(0, &kept),
                owner.index_select(0, &kept),
                Some(kept),
            )
        }
    };
    let mut picked = Val::from(weight).index_select(0, flat);
    if let Some(w) = sample_weights {
        let w = Val::from(w).reshape([-1i64]);
        let w = keep.map_or(w.clone(), |kept| w.index_select(0, kept));
        picked = picked.mul(w.unsqueeze(1));
    }
    let zeros = picked.new_zeros([bags as i64, width], picked.dtype());
    let count = owner.shape()[0];
    let ones = owner.new_ones([count], DType::I64);
    let sizes = owner
        .new_zeros([bags as i64], DType::I64)
        .index_add(0, &owner, ones);
    let value = if mode == 2 {
        let index = owner.unsqueeze(1).expand([count, width]);
        Val(call!(
            "scatter_reduce",
            zeros,
            0,
            index,
            picked,
            "amax",
            false
        ))
    } else {
        let sum = zeros.index_add(0, &owner, picked);
        let divisor = || {
            Val(call!("clamp_min", &sizes, 1i64))
                .to(weight.dtype())
                .unsqueeze(1)
        };
        if mode == 0 { sum } else { sum.div(divisor()) }
    };
    let none = owner.new_zeros([0i64], DType::I64);
    [value, owner, sizes, none]
        .into_iter()
        .map(|v| v.get().map(Value::Tensor))
        .collect()
}

ops! {
    /// Rows of a matrix by index.
    "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor",
    F, kernel(embedding_meta, embedding), grad named("EmbeddingBackward0", arg(1) | SHAPES, embedding_grad);
    /// Scales the rows that the indices name to a norm of at most `max_norm`.
    "embedding_renorm(Tensor self, Tensor indices, float max_norm, float norm_type) -> Tensor", super::I | F,
    Body::Composite(embedding_renorm);
    /// One-hot vectors of class indices.
    "nn.functional.one_hot(Tensor tensor, int num_classes=-1) -> Tensor", F, Body::Composite(one_hot);
    /// Rows of a matrix, reduced bag by bag; the bag of each row, and the number of rows of each bag.
    "embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int? padding_idx=None) -> (Tensor, Tensor, Tensor, Tensor)",
    F, Body::Composite(embedding_bag);
}
