//! Copies and conversions: `copy_`, `clone`, `contiguous`, `to` and its short forms, and the promotion rules.

use smallvec::smallvec;

use super::memory_format::{channels_last_strides, format_strides};
use super::options::one;
use super::{
    ANY_DEVICE, Args, Body, CROSS_DEVICE, F, I, LAZY, M, MemoryFormat, Out, Outputs, Outs, STRIDED,
    Val, Value, kernel, named, result_type, rule,
};
use crate::autograd::Ctx;
use crate::tensor::{DType, Device, Layout, Tensor, broadcast_shapes};
use crate::{Result, backend, call, ensure, error, grads, ops};

/// PyTorch warns once per call where a conversion loses imaginary parts.
fn warn_discard(from: DType, to: DType) -> Result<()> {
    if from.is_complex() && !to.is_complex() && to != DType::Bool {
        return error::warn("Casting complex values to real discards the imaginary part");
    }
    Ok(())
}

fn meta_copy(args: Args) -> Result<Outs> {
    let (target, source) = (args.t(0)?, args.t(1)?);
    warn_discard(source.dtype(), target.dtype())?;
    let shape = broadcast_shapes(target.shape(), source.shape())?;
    Ok(smallvec![Out::new(&shape, target.dtype())])
}

fn run_copy(args: Args, outs: &[Tensor]) -> Result<()> {
    let source = args.t(1)?;
    backend::copy_as(
        &outs[0],
        &source.alias(source.layout().expand(outs[0].shape())?)?,
        args.bool(2)?,
    )
}

fn meta_to_copy(args: Args) -> Result<Outs> {
    let (x, dtype) = (args.t(0)?, args.opt_dtype(1)?);
    let dtype = dtype.unwrap_or(x.dtype());
    warn_discard(x.dtype(), dtype)?;
    let strides = format_strides(x.layout(), args.opt_memory_format(6)?)?;
    Ok(smallvec![Out {
        shape: x.layout().shape.clone(),
        dtype,
        strides
    }])
}

fn meta_clone(args: Args) -> Result<Outs> {
    let x = args.t(0)?;
    let strides = format_strides(x.layout(), args.opt_memory_format(1)?)?;
    Ok(smallvec![Out {
        shape: x.layout().shape.clone(),
        dtype: x.dtype(),
        strides
    }])
}

fn run_clone(args: Args, outs: &[Tensor]) -> Result<()> {
    backend::copy(&outs[0], args.t(0)?)
}

fn run_to_copy(args: Args, outs: &[Tensor]) -> Result<()> {
    backend::copy_as(&outs[0], args.t(0)?, args.bool(5)?)
}

/// The gradient in the dtype and on the device of the input in a slot.
fn as_input(c: &Ctx, slot: usize) -> Val {
    let (dtype, g) = (c.dtype(slot), c.g());
    let g = if g.is_complex() && !dtype.is_complex() {
        g.real()
    } else {
        g
    };
    Val(g
        .get()
        .and_then(|g| convert(&g, Some(dtype), Some(c.device(slot)), false, false, None)))
}

/// Does the layout have the strides of a memory format already?
fn has_format(layout: &Layout, format: Option<MemoryFormat>) -> Result<bool> {
    let spatial = match format {
        None | Some(MemoryFormat::Preserve) => return Ok(true),
        Some(MemoryFormat::Contiguous) => return Ok(layout.is_contiguous()),
        Some(MemoryFormat::ChannelsLast) => 2,
        Some(MemoryFormat::ChannelsLast3d) => 3,
    };
    let strides = channels_last_strides(&layout.shape, spatial)?;
    Ok(layout
        .shape
        .iter()
        .zip(&layout.strides)
        .zip(&strides)
        .all(|((&size, a), b)| size == 1 || a == b))
}

/// `x.to(...)`: the tensor itself where nothing changes.
fn convert(
    x: &Tensor,
    dtype: Option<DType>,
    device: Option<Device>,
    non_blocking: bool,
    copy: bool,
    format: Option<MemoryFormat>,
) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(x.dtype());
    let moves = device.is_some_and(|d| d != x.device());
    if !copy && !moves && dtype == x.dtype() && has_format(x.layout(), format)? {
        return Ok(x.clone());
    }
    let device = if moves { device } else { None };
    call!(
        "_to_copy",
        x,
        dtype,
        Value::None,
        device,
        Value::None,
        non_blocking,
        format
    )
}

/// `to` with the options non_blocking, copy and memory_format from a position on.
fn to(args: Args, dtype: Option<DType>, device: Option<Device>, at: usize) -> Result<Outputs> {
    one(convert(
        args.t(0)?,
        dtype,
        device,
        args.bool(at)?,
        args.bool(at + 1)?,
        args.opt_memory_format(at + 2)?,
    )?)
}

