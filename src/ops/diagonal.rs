//! Triangles of matrices, and diagonals written into new ones.

use super::index::like_self;
use super::view::diagonal_dims;
use super::{
    Args, Body, EXACT, F, I, M, O, Out, Outputs, Outs, STRIDED, Val, kernel, output, rule,
};
use crate::tensor::{Dims, Tensor};
use crate::{Result, call, cpu, ensure, fail, grads, ops};

fn triangle_meta(a: Args, name: &str) -> Result<Outs> {
    ensure!(
        a.t(0)?.ndim() >= 2,
        Runtime,
        "{name}: input tensor must have at least 2 dimensions"
    );
    like_self(a)
}

fn triangle(a: Args, out: &Tensor, lower: bool) -> Result<()> {
    let x = a.t(0)?.resolved()?;
    cpu::triangle::triangle(out, &x, a.int(1)?, lower);
    Ok(())
}

fn diag(a: Args) -> Result<Outputs> {
    let (x, k) = (a.t(0)?, a.int(1)?);
    output(match x.ndim() {
        1 => call!("diag_embed", x, k),
        2 => call!("diagonal_copy", x, k),
        n => fail!(Runtime, "diag(): Supports 1D or 2D tensors. Got {n}D"),
    })
}

fn diag_embed_dims(a: Args) -> Result<(usize, usize)> {
    diagonal_dims(a.int(2)?, a.int(3)?, a.t(0)?.ndim() + 1)
}

fn diag_embed_meta(a: Args) -> Result<Outs> {
    let (x, (d1, d2)) = (a.t(0)?, diag_embed_dims(a)?);
    let size = x.shape().last().copied().unwrap_or(1) + a.int(1)?.abs();
    let mut shape = Dims::from_slice(&x.shape()[..x.ndim().saturating_sub(1)]);
    shape.insert(d1.min(d2), size);
    shape.insert(d1.max(d2), size);
    Ok(smallvec::smallvec![Out::new(&shape, x.dtype())])
}

fn diag_embed(a: Args, outs: &[Tensor]) -> Result<()> {
    let (d1, d2) = diag_embed_dims(a)?;
    let out = &outs[0];
    clear(out)?;
    cpu::copy::copy(
        &out.alias(out.layout().diagonal(a.int(1)?, d1, d2))?,
        a.t(0)?,
    )
}

fn clear(out: &Tensor) -> Result<()> {
    if out.is_contiguous() {
        let bytes = out.numel() as usize * out.dtype().size();
        // SAFETY: the tensor was made for this call, and its elements lie without gaps.
        unsafe { out.data_ptr().write_bytes(0, bytes) };
        return Ok(());
    }
    let zero = Tensor::zeros(&[], out.dtype())?;
    cpu::copy::copy(out, &zero.alias(zero.layout().expand(out.shape())?)?)
}

fn diagflat(a: Args) -> Result<Outputs> {
    let flat = Val::from(a.t(0)?).reshape([-1i64]);
    output(call!("diag_embed", flat, a.int(1)?))
}

fn fill_diagonal(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let shape = x.shape();
    ensure!(x.ndim() >= 2, Runtime, "dimensions must larger than 1");
    ensure!(
        x.ndim() == 2 || shape.iter().all(|&s| s == shape[0]),
        Runtime,
        "all dimensions of input must be of equal length"
    );
    let step: i64 = x.strides().iter().sum();
    let length = shape.iter().copied().min().unwrap_or(0);
    let main = call!("as_strided", x, [length], [step], x.layout().offset)?;
    crate::inplace!("fill/Scalar", main, a.scalar(1)?)?;
    // In a tall matrix the diagonal may start again below.
    if a.bool(2)? && x.ndim() == 2 && shape[0] > shape[1] + 1 {
        let (cols, stride) = (shape[1], x.strides()[0]);
        let starts = (1..)
            .map(|i| i * (cols + 1))
            .take_while(|&row| row < shape[0]);
        for row in starts {
            let length = cols.min(shape[0] - row);
            let offset = x.layout().offset + row * stride;
            let again = call!("as_strided", x, [length], [step], offset)?;
            crate::inplace!("fill/Scalar", again, a.scalar(1)?)?;
        }
    }
    Ok(smallvec::smallvec![a.get(0).clone()])
}

ops! {
    /// The lower triangle of matrices; zero above.
    "tril(Tensor self, int diagonal=0) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(|a| triangle_meta(a, "tril"), |a, o| triangle(a, &o[0], true)), grad rule(0, |c| {
        grads![c.g().tril(c.args().int(1))]
    });
    /// The upper triangle of matrices; zero below.
    "triu(Tensor self, int diagonal=0) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(|a| triangle_meta(a, "triu"), |a, o| triangle(a, &o[0], false)), grad rule(0, |c| {
        grads![c.g().triu(c.args().int(1))]
    });
    /// The diagonal of a matrix, or a matrix with the vector as its diagonal.
    "diag(Tensor self, int diagonal=0) -> Tensor", F | M | O, Body::Composite(diag);
    /// Matrices with the last dimension as their diagonals.
    "diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", F | M, kernel(diag_embed_meta, diag_embed),
    grad rule(0, |c| {
        let a = c.args();
        grads![c.g().diagonal(a.int(1), a.int(2), a.int(3))]
    });
    /// A matrix with all elements on its diagonal.
    "diagflat(Tensor self, int offset=0) -> Tensor", F | M, Body::Composite(diagflat);
    /// Writes a value on the main diagonal.
    "fill_diagonal_(Tensor self, Scalar fill_value, bool wrap=False) -> Tensor", M, Body::Composite(fill_diagonal);
}
