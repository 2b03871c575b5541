//! Views: aliases of a tensor's storage under another layout.

use smallvec::SmallVec;

use super::{Alias, Aliases, Args, Body, COPY, F, Grads, I, M, Val, alias, named, rule};
use crate::autograd::Ctx;
use crate::tensor::{Dims, Element, Tensor, slice_bounds, wrap_dim};
use crate::{Result, call, ensure, err, grads, ops};

/// The values as a tensor on the device of another.
pub fn beside<T: Element>(values: &[T], shape: &[i64], like: &Tensor) -> Result<Tensor> {
    crate::backend::to_device(&Tensor::from_slice(values, shape)?, like.device())
}

/// Zeros of a device and dtype like those of another tensor.
pub fn zeros(shape: &[i64], like: &Tensor) -> Result<Tensor> {
    crate::backend::zeros(like.device(), shape, like.dtype())
}

/// The tensor on the CPU, where the kernels of this crate run.
pub fn on_cpu(x: &Tensor) -> Result<Tensor> {
    crate::backend::to_cpu(x)?.resolved()
}

/// Zeros of a shape, with `part` in the places that the view `look` reads: the gradient of that view.
pub fn embed(part: &Val, shape: &[i64], look: impl FnOnce(&Val) -> Val) -> Val {
    let fill = || {
        let part = part.clone().get()?;
        let whole = zeros(shape, &part)?;
        super::copy_into(&look(&(&whole).into()).get()?, &part)?;
        Ok(whole)
    };
    Val(fill())
}

/// The int arguments at a position, given as one int or as a list.
pub fn int_list(a: Args, i: usize) -> Result<SmallVec<[i64; 6]>> {
    match a.get(i) {
        super::Value::Num(s) => Ok(smallvec::smallvec![s.to_i64()]),
        _ => a.ints(i).map(SmallVec::from_slice),
    }
}

/// Wraps a list of dimensions; none may appear twice.
pub fn wrap_dims(dims: &[i64], ndim: usize) -> Result<SmallVec<[usize; 6]>> {
    let mut out: SmallVec<[usize; 6]> = SmallVec::new();
    for &dim in dims {
        let d = wrap_dim(dim, ndim)?;
        ensure!(
            !out.contains(&d),
            Runtime,
            "dim {d} appears multiple times in the list of dims"
        );
        out.push(d);
    }
    Ok(out)
}

/// The size in a requested shape that is -1, filled in.
pub fn infer_shape(shape: &[i64], numel: i64) -> Result<Dims> {
    let mut out = Dims::from_slice(shape);
    let mut unknown = None;
    let mut known = 1i64;
    for (d, &size) in shape.iter().enumerate() {
        match size {
            -1 if unknown.is_some() => {
                return Err(err!(Runtime, "only one dimension can be inferred"));
            }
            -1 => unknown = Some(d),
            _ if size < 0 => {
                return Err(err!(
                    Runtime,
                    "invalid shape dimension {size} at index {d} of shape {shape:?}"
                ));
            }
            _ => known = known.saturating_mul(size),
        }
    }
    let fits = match unknown {
        None => known == numel,
        Some(_) if known == 0 => {
            ensure!(
                numel == 0,
                Runtime,
                "shape '{shape:?}' is invalid for input of size {numel}"
            );
            return Err(err!(
                Runtime,
                "cannot reshape tensor of 0 elements into shape {shape:?} because the unspecified dimension size -1 can be any value and is ambiguous"
            ));
        }
        Some(d) => {
            out[d] = numel / known;
            numel % known == 0
        }
    };
    ensure!(
        fits,
        Runtime,
        "shape '{shape:?}' is invalid for input of size {numel}"
    );
    Ok(out)
}

