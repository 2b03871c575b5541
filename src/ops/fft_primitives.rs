//! The Fourier transforms that compute and carry gradients: complex, from real numbers and to real numbers.

use super::fft::resized;
use super::linalg::fresh;
use super::{Args, Body, Grads, SHAPES, Val, named, rule};
use crate::autograd::Ctx;
use crate::cpu::fft::{self, Axis};
use crate::cpu::fft_mirror::{Lead, mirror};
use crate::tensor::{DType, Dims, Tensor, c64, c128, wrap_dim};
use crate::{Result, call, ensure, fail, grads, ops};

fn no_complex<T>(dtype: DType) -> Result<T> {
    fail!(Runtime, "Unsupported dtype {}", dtype.scalar_name())
}

/// `_fft_c2c(self, dim, scale, forward)`: an unnormalised transform times `scale`.
fn c2c(a: Args) -> Result<Vec<Tensor>> {
    let (x, dims, scale, forward) = (a.t(0)?, a.ints(1)?, a.float(2)?, a.bool(3)?);
    let as_it_lies = x.is_contiguous() && !x.lazy().any();
    let result = if as_it_lies {
        Tensor::empty(x.shape(), x.dtype())?
    } else {
        fresh(x)?
    };
    let source = as_it_lies.then_some(x);
    c2c_into(source, &result, &axes(&result, dims)?, scale, forward)?;
    Ok(vec![result])
}

/// Where dimensions of a row-major tensor lie.
fn axes(x: &Tensor, dims: &[i64]) -> Result<Vec<Axis>> {
    let shape = x.shape();
    let axis = |&dim: &i64| {
        let dim = wrap_dim(dim, shape.len())?;
        Ok(Axis {
            len: shape[dim] as usize,
            inner: shape[dim + 1..].iter().product::<i64>() as usize,
        })
    };
    dims.iter().map(axis).collect()
}

/// Transforms from the source, or in place: into a row-major tensor that nobody else reads.
fn c2c_into(
    source: Option<&Tensor>,
    x: &Tensor,
    axes: &[Axis],
    scale: f64,
    forward: bool,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        match x.dtype() {
            DType::C64 => {
                let source = source.map(|x| x.as_slice::<c64>()).transpose()?;
                fft::complex(
                    source,
                    x.as_mut_slice::<c64>()?,
                    axes,
                    forward,
                    scale as f32,
                );
            }
            DType::C128 => {
                let source = source.map(|x| x.as_slice::<c128>()).transpose()?;
                fft::complex(source, x.as_mut_slice::<c128>()?, axes, forward, scale);
            }
            other => return no_complex(other),
        }
    }
    Ok(())
}

/// The tensor with one dimension moved to the end, row-major.
fn lined_up(x: &Tensor, dim: i64) -> Result<Tensor> {
    Val::from(x.detached())
        .transpose(dim, -1_i64)
        .contiguous()
        .get()
}

/// `_fft_r2c(self, dim, scale)`: half of the spectrum of a real signal along the last of the dimensions.
fn r2c(a: Args) -> Result<Vec<Tensor>> {
    let (x, dims, scale) = (a.t(0)?, a.ints(1)?, a.float(2)?);
    let Some((&last, others)) = dims.split_last() else {
        fail!(Runtime, "fft: no dimensions to transform");
    };
    let rows = lined_up(x, last)?;
    let mut shape = Dims::from_slice(rows.shape());
    let width = shape.len() - 1;
    let n = shape[width];
    shape[width] = n / 2 + 1;
    let result = Tensor::empty(&shape, x.dtype().to_complex())?;
    // While the half spectra are the rows of the result, the other dimensions are where they will be.
    let in_place = wrap_dim(last, x.ndim())? == width;
    let at_once = if in_place {
        axes(&result, others)?
    } else {
        vec![]
    };
    if result.numel() > 0 {
        // SAFETY: the tensor was just made and has no other reader.
        unsafe {
            match x.dtype() {
                DType::F32 => {
                    fft::from_real(
                        rows.as_slice::<f32>()?,
                        n as usize,
                        result.as_mut_slice::<c64>()?,
                        scale as f32,
                        &at_once,
                    );
                }
                DType::F64 => {
                    fft::from_real(
                        rows.as_slice::<f64>()?,
                        n as usize,
                        result.as_mut_slice::<c128>()?,
                        scale,
                        &at_once,
                    );
                }
                other => return no_complex(other),
            }
        }
    }
    if in_place {
        return Ok(vec![result]);
    }
    let result = Val::from(result)
        .transpose(last, -1_i64)
        .contiguous()
        .get()?;
    c2c_into(None, &result, &axes(&result, others)?, 1.0, true)?;
    Ok(vec![result])
}

