//! The whole path of a call: promote and size, allocate or check `out`, run, count the write, record.

use smallvec::{SmallVec, smallvec};

use super::survey::Survey;
use super::{
    APART, Aliases, ArgVec, Args, Body, EXACT, Entry, LAZY, OWNED, Out, Outputs, Outs, Returns,
    STRIDED, Value,
};
use crate::tensor::{DType, Device, Layout, Lazy, Scalar, Tensor};
use crate::{Result, autograd, backend, ensure};

type Tensors = SmallVec<[Tensor; 2]>;

/// Calls an op with all its arguments.
pub fn call(entry: &'static Entry, args: &[Value]) -> Result<Outputs> {
    match entry.op.body {
        Body::Composite(f) => {
            raise_failed(args)?;
            f(Args(args))
        }
        Body::View(f) => view(entry, args, f),
        Body::Copies(f) => copies(entry, args, f),
        Body::Kernel { .. } | Body::Pointwise(_) => {
            let survey = Survey::of(entry, args)?;
            let prepared = prepare(entry, args, &survey)?;
            let args_now = prepared.as_deref().unwrap_or(args);
            let sizes = sizes(entry, args_now)?;
            let device = survey.device(entry, args)?;
            let results = allocate(device, &sizes.outs)?;
            run(device, entry, args_now, &sizes, &results)?;
            if survey.recorded {
                autograd::record(entry, args, &results)?;
            }
            Ok(pack(entry, results))
        }
        Body::Dynamic { .. } => {
            let survey = Survey::of(entry, args)?;
            let prepared = prepare(entry, args, &survey)?;
            let device = survey.device(entry, args)?;
            let results = backend::of(device)?
                .run_dynamic(entry, Args(prepared.as_deref().unwrap_or(args)))?;
            let results: Tensors = results.into();
            if survey.recorded {
                autograd::record(entry, args, &results)?;
            }
            Ok(pack(entry, results))
        }
    }
}

/// What is known of the outputs before any data is touched.
struct Sizes {
    outs: Outs,
    /// The dtype that a pointwise op computes in.
    common: Option<DType>,
}

fn sizes(entry: &Entry, args: &[Value]) -> Result<Sizes> {
    Ok(match entry.op.body {
        Body::Pointwise(spec) => {
            let (out, common) = spec.plan(Args(args))?;
            Sizes {
                outs: smallvec![out],
                common: Some(common),
            }
        }
        Body::Kernel { meta, .. } => Sizes {
            outs: meta(Args(args))?,
            common: None,
        },
        _ => Sizes {
            outs: Outs::new(),
            common: None,
        },
    })
}

fn run(
    device: Device,
    entry: &'static Entry,
    args: &[Value],
    sizes: &Sizes,
    targets: &[Tensor],
) -> Result<()> {
    match (entry.op.body, sizes.common) {
        (Body::Pointwise(spec), Some(common)) if device.is_cpu() => {
            spec.fill(Args(args), common, &targets[0])
        }
        _ => backend::run(device, entry, Args(args), targets),
    }
}

fn view(entry: &'static Entry, args: &[Value], f: fn(Args) -> Result<Aliases>) -> Result<Outputs> {
    let survey = Survey::of(entry, args)?;
    let source = Args(args).t(0)?;
    let mut results = Tensors::new();
    for alias in f(Args(args))? {
        let (dtype, lazy) = (
            alias.dtype.unwrap_or(source.dtype()),
            alias.lazy.unwrap_or(source.lazy()),
        );
        results.push(source.alias_as(alias.layout, dtype, lazy)?);
    }
    if survey.recorded {
        autograd::record(entry, args, &results)?;
    }
    // An op without a gradient rule (`detach`) makes views that lead nowhere.
    if entry.op.grad.is_some() && !entry.has(OWNED) {
        autograd::mark_views(source, &results, entry.schema.returns == Returns::Tensors);
    }
    Ok(pack(entry, results))
}

/// The copying form of a view op: fresh tensors with what the views read.
fn copies(
    entry: &'static Entry,
    args: &[Value],
    f: fn(Args) -> Result<Aliases>,
) -> Result<Outputs> {
    let survey = Survey::of(entry, args)?;
    let source = Args(args).t(0)?;
    let mut results = Tensors::new();
    for alias in f(Args(args))? {
        let (dtype, lazy) = (
            alias.dtype.unwrap_or(source.dtype()),
            alias.lazy.unwrap_or(source.lazy()),
        );
        results.push(super::resolve_lazy(&source.alias_as(
            alias.layout,
            dtype,
            lazy,
        )?)?);
    }
    if survey.recorded {
        autograd::record(entry, args, &results)?;
    }
    Ok(pack(entry, results))
}

