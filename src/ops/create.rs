//! Tensors made from sizes: `empty`, `zeros`, `ones`, `full`, their `_like` and `new_` forms, and `fill_`.

use smallvec::smallvec;

use super::{
    Args, F, I, M, MemoryFormat, O, Out, Outputs, Outs, STRIDED, Value, call_inplace,
    find_overload, kernel, rule,
};
use crate::tensor::{
    DType, Device, Dims, Layout, Scalar, Tensor, contiguous_strides, default_device, default_dtype,
};
use crate::{Result, backend, cpu, dispatch, ensure, err, fail, grads, ops};

/// The options that every creation op ends with: dtype, layout, device, `pin_memory`, `requires_grad`.
pub(super) struct Options {
    pub dtype: Option<DType>,
    pub device: Option<Device>,
    pub requires_grad: bool,
}

impl Options {
    /// Reads the five options from a position on.
    pub fn read(args: Args, at: usize) -> Result<Options> {
        Ok(Options {
            dtype: args.opt_dtype(at)?,
            device: args.opt_device(at + 2)?,
            requires_grad: args.opt_bool(at + 4)?.unwrap_or(false),
        })
    }

    pub fn dtype(&self) -> DType {
        self.dtype.unwrap_or_else(default_dtype)
    }

    pub fn device(&self) -> Device {
        self.device.unwrap_or_else(default_device)
    }

    /// A row-major tensor, not initialised.
    pub fn empty(&self, shape: &[i64]) -> Result<Tensor> {
        backend::empty(self.device(), shape, self.dtype())
    }

    /// The finished tensor as the op's result; it was made on the CPU or on the device asked for.
    pub fn finish(&self, made: Tensor) -> Result<Outputs> {
        let result = on_device(made, self.device())?;
        if self.requires_grad {
            ensure!(
                result.dtype().is_differentiable(),
                Runtime,
                "Only Tensors of floating point and complex dtype can require gradients"
            );
            result.set_requires_grad_flag(true);
        }
        one(result)
    }
}

/// The tensor itself, or a copy of it on the device.
pub(super) fn on_device(made: Tensor, device: Device) -> Result<Tensor> {
    if made.device().kind == device.kind {
        return Ok(made);
    }
    let moved = backend::empty(device, made.shape(), made.dtype())?;
    backend::copy(&moved, &made)?;
    Ok(moved)
}

/// A single tensor as an op's outputs.
pub(super) fn one(result: Tensor) -> Result<Outputs> {
    Ok(smallvec![Value::Tensor(result)])
}

/// Writes a value to a fresh tensor.
pub(super) fn fill_tensor(target: &Tensor, value: Scalar) -> Result<()> {
    check_fits(value, target.dtype())?;
    if target.device().is_cpu() {
        cpu::fill::fill(target, value);
        return Ok(());
    }
    let entry =
        find_overload("fill/Scalar").ok_or_else(|| err!(NotImplemented, "no operator 'fill'"))?;
    call_inplace(entry, &[target.into(), value.into()])
}

/// A number that the dtype cannot hold is an error, except for negative ones in unsigned types, which wrap.
pub(super) fn check_fits(value: Scalar, dtype: DType) -> Result<()> {
    let number = value.to_f64();
    let imaginary = value.to_c128().im != 0.0;
    let fits = match dtype {
        DType::Bool | DType::C128 => true,
        DType::C64 => number.abs() <= f64::from(f32::MAX) || !number.is_finite(),
        DType::F64 => !imaginary,
        float if float.is_float() => {
            !imaginary && (!number.is_finite() || number.abs() <= largest(float))
        }
        int => !imaginary && number.is_finite() && fits_int(value, int),
    };
    ensure!(
        fits,
        Runtime,
        "value cannot be converted to type {} without overflow",
        cpp_name(dtype)
    );
    Ok(())
}

/// The largest finite value of a floating-point dtype.
pub(super) fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 65_504.0,
        DType::BF16 => f64::from(half::bf16::MAX),
        DType::F32 => f64::from(f32::MAX),
        _ => f64::MAX,
    }
}

fn fits_int(value: Scalar, dtype: DType) -> bool {
    let wide = match value {
        Scalar::UInt(v) => i128::from(v),
        Scalar::Float(v) => v as i128,
        other => i128::from(other.to_i64()),
    };
    dispatch!(int dtype, T => {
        let (low, high) = (i128::from(T::MIN), i128::from(T::MAX));
        wide <= high && wide >= if low == 0 { -high } else { low }
    }, else true)
}

fn cpp_name(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "uint8_t",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int",
        DType::I64 => "int64_t",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::C64 => "c10::complex<float>",
        other => other.name(),
    }
}

/// The dtype that a number fills a tensor with.
fn dtype_of_number(value: Scalar) -> DType {
    match value {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) | Scalar::UInt(_) => DType::I64,
        Scalar::Float(_) => default_dtype(),
        Scalar::Complex(_) => default_dtype().to_complex(),
    }
}

/// Strides of a result that keeps its source's order of dimensions (`torch.preserve_format`).
#[must_use]
pub fn preserved_strides(source: &Layout) -> Dims {
    if source.is_dense() && source.strides.iter().all(|&s| s >= 0) {
        return source.strides.clone();
    }
    let mut order: Vec<usize> = (0..source.ndim()).rev().collect();
    // Insertion sort by stride: a stride of 0 compares with nothing, so the relation is not transitive.
    for i in 1..order.len() {
        let mut at = i;
        for j in (0..i).rev() {
            match compare_steps(source, order[j], order[at]) {
                std::cmp::Ordering::Greater => {
                    order.swap(j, at);
                    at = j;
                }
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Equal => {}
            }
        }
    }
    let (mut strides, mut step): (Dims, i64) = (smallvec![0; source.ndim()], 1);
    for d in order {
        strides[d] = step;
        step *= source.shape[d].max(1);
    }
    strides
}