fn view(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let shape = infer_shape(&int_list(a, 1)?, x.numel())?;
    let layout = x.layout().view(&shape).ok_or_else(|| {
        err!(
            Runtime,
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    })?;
    alias(layout)
}

fn transpose(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let (d0, d1) = (
        wrap_dim(a.int(1)?, x.ndim())?,
        wrap_dim(a.int(2)?, x.ndim())?,
    );
    alias(x.layout().transposed(d0, d1))
}

fn t(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() <= 2,
        Runtime,
        "t() expects a tensor with <= 2 dimensions, but self is {}D",
        x.ndim()
    );
    alias(x.layout().transposed(0, x.ndim().saturating_sub(1)))
}

fn permute(a: Args) -> Result<Aliases> {
    let (x, dims) = (a.t(0)?, int_list(a, 1)?);
    ensure!(
        dims.len() == x.ndim(),
        Runtime,
        "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {} is not equal to len(dims) = {}",
        x.ndim(),
        dims.len()
    );
    let mut order: SmallVec<[usize; 6]> = SmallVec::new();
    for &dim in &dims {
        let d = wrap_dim(dim, x.ndim())?;
        ensure!(
            !order.contains(&d),
            Runtime,
            "permute(): duplicate dims are not allowed."
        );
        order.push(d);
    }
    alias(x.layout().permuted(&order))
}

fn permute_back(c: &Ctx) -> Grads {
    let inverse = int_list(c.args(), 1).and_then(|dims| {
        let mut inverse = vec![0; dims.len()];
        for (i, &dim) in dims.iter().enumerate() {
            inverse[wrap_dim(dim, dims.len())?] = i as i64;
        }
        Ok(inverse)
    });
    grads![c.g().permute(inverse)]
}

pub(super) fn select(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() > 0,
        Index,
        "select() cannot be applied to a 0-dim tensor."
    );
    let (dim, index) = (wrap_dim(a.int(1)?, x.ndim())?, a.int(2)?);
    let size = x.shape()[dim];
    ensure!(
        -size <= index && index < size,
        Index,
        "select(): index {index} out of range for tensor of size {:?} at dimension {dim}",
        x.shape()
    );
    let index = if index < 0 { index + size } else { index };
    alias(x.layout().select(dim, index))
}

pub(super) fn slice(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() > 0,
        Runtime,
        "slice() cannot be applied to a 0-dim tensor."
    );
    let (dim, step) = (wrap_dim(a.int(1)?, x.ndim())?, a.int(4)?);
    ensure!(step > 0, Runtime, "slice step must be positive");
    let (start, length) = slice_bounds(x.shape()[dim], a.opt_int(2)?, a.opt_int(3)?, step);
    alias(x.layout().narrow(dim, start, length, step))
}

fn unsqueeze(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    alias(x.layout().unsqueezed(wrap_dim(a.int(1)?, x.ndim() + 1)?))
}

fn squeeze(a: Args) -> Result<Aliases> {
    alias(a.t(0)?.layout().squeezed(|_| true))
}

fn squeeze_dims(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let dims = wrap_dims(&int_list(a, 1)?, x.ndim())?;
    alias(x.layout().squeezed(|d| dims.contains(&d)))
}

fn expand(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let mut shape = int_list(a, 1)?;
    ensure!(
        shape.len() >= x.ndim(),
        Runtime,
        "expand(torch.{}Tensor{{{:?}}}, size={:?}): the number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({})",
        x.dtype().scalar_name(),
        x.shape(),
        &shape[..],
        shape.len(),
        x.ndim()
    );
    let lead = shape.len() - x.ndim();
    for d in 0..shape.len() {
        if shape[d] == -1 && d >= lead {
            shape[d] = x.shape()[d - lead];
        }
        ensure!(
            shape[d] >= 0,
            Runtime,
            "The expanded size of the tensor ({}) isn't allowed in a leading, non-existing dimension {d}",
            shape[d]
        );
    }
    alias(x.layout().expand(&shape)?)
}

