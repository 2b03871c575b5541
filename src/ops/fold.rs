//! Windows of images as columns (`unfold`), and columns added up to images (`fold`).

use super::conv::{Moves, compute_dtype, computed, dense, into};
use super::{Args, F, Out, Outs, SHAPES, Val, Value, kernel, named};
use crate::cpu::columns;
use crate::cpu::conv::Geometry;
use crate::tensor::Tensor;
use crate::{Result, call, ensure, fail, grads, ops};
use smallvec::smallvec;

/// The geometry of the windows of `images` sized [batch, channels, height, width]; the arguments from `first` on are kernel,
/// dilation, padding and stride.
fn windows(a: Args, first: usize, image: [i64; 4], op: &str) -> Result<Geometry> {
    let pair = |i: usize| -> Result<Vec<i64>> {
        let v = a.ints(first + i)?;
        ensure!(v.len() == 2, Runtime, "{op}: expected two sizes, got {v:?}");
        Ok(v.to_vec())
    };
    let (kernel, dilation, padding, stride) = (pair(0)?, pair(1)?, pair(2)?, pair(3)?);
    ensure!(
        kernel.iter().all(|&k| k > 0),
        Runtime,
        "kernel size should be greater than zero, but got {kernel:?}"
    );
    let weight = [1, image[1], kernel[0], kernel[1]];
    let args = [
        Value::Ints(stride),
        Value::Ints(padding),
        Value::Ints(dilation),
        Value::from(1i64),
    ];
    let moves = Moves::read(Args(&args), 0, 2)?;
    let output = moves.forward(&image[2..], &kernel)?;
    Ok(moves.geometry(&image, &weight, &[image[0], 1, output[0], output[1]]))
}

/// The sizes with a batch of one added where there is none.
fn with_batch(shape: &[i64], full: usize) -> Vec<i64> {
    if shape.len() + 1 == full {
        [&[1], shape].concat()
    } else {
        shape.to_vec()
    }
}

fn image_windows(a: Args) -> Result<Geometry> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() == 3 || x.ndim() == 4,
        Runtime,
        "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {:?}",
        x.shape()
    );
    let s = with_batch(x.shape(), 4);
    windows(a, 1, [s[0], s[1], s[2], s[3]], "im2col")
}

fn im2col_meta(a: Args) -> Result<Outs> {
    let (x, g) = (a.t(0)?, image_windows(a)?);
    let (rows, positions) = g.columns();
    let mut shape = vec![g.batch as i64, rows as i64, positions as i64];
    if x.ndim() == 3 {
        shape.remove(0);
    }
    Ok(smallvec![Out::new(&shape, x.dtype())])
}

fn im2col(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, g) = (a.t(0)?, image_windows(a)?);
    let dtype = compute_dtype(x.dtype())?;
    let x = dense(x, dtype)?;
    into(&outs[0], dtype, |out| {
        // SAFETY: both are row-major with the sizes of the geometry.
        computed!(dtype, T => unsafe { columns::all_columns::<T>(&g, x.ptr(), out.ptr()) });
        Ok(true)
    })
}

fn column_windows(a: Args) -> Result<Geometry> {
    let (x, size, kernel) = (a.t(0)?, a.ints(1)?, a.ints(2)?);
    ensure!(
        x.ndim() == 2 || x.ndim() == 3,
        Runtime,
        "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but got: {:?}",
        x.shape()
    );
    let s = with_batch(x.shape(), 3);
    let area: i64 = kernel.iter().product();
    ensure!(
        area > 0 && s[1] % area == 0 && size.len() == 2,
        Runtime,
        "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={} and kernel_size={kernel:?}.",
        s[1]
    );
    let g = windows(a, 2, [s[0], s[1] / area, size[0], size[1]], "col2im")?;
    ensure!(
        g.columns().1 as i64 == s[2],
        Runtime,
        "Given output_size={size:?}, kernel_size={kernel:?}, expected size of input's dimension 2 to match the calculated number of sliding blocks {}, but got input.size(2)={}.",
        g.columns().1,
        s[2]
    );
    Ok(g)
}

fn col2im_meta(a: Args) -> Result<Outs> {
    let (x, g) = (a.t(0)?, column_windows(a)?);
    let mut shape = vec![
        g.batch as i64,
        g.channels as i64,
        g.input[1] as i64,
        g.input[2] as i64,
    ];
    if x.ndim() == 2 {
        shape.remove(0);
    }
    Ok(smallvec![Out::new(&shape, x.dtype())])
}

fn col2im(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, g) = (a.t(0)?, column_windows(a)?);
    let dtype = compute_dtype(x.dtype())?;
    let x = dense(x, dtype)?;
    into(&outs[0], dtype, |out| {
        // SAFETY: both are row-major with the sizes of the geometry.
        computed!(dtype, T => unsafe { columns::add_columns::<T>(&g, x.ptr(), out.ptr()) });
        Ok(true)
    })
}

ops! {
    /// Windows of images as columns.
    "nn.functional.im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor", F,
    kernel(im2col_meta, im2col), grad named("Im2ColBackward0", SHAPES, |c| {
        let (a, shape) = (c.args(), c.shape(0));
        let size = shape[shape.len() - 2..].to_vec();
        grads![Val(call!("nn.functional.col2im", c.g(), size, a.get(1), a.get(2), a.get(3), a.get(4)))]
    });
    /// Columns added up to images.
    "nn.functional.col2im(Tensor self, int[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor", F,
    kernel(col2im_meta, col2im), grad named("Col2ImBackward0", 0, |c| {
        let a = c.args();
        grads![Val(call!("nn.functional.im2col", c.g(), a.get(2), a.get(3), a.get(4), a.get(5)))]
    });
}
