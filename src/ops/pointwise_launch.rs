//! Starting a pointwise loop over a call's operands: parameters in the lane type, layouts, and a short way for few elements.

use smallvec::SmallVec;

use super::Value;
use crate::cpu::pointwise::{Input, Output, Run};
use crate::cpu::pointwise_walk::{Operand, Splat, apply, repeated};
use crate::tensor::{DType, Dims, FromScalar, Scalar, Tensor};
use crate::{Result, dispatch, fail};

/// The types that a loop reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub operands: DType,
    pub result: DType,
}
/// Scalar parameters in the lane type, side by side; None is NaN.
pub(super) type Params = SmallVec<[u128; 2]>;

pub(super) fn scalars<'a>(lane: DType, values: impl Iterator<Item = &'a Value>) -> Result<Params> {
    let mut params = Params::new();
    for (i, value) in values.enumerate() {
        let scalar = match value {
            Value::Num(s) => *s,
            Value::None => Scalar::Float(f64::NAN),
            _ => fail!(Type, "expected a Number"),
        };
        let at = i * lane.size();
        params.resize((at + lane.size()).div_ceil(16), 0);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut params);
        write_scalar(lane, scalar, &mut bytes[at..]);
    }
    Ok(params)
}

fn write_scalar(lane: DType, scalar: Scalar, bytes: &mut [u8]) {
    dispatch!(all lane, T => {
        let value = <T as FromScalar>::from_scalar(scalar);
        bytes[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(&value));
    });
}

/// Runs a loop over operands broadcast to the output.
pub(super) fn launch(
    run: Run,
    lanes: Lanes,
    operands: &[&Value],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    match operands.len() {
        1 => launch_n::<2>(run, lanes, operands, params, target, grain),
        2 => launch_n::<3>(run, lanes, operands, params, target, grain),
        3 => launch_n::<4>(run, lanes, operands, params, target, grain),
        4 => launch_n::<5>(run, lanes, operands, params, target, grain),
        _ => launch_n::<6>(run, lanes, operands, params, target, grain),
    }
}

fn launch_n<const K: usize>(
    run: Run,
    lanes: Lanes,
    operands: &[&Value],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    let mut numbers = [[0u128; 1]; K];
    let mut places = [Operand {
        ptr: target.data_ptr(),
        dtype: target.dtype(),
        lane: lanes.result,
    }; K];
    // Dense operands of one shape are one long row.
    let mut flat = target.is_contiguous();
    for (k, value) in operands.iter().enumerate() {
        let place = &mut places[k + 1];
        place.lane = lanes.operands;
        match value {
            Value::Tensor(t) => {
                (place.ptr, place.dtype) = (t.data_ptr(), t.dtype());
                flat = flat && t.shape() == target.shape() && t.is_contiguous();
            }
            Value::Num(s) => {
                let number: &mut [u8] = bytemuck::cast_slice_mut(&mut numbers[k]);
                write_scalar(lanes.operands, *s, number);
                (place.ptr, place.dtype) = (number.as_mut_ptr(), lanes.operands);
            }
            _ => fail!(Type, "argument {} must be Tensor or Number", k + 1),
        }
    }
    let params = params.as_ptr().cast();
    if flat && target.numel() as usize <= SMALL && places.iter().all(|p| p.dtype == p.lane) {
        // SAFETY: as below.
        unsafe { run_small(run, operands, &places, target.numel() as usize, params) };
        return Ok(());
    }
    if flat {
        let steps: [[i64; 1]; K] = std::array::from_fn(|k| match k {
            0 => [1],
            _ => [i64::from(operands[k - 1].tensor().is_some())],
        });
        let strides = std::array::from_fn(|k| &steps[k][..]);
        // SAFETY: as below; contiguous tensors of one shape hold as many elements in a row.
        unsafe { apply(run, &[target.numel()], strides, places, params, grain) };
        return Ok(());
    }
    let strides = broadcast_strides::<K>(operands, target)?;
    let strides = std::array::from_fn(|k| &strides[k][..]);
    // SAFETY: layouts lie within their storages; `ops::call` hands out no output that overlaps an
    // operand unless it is exactly that operand.
    unsafe { apply(run, target.shape(), strides, places, params, grain) };
    Ok(())
}

/// Elements of a call that is over sooner than its loops are planned.
const SMALL: usize = 64;

/// Runs a loop over a few contiguous elements of the lane types themselves.
///
/// # Safety
/// The target (place 0) and tensor operands have `n` elements, at most `SMALL`, at their places; numbers have one.
unsafe fn run_small<const K: usize>(
    run: Run,
    operands: &[&Value],
    places: &[Operand; K],
    n: usize,
    params: *const u8,
) {
    let mut splats = [Splat::uninit(); K];
    let mut inputs = places.map(|place| Input {
        ptr: place.ptr,
        step: 1,
    });
    for k in 1..K {
        if operands.get(k - 1).is_some_and(|v| v.tensor().is_none()) {
            // SAFETY: a number has one element.
            inputs[k] = unsafe { repeated(places[k].ptr, places[k].lane, &mut splats[k]) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        run(
            inputs[1..].as_ptr(),
            Output::plain(places[0].ptr),
            n,
            params,
        );
    }
}

/// Strides of the target and of the operands broadcast to it.
fn broadcast_strides<const K: usize>(operands: &[&Value], target: &Tensor) -> Result<[Dims; K]> {
    let shape = target.shape();
    let mut strides: [Dims; K] = std::array::from_fn(|_| Dims::new());
    strides[0] = Dims::from_slice(target.strides());
    for (value, strides) in operands.iter().zip(&mut strides[1..]) {
        match value {
            Value::Tensor(t) if t.shape() == shape => strides.extend_from_slice(t.strides()),
            Value::Tensor(t) => *strides = t.layout().expand(shape)?.strides,
            _ => strides.resize(shape.len(), 0),
        }
    }
    Ok(strides)
}