/// The two dimensions of a diagonal.
pub fn diagonal_dims(dim1: i64, dim2: i64, ndim: usize) -> Result<(usize, usize)> {
    let (d1, d2) = (wrap_dim(dim1, ndim)?, wrap_dim(dim2, ndim)?);
    ensure!(
        d1 != d2,
        Runtime,
        "diagonal dimensions cannot be identical {dim1}, {dim2}"
    );
    Ok((d1, d2))
}

pub(super) fn diagonal(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let (d1, d2) = diagonal_dims(a.int(2)?, a.int(3)?, x.ndim())?;
    alias(x.layout().diagonal(a.int(1)?, d1, d2))
}

fn diagonal_back(c: &Ctx) -> Grads {
    let a = c.args();
    grads![embed(&c.g(), &c.shape(0), |z| z.diagonal(
        a.int(1),
        a.int(2),
        a.int(3)
    ))]
}

fn unfold(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let (dim, size, step) = (wrap_dim(a.int(1)?, x.ndim())?, a.int(2)?, a.int(3)?);
    let extent = x.shape().get(dim).copied().unwrap_or(1);
    ensure!(size >= 0, Runtime, "size is {size} but must be >= 0");
    ensure!(
        size <= extent,
        Runtime,
        "maximum size for tensor at dimension {dim} is {extent} but size is {size}"
    );
    ensure!(step > 0, Runtime, "step is {step} but must be > 0");
    alias(x.layout().unfolded(dim, size, step))
}

/// Windows overlap, so their gradients are added up: an `index_add` along the dimension.
fn unfold_back(c: &Ctx) -> Grads {
    let sum = || {
        let (a, shape, g) = (c.args(), c.shape(0), c.g().get()?);
        let (size, step) = (a.int(2)?, a.int(3)?);
        if shape.is_empty() {
            return call!("reshape", g, [0i64; 0]);
        }
        let dim = wrap_dim(a.int(1)?, shape.len())?;
        let windows = g.shape()[dim];
        let index: Vec<i64> = (0..windows)
            .flat_map(|w| (0..size).map(move |i| w * step + i))
            .collect();
        let index = beside(&index, &[windows * size], &g)?;
        let mut flat = shape.clone();
        flat[dim] = windows * size;
        let source = call!("movedim", &g, -1i64, dim as i64 + 1)?;
        let whole = Val::from(zeros(&shape, &g)?);
        let source = Val::from(source).reshape(flat);
        whole.index_add(dim as i64, index, source).get()
    };
    grads![Val(sum())]
}

fn reshape_back(c: &Ctx) -> Grads {
    grads![c.g().reshape(c.shape(0))]
}

fn alias_whole(a: Args) -> Result<Aliases> {
    alias(a.t(0)?.layout().clone())
}

fn lazy_flip(a: Args, conj: bool, neg: bool) -> Result<Aliases> {
    let x = a.t(0)?;
    Ok(smallvec::smallvec![Alias {
        layout: x.layout().clone(),
        dtype: None,
        lazy: Some(super::flipped(x.lazy(), conj, neg)),
    }])
}

