//! Tensors made from a rule: `arange`, `linspace`, `logspace`, `eye`, triangle indices.

use super::index::like_self;
use super::options::{Options, check_fits, fill_tensor};
use super::{Args, Body, F, O, Outputs, Value, kernel};
use crate::tensor::{DType, Scalar, Tensor, default_dtype};
use crate::{Result, backend, call, cpu, ensure, err, error, fail, inplace, ops};

fn is_integral(s: Scalar) -> bool {
    matches!(s, Scalar::Bool(_) | Scalar::Int(_) | Scalar::UInt(_))
}

/// The number of elements of `arange`, with PyTorch's errors for ranges that make none.
fn arange_size(start: Scalar, end: Scalar, step: Scalar, dtype: DType) -> Result<i64> {
    let (mut a, mut b, mut s) = (start.to_f64(), end.to_f64(), step.to_f64());
    ensure!(
        dtype.is_float() || dtype.is_integral(false),
        NotImplemented,
        "\"arange_cpu\" not implemented for '{}'",
        dtype.scalar_name()
    );
    ensure!(s != 0.0, Runtime, "step must be nonzero");
    ensure!(
        a.is_finite() && b.is_finite(),
        Runtime,
        "unsupported range: {a} -> {b}"
    );
    if dtype.is_integral(true) {
        (a, b, s) = (
            start.to_i64() as f64,
            end.to_i64() as f64,
            step.to_i64() as f64,
        );
    }
    ensure!(s != 0.0 && !s.is_nan(), Value, "step must be nonzero");
    ensure!(
        if s > 0.0 { b >= a } else { b <= a },
        Runtime,
        "upper bound and lower bound inconsistent with step sign"
    );
    let count = if dtype == DType::I64 {
        let (a, b, s) = (
            i128::from(start.to_i64()),
            i128::from(end.to_i64()),
            i128::from(step.to_i64()),
        );
        let count = (b - a + s - s.signum()) / s;
        return i64::try_from(count).map_err(|_| err!(Runtime, "invalid size, possible overflow?"));
    } else {
        ((end.to_f64() - start.to_f64()) / step.to_f64()).ceil()
    };
    ensure!(
        (0.0..=i64::MAX as f64).contains(&count),
        Runtime,
        "invalid size, possible overflow?"
    );
    Ok(count as i64)
}

/// Fills a vector on its device.
fn fill_arange(out: &Tensor, start: Scalar, step: Scalar) -> Result<()> {
    if out.device().is_cpu() {
        return cpu::range::arange(out, start, step);
    }
    inplace!("_arange", out, start, step)
}

fn arange_of(start: Scalar, end: Scalar, step: Scalar, options: &Options) -> Result<Outputs> {
    let integral = [start, end, step].into_iter().all(is_integral);
    let dtype = options.dtype.unwrap_or_else(|| {
        if integral {
            DType::I64
        } else {
            default_dtype()
        }
    });
    let shape = [arange_size(start, end, step, dtype)?];
    let out = backend::empty(options.device(), &shape, dtype)?;
    fill_arange(&out, start, step)?;
    options.finish(out)
}

fn range(args: Args) -> Result<Outputs> {
    error::warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
    )?;
    let (start, end, step) = (args.scalar(0)?, args.scalar(1)?, args.scalar(2)?);
    let options = Options::read(args, 3)?;
    let (a, b, s) = (start.to_f64(), end.to_f64(), step.to_f64());
    ensure!(s != 0.0 && !s.is_nan(), Runtime, "step must be nonzero");
    ensure!(
        a.is_finite() && b.is_finite(),
        Runtime,
        "unsupported range: {a} -> {b}"
    );
    ensure!(
        if s > 0.0 { b >= a } else { b <= a },
        Runtime,
        "upper bound and lower bound inconsistent with step sign"
    );
    let count = ((b - a) / s).floor() + 1.0;
    ensure!(
        count <= i64::MAX as f64,
        Runtime,
        "invalid size, possible overflow?"
    );
    let out = options.empty(&[count as i64])?;
    fill_arange(&out, start, step)?;
    options.finish(out)
}

