//! Tensors made from sizes: `empty`, `zeros`, `ones`, `full`, their `_like` and `new_` forms, and `fill_`.

use smallvec::smallvec;

use super::memory_format::{empty_laid_out, format_strides};
use super::options::{Options, check_fits, dtype_of_number, empty_as, fill_tensor, options_like};
use super::{
    ANY_DEVICE, Args, F, I, M, MemoryFormat, O, Out, Outputs, Outs, STRIDED, Value, kernel, rule,
};
use crate::tensor::{Dims, Layout, Scalar, Tensor};
use crate::{Result, backend, ensure, err, fail, grads, ops};

fn empty(args: Args) -> Result<Outputs> {
    let (shape, options) = (args.ints(0)?, Options::read(args, 1)?);
    let strides = match args.opt_memory_format(6)? {
        Some(MemoryFormat::Preserve) => {
            fail!(
                Runtime,
                "empty(): the \"preserve_format\" memory format is only supported where there is a tensor to preserve it from"
            )
        }
        None => None,
        format => format_strides(&Layout::contiguous(shape), format)?,
    };
    options.finish(empty_laid_out(
        options.device(),
        shape,
        strides,
        options.dtype(),
    )?)
}

/// Elements that a layout reaches from its start, or the error of negative sizes or strides.
fn reach(shape: &[i64], strides: &[i64]) -> Result<i64> {
    ensure!(
        shape.len() == strides.len(),
        Runtime,
        "dimensionality of sizes ({}) must match dimensionality of strides ({})",
        shape.len(),
        strides.len()
    );
    crate::tensor::checked_numel(shape)?;
    ensure!(
        strides.iter().all(|&s| s >= 0),
        Runtime,
        "as_strided: Negative strides are not supported at the moment, got strides: {strides:?}"
    );
    if shape.contains(&0) {
        return Ok(0);
    }
    let mut last = 0_i64;
    for (&size, &stride) in shape.iter().zip(strides) {
        last = stride
            .checked_mul(size - 1)
            .and_then(|step| last.checked_add(step))
            .ok_or_else(|| err!(Runtime, "Storage size calculation overflowed with sizes={shape:?} and strides={strides:?}"))?;
    }
    Ok(last + 1)
}

fn strided(options: &Options, shape: &[i64], strides: &[i64]) -> Result<Outputs> {
    let room = backend::empty(options.device(), &[reach(shape, strides)?], options.dtype())?;
    let layout = Layout {
        shape: Dims::from_slice(shape),
        strides: Dims::from_slice(strides),
        offset: 0,
    };
    options.finish(room.alias(layout)?)
}

fn empty_strided(args: Args) -> Result<Outputs> {
    strided(&Options::read(args, 2)?, args.ints(0)?, args.ints(1)?)
}

fn empty_permuted(args: Args) -> Result<Outputs> {
    let (shape, order, options) = (args.ints(0)?, args.ints(1)?, Options::read(args, 2)?);
    let n = shape.len();
    ensure!(
        order.len() == n,
        Runtime,
        "Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {n} is not equal to len(physical_layout) = {}",
        order.len()
    );
    let mut strides: Dims = smallvec![-1; n];
    let mut step = 1_i64;
    for (i, &d) in order.iter().enumerate().rev() {
        ensure!(
            (0..n as i64).contains(&d),
            Runtime,
            "Dimension out of range (expected to be between 0 and {}, but got {d} at index {i}).  NB: negative dims not currently supported; file an issue if you want it.",
            n as i64 - 1
        );
        ensure!(
            strides[d as usize] == -1,
            Runtime,
            "Duplicate dim not allowed"
        );
        strides[d as usize] = step;
        step = step.saturating_mul(shape[d as usize].max(1));
    }
    options.finish(empty_laid_out(
        options.device(),
        shape,
        Some(strides),
        options.dtype(),
    )?)
}

fn zeros_of(options: &Options, shape: &[i64]) -> Result<Outputs> {
    options.finish(backend::zeros(options.device(), shape, options.dtype())?)
}

fn filled(options: &Options, shape: &[i64], value: Scalar) -> Result<Outputs> {
    let made = options.empty(shape)?;
    fill_tensor(&made, value)?;
    options.finish(made)
}

fn full(args: Args) -> Result<Outputs> {
    let (value, mut options) = (args.scalar(1)?, Options::read(args, 2)?);
    options.dtype = Some(options.dtype.unwrap_or_else(|| dtype_of_number(value)));
    filled(&options, args.ints(0)?, value)
}

fn scalar_tensor(args: Args) -> Result<Outputs> {
    filled(&Options::read(args, 1)?, &[], args.scalar(0)?)
}

fn empty_like(args: Args) -> Result<Outputs> {
    let (made, options) = empty_as(args, 1)?;
    options.finish(made)
}

fn like_with(args: Args, at: usize, value: Scalar) -> Result<Outputs> {
    let (made, options) = empty_as(args, at)?;
    fill_tensor(&made, value)?;
    options.finish(made)
}

