//! Sequences: elements computed from their index.

use super::pool;
use crate::tensor::{DType, Element, FromScalar, Scalar, Tensor, bf16, c128, f16};
use crate::{Result, dispatch, err};

struct Target<T>(*mut T);
// SAFETY: tasks write disjoint elements through it.
unsafe impl<T> Sync for Target<T> {}

/// Writes `f(i)` to element `i` of a fresh contiguous CPU tensor.
fn sequence<T: Element>(out: &Tensor, f: impl Fn(i64) -> T + Sync) {
    let target = &Target(out.ptr::<T>());
    pool::parallel_for(out.numel() as usize, pool::grain::COPY, |range| {
        for i in range {
            // SAFETY: `i` is below the number of elements, and ranges of tasks are disjoint.
            unsafe { *target.0.add(i) = f(i as i64) };
        }
    });
}

fn unsupported(op: &str, dtype: DType) -> crate::Error {
    err!(
        NotImplemented,
        "\"{op}\" not implemented for '{}'",
        dtype.scalar_name()
    )
}

/// `start + i * step`, computed in the type that PyTorch accumulates in.
pub fn arange(out: &Tensor, start: Scalar, step: Scalar) -> Result<()> {
    let (first, by) = (start.to_f64(), step.to_f64());
    let narrow = |i: i64| (by as f32).mul_add(i as f32, first as f32);
    match out.dtype() {
        DType::F64 => sequence(out, |i| first + by * i as f64),
        DType::F32 => sequence(out, |i| (first + by * i as f64) as f32),
        DType::F16 => sequence(out, |i| f16::from_f32(narrow(i))),
        DType::BF16 => sequence(out, |i| bf16::from_f32(narrow(i))),
        dtype => {
            let (first, by) = (start.to_i64(), step.to_i64());
            dispatch!(int dtype, T => sequence(out, |i| first.wrapping_add(by.wrapping_mul(i)) as T),
                else return Err(unsupported("arange_cpu", dtype)));
        }
    }
    Ok(())
}

/// `steps` values from `start` to `end`; both halves are computed from their own end.
pub fn linspace(out: &Tensor, start: Scalar, end: Scalar) -> Result<()> {
    let (steps, dtype) = (out.numel(), out.dtype());
    let (last, halfway) = (steps - 1, steps / 2);
    macro_rules! fill {
        ($T:ty, $step:expr, $from_start:expr, $from_end:expr) => {{
            let (a, b) = (<$T>::from_scalar(start), <$T>::from_scalar(end));
            let step = $step(a, b);
            sequence(out, |i| {
                if i < halfway {
                    $from_start(a, step, i)
                } else {
                    $from_end(b, step, last - i)
                }
            });
        }};
    }
    match dtype {
        DType::F32 => fill!(
            f32,
            |a, b| (b - a) / last as f32,
            |a, s, i| a + s * i as f32,
            |b, s, i| b - s * i as f32
        ),
        DType::F64 => fill!(
            f64,
            |a, b| (b - a) / last as f64,
            |a, s, i| a + s * i as f64,
            |b, s, i| b - s * i as f64
        ),
        DType::F16 | DType::BF16 => dispatch!(float dtype, T => {
            let round = |v: f64| T::from_scalar(Scalar::Float(v));
            let wide = |v: T| v.to_scalar().to_f64();
            fill!(T,
                |a, b| wide(round(wide(round(wide(b) - wide(a))) / last as f64)),
                |a, s: f64, i| round(wide(a) + wide(round(s * i as f64))),
                |b, s: f64, i| round(wide(b) - wide(round(s * i as f64))));
        }, else {}),
        DType::C64 | DType::C128 => dispatch!(complex dtype, T => {
            let step = (end.to_c128() - start.to_c128()) / last as f64;
            let (a, b) = (start.to_c128(), end.to_c128());
            let narrow = |v: c128| T::from_scalar(Scalar::Complex(v));
            sequence(out, |i| narrow(if i < halfway { a + step * i as f64 } else { b - step * (last - i) as f64 }));
        }, else {}),
        _ => dispatch!(int dtype, T => fill!(T,
            |a, b| (b as f64 - a as f64) / last as f64,
            |a, s: f64, i| (a as f64 + s * i as f64) as i64 as T,
            |b, s: f64, i| (b as f64 - s * i as f64) as i64 as T),
            else return Err(unsupported("linspace_cpu", dtype))),
    }
    Ok(())
}

/// `base` to the powers of a linspace.
pub fn logspace(out: &Tensor, start: Scalar, end: Scalar, base: f64) -> Result<()> {
    let (steps, dtype) = (out.numel(), out.dtype());
    let (last, halfway) = (steps - 1, steps / 2);
    if dtype.is_complex() {
        let (a, b) = (start.to_c128(), end.to_c128());
        let step = (b - a) / last as f64;
        let power = |e: c128| c128::new(base, 0.0).powc(e);
        dispatch!(complex dtype, T => sequence(out, |i| {
            let exponent = if i < halfway { a + step * i as f64 } else { b - step * (last - i) as f64 };
            T::from_scalar(Scalar::Complex(power(exponent)))
        }), else {});
        return Ok(());
    }
    dispatch!(real dtype, T => {
        // The ends are first rounded to the result's dtype.
        let (a, b) = (T::from_scalar(start).to_scalar().to_f64(), T::from_scalar(end).to_scalar().to_f64());
        let step = (b - a) / last as f64;
        sequence(out, |i| {
            let exponent = if i < halfway { a + step * i as f64 } else { b - step * (last - i) as f64 };
            T::from_scalar(Scalar::Float(base.powf(exponent)))
        });
    }, else return Err(unsupported("logspace_cpu", dtype)));
    Ok(())
}

/// Ones on the diagonal of a zeroed contiguous matrix of `columns` columns.
pub fn eye(out: &Tensor, rows: i64, columns: i64) {
    dispatch!(all out.dtype(), T => {
        let one = T::from_scalar(Scalar::Int(1));
        for i in 0..rows.min(columns) {
            // SAFETY: row and column lie within the matrix.
            unsafe { *out.ptr::<T>().add((i * (columns + 1)) as usize) = one };
        }
    });
}

/// Rows, then columns, of the elements for which `inside` holds, row by row.
pub fn triangle_indices(rows: i64, inside: impl Fn(i64) -> std::ops::Range<i64>) -> Vec<i64> {
    let (mut row_indices, mut column_indices) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let columns = inside(row);
        row_indices.extend(columns.clone().map(|_| row));
        column_indices.extend(columns);
    }
    row_indices.append(&mut column_indices);
    row_indices
}
