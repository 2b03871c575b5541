//! Calls that fill given tensors: in-place forms and `out=`, with the checks that keep a write from disturbing what is read.

use smallvec::SmallVec;

use super::call::{Sizes, allocate, call, prepare, run, sizes};
use super::survey::Survey;
use super::{APART, Aliases, ArgVec, Args, Body, EXACT, Entry, STRIDED, Value};
use crate::tensor::{DType, Device, Layout, Tensor};
use crate::{Result, autograd, backend, ensure};

/// `x.op_(...)`: the first argument takes the result.
pub fn call_inplace(entry: &'static Entry, args: &[Value]) -> Result<()> {
    let survey = Survey::of(entry, args)?;
    let target = Args(args).t(0)?;
    autograd::check_inplace(target)?;
    match entry.op.body {
        Body::View(f) => return view_inplace(entry, args, &survey, f),
        Body::Kernel { .. } | Body::Pointwise(_) => {}
        Body::Copies(_) | Body::Composite(_) | Body::Dynamic { .. } => {
            check_writable(target)?;
            let result = call(entry, args)?
                .into_iter()
                .next()
                .unwrap_or_default()
                .into_tensor()?;
            check_inplace_result(target, result.shape(), result.dtype())?;
            return super::copy_into(target, &result);
        }
    }
    let before = autograd::InPlace::begin(entry, args, survey.recorded)?;
    check_writable(target)?;
    if entry.has(STRIDED) {
        args[1..]
            .iter()
            .try_for_each(|value| check_no_partial_overlap(value, target))?;
    }
    let prepared = prepare(entry, args, &survey)?;
    let args_now = prepared.as_deref().unwrap_or(args);
    let sizes = sizes(entry, args_now)?;
    check_inplace_result(target, &sizes.outs[0].shape, sizes.outs[0].dtype)?;
    let device = survey.device(entry, args)?;
    fill(
        device,
        entry,
        args_now,
        &sizes,
        std::slice::from_ref(target),
    )?;
    target.bump_version();
    before.record(entry, args, target)
}

/// An input that covers some of the written elements, but not the same ones in the same order, would change
/// while it is read.
fn check_no_partial_overlap(value: &Value, target: &Tensor) -> Result<()> {
    let mut clash = false;
    value.each_tensor(|t| {
        if !t.shares_storage(target) {
            return;
        }
        let dense = t.layout().is_dense() && target.layout().is_dense();
        let (Some(a), Some(b)) = (t.layout().extent(), target.layout().extent()) else {
            return;
        };
        let same = t.layout().offset == target.layout().offset && t.strides() == target.strides();
        clash |= dense && !same && a.0 <= b.1 && b.0 <= a.1;
    });
    ensure!(
        !clash,
        Runtime,
        "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
    );
    Ok(())
}

fn check_inplace_result(target: &Tensor, shape: &[i64], dtype: DType) -> Result<()> {
    ensure!(
        shape == target.shape(),
        Runtime,
        "output with shape {:?} doesn't match the broadcast shape {shape:?}",
        target.shape()
    );
    check_cast(dtype, target.dtype())
}

fn check_cast(from: DType, to: DType) -> Result<()> {
    ensure!(
        from.can_cast(to),
        Runtime,
        "result type {} can't be cast to the desired output type {}",
        from.scalar_name(),
        to.scalar_name()
    );
    Ok(())
}

/// A target of a write must be writable memory in which no two indices share an element.
pub fn check_writable(target: &Tensor) -> Result<()> {
    ensure!(
        target.storage().is_writable(),
        Runtime,
        "unsupported operation: the written-to tensor lies on memory that its owner made read-only. Please clone() the tensor before performing the operation."
    );
    ensure!(
        !target.layout().may_overlap_itself() || !has_zero_stride(target.layout()),
        Runtime,
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
    );
    Ok(())
}

fn has_zero_stride(layout: &Layout) -> bool {
    layout
        .shape
        .iter()
        .zip(&layout.strides)
        .any(|(&size, &stride)| size > 1 && stride == 0)
}

/// Changes the layout of the tensor itself: `t_`, `squeeze_`, `transpose_`.
fn view_inplace(
    entry: &'static Entry,
    args: &[Value],
    survey: &Survey,
    f: fn(Args) -> Result<Aliases>,
) -> Result<()> {
    let target = Args(args).t(0)?;
    let before = autograd::InPlace::begin(entry, args, survey.recorded)?;
    let Some(alias) = f(Args(args))?.into_iter().next() else {
        return Ok(());
    };
    // SAFETY: the call lock is held by whoever calls an op, and no borrow of the layout is alive.
    unsafe { target.set_layout(alias.layout)? }
    target.bump_version();
    before.record(entry, args, target)
}

