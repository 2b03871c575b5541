//! Sequences: elements computed from their index.

use super::multiversion::multiversion;
use super::{copy, pool};
use crate::tensor::{DType, Element, FromScalar, Scalar, Tensor, c128};
use crate::{Result, dispatch};

struct Target<T>(*mut T);
// SAFETY: tasks write disjoint elements through it.
unsafe impl<T> Sync for Target<T> {}

multiversion! {
    unsafe fn write[T, F: Fn(i64) -> T](to: *mut T, from: i64, count: usize, f: &F) {
        for i in 0..count {
            // SAFETY: the caller passes room for `count` elements.
            unsafe { to.add(i).write(f(from + i as i64)) };
        }
    }
}

/// Writes `f(i)` to element `i` of a fresh contiguous CPU tensor of type `T`.
fn sequence<T: Element>(out: &Tensor, f: impl Fn(i64) -> T + Sync) {
    let target = &Target(out.ptr::<T>());
    pool::parallel_for(out.numel() as usize, pool::grain::COPY, |range| {
        // SAFETY: ranges of tasks are disjoint and lie within the tensor.
        unsafe {
            let to = target.0.add(range.start);
            write(to, range.start as i64, range.len(), &f);
        }
    });
}

/// As `sequence`, converted where the tensor has another dtype: few types have to be compiled.
fn converted<T: Element>(out: &Tensor, f: impl Fn(i64) -> T + Sync) -> Result<()> {
    if out.dtype() == T::DTYPE {
        sequence(out, f);
        return Ok(());
    }
    let wide = Tensor::empty(out.shape(), T::DTYPE)?;
    sequence(&wide, f);
    copy::copy(out, &wide)
}

/// `start + i * step`, computed in the type that PyTorch accumulates in.
pub fn arange(out: &Tensor, start: Scalar, step: Scalar) -> Result<()> {
    let (first, by) = (start.to_f64(), step.to_f64());
    match out.dtype() {
        DType::F64 => sequence(out, |i| first + by * i as f64),
        DType::F32 => sequence(out, |i| (first + by * i as f64) as f32),
        DType::F16 | DType::BF16 => {
            let (first, by) = (first as f32, by as f32);
            return converted(out, |i| by.mul_add(i as f32, first));
        }
        dtype => {
            let (first, by) = (start.to_i64(), step.to_i64());
            return dispatch!(int dtype, T => {
                let (first, by) = (first as T, by as T);
                sequence(out, |i| first.wrapping_add(by.wrapping_mul(i as T)));
                Ok(())
            }, else converted(out, |i| first.wrapping_add(by.wrapping_mul(i))));
        }
    }
    Ok(())
}

/// The value that a dtype stores for a number, as f64.
fn stored(dtype: DType, value: f64) -> f64 {
    match dtype {
        DType::F64 => value,
        DType::F32 => f64::from(value as f32),
        _ => dispatch!(all dtype, T => T::from_scalar(Scalar::Float(value)).to_scalar().to_f64()),
    }
}

/// Values or exponents of a range of `steps`: both halves are computed from their own end.
fn spaced(start: f64, end: f64, steps: i64) -> impl Fn(i64) -> f64 + Sync {
    // At least one, for the range of a single step.
    let last = (steps - 1).max(1);
    let step = (end - start) / last as f64;
    move |i| {
        if i < steps / 2 {
            step.mul_add(i as f64, start)
        } else {
            (-step).mul_add((last - i) as f64, end)
        }
    }
}

fn spaced_complex(start: Scalar, end: Scalar, steps: i64) -> impl Fn(i64) -> c128 + Sync {
    let (a, b, last) = (start.to_c128(), end.to_c128(), (steps - 1).max(1));
    let step = (b - a) / last as f64;
    move |i| {
        if i < steps / 2 {
            a + step * i as f64
        } else {
            b - step * (last - i) as f64
        }
    }
}

/// `steps` values from `start` to `end`, both rounded to the dtype first.
pub fn linspace(out: &Tensor, start: Scalar, end: Scalar) -> Result<()> {
    let (steps, dtype) = (out.numel(), out.dtype());
    if dtype.is_complex() {
        return converted(out, spaced_complex(start, end, steps));
    }
    let (a, b) = (stored(dtype, start.to_f64()), stored(dtype, end.to_f64()));
    if dtype == DType::F64 || !dtype.is_float() {
        return converted(out, spaced(a, b, steps));
    }
    let (a, b, last, half) = (a as f32, b as f32, steps - 1, steps / 2);
    let step = (b - a) / last as f32;
    converted(out, move |i| {
        if i < half {
            step.mul_add(i as f32, a)
        } else {
            (-step).mul_add((last - i) as f32, b)
        }
    })
}

/// `base` to the powers of a linspace.
pub fn logspace(out: &Tensor, start: Scalar, end: Scalar, base: f64) -> Result<()> {
    let (steps, dtype) = (out.numel(), out.dtype());
    if dtype.is_complex() {
        let exponent = spaced_complex(start, end, steps);
        return converted(out, move |i| c128::new(base, 0.0).powc(exponent(i)));
    }
    let exponent = spaced(
        stored(dtype, start.to_f64()),
        stored(dtype, end.to_f64()),
        steps,
    );
    converted(out, move |i| base.powf(exponent(i)))
}

/// Writes the row and column of each element that `columns` names in a range of rows.
pub fn triangle_indices(
    rows: std::ops::Range<i64>,
    columns: &dyn Fn(i64) -> std::ops::Range<i64>,
    places: &mut [i64],
) {
    let (row_of, column_of) = places.split_at_mut(places.len() / 2);
    let elements = rows.flat_map(|row| columns(row).map(move |column| (row, column)));
    for ((row_of, column_of), (row, column)) in row_of.iter_mut().zip(column_of).zip(elements) {
        (*row_of, *column_of) = (row, column);
    }
}
