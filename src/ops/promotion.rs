//! The dtype that operands of several dtypes compute in.

use super::Value;
use crate::Result;
use crate::tensor::{DType, Scalar};

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
