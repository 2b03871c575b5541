//! Whole random numbers: the bounds that each dtype can represent.

use super::Args;
use super::options::largest;
use super::random_real::draw_as;
use crate::cpu::random_fill as fills;
use crate::tensor::{DType, FromScalar, Scalar, Tensor};
use crate::{Result, dispatch, ensure, error, inplace};

/// The whole numbers that a floating-point dtype holds exactly are below 2 to this power.
pub(super) fn digits(dtype: DType) -> u32 {
    match dtype {
        DType::F16 => 11,
        DType::BF16 => 8,
        DType::F32 => 24,
        _ => 53,
    }
}

/// A whole number after a round trip through a floating-point dtype.
fn through(dtype: DType, value: i64) -> i64 {
    dispatch!(float dtype, T => T::from_scalar(Scalar::Int(value)).to_scalar().to_i64(), else value)
}

/// The smallest bound from `from` on that the dtype's rounding does not carry below it.
fn representable_from(dtype: DType, from: i64) -> i64 {
    let next = through(dtype, from.saturating_add(1));
    if next >= from {
        return from;
    }
    let magnitude = from.saturating_add(1).unsigned_abs().max(1).ilog2() as i32;
    next + (1_i64 << (magnitude - digits(dtype) as i32 + 1).max(0))
}

/// The largest bound up to `to` that the dtype's rounding does not carry to it.
fn representable_to(dtype: DType, to: i64) -> i64 {
    let previous = through(dtype, to.saturating_sub(1));
    if previous < to {
        return to;
    }
    let magnitude = to.saturating_sub(1).unsigned_abs().max(1).ilog2() as i32;
    previous - (1_i64 << (magnitude - digits(dtype) as i32 + 1).max(0))
}

/// The range of an integer dtype, as far as i64 reaches.
pub(super) fn limits(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::Bool => (0, 1),
        DType::U64 => (0, i64::MAX),
        _ => dispatch!(int dtype, T => (T::MIN as i64, T::MAX as i64), else (i64::MIN, i64::MAX)),
    }
}

fn check_bounds(from: i64, last: i64, dtype: DType) -> Result<()> {
    for (value, name) in [(from, "from"), (last, "to - 1")] {
        let inside = if dtype.is_float() {
            (value as f64).abs() <= largest(dtype)
        } else {
            let (low, high) = limits(dtype);
            (low..=high).contains(&value)
        };
        ensure!(
            inside,
            Runtime,
            "{name} is out of bounds for {}",
            dtype.scalar_name()
        );
        if dtype.is_float() && value.unsigned_abs() > 1 << digits(dtype) {
            let n = digits(dtype);
            error::warn(&format!(
                "{name} is out of bounds [-(2^{n}), 2^{n}]. Due to precision limitations {} can support discrete uniform distribution only within this range. This warning will become an error in version 1.7 release, please fix the code in advance",
                dtype.scalar_name()
            ))?;
        }
    }
    Ok(())
}

/// `random_(from, to)`: whole numbers from `from` up to, but not including, `to`.
pub(super) fn integers_into(
    target: &Tensor,
    from: i64,
    to: Option<i64>,
    args: Args,
    at: usize,
) -> Result<()> {
    let dtype = target.dtype();
    if !target.device().is_cpu() {
        return inplace!("random/from", target, from, to, args.get(at));
    }
    ensure!(
        !dtype.is_complex(),
        NotImplemented,
        "\"random_from_to_kernel_cpu\" not implemented for '{}'",
        dtype.scalar_name()
    );
    if to.is_none() && from == i64::MIN {
        ensure!(
            matches!(dtype, DType::I64 | DType::F64 | DType::F32 | DType::BF16),
            Runtime,
            "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16"
        );
        return draw_as(target, args, at, &mut |g, out| fills::integers_64(g, out));
    }
    if let Some(to) = to {
        ensure!(
            from < to,
            Runtime,
            "random_ expects 'from' to be less than 'to', but got from={from} >= to={to}"
        );
    }
    let (mut first, mut last) = (from, to.map_or_else(|| limits(dtype).1, |to| to - 1));
    if dtype.is_float() {
        first = representable_from(dtype, from);
        last = to.map_or(1 << digits(dtype), |to| representable_to(dtype, to) - 1);
        ensure!(
            first <= last,
            Runtime,
            "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from={first} >= to={}",
            last.saturating_add(1)
        );
    }
    check_bounds(first, last, dtype)?;
    let range = (last as u64).wrapping_sub(first as u64).wrapping_add(1);
    draw_as(target, args, at, &mut |g, out| {
        fills::integers(g, out, range, first);
    })
}