fn to_other(args: Args) -> Result<Outputs> {
    let other = args.t(1)?;
    to(args, Some(other.dtype()), Some(other.device()), 2)
}

fn type_as(args: Args) -> Result<Outputs> {
    let other = args.t(1)?;
    one(convert(
        args.t(0)?,
        Some(other.dtype()),
        Some(other.device()),
        false,
        false,
        None,
    )?)
}

/// `x.float()` and the like: the dtype, with a memory format at position 1.
fn short(args: Args, dtype: DType) -> Result<Outputs> {
    one(convert(
        args.t(0)?,
        Some(dtype),
        None,
        false,
        false,
        args.opt_memory_format(1)?,
    )?)
}

fn contiguous(args: Args) -> Result<Outputs> {
    let (x, format) = (args.t(0)?, args.memory_format(1)?);
    ensure!(
        format != MemoryFormat::Preserve || x.is_contiguous(),
        Runtime,
        "preserve memory format is unsupported by the contiguous operator"
    );
    one(if has_format(x.layout(), Some(format))? {
        x.clone()
    } else {
        call!("clone", x, format)?
    })
}

ops! {
    /// Writes the values of `src` into this tensor, broadcast and converted to its dtype.
    "copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor", I | STRIDED | LAZY | CROSS_DEVICE | ANY_DEVICE,
    kernel(meta_copy, run_copy),
    grad named("CopyBackwards", 0, |c| grads![c.when(0, || c.g().zeros_like()), c.when(1, || as_input(c, 1))]);

    /// A copy of the tensor in another dtype, on another device, or in another memory format.
    "_to_copy(Tensor self, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    F | STRIDED | LAZY | ANY_DEVICE, kernel(meta_to_copy, run_to_copy),
    grad named("ToCopyBackward0", 0, |c| grads![as_input(c, 0)]);

    /// A copy of the tensor; gradients flow through it.
    "clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", F | M | STRIDED | LAZY | ANY_DEVICE, kernel(meta_clone, run_clone),
    grad rule(0, |c| grads![c.g()]);

    /// The tensor itself if it lies in memory in the given format, else a copy that does.
    "contiguous(Tensor self, *, MemoryFormat memory_format=contiguous_format) -> Tensor", M, Body::Composite(contiguous);

    /// The tensor in another dtype; itself where nothing changes.
    "to/dtype(Tensor self, ScalarType dtype, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None) -> Tensor",
    M, Body::Composite(|a| to(a, a.opt_dtype(1)?, None, 2));

    // Before `to/device`, for which a tensor of one integer would pass for the index of a device.
    /// The tensor with the dtype and on the device of another; itself where nothing changes.
    "to/other(Tensor self, Tensor other, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None) -> Tensor",
    M, Body::Composite(to_other);

    /// The tensor on another device or in another dtype; itself where nothing changes.
    "to/device(Tensor self, Device? device=None, ScalarType? dtype=None, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None) -> Tensor",
    M, Body::Composite(|a| to(a, a.opt_dtype(2)?, a.opt_device(1)?, 3));

    /// The tensor with the dtype and on the device of another; itself where nothing changes.
    "type_as(Tensor self, Tensor other) -> Tensor", M, Body::Composite(type_as);

    /// The tensor as float16.
    "half(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::F16));

    /// The tensor as bfloat16.
    "bfloat16(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::BF16));

    /// The tensor as float32.
    "float(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::F32));

    /// The tensor as float64.
    "double(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::F64));

    /// The tensor as complex64.
    "cfloat(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::C64));

    /// The tensor as complex128.
    "cdouble(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::C128));

    /// The tensor as bool: true where an element is not zero.
    "bool(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::Bool));

    /// The tensor as uint8.
    "byte(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::U8));

    /// The tensor as int8.
    "char(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::I8));

    /// The tensor as int16.
    "short(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::I16));

    /// The tensor as int32.
    "int(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::I32));

    /// The tensor as int64.
    "long(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(|a| short(a, DType::I64));

    /// The dtype of the result of an arithmetic operation on two tensors or numbers.
    "result_type(Tensor|Scalar tensor1, Tensor|Scalar tensor2) -> ScalarType", F,
    Body::Composite(|a| Ok(smallvec![result_type(a.0)?.into()]));

    /// Whether a result of one dtype may be stored in a tensor of another.
    "can_cast(ScalarType from_, ScalarType to) -> bool", F,
    Body::Composite(|a| Ok(smallvec![a.dtype(0)?.can_cast(a.dtype(1)?).into()]));

    /// The smallest dtype that both dtypes convert to.
    "promote_types(ScalarType type1, ScalarType type2) -> ScalarType", F,
    Body::Composite(|a| Ok(smallvec![a.dtype(0)?.promote(a.dtype(1)?)?.into()]));
}