ops! {
    /// A view with other sizes; one of them may be -1.
    "view(Tensor self, int[] size) -> Tensor", M | COPY, Body::View(view), grad rule(0, reshape_back);
    /// The view that `reshape` makes of a tensor that is not contiguous.
    "_reshape_alias(Tensor self, int[] size) -> Tensor", F, Body::View(view), grad rule(0, reshape_back);
    /// A view with two dimensions exchanged.
    "transpose(Tensor self, int dim0, int dim1) -> Tensor", F | M | I | COPY, Body::View(transpose),
    grad rule(0, |c| grads![c.g().transpose(c.args().int(1), c.args().int(2))]);
    /// A view with two dimensions exchanged, as `transpose`.
    "swapaxes(Tensor self, int axis0, int axis1) -> Tensor", F | M | I, Body::View(transpose),
    grad named("TransposeBackward0", 0, |c| grads![c.g().transpose(c.args().int(1), c.args().int(2))]);
    /// A view with two dimensions exchanged, as `transpose`.
    "swapdims(Tensor self, int dim0, int dim1) -> Tensor", F | M | I, Body::View(transpose),
    grad named("TransposeBackward0", 0, |c| grads![c.g().transpose(c.args().int(1), c.args().int(2))]);
    /// The transpose of a matrix; tensors of fewer dimensions stay.
    "t(Tensor self) -> Tensor", F | M | I | COPY, Body::View(t), grad rule(0, |c| grads![c.g().t()]);
    /// A view with the dimensions in another order.
    "permute(Tensor self, int[] dims) -> Tensor", F | M | COPY, Body::View(permute), grad rule(0, permute_back);
    /// One index of a dimension, which goes away.
    "select(Tensor self, int dim, int index) -> Tensor", F | M | COPY, Body::View(select), grad rule(0, |c| {
        let a = c.args();
        grads![embed(&c.g(), &c.shape(0), |z| z.select(a.int(1), a.int(2)))]
    });
    /// Every `step`th index of a dimension between two bounds.
    "slice(Tensor self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor", COPY, Body::View(slice),
    grad rule(0, |c| {
        let a = c.args();
        grads![embed(&c.g(), &c.shape(0), |z| z.slice(a.int(1), a.opt_int(2), a.opt_int(3), a.int(4)))]
    });
    /// A view with a new dimension of size 1.
    "unsqueeze(Tensor self, int dim) -> Tensor", F | M | I | COPY, Body::View(unsqueeze), grad rule(0, reshape_back);
    /// A view without a dimension, if its size is 1.
    "squeeze/dim(Tensor self, int dim) -> Tensor", F | M | I | COPY, Body::View(squeeze_dims),
    grad named("SqueezeBackward1", 0, reshape_back);
    /// A view without those of the given dimensions whose size is 1.
    "squeeze/dims(Tensor self, int[] dim) -> Tensor", F | M | I | COPY, Body::View(squeeze_dims),
    grad named("SqueezeBackward2", 0, reshape_back);
    /// A view without the dimensions of size 1.
    "squeeze(Tensor self) -> Tensor", F | M | I | COPY, Body::View(squeeze), grad rule(0, reshape_back);
    /// A view that repeats dimensions of size 1, without a copy.
    "expand(Tensor self, int[] size, *, bool implicit=False) -> Tensor", M | COPY, Body::View(expand),
    grad rule(0, |c| grads![c.g().sum_to_size(c.shape(0))]);
    /// A diagonal of two dimensions, as a new last dimension.
    "diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor", F | M | COPY, Body::View(diagonal),
    grad rule(0, diagonal_back);
    /// A diagonal of two dimensions (the last two), as a new last dimension.
    "linalg.diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", F, Body::View(diagonal),
    grad named("DiagonalBackward0", 0, diagonal_back);
    /// All windows of a size along a dimension; the window is a new last dimension.
    "unfold(Tensor self, int dimension, int size, int step) -> Tensor", M | COPY, Body::View(unfold),
    grad rule(0, unfold_back);
    /// Another tensor on the same elements.
    "alias(Tensor self) -> Tensor", COPY, Body::View(alias_whole), grad rule(0, |c| grads![c.g()]);
    /// The tensor without its history, on the same memory.
    "detach(Tensor self) -> Tensor", F | M, Body::View(alias_whole);
    /// The conjugate as a view: carried out when it is read.
    "_conj(Tensor self) -> Tensor", F, Body::View(|a| lazy_flip(a, true, false)),
    grad named("ConjBackward0", 0, |c| grads![c.g().conj()]);
    /// The negative as a view: carried out when it is read.
    "_neg_view(Tensor self) -> Tensor", F, Body::View(|a| lazy_flip(a, false, true)),
    grad named("NegViewBackward0", 0, |c| grads![-c.g()]);
}