/// An end of a linspace: a number, or a tensor without dimensions.
fn end_of(op: &str, args: Args) -> Result<(Scalar, Scalar)> {
    let dims = |v: &Value| v.tensor().map_or(0, Tensor::ndim);
    let (a, b) = (args.get(0), args.get(1));
    ensure!(
        dims(a) == 0 && dims(b) == 0,
        Runtime,
        "{op} only supports 0-dimensional start and end tensors, but got start with {} dimension(s) and end with {} dimension(s).",
        dims(a),
        dims(b)
    );
    let number = |v: &Value, i: usize| v.tensor().map_or_else(|| args.scalar(i), Tensor::item);
    Ok((number(a, 0)?, number(b, 1)?))
}

/// The ends, the result (not yet filled) and its options; a complex end makes the result complex.
fn spaced(op: &str, args: Args, at: usize) -> Result<(Scalar, Scalar, Tensor, Options)> {
    let (start, end) = end_of(op, args)?;
    let (steps, mut options) = (args.int(2)?, Options::read(args, at)?);
    ensure!(steps >= 0, Runtime, "number of steps must be non-negative");
    if matches!(start, Scalar::Complex(_)) || matches!(end, Scalar::Complex(_)) {
        let complex = default_dtype().to_complex();
        if let Some(dtype) = options.dtype.filter(|d| !d.is_complex()) {
            fail!(
                Runtime,
                "torch.{op}(): inferred dtype {complex} can't be safely cast to passed dtype {dtype}"
            );
        }
        options.dtype.get_or_insert(complex);
    }
    let dtype = options.dtype();
    ensure!(
        dtype != DType::Bool,
        NotImplemented,
        "\"{op}_cpu\" not implemented for 'Bool'"
    );
    if steps > 0 {
        check_fits(start, dtype)?;
        check_fits(end, dtype)?;
    }
    let out = options.empty(&[steps])?;
    Ok((start, end, out, options))
}

fn linspace(args: Args) -> Result<Outputs> {
    let (start, end, out, options) = spaced("linspace", args, 3)?;
    match out.numel() {
        0 => {}
        1 => fill_tensor(&out, start)?,
        _ if !out.device().is_cpu() => inplace!("_linspace", &out, start, end)?,
        _ => cpu::range::linspace(&out, start, end)?,
    }
    options.finish(out)
}

fn logspace(args: Args) -> Result<Outputs> {
    let base = args.float(3)?;
    let (start, end, out, options) = spaced("logspace", args, 4)?;
    // The only exponent is the start.
    let end = if out.numel() == 1 { start } else { end };
    match out.numel() {
        0 => {}
        _ if !out.device().is_cpu() => inplace!("_logspace", &out, start, end, base)?,
        _ => cpu::range::logspace(&out, start, end, base)?,
    }
    options.finish(out)
}

fn eye_of(rows: i64, columns: i64, options: &Options) -> Result<Outputs> {
    ensure!(
        rows >= 0,
        Runtime,
        "n must be greater or equal to 0, got {rows}"
    );
    ensure!(
        columns >= 0,
        Runtime,
        "m must be greater or equal to 0, got {columns}"
    );
    let out = backend::zeros(options.device(), &[rows, columns], options.dtype())?;
    let diagonal = out.alias(out.layout().diagonal(0, 0, 1))?;
    backend::fill(&diagonal, Scalar::Int(1))?;
    options.finish(out)
}

/// How many elements lie on or below a diagonal.
fn lower_count(rows: i64, columns: i64, offset: i64) -> i128 {
    let (rows, columns, offset) = (i128::from(rows), i128::from(columns), i128::from(offset));
    let first = (-offset).clamp(0, rows);
    let full = (columns - offset - 1).clamp(first, rows);
    let growing = full - first;
    growing * (first + offset + 1) + growing * (growing - 1) / 2 + (rows - full) * columns
}

