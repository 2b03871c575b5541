//! Averages of windows.

use super::conv::dense;
use super::pooling::{Moves, check_input, list, planes, pooling};
use super::{Args, F, Out, Outs, SHAPES, Val, kernel, named, rule};
use crate::cpu::pool_frames;
use crate::cpu::pooling::{self as kernels, Pooling};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, dispatch, ensure, fail, grads, ops};
use smallvec::smallvec;

/// Arguments of the internal averages: (self, kernel, stride, padding, ceil, count_include_pad, divisor).
fn average_moves(a: Args, spatial: usize) -> Result<Moves> {
    let kernel = list(a, 1, spatial, "kernel_size")?;
    let stride = if a.ints(2)?.is_empty() {
        kernel.clone()
    } else {
        list(a, 2, spatial, "stride")?
    };
    let moves = Moves {
        kernel,
        stride,
        padding: list(a, 3, spatial, "padding")?,
        dilation: vec![1; spatial],
        ceil: a.bool(4)?,
    };
    moves.check()?;
    if let Some(divisor) = a.opt_int(6)? {
        ensure!(divisor != 0, Runtime, "divisor must be not zero");
    }
    Ok(moves)
}

fn average_pooling(a: Args, input: &[i64], spatial: usize, planes: usize) -> Result<Pooling> {
    let moves = average_moves(a, spatial)?;
    let sizes = &input[input.len() - spatial..];
    let outputs = moves.outputs(sizes)?;
    let count_padding = a.bool(5)?;
    let spans = (0..spatial)
        .map(|d| moves.spans(d, sizes[d], outputs[d], count_padding))
        .collect();
    let mut p = pooling(input, spans, planes);
    p.axes = Some(moves.axes(sizes, &outputs));
    Ok(p)
}

fn average_meta(a: Args, spatial: usize) -> Result<Outs> {
    let x = a.t(0)?;
    let moves = average_moves(a, spatial)?;
    check_input(x, spatial, "avg_pool")?;
    let lead = x.ndim() - spatial;
    let shape = [&x.shape()[..lead], &moves.outputs(&x.shape()[lead..])?].concat();
    Ok(smallvec![Out::new(&shape, x.dtype())])
}

/// The dtype in which averages are computed.
fn mean_dtype(dtype: DType) -> Result<DType> {
    Ok(match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::F32 | DType::F64 | DType::I64 => dtype,
        _ => fail!(
            Runtime,
            "\"avg_pool\" not implemented for '{}'",
            dtype.scalar_name()
        ),
    })
}

/// Runs an average, or its adjoint, in the dtype of means.
pub(super) fn run_average(
    p: &Pooling,
    fixed: Option<i64>,
    from: &Tensor,
    to: &Tensor,
    adjoint: bool,
) -> Result<()> {
    let dtype = mean_dtype(from.dtype())?;
    let source = dense(from, dtype)?;
    let target = if to.dtype() == dtype {
        to.clone()
    } else {
        Tensor::empty(to.shape(), dtype)?
    };
    let done = match p.axes {
        Some(axes) => dispatch!(@arms dtype, T, {
            let divisor = kernels::divisors::<T>(p, fixed);
            let run = if adjoint { pool_frames::spread::<T> } else { pool_frames::average::<T> };
            // SAFETY: row-major, with the sizes of `p`.
            Some(unsafe { run(p.planes, &axes, &divisor, source.ptr(), target.ptr()) })
        }, None, F32 f32, F64 f64),
        None => None,
    };
    ensure!(
        done != Some(false),
        OutOfMemory,
        "not enough memory for pooling"
    );
    let rows = !adjoint && done.is_none() && p.is_wide();
    if rows && dtype.is_float() {
        dispatch!(@arms dtype, T, {
            // SAFETY: row-major, with the sizes of `p`.
            unsafe { pool_frames::row_average::<T>(p, fixed, source.ptr(), target.ptr()) }
        }, (), F32 f32, F64 f64);
    } else if done.is_none() {
        dispatch!(@arms dtype, T, {
            let run = if adjoint { kernels::spread::<T> } else { kernels::average::<T> };
            // SAFETY: row-major, with the sizes of `p`.
            unsafe { run(p, fixed, source.ptr(), target.ptr()) }
        }, fail!(Runtime, "average of {dtype}"), F32 f32, F64 f64, I64 i64);
    }
    if target.same(to) {
        Ok(())
    } else {
        crate::cpu::copy::copy(to, &target)
    }
}

fn average(a: Args, outs: &[Tensor], spatial: usize) -> Result<()> {
    let x = a.t(0)?;
    let p = average_pooling(a, x.shape(), spatial, planes(x, spatial))?;
    run_average(&p, a.opt_int(6)?, x, &outs[0], false)
}

/// `_avg_pool_grad(g, kernel, stride, padding, ceil, count_include_pad, divisor, sizes)`.
fn average_adjoint(a: Args, outs: &[Tensor]) -> Result<()> {
    let (g, sizes) = (a.t(0)?, a.ints(7)?);
    let p = average_pooling(a, sizes, sizes.len(), planes(g, sizes.len()))?;
    run_average(&p, a.opt_int(6)?, g, &outs[0], true)
}

pub(super) fn sizes_meta(a: Args, i: usize) -> Result<Outs> {
    let (g, sizes) = (a.t(0)?, a.ints(i)?);
    let lead = g.ndim() - sizes.len();
    Ok(smallvec![Out::new(
        &[&g.shape()[..lead], sizes].concat(),
        g.dtype()
    )])
}

fn average_grad(c: &crate::autograd::Ctx, spatial: usize) -> super::Grads {
    let (shape, a) = (c.shape(0), c.args());
    let sizes = shape[shape.len() - spatial..].to_vec();
    grads![Val(call!(
        "_avg_pool_grad",
        c.g(),
        a.get(1),
        a.get(2),
        a.get(3),
        a.get(4),
        a.get(5),
        a.get(6),
        sizes
    ))]
}

ops! {
    /// Averages of windows along one dimension.
    "avg_pool1d(Tensor input, int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    F, kernel(|a| average_meta(a, 1), |a, o| average(a, o, 1)), grad rule(SHAPES, |c| average_grad(c, 1));
    /// Averages of windows over two dimensions.
    "nn.functional.avg_pool2d(Tensor input, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    F | super::O, kernel(|a| average_meta(a, 2), |a, o| average(a, o, 2)),
    grad named("AvgPool2DBackward0", SHAPES, |c| average_grad(c, 2));
    /// Averages of windows over three dimensions.
    "nn.functional.avg_pool3d(Tensor input, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    F | super::O, kernel(|a| average_meta(a, 3), |a, o| average(a, o, 3)),
    grad named("AvgPool3DBackward0", SHAPES, |c| average_grad(c, 3));
    /// The adjoint of the averages.
    "_avg_pool_grad(Tensor self, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, int? divisor, int[] size) -> Tensor",
    0, kernel(|a| sizes_meta(a, 7), average_adjoint),
    grad rule(0, |c| {
        let a = c.args();
        let (x, rest) = (c.g(), [a.get(1), a.get(2), a.get(3), a.get(4), a.get(5), a.get(6)]);
        let [size, stride, padding, ceil, count, divisor] = rest;
        grads![Val(match a.ints(7).map_or(0, <[i64]>::len) {
            1 => call!("avg_pool1d", x, size, stride, padding, ceil, count, divisor),
            2 => call!("nn.functional.avg_pool2d", x, size, stride, padding, ceil, count, divisor),
            _ => call!("nn.functional.avg_pool3d", x, size, stride, padding, ceil, count, divisor),
        })]
    });
}