/// Shapes the results as the schema says.
fn pack(entry: &Entry, mut results: Tensors) -> Outputs {
    match entry.schema.returns {
        Returns::Tensors => smallvec![Value::Tensors(results.into_vec())],
        Returns::Tensor => results.pop().into_iter().map(Value::Tensor).collect(),
        _ => results.into_iter().map(Value::Tensor).collect(),
    }
}

fn raise_failed(args: &[Value]) -> Result<()> {
    for value in args {
        if let Value::Failed(e) = value {
            return Err(e.clone());
        }
    }
    Ok(())
}

/// The arguments with lazy conjugates and negatives carried out, where the kernel does not do it itself.
fn prepare(entry: &Entry, args: &[Value], survey: &Survey) -> Result<Option<ArgVec>> {
    if !survey.lazy || entry.has(LAZY) {
        return Ok(None);
    }
    let resolve = |value: &Value| -> Result<Value> {
        Ok(match value {
            Value::Tensor(t) => Value::Tensor(t.resolved()?),
            Value::Tensors(list) => {
                Value::Tensors(list.iter().map(Tensor::resolved).collect::<Result<_>>()?)
            }
            Value::OptTensors(list) => Value::OptTensors(
                list.iter()
                    .map(|t| t.as_ref().map(Tensor::resolved).transpose())
                    .collect::<Result<_>>()?,
            ),
            other => other.clone(),
        })
    };
    args.iter().map(resolve).collect::<Result<_>>().map(Some)
}

/// A row-major copy with the lazy bits carried out; keeps no history.
pub fn resolve_lazy(source: &Tensor) -> Result<Tensor> {
    let target = backend::empty(source.device(), source.shape(), source.dtype())?;
    backend::copy(&target, source)?;
    Ok(target)
}

fn allocate(device: Device, outs: &Outs) -> Result<Tensors> {
    let mut results = Tensors::new();
    for out in outs {
        results.push(allocate_one(device, out)?);
    }
    Ok(results)
}

fn allocate_one(device: Device, out: &Out) -> Result<Tensor> {
    let plain = backend::empty(device, &out.shape, out.dtype)?;
    match &out.strides {
        None => Ok(plain),
        Some(strides) => plain.alias(Layout {
            shape: out.shape.clone(),
            strides: strides.clone(),
            offset: 0,
        }),
    }
}

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

/// The dtype that operands promote to: tensors with dimensions first, then 0-dim ones, then numbers.
pub fn result_type<'a>(operands: impl IntoIterator<Item = &'a Value>) -> Result<DType> {
    let (mut dim, mut zero, mut number): (Option<DType>, Option<DType>, Option<DType>) =
        (None, None, None);
    fn join(slot: &mut Option<DType>, dtype: DType) -> Result<()> {
        *slot = Some(match *slot {
            None => dtype,
            Some(other) => other.promote(dtype)?,
        });
        Ok(())
    }
    for value in operands {
        match value {
            Value::Tensor(t) if t.ndim() > 0 => join(&mut dim, t.dtype())?,
            Value::Tensor(t) => join(&mut zero, t.dtype())?,
            Value::Num(s) => join(&mut number, weak_dtype(*s))?,
            _ => {}
        }
    }
    combine(combine(dim, zero)?, number).map(|d| d.unwrap_or_else(crate::tensor::default_dtype))
}

fn weak_dtype(s: Scalar) -> DType {
    match s {
        Scalar::Float(_) => crate::tensor::default_dtype(),
        Scalar::Complex(_) => crate::tensor::default_dtype().to_complex(),
        other => other.dtype(),
    }
}

/// A lower-priority operand counts only where it is of a higher category.
fn combine(higher: Option<DType>, lower: Option<DType>) -> Result<Option<DType>> {
    Ok(match (higher, lower) {
        (Some(a), Some(b)) if b.category() > a.category() => {
            // A weak complex takes the width of the float that it meets.
            Some(if b.is_complex() && a.is_float() {
                a.to_complex()
            } else {
                a.promote(b)?
            })
        }
        (Some(a), _) => Some(a),
        (None, b) => b,
    })
}

/// Reads `Lazy` of a tensor for a view op that flips a bit.
#[must_use]
pub fn flipped(lazy: Lazy, conj: bool, neg: bool) -> Lazy {
    Lazy {
        conj: lazy.conj ^ conj,
        neg: lazy.neg ^ neg,
    }
}
