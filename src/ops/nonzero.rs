//! Positions: of elements that are not zero, and of row-major counts in a shape.

use super::selection::row_major;
use super::view::int_list;
use super::{Args, Body, F, M, O, Outputs, output, output_list};
use crate::cpu::nonzero;
use crate::tensor::{DType, Layout, Tensor};
use crate::{Result, call, call_all, ensure, ops};

fn nonzero(a: Args) -> Result<Vec<Tensor>> {
    let x = row_major(a.t(0)?)?;
    let positions = nonzero::positions(&x)?;
    let shape = [positions.numel(), x.ndim() as i64];
    if x.ndim() == 1 {
        return Ok(vec![positions.alias(Layout::contiguous(&shape))?]);
    }
    let out = Tensor::empty(&shape, DType::I64)?;
    if out.numel() > 0 {
        // SAFETY: fresh memory.
        nonzero::rows(positions.as_slice()?, x.shape(), unsafe {
            out.as_mut_slice()?
        });
    }
    Ok(vec![out])
}

/// One tensor of indices per dimension; a 0-dim tensor counts as one of size 1.
fn nonzero_tuple(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    if !a.opt_bool(1)?.unwrap_or(true) {
        return call_all!("nonzero", x);
    }
    let x = if x.ndim() == 0 {
        call!("unsqueeze", x, 0i64)?
    } else {
        x.clone()
    };
    call_all!("unbind", call!("nonzero", x), 1i64)
}

fn unravel_index(a: Args) -> Result<Outputs> {
    let (indices, shape) = (a.t(0)?, int_list(a, 1)?);
    ensure!(
        indices.dtype().is_integral(false),
        Type,
        "expected 'indices' to be integer dtype, but got torch.{}",
        indices.dtype()
    );
    ensure!(
        shape.iter().all(|&size| size >= 0),
        Value,
        "'shape' cannot have negative values, but got {:?}",
        &shape[..]
    );
    let mut unit = 1;
    let mut results: Vec<Tensor> = Vec::new();
    for &size in shape.iter().rev() {
        let quotient = call!("floor_divide", indices, unit)?;
        results.push(call!("remainder", quotient, size)?);
        unit *= size;
    }
    results.reverse();
    Ok(output_list(results))
}

ops! {
    /// The indices of the elements that are not zero, one row each.
    "nonzero(Tensor self) -> Tensor", F | M | O, Body::Dynamic { cpu: nonzero };
    /// The indices of the elements that are not zero, one tensor per dimension where `as_tuple`.
    "nonzero/numpy(Tensor self, *, bool as_tuple) -> Tensor[]", F | M | O, Body::Composite(nonzero_tuple);
    /// The indices of the elements that are not zero, one tensor per dimension.
    "where/condition(Tensor condition) -> Tensor[]", F, Body::Composite(|a| call_all!("nonzero/numpy", a.t(0)?, true));
    /// The indices of the elements that are not zero, one row each.
    "argwhere(Tensor self) -> Tensor", F | M, Body::Composite(|a| output(call!("nonzero", a.t(0)?)));
    /// Row-major positions as one tensor of indices per dimension.
    "unravel_index(Tensor indices, int[] shape) -> Tensor[]", F, Body::Composite(unravel_index);
}
