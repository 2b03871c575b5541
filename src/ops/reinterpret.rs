//! Views that read elements as another dtype: complex numbers as pairs, bytes as other numbers.

use super::{Alias, Aliases, Args, Body, COPY, F, M, Outputs, P, Val, output, rule};
use crate::tensor::{DType, Layout, Tensor};
use crate::{Result, call, ensure, err, grads, ops};

fn reread(layout: Layout, dtype: DType, x: &Tensor) -> Aliases {
    smallvec::smallvec![Alias {
        layout,
        dtype: Some(dtype),
        lazy: Some(x.lazy()),
    }]
}

fn view_as_real(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    ensure!(
        x.dtype().is_complex(),
        Runtime,
        "view_as_real is only supported for complex tensors"
    );
    ensure!(
        !x.lazy().conj,
        Runtime,
        "view_as_real doesn't work on unresolved conjugated tensors.  To resolve the conjugate tensor so you can view it as real, use self.resolve_conj(); however, be warned that the resulting tensor will NOT alias the original."
    );
    let mut layout = x.layout().rescaled(|n| n * 2);
    layout.shape.push(2);
    layout.strides.push(1);
    Ok(reread(layout, x.dtype().to_real(), x))
}

fn view_as_complex(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    ensure!(
        matches!(x.dtype(), DType::F32 | DType::F64),
        NotImplemented,
        "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {}",
        x.dtype().scalar_name()
    );
    let last = x
        .ndim()
        .checked_sub(1)
        .ok_or_else(|| err!(Runtime, "Input tensor must have one or more dimensions"))?;
    let layout = x.layout();
    ensure!(
        layout.shape[last] == 2,
        Runtime,
        "Tensor must have a last dimension of size 2"
    );
    ensure!(
        layout.strides[last] == 1,
        Runtime,
        "Tensor must have a last dimension with stride 1"
    );
    let outer = layout.without(last);
    let even = (0..last).all(|d| outer.shape[d] <= 1 || outer.strides[d] % 2 == 0);
    ensure!(
        even,
        Runtime,
        "Tensor must have a stride divisible by 2 for all but last dimension"
    );
    ensure!(
        outer.offset % 2 == 0,
        Runtime,
        "Tensor must have a storage_offset divisible by 2"
    );
    Ok(reread(outer.rescaled(|n| n / 2), x.dtype().to_complex(), x))
}

fn view_dtype(a: Args) -> Result<Aliases> {
    let (x, dtype) = (a.t(0)?, a.dtype(1)?);
    let (from, to) = (x.dtype().size() as i64, dtype.size() as i64);
    ensure!(
        !x.lazy().any(),
        Runtime,
        "torch.Tensor.view is not supported for conjugate or negative views when converting to a different dtype."
    );
    if from == to {
        return Ok(reread(x.layout().clone(), dtype, x));
    }
    let names = format!(
        "to view {} as {} (different element sizes)",
        x.dtype().scalar_name(),
        dtype.scalar_name()
    );
    ensure!(x.ndim() > 0, Runtime, "self.dim() cannot be 0 {names}");
    let (layout, last) = (x.layout(), x.ndim() - 1);
    let (extent, stride) = (layout.shape[last], layout.strides[last]);
    ensure!(
        from < to || stride == 1,
        Runtime,
        "self.stride(-1) must be 1 {names}, but got {stride}"
    );
    let mut out = if from > to {
        layout.rescaled(|n| n * (from / to))
    } else {
        wider(layout, to / from, &names)?
    };
    out.shape[last] = extent * from / to;
    out.strides[last] = 1;
    Ok(reread(out, dtype, x))
}

/// The layout counted in elements `ratio` times as large.
fn wider(layout: &Layout, ratio: i64, names: &str) -> Result<Layout> {
    let last = layout.ndim() - 1;
    let (extent, stride) = (layout.shape[last], layout.strides[last]);
    ensure!(
        extent % ratio == 0,
        Runtime,
        "self.size(-1) must be divisible by {ratio} {names}, but got {extent}"
    );
    ensure!(
        stride == 1,
        Runtime,
        "self.stride(-1) must be 1 {names}, but got {stride}"
    );
    ensure!(
        layout.offset % ratio == 0,
        Runtime,
        "self.storage_offset() must be divisible by {ratio} {names}, but got {}",
        layout.offset
    );
    for d in 0..last {
        ensure!(
            layout.strides[d] % ratio == 0,
            Runtime,
            "self.stride({d}) must be divisible by {ratio} {names}, but got {}",
            layout.strides[d]
        );
    }
    Ok(layout.rescaled(|n| n / ratio))
}

fn real(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    if !x.dtype().is_complex() {
        return output(Ok(x.clone()));
    }
    let plain = Val::from(if x.lazy().conj {
        call!("_conj", x)?
    } else {
        x.clone()
    });
    output(plain.view_as_real().select(-1i64, 0i64).get())
}

fn imag(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.dtype().is_complex(),
        Runtime,
        "imag is not implemented for tensors with non-complex dtypes."
    );
    let pairs = if x.lazy().conj {
        let pairs = Val(call!("_conj", x)).view_as_real();
        call!("_neg_view", pairs)?
    } else {
        call!("view_as_real", x)?
    };
    output(Val::from(pairs).select(-1i64, 1i64).get())
}

fn conj(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    output(if x.dtype().is_complex() {
        call!("_conj", x)
    } else {
        Ok(x.clone())
    })
}

fn resolved(a: Args, pending: fn(&Tensor) -> bool) -> Result<Outputs> {
    let x = a.t(0)?;
    output(if pending(x) {
        call!("clone", x)
    } else {
        Ok(x.clone())
    })
}

ops! {
    /// The same bytes read as another dtype.
    "view/dtype(Tensor self, ScalarType dtype) -> Tensor", M | COPY, Body::View(view_dtype);
    /// Complex numbers as pairs of real ones, in a new last dimension.
    "view_as_real(Tensor self) -> Tensor", F | COPY, Body::View(view_as_real),
    grad rule(0, |c| grads![c.g().contiguous().view_as_complex()]);
    /// Pairs of real numbers, in the last dimension, as complex ones.
    "view_as_complex(Tensor self) -> Tensor", F | COPY, Body::View(view_as_complex), grad rule(0, |c| {
        let g = call!("resolve_conj", c.g());
        grads![Val(g).view_as_real()]
    });
    /// The real part, as a view.
    "real(Tensor self) -> Tensor", F | P, Body::Composite(real);
    /// The imaginary part, as a view.
    "imag(Tensor self) -> Tensor", F | P, Body::Composite(imag);
    /// The conjugate, carried out when it is read.
    "conj(Tensor self) -> Tensor", F | M, Body::Composite(conj);
    /// The tensor with its conjugation carried out.
    "resolve_conj(Tensor self) -> Tensor", F | M, Body::Composite(|a| resolved(a, |x| x.lazy().conj));
    /// The tensor with its negation carried out.
    "resolve_neg(Tensor self) -> Tensor", F | M, Body::Composite(|a| resolved(a, |x| x.lazy().neg));
}
