//! The short way of most pointwise calls: nothing is to be promoted, broadcast, resolved or moved.

use super::pointwise::{Loops, Spec, loop_for};
use super::pointwise_launch::{Lanes, launch_flat, scalars};
use super::{Args, Value};
use crate::Result;
use crate::cpu::pointwise::Run;
use crate::tensor::{DType, Layout, Scalar, Tensor};

/// The shape and dtype of a call that takes the short way.
pub(super) struct Plain<'a> {
    pub shape: &'a [i64],
    pub dtype: DType,
}

impl<'a> Plain<'a> {
    /// Real numbers, and CPU tensors of one shape and of one dtype that formulas compute in. Each of these is a row of
    /// elements, or one element again and again.
    #[inline]
    pub fn of(operands: impl Iterator<Item = &'a Value>) -> Option<Plain<'a>> {
        let mut plain: Option<Plain> = None;
        for value in operands {
            match (value, &plain) {
                (Value::Num(Scalar::Complex(_)), _) => return None,
                (Value::Num(_), _) => {}
                (Value::Tensor(t), None) if is_row(t) => {
                    let (shape, dtype) = (t.shape(), t.dtype());
                    plain = Some(Plain { shape, dtype });
                }
                (Value::Tensor(t), Some(Plain { shape, dtype }))
                    if t.dtype() == *dtype && t.shape() == *shape && is_row(t) => {}
                _ => return None,
            }
        }
        plain
    }

    /// The loop that computes in the dtype itself. Integers may have numbers to wrap first.
    pub fn pick(&self, loops: &Loops) -> Option<Run> {
        let computes = self.dtype.is_float() || self.dtype.is_complex();
        let (run, lane) = loop_for(loops, self.dtype).filter(|_| computes)?;
        (lane == self.dtype).then_some(run)
    }
}

fn is_row(t: &Tensor) -> bool {
    t.device().is_cpu() && !t.lazy().any() && (t.is_contiguous() || is_still(t.layout()))
}

/// Are target and operands bfloat16, in rows of one shape, or real numbers?
pub(super) fn are_rows_of_halves(operands: &[Value], target: &Tensor) -> bool {
    let fits =
        |t: &Tensor| t.dtype() == DType::BF16 && t.shape() == target.shape() && t.is_contiguous();
    let all = |value: &Value| match value {
        Value::Tensor(t) => fits(t),
        Value::Num(s) => !matches!(s, Scalar::Complex(_)),
        _ => false,
    };
    fits(target) && operands.iter().all(all)
}

/// Is it one element in several places?
pub(super) fn is_still(layout: &Layout) -> bool {
    layout.numel() > 1 && layout.strides.iter().all(|&stride| stride == 0)
}

impl Spec {
    /// The result, if the call takes the short way.
    pub fn plain(&self, args: Args) -> Result<Option<Tensor>> {
        let (operands, params) = args.0.split_at(self.operands.min(args.0.len()));
        let params = &params[..self.params.min(params.len())];
        let Some(plain) = Plain::of(operands.iter()) else {
            return Ok(None);
        };
        let numbers = |value: &Value| matches!(value, Value::Num(_) | Value::None);
        if self.untyped > 0 || !params.iter().all(numbers) {
            return Ok(None);
        }
        let dtype = plain.dtype;
        let chosen = self.choose.and_then(|choose| choose(args, dtype));
        let formula = chosen.unwrap_or(&self.formula);
        let Some(run) = plain.pick(&formula.loops) else {
            return Ok(None);
        };
        for look in [self.check, self.before].into_iter().flatten() {
            look(args, dtype)?;
        }
        let lanes = Lanes::of(dtype, self.result(dtype));
        let target = Tensor::empty(plain.shape, lanes.result)?;
        let params = scalars(dtype, params.iter())?;
        launch_flat(run, lanes, operands, &params, &target, self.grain)?;
        Ok(Some(target))
    }
}