/// `_fft_whole(self, dim, scale, forward)`: the spectrum of a real signal along dimensions, the innermost among them.
fn whole(a: Args) -> Result<Vec<Tensor>> {
    let (x, dims, forward) = (a.t(0)?, a.ints(1)?, a.bool(3)?);
    let halves = r2c(a)?;
    let result = Tensor::empty(x.shape(), x.dtype().to_complex())?;
    let Some((&n, lead)) = x.shape().split_last() else {
        fail!(Runtime, "fft: no dimensions to transform");
    };
    let mut leads: Vec<Lead> = lead.iter().map(|&size| (size as usize, false)).collect();
    for &dim in dims {
        if let Some(lead) = leads.get_mut(wrap_dim(dim, x.ndim())?) {
            lead.1 = true;
        }
    }
    let n = n as usize;
    // SAFETY: the tensor was just made and has no other reader.
    unsafe {
        match (result.numel(), result.dtype()) {
            (0, _) => {}
            (_, DType::C64) => {
                let halves = halves[0].as_slice::<c64>()?;
                mirror(halves, result.as_mut_slice::<c64>()?, n, &leads, forward);
            }
            (_, DType::C128) => {
                let halves = halves[0].as_slice::<c128>()?;
                mirror(halves, result.as_mut_slice::<c128>()?, n, &leads, forward);
            }
            (_, other) => return no_complex(other),
        }
    }
    Ok(vec![result])
}

/// `_fft_c2r(self, dim, n, scale)`: the real signal of `n` points of half of a spectrum.
fn c2r(a: Args) -> Result<Vec<Tensor>> {
    let (x, dim, n, scale) = (a.t(0)?, a.int(1)?, a.int(2)?, a.float(3)?);
    let rows = lined_up(x, dim)?;
    let mut shape = Dims::from_slice(rows.shape());
    let width = shape.len() - 1;
    ensure!(
        n > 0 && shape[width] == n / 2 + 1,
        Runtime,
        "fft: half a spectrum of {n} points has {} numbers, got {}",
        n / 2 + 1,
        shape[width]
    );
    shape[width] = n;
    let result = Tensor::empty(&shape, x.dtype().to_real())?;
    // SAFETY: the tensor was just made and has no other reader.
    unsafe {
        match x.dtype() {
            DType::C64 => {
                fft::to_real(
                    rows.as_slice::<c64>()?,
                    n as usize,
                    result.as_mut_slice::<f32>()?,
                    scale as f32,
                );
            }
            DType::C128 => {
                fft::to_real(
                    rows.as_slice::<c128>()?,
                    n as usize,
                    result.as_mut_slice::<f64>()?,
                    scale,
                );
            }
            other => return no_complex(other),
        }
    }
    Ok(vec![
        Val::from(result)
            .transpose(dim, -1_i64)
            .contiguous()
            .get()?,
    ])
}

/// How often each point of half a spectrum of `n` points counts: all but the first and (for even sizes) the middle one
/// stand for their mirror images too. Shaped for a dimension of a tensor like `x`.
fn mirror_weights(x: &Val, dim: i64, n: i64) -> Val {
    let weights: Vec<f64> = (0..=n / 2)
        .map(|k| if k == 0 || 2 * k == n { 1.0 } else { 2.0 })
        .collect();
    let mut shape = vec![1i64; x.ndim()];
    if let Some(size) = wrap_dim(dim, x.ndim())
        .ok()
        .and_then(|dim| shape.get_mut(dim))
    {
        *size = -1;
    }
    x.beside(&weights, &[n / 2 + 1])
        .to(x.dtype().to_real())
        .reshape(shape)
}

fn r2c_grad(c: &Ctx) -> Grads {
    let (g, a, shape) = (c.g(), c.args(), c.shape(0));
    let last = a
        .ints(1)
        .ok()
        .and_then(|dims| wrap_dim(*dims.last()?, shape.len()).ok());
    let Some(last) = last else {
        return grads![None];
    };
    let whole = resized(g, last, shape[last]);
    grads![Val(call!("_fft_c2c", whole, a.get(1), a.get(2), false)).real()]
}

fn c2r_grad(c: &Ctx) -> Grads {
    let (g, a) = (c.g(), c.args());
    let (Ok(dim), Ok(n)) = (a.int(1), a.int(2)) else {
        return grads![None];
    };
    let half = Val(call!("_fft_r2c", &g, vec![dim], a.get(3)));
    grads![half * mirror_weights(&g, dim, n)]
}

ops! {
    /// Complex Fourier transform along dimensions, times a factor.
    "_fft_c2c(Tensor self, int[] dim, float scale, bool forward) -> Tensor", 0, Body::Dynamic { cpu: c2c },
    grad rule(0, |c| {
        let a = c.args();
        let back = a.bool(3).map(|forward| !forward);
        grads![Val(call!("_fft_c2c", c.g(), a.get(1), a.get(2), back.unwrap_or(false)))]
    });
    /// Half of the spectrum of a real signal along dimensions, times a factor.
    "_fft_r2c(Tensor self, int[] dim, float scale) -> Tensor", 0, Body::Dynamic { cpu: r2c },
    grad named("FftR2CBackward0", SHAPES, r2c_grad);
    /// The spectrum of a real signal along dimensions, times a factor.
    "_fft_whole(Tensor self, int[] dim, float scale, bool forward) -> Tensor", 0, Body::Dynamic { cpu: whole },
    grad named("FftR2CBackward0", 0, |c| {
        let a = c.args();
        let back = a.bool(3).map(|forward| !forward);
        grads![Val(call!("_fft_c2c", c.g(), a.get(1), a.get(2), back.unwrap_or(false))).real()]
    });
    /// The real signal of `n` points of half a spectrum along a dimension, times a factor.
    "_fft_c2r(Tensor self, int dim, int n, float scale) -> Tensor", 0, Body::Dynamic { cpu: c2r },
    grad named("FftC2RBackward0", 0, c2r_grad);
}