fn zeros_like(args: Args) -> Result<Outputs> {
    let source = args.t(0)?;
    if source.is_contiguous() && args.opt_memory_format(6)?.is_none() {
        return zeros_of(&options_like(args, source, 1)?, source.shape());
    }
    like_with(args, 1, Scalar::Int(0))
}

fn new_full(args: Args) -> Result<Outputs> {
    filled(
        &options_like(args, args.t(0)?, 3)?,
        args.ints(1)?,
        args.scalar(2)?,
    )
}

fn new_empty(args: Args) -> Result<Outputs> {
    let options = options_like(args, args.t(0)?, 2)?;
    options.finish(options.empty(args.ints(1)?)?)
}

fn meta_like_self(args: Args) -> Result<Outs> {
    let x = args.t(0)?;
    Ok(smallvec![Out {
        shape: x.layout().shape.clone(),
        dtype: x.dtype(),
        strides: format_strides(x.layout(), None)?
    }])
}

fn fill_scalar(args: Args, outs: &[Tensor]) -> Result<()> {
    let value = args.scalar(1)?;
    check_fits(value, outs[0].dtype())?;
    backend::fill(&outs[0], value)
}

fn fill_with_tensor(args: Args, outs: &[Tensor]) -> Result<()> {
    let value = args.t(1)?;
    ensure!(
        value.ndim() == 0,
        Runtime,
        "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.",
        value.ndim()
    );
    backend::fill(&outs[0], value.item()?)
}

ops! {
    /// A tensor of the given sizes whose values are not initialised.
    "empty(int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F | O, super::Body::Composite(empty);

    /// A tensor of the given sizes and strides whose values are not initialised.
    "empty_strided(int[] size, int[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, super::Body::Composite(empty_strided);

    /// An uninitialised dense tensor whose dimensions lie in memory in the given order.
    "empty_permuted(int[] size, int[] physical_layout, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, super::Body::Composite(empty_permuted);

    /// A tensor of zeros.
    "zeros(int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, super::Body::Composite(|a| zeros_of(&Options::read(a, 1)?, a.ints(0)?));

    /// A tensor of ones.
    "ones(int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, super::Body::Composite(|a| filled(&Options::read(a, 1)?, a.ints(0)?, Scalar::Int(1)));

    /// A tensor filled with a number, whose kind decides the dtype unless one is given.
    "full(int[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, super::Body::Composite(full);

    /// A 0-dimensional tensor with the value of a number.
    "scalar_tensor(Scalar s, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, super::Body::Composite(scalar_tensor);

    /// An uninitialised tensor with the sizes, dtype and device of another.
    "empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, super::Body::Composite(empty_like);

    /// Zeros with the sizes, dtype and device of another tensor.
    "zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, super::Body::Composite(zeros_like);

    /// Ones with the sizes, dtype and device of another tensor.
    "ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, super::Body::Composite(|a| like_with(a, 1, Scalar::Int(1)));

    /// A tensor filled with a number, with the sizes, dtype and device of another.
    "full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, super::Body::Composite(|a| like_with(a, 2, a.scalar(1)?));

    /// An uninitialised tensor of the given sizes with this tensor's dtype and device.
    "new_empty(Tensor self, int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    M, super::Body::Composite(new_empty);

    /// An uninitialised tensor of the given sizes and strides with this tensor's dtype and device.
    "new_empty_strided(Tensor self, int[] size, int[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    M, super::Body::Composite(|a| strided(&options_like(a, a.t(0)?, 3)?, a.ints(1)?, a.ints(2)?));

    /// Zeros of the given sizes with this tensor's dtype and device.
    "new_zeros(Tensor self, int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    M, super::Body::Composite(|a| zeros_of(&options_like(a, a.t(0)?, 2)?, a.ints(1)?));

    /// Ones of the given sizes with this tensor's dtype and device.
    "new_ones(Tensor self, int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    M, super::Body::Composite(|a| filled(&options_like(a, a.t(0)?, 2)?, a.ints(1)?, Scalar::Int(1)));

    /// A tensor of the given sizes filled with a number, with this tensor's dtype and device.
    "new_full(Tensor self, int[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    M, super::Body::Composite(new_full);

    // First, so that a 0-dimensional tensor does not pass for a number and lose its gradient.
    /// The tensor with every element replaced by the value of a 0-dimensional tensor.
    "fill/Tensor(Tensor self, Tensor value) -> Tensor", F | I | STRIDED | ANY_DEVICE, kernel(meta_like_self, fill_with_tensor),
    grad rule(0, |c| grads![c.when(0, || c.g().zeros_like()), c.when(1, || c.g().sum(Value::None, false))]);

    /// The tensor with every element replaced by a number.
    "fill/Scalar(Tensor self, Scalar value) -> Tensor", F | I | STRIDED | ANY_DEVICE, kernel(meta_like_self, fill_scalar),
    grad rule(0, |c| grads![c.g().zeros_like()]);

    /// The tensor with every element replaced by zero.
    "zero(Tensor self) -> Tensor", I | STRIDED | ANY_DEVICE, kernel(meta_like_self, |_, outs| {
        backend::fill(&outs[0], Scalar::Int(0))
    }),
    grad rule(0, |c| grads![c.g().zeros_like()]);
}