/// Indices of a triangle of a matrix.
fn triangle(args: Args, upper: bool) -> Result<Outputs> {
    let (rows, columns, offset) = (args.int(0)?, args.int(1)?, args.int(2)?);
    ensure!(rows >= 0, Runtime, "row must be non-negative, got{rows}");
    ensure!(
        columns >= 0,
        Runtime,
        "col must be non-negative, got{columns}"
    );
    let mut options = Options::read(args, 3)?;
    // Rows without elements are left out, so that the loop is as long as the result.
    let (filled, below) = if upper {
        let filled = 0..columns.saturating_sub(offset).clamp(0, rows);
        (filled, lower_count(rows, columns, offset.saturating_sub(1)))
    } else {
        let filled = offset.saturating_neg().clamp(0, rows)..rows;
        (filled, lower_count(rows, columns, offset))
    };
    let count = if upper {
        i128::from(rows) * i128::from(columns) - below
    } else {
        below
    };
    let count = i64::try_from(count)
        .map_err(|_| err!(Runtime, "numel: integer multiplication overflow"))?;
    let made = Tensor::empty(&[2, count], DType::I64)?;
    let span = |row: i64| {
        let diagonal = row.saturating_add(offset);
        if upper {
            diagonal.clamp(0, columns)..columns
        } else {
            0..diagonal.saturating_add(1).clamp(0, columns)
        }
    };
    if count > 0 {
        // SAFETY: the tensor was just made, so nothing else reads it.
        cpu::range::triangle_indices(filled, &span, unsafe { made.as_mut_slice()? });
    }
    let dtype = *options.dtype.get_or_insert(DType::I64);
    options.finish(call!("_to_copy", made, dtype)?)
}

ops! {
    /// Values from 0 up to, but not including, `end`.
    "arange(Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| arange_of(Scalar::Int(0), a.scalar(0)?, Scalar::Int(1), &Options::read(a, 1)?));

    /// Values from `start` up to, but not including, `end`, in steps of `step`.
    "arange/start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| arange_of(a.scalar(0)?, a.scalar(1)?, a.scalar(2)?, &Options::read(a, 3)?));

    /// Values from `start` to `end`, both included, in steps of `step`. Deprecated: use `arange`.
    "range(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(range);

    /// Fills a vector with the values from `start` on, in steps of `step`.
    "_arange(Tensor self, Scalar start, Scalar step) -> Tensor", 0,
    kernel(like_self, |a, outs| fill_arange(&outs[0], a.scalar(1)?, a.scalar(2)?));

    /// Fills a vector with equally spaced values from `start` to `end`.
    "_linspace(Tensor self, Scalar start, Scalar end) -> Tensor", 0,
    kernel(like_self, |a, outs| cpu::range::linspace(&outs[0], a.scalar(1)?, a.scalar(2)?));

    /// Fills a vector with `base` raised to equally spaced exponents from `start` to `end`.
    "_logspace(Tensor self, Scalar start, Scalar end, float base) -> Tensor", 0,
    kernel(like_self, |a, outs| cpu::range::logspace(&outs[0], a.scalar(1)?, a.scalar(2)?, a.float(3)?));

    /// `steps` equally spaced values from `start` to `end`, both included.
    "linspace(Tensor|Scalar start, Tensor|Scalar end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(linspace);

    /// `base` raised to `steps` equally spaced exponents from `start` to `end`.
    "logspace(Tensor|Scalar start, Tensor|Scalar end, int steps, float base=10.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(logspace);

    /// The square matrix with ones on its diagonal.
    "eye(int n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| eye_of(a.int(0)?, a.int(0)?, &Options::read(a, 1)?));

    /// The matrix of n rows and m columns with ones on its diagonal.
    "eye/m(int n, int m, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| eye_of(a.int(0)?, a.int(1)?, &Options::read(a, 2)?));

    /// Row and column indices of the lower triangle of a matrix, row by row.
    "tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| triangle(a, false));

    /// Row and column indices of the upper triangle of a matrix, row by row.
    "triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| triangle(a, true));
}
