//! The whole path of a call: promote and size, allocate, run, record. [`super::write`] has the calls that fill given tensors.

use smallvec::{SmallVec, smallvec};

use super::survey::Survey;
use super::{Aliases, ArgVec, Args, Body, Entry, LAZY, OWNED, Out, Outputs, Outs, Returns, Value};
use crate::tensor::{DType, Device, Layout, Lazy, Tensor};
use crate::{Result, autograd, backend};

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
            if let Body::Pointwise(spec) = entry.op.body
                && let Some(result) = spec.plain(Args(args))?
            {
                return finish_plain(entry, args, result);
            }
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
            let results =
                backend::run_dynamic(device, entry, Args(prepared.as_deref().unwrap_or(args)))?;
            let results: Tensors = results.into();
            if survey.recorded {
                autograd::record(entry, args, &results)?;
            }
            Ok(pack(entry, results))
        }
    }
}

fn finish_plain(entry: &'static Entry, args: &[Value], result: Tensor) -> Result<Outputs> {
    let requires_grad = |value: &Value| value.tensor().is_some_and(Tensor::requires_grad);
    if entry.op.grad.is_some() && autograd::recording() && args.iter().any(requires_grad) {
        autograd::record(entry, args, std::slice::from_ref(&result))?;
    }
    Ok(smallvec![Value::Tensor(result)])
}

/// What is known of the outputs before any data is touched.
pub(super) struct Sizes {
    pub outs: Outs,
    /// The dtype that a pointwise op computes in.
    pub common: Option<DType>,
}

pub(super) fn sizes(entry: &Entry, args: &[Value]) -> Result<Sizes> {
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

pub(super) fn run(
    device: Device,
    entry: &'static Entry,
    args: &[Value],
    sizes: &Sizes,
    targets: &[Tensor],
) -> Result<()> {
    match (entry.op.body, sizes.common) {
        (Body::Pointwise(spec), Some(common)) => spec.fill(Args(args), common, &targets[0]),
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

pub(super) fn raise_failed(args: &[Value]) -> Result<()> {
    for value in args {
        if let Value::Failed(e) = value {
            return Err(e.clone());
        }
    }
    Ok(())
}

/// The arguments with lazy conjugates and negatives carried out, where the kernel does not do it itself.
pub(super) fn prepare(entry: &Entry, args: &[Value], survey: &Survey) -> Result<Option<ArgVec>> {
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

pub(super) fn allocate(device: Device, outs: &Outs) -> Result<Tensors> {
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
/// Reads `Lazy` of a tensor for a view op that flips a bit.
#[must_use]
pub fn flipped(lazy: Lazy, conj: bool, neg: bool) -> Lazy {
    Lazy {
        conj: lazy.conj ^ conj,
        neg: lazy.neg ^ neg,
    }
}