fn compare_steps(source: &Layout, a: usize, b: usize) -> std::cmp::Ordering {
    let (x, y) = (source.strides[a].abs(), source.strides[b].abs());
    if x == 0 || y == 0 {
        return std::cmp::Ordering::Equal;
    }
    let larger = x == y && source.shape[a] > source.shape[b];
    x.cmp(&y).then(if larger {
        std::cmp::Ordering::Greater
    } else {
        std::cmp::Ordering::Equal
    })
}

/// Row-major strides of the sizes with channels moved last.
pub(super) fn channels_last_strides(shape: &[i64], spatial: usize) -> Result<Dims> {
    ensure!(
        shape.len() == spatial + 2,
        Runtime,
        "required rank {} tensor to use {} format",
        spatial + 2,
        if spatial == 2 {
            "channels_last"
        } else {
            "channels_last_3d"
        }
    );
    let mut moved: Dims = shape.iter().copied().collect();
    let channels = moved.remove(1);
    moved.push(channels);
    let mut strides = contiguous_strides(&moved);
    if let Some(step) = strides.pop() {
        strides.insert(1, step);
    }
    Ok(strides)
}

/// Strides that a memory format gives to a copy of `source`.
pub(super) fn format_strides(
    source: &Layout,
    format: Option<MemoryFormat>,
) -> Result<Option<Dims>> {
    Ok(match format {
        None | Some(MemoryFormat::Preserve) if source.is_contiguous() => None,
        None | Some(MemoryFormat::Preserve) => Some(preserved_strides(source)),
        Some(MemoryFormat::Contiguous) => None,
        Some(MemoryFormat::ChannelsLast) => Some(channels_last_strides(&source.shape, 2)?),
        Some(MemoryFormat::ChannelsLast3d) => Some(channels_last_strides(&source.shape, 3)?),
    })
}

/// A tensor of the given sizes and dense strides, not initialised.
pub(super) fn empty_laid_out(
    device: Device,
    shape: &[i64],
    strides: Option<Dims>,
    dtype: DType,
) -> Result<Tensor> {
    let plain = backend::empty(device, shape, dtype)?;
    match strides {
        None => Ok(plain),
        Some(strides) => plain.alias(Layout {
            shape: Dims::from_slice(shape),
            strides,
            offset: 0,
        }),
    }
}

fn empty(args: Args) -> Result<Outputs> {
    let (shape, options) = (args.ints(0)?, Options::read(args, 1)?);
    let strides = match args.opt_memory_format(6)? {
        Some(MemoryFormat::Preserve) => {
            fail!(
                Runtime,
                "empty(): the \"preserve_format\" memory format is only supported where there is a tensor to preserve it from"
            )
        }
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
    if options.device().is_cpu() {
        return options.finish(Tensor::zeros(shape, options.dtype())?);
    }
    let made = options.empty(shape)?;
    fill_tensor(&made, Scalar::Int(0))?;
    options.finish(made)
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

/// Reads options whose dtype and device come from a tensor where they are not given.
pub(super) fn options_like(args: Args, source: &Tensor, at: usize) -> Result<Options> {
    let mut options = Options::read(args, at)?;
    options.dtype.get_or_insert(source.dtype());
    options.device.get_or_insert(source.device());
    Ok(options)
}

/// An uninitialised tensor like the first argument, with the options and the memory format from a position on.
pub(super) fn empty_as(args: Args, at: usize) -> Result<(Tensor, Options)> {
    let source = args.t(0)?;
    let options = options_like(args, source, at)?;
    let strides = format_strides(source.layout(), args.opt_memory_format(at + 5)?)?;
    Ok((
        empty_laid_out(options.device(), source.shape(), strides, options.dtype())?,
        options,
    ))
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
    cpu::fill::fill(&outs[0], value);
    Ok(())
}

fn fill_with_tensor(args: Args, outs: &[Tensor]) -> Result<()> {
    let value = args.t(1)?;
    ensure!(
        value.ndim() == 0,
        Runtime,
        "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.",
        value.ndim()
    );
    cpu::fill::fill(&outs[0], value.item()?);
    Ok(())
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

    /// The tensor with every element replaced by a number.
    "fill/Scalar(Tensor self, Scalar value) -> Tensor", F | I | STRIDED, kernel(meta_like_self, fill_scalar),
    grad rule(0, |c| grads![c.g().zeros_like()]);

    /// The tensor with every element replaced by the value of a 0-dimensional tensor.
    "fill/Tensor(Tensor self, Tensor value) -> Tensor", F | I | STRIDED, kernel(meta_like_self, fill_with_tensor),
    grad rule(0, |c| grads![c.when(0, || c.g().zeros_like()), c.when(1, || c.g().sum(Value::None, false))]);

    /// The tensor with every element replaced by zero.
    "zero(Tensor self) -> Tensor", I | STRIDED, kernel(meta_like_self, |_, outs| {
        cpu::fill::fill(&outs[0], Scalar::Int(0));
        Ok(())
    }),
    grad rule(0, |c| grads![c.g().zeros_like()]);
}