/// `op(..., out=)`: checks dtypes, resizes, and fills the given tensors.
pub fn call_out(entry: &'static Entry, args: &[Value], targets: &[Tensor]) -> Result<()> {
    let survey = Survey::of(entry, args)?;
    autograd::check_out(entry, args, targets)?;
    for target in targets {
        check_writable(target)?;
        if entry.has(APART) {
            check_apart(args, target)?;
        }
    }
    let typed = typed_by_out(entry, args, targets)?;
    let args = typed.as_deref().unwrap_or(args);
    match entry.op.body {
        Body::Kernel { .. } | Body::Pointwise(_) => {
            let prepared = prepare(entry, args, &survey)?;
            let args_now = prepared.as_deref().unwrap_or(args);
            let sizes = sizes(entry, args_now)?;
            for (target, out) in targets.iter().zip(&sizes.outs) {
                check_out_dtype(entry, out.dtype, target.dtype())?;
                resize_output(target, &out.shape)?;
            }
            let device = survey.device(entry, args)?;
            fill(device, entry, args_now, &sizes, targets)?;
            targets.iter().for_each(Tensor::bump_version);
        }
        _ => {
            let _guard = autograd::NoGrad::enter();
            let mut results = SmallVec::<[Tensor; 2]>::new();
            for value in call(entry, args)? {
                results.extend(value.into_tensors()?);
            }
            for (target, result) in targets.iter().zip(&results) {
                check_cast(result.dtype(), target.dtype())?;
                resize_output(target, result.shape())?;
                super::copy_into(target, result)?;
            }
        }
    }
    Ok(())
}

/// Ops that create tensors take their dtype from `out=`.
fn typed_by_out(entry: &Entry, args: &[Value], targets: &[Tensor]) -> Result<Option<ArgVec>> {
    let creates = entry
        .schema
        .position("layout")
        .and(entry.schema.position("dtype"));
    let (Some(at), Some(target)) = (creates, targets.first()) else {
        return Ok(None);
    };
    if let Some(dtype) = Args(args).opt_dtype(at)? {
        ensure!(
            dtype == target.dtype(),
            Runtime,
            "dtype {} does not match dtype of out parameter ({})",
            dtype.scalar_name(),
            target.dtype().scalar_name()
        );
        return Ok(None);
    }
    let mut typed: ArgVec = args.iter().cloned().collect();
    typed[at] = target.dtype().into();
    Ok(Some(typed))
}

fn check_out_dtype(entry: &Entry, from: DType, to: DType) -> Result<()> {
    ensure!(
        !entry.has(EXACT) || from == to,
        Runtime,
        "{} expects {} tensor out, got: {}",
        entry.schema.name,
        from.scalar_name(),
        to.scalar_name()
    );
    check_cast(from, to)
}

fn check_apart(args: &[Value], target: &Tensor) -> Result<()> {
    let mut shared = false;
    for value in args {
        value.each_tensor(|t| shared |= t.shares_storage(target) && t.numel() > 0);
    }
    ensure!(
        !shared || target.numel() == 0,
        Runtime,
        "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
    );
    Ok(())
}

/// Gives an `out=` tensor the sizes of the result, as PyTorch does.
fn resize_output(target: &Tensor, shape: &[i64]) -> Result<()> {
    if target.shape() == shape {
        return Ok(());
    }
    if target.numel() != 0 {
        crate::error::warn(&format!(
            "An output with one or more elements was resized since it had shape {:?}, which does not match the required output shape {shape:?}. This behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements. You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
            target.shape()
        ))?;
    }
    super::resize(target, shape)
}

/// Runs a kernel into given tensors: directly where it can write them, else by way of fresh ones.
fn fill(
    device: Device,
    entry: &'static Entry,
    args: &[Value],
    sizes: &Sizes,
    targets: &[Tensor],
) -> Result<()> {
    let direct = targets.iter().zip(&sizes.outs).all(|(target, out)| {
        target.dtype() == out.dtype
            && !target.lazy().any()
            && target.device() == device
            && (entry.has(STRIDED) || target.is_contiguous())
            && !overlaps_inputs(entry, target, args)
    }) && targets.len() == sizes.outs.len();
    if direct {
        return run(device, entry, args, sizes, targets);
    }
    let results = allocate(device, &sizes.outs)?;
    run(device, entry, args, sizes, &results)?;
    for (target, result) in targets.iter().zip(&results) {
        backend::copy(target, result)?;
    }
    Ok(())
}

/// Would writing the target disturb an input that is yet to be read? Pointwise kernels may read
/// exactly what they write; others must not touch it at all.
fn overlaps_inputs(entry: &Entry, target: &Tensor, args: &[Value]) -> bool {
    let mut clash = false;
    for value in args {
        value.each_tensor(|t| {
            clash |= t.shares_storage(target)
                && !(entry.has(STRIDED)
                    && t.layout() == target.layout()
                    && t.dtype() == target.dtype());
        });
    }
    clash
}
