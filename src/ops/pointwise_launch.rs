//! Starting a pointwise loop over a call's operands: parameters in the lane type, layouts, and a short way for few elements.

use std::borrow::Borrow;

use smallvec::SmallVec;

use super::Value;
use super::pointwise_plain::is_still;
use crate::cpu::pointwise::{Input, Output, Run};
use crate::cpu::pointwise_walk::{Operand, Splat, apply, repeated};
use crate::tensor::{DType, Dims, FromScalar, Scalar, Tensor};
use crate::{Result, dispatch, fail};

/// The types that a loop reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub operands: DType,
    /// Operands that are numbers.
    pub numbers: DType,
    pub result: DType,
}

impl Lanes {
    pub const HALVES: Lanes = Lanes {
        operands: DType::BF16,
        numbers: DType::F32,
        result: DType::BF16,
    };

    pub fn of(lane: DType, result: DType) -> Lanes {
        Lanes {
            operands: lane,
            numbers: lane,
            result,
        }
    }
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

/// Calls the instance of a function for the number of operands, the target counted with them.
macro_rules! by_operands {
    ($function:ident($run:ident, $lanes:ident, $operands:ident, $($rest:ident),+)) => {
        match $operands.len() {
            1 => $function::<_, 2>($run, $lanes, $operands, $($rest),+),
            2 => $function::<_, 3>($run, $lanes, $operands, $($rest),+),
            3 => $function::<_, 4>($run, $lanes, $operands, $($rest),+),
            4 => $function::<_, 5>($run, $lanes, $operands, $($rest),+),
            _ => $function::<_, 6>($run, $lanes, $operands, $($rest),+),
        }
    };
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
    // Dense operands of one shape are one long row.
    let in_row = |value: &&Value| match value {
        Value::Tensor(t) => t.shape() == target.shape() && t.is_contiguous(),
        _ => true,
    };
    if target.is_contiguous() && operands.iter().all(in_row) {
        return launch_flat(run, lanes, operands, params, target, grain);
    }
    by_operands!(launch_strided(run, lanes, operands, params, target, grain))
}

/// As [`launch`], over rows of as many elements as the target has, each operand's own or one element repeated.
pub(super) fn launch_flat<V: Borrow<Value>>(
    run: Run,
    lanes: Lanes,
    operands: &[V],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    by_operands!(launch_row(run, lanes, operands, params, target, grain))
}

fn launch_row<V: Borrow<Value>, const K: usize>(
    run: Run,
    lanes: Lanes,
    operands: &[V],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    let mut numbers = Numbers::<K>::default();
    let places = numbers.places(lanes, operands, target)?;
    let mut steps = [[1i64; 1]; K];
    for (value, step) in operands.iter().zip(&mut steps[1..]) {
        let moves = value
            .borrow()
            .tensor()
            .is_some_and(|t| !is_still(t.layout()));
        step[0] = i64::from(moves);
    }
    let (n, params) = (target.numel(), params.as_ptr().cast());
    // SAFETY: as for `launch_strided`; contiguous tensors of one shape hold as many elements in a row.
    unsafe {
        if n as usize <= SMALL && places.iter().all(|place| place.dtype == place.lane) {
            run_small(run, &places, &steps, n as usize, params);
        } else {
            let strides = std::array::from_fn(|k| &steps[k][..]);
            apply(run, &[n], strides, places, params, grain);
        }
    }
    Ok(())
}

fn launch_strided<V: Borrow<Value>, const K: usize>(
    run: Run,
    lanes: Lanes,
    operands: &[V],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    let mut numbers = Numbers::<K>::default();
    let places = numbers.places(lanes, operands, target)?;
    let strides = broadcast_strides::<V, K>(operands, target)?;
    let strides = std::array::from_fn(|k| &strides[k][..]);
    let params = params.as_ptr().cast();
    // SAFETY: layouts lie within their storages; `ops::call` hands out no output that overlaps an
    // operand unless it is exactly that operand.
    unsafe { apply(run, target.shape(), strides, places, params, grain) };
    Ok(())
}

/// Room for the operands that are numbers, in the lane type.
struct Numbers<const K: usize>([u128; K]);

impl<const K: usize> Default for Numbers<K> {
    fn default() -> Self {
        Numbers([0; K])
    }
}

impl<const K: usize> Numbers<K> {
    /// Where the target and the operands lie.
    fn places<V: Borrow<Value>>(
        &mut self,
        lanes: Lanes,
        operands: &[V],
        target: &Tensor,
    ) -> Result<[Operand; K]> {
        let mut places = [Operand {
            ptr: target.data_ptr(),
            dtype: target.dtype(),
            lane: lanes.result,
        }; K];
        for (k, value) in operands.iter().enumerate() {
            let place = &mut places[k + 1];
            let (ptr, dtype, lane) = match value.borrow() {
                Value::Tensor(t) => (t.data_ptr(), t.dtype(), lanes.operands),
                Value::Num(s) => {
                    let number = bytemuck::bytes_of_mut(&mut self.0[k]);
                    write_scalar(lanes.numbers, *s, number);
                    (number.as_mut_ptr(), lanes.numbers, lanes.numbers)
                }
                _ => fail!(Type, "argument {} must be Tensor or Number", k + 1),
            };
            *place = Operand { ptr, dtype, lane };
        }
        Ok(places)
    }
}

/// Elements of a call that is over sooner than its loops are planned.
const SMALL: usize = 64;

/// Runs a loop over a few contiguous elements of the lane types themselves.
///
/// # Safety
/// The target (place 0) and the operands have `n` elements, at most `SMALL`, at their places, or one where their step
/// is 0.
unsafe fn run_small<const K: usize>(
    run: Run,
    places: &[Operand; K],
    steps: &[[i64; 1]; K],
    n: usize,
    params: *const u8,
) {
    let mut splats = [Splat::uninit(); K];
    let mut inputs = places.map(|place| Input {
        ptr: place.ptr,
        step: 1,
    });
    for k in 1..K {
        if steps[k][0] == 0 {
            // SAFETY: the caller's promise.
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
fn broadcast_strides<V: Borrow<Value>, const K: usize>(
    operands: &[V],
    target: &Tensor,
) -> Result<[Dims; K]> {
    let shape = target.shape();
    let mut strides: [Dims; K] = std::array::from_fn(|_| Dims::new());
    strides[0] = Dims::from_slice(target.strides());
    for (value, strides) in operands.iter().zip(&mut strides[1..]) {
        match value.borrow() {
            Value::Tensor(t) if t.shape() == shape => strides.extend_from_slice(t.strides()),
            Value::Tensor(t) => *strides = t.layout().expand(shape)?.strides,
            _ => strides.resize(shape.len(), 0),
        }
    }
    Ok(strides)
}
