//! Reductions of the segments that lengths or offsets cut a dimension into.

use super::view::beside;
use super::{Args, Body, F, Grads, M, O, Out, Outputs, Outs, Val, arg, kernel, named, out};
use crate::autograd::Ctx;
use crate::tensor::{Dims, FromScalar, Scalar, Tensor, wrap_dim};
use crate::{Result, call, dispatch, ensure, fail, grads, ops};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sum,
    Mean,
    Prod,
    Max,
    Min,
}

impl Kind {
    fn parse(text: &str) -> Result<Kind> {
        Ok(match text {
            "sum" => Kind::Sum,
            "mean" => Kind::Mean,
            "prod" => Kind::Prod,
            "max" => Kind::Max,
            "min" => Kind::Min,
            _ => fail!(Runtime, "segment_reduce(): unsupported reduction: {text}"),
        })
    }

    fn identity(self) -> f64 {
        match self {
            Kind::Sum | Kind::Mean => 0.0,
            Kind::Prod => 1.0,
            Kind::Max => f64::NEG_INFINITY,
            Kind::Min => f64::INFINITY,
        }
    }

    fn combine(self, a: f64, b: f64) -> f64 {
        match self {
            Kind::Sum | Kind::Mean => a + b,
            Kind::Prod => a * b,
            _ if a.is_nan() || b.is_nan() => f64::NAN,
            Kind::Max => a.max(b),
            Kind::Min => a.min(b),
        }
    }
}

/// data (outer, n, inner) cut along n; `ends[outer * (segments + 1)..]` are the segments' bounds.
#[allow(clippy::struct_field_names)] // how many segments there are
struct Segments {
    kind: Kind,
    initial: Option<f64>,
    axis: usize,
    shape: Dims,
    outer: usize,
    n: usize,
    inner: usize,
    segments: usize,
    bounds: Vec<usize>,
}

/// What cuts the data: lengths or offsets, and which of the two.
struct Cuts<'a> {
    places: &'a Tensor,
    by_length: bool,
    axis: usize,
    segments: usize,
}

/// Arguments: data, reduce, lengths, indices, offsets, axis, unsafe, initial.
fn cuts(a: Args<'_>) -> Result<Cuts<'_>> {
    let data = a.t(0)?;
    Kind::parse(a.str(1)?)?;
    let axis = wrap_dim(a.int(5)?, data.ndim())?;
    ensure!(
        a.opt_t(3)?.is_none(),
        Runtime,
        "segment_reduce(): indices based reduction is not supported yet."
    );
    let (cuts, by_length) = match (a.opt_t(2)?, a.opt_t(4)?) {
        (Some(lengths), None) => (lengths, true),
        (None, Some(offsets)) => (offsets, false),
        _ => fail!(
            Runtime,
            "segment_reduce(): Either lengths or offsets must be defined, not both."
        ),
    };
    ensure!(
        data.ndim() >= 1 && cuts.ndim() == axis + 1 && cuts.shape()[..axis] == data.shape()[..axis],
        Runtime,
        "segment_reduce(): lengths or offsets must have the data's sizes before axis {axis} and one dimension more, got {:?} for {:?}",
        cuts.shape(),
        data.shape()
    );
    ensure!(
        cuts.dtype().is_integral(false),
        Runtime,
        "segment_reduce(): lengths or offsets must be integers"
    );
    let count = cuts.shape()[axis] as usize;
    ensure!(
        by_length || count > 0,
        Runtime,
        "segment_reduce(): offsets must not be empty"
    );
    Ok(Cuts {
        places: cuts,
        by_length,
        axis,
        segments: if by_length { count } else { count - 1 },
    })
}

fn segments(a: Args) -> Result<Segments> {
    let (data, kind) = (a.t(0)?, Kind::parse(a.str(1)?)?);
    let Cuts {
        places: cuts,
        by_length,
        axis,
        segments,
    } = cuts(a)?;
    let count = cuts.shape()[axis] as usize;
    let outer = data.shape()[..axis].iter().product::<i64>() as usize;
    let n = data.shape()[axis] as usize;
    let bounds = bounds(&cuts.to_vec::<i64>()?, by_length, count, n, a.bool(6)?)?;
    let mut shape = Dims::from_slice(data.shape());
    shape[axis] = segments as i64;
    let inner = data.shape()[axis + 1..].iter().product::<i64>() as usize;
    let initial = a.opt_scalar(7)?.map(Scalar::to_f64);
    Ok(Segments {
        kind,
        initial,
        axis,
        shape,
        outer,
        n,
        inner,
        segments,
        bounds,
    })
}

/// Where each row's segments begin and end, checked to lie in the data.
fn bounds(cuts: &[i64], by_length: bool, count: usize, n: usize, lax: bool) -> Result<Vec<usize>> {
    let mut bounds = Vec::with_capacity(cuts.len() + cuts.len() / count.max(1));
    for row in cuts.chunks(count.max(1)) {
        let mut at = 0;
        if by_length {
            bounds.push(0);
            for &length in row {
                ensure!(
                    length >= 0,
                    Runtime,
                    "segment_reduce(): lengths contains negative value!"
                );
                at = length.saturating_add(at);
                bounds.push(at as usize);
            }
            ensure!(
                at == n as i64 || (lax && at < n as i64),
                Runtime,
                "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
            );
        } else {
            for &offset in row {
                ensure!(
                    offset >= at && offset <= n as i64,
                    Runtime,
                    "segment_reduce(): offsets must ascend within the data"
                );
                at = offset;
                bounds.push(at as usize);
            }
        }
    }
    Ok(bounds)
}

impl Segments {
    /// Calls `visit(outer, segment, begin, end)`.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        for o in 0..self.outer {
            let row = &self.bounds[o * (self.segments + 1)..][..=self.segments];
            row.windows(2)
                .enumerate()
                .for_each(|(s, ends)| visit(o, s, ends[0], ends[1]));
        }
    }

    fn reduce(&self, data: &[f64]) -> Vec<f64> {
        let mut result = vec![0.0; self.outer * self.segments * self.inner];
        self.each(|o, s, begin, end| {
            for i in 0..self.inner {
                let start = self.initial.unwrap_or(self.kind.identity());
                let at = |k: usize| data[(o * self.n + k) * self.inner + i];
                let total = (begin..end).fold(start, |acc, k| self.kind.combine(acc, at(k)));
                let mean = self.kind == Kind::Mean && (end > begin || self.initial.is_none());
                result[(o * self.segments + s) * self.inner + i] = if mean {
                    total / (end - begin) as f64
                } else {
                    total
                };
            }
        });
        result
    }

    /// For each element of the data its segment's number, and whether it has one.
    fn ids(&self, like: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut ids = vec![0i64; self.outer * self.n];
        let mut covered = vec![0.0f64; ids.len()];
        self.each(|o, s, begin, end| {
            ids[o * self.n + begin..o * self.n + end].fill(s as i64);
            covered[o * self.n + begin..o * self.n + end].fill(1.0);
        });
        let mut shape = vec![1i64; self.shape.len()];
        shape[..self.axis].copy_from_slice(&self.shape[..self.axis]);
        shape[self.axis] = self.n as i64;
        Ok((beside(&ids, &shape, like)?, beside(&covered, &shape, like)?))
    }
}

fn meta(a: Args) -> Result<Outs> {
    let data = a.t(0)?;
    ensure!(
        data.dtype().is_float(),
        NotImplemented,
        "\"segment_reduce_cpu\" not implemented for '{}'",
        data.dtype().scalar_name()
    );
    let cuts = cuts(a)?;
    let mut shape = Dims::from_slice(data.shape());
    shape[cuts.axis] = cuts.segments as i64;
    Ok(smallvec::smallvec![Out::new(&shape, data.dtype())])
}

fn compute(a: Args, outs: &[Tensor]) -> Result<()> {
    let result = segments(a)?.reduce(&a.t(0)?.to_vec::<f64>()?);
    dispatch!(float outs[0].dtype(), T => {
        // SAFETY: the output was made for this call.
        let out = unsafe { outs[0].as_mut_slice::<T>()? };
        out.iter_mut().zip(result).for_each(|(o, v)| *o = T::from_scalar(v.into()));
    }, else ());
    Ok(())
}

fn gradient(c: &Ctx) -> Grads {
    grads![gradient_of(c).unwrap_or_else(|e| Val(Err(e)))]
}

fn gradient_of(c: &Ctx) -> Result<Val> {
    let (x, y, g) = (c.x(0), c.y(0), c.g());
    let mut args: Vec<super::Value> = c.args().0.to_vec();
    args[0] = x.clone().into();
    let s = segments(Args(&args))?;
    let (ids, covered) = s.ids(&x.clone().get()?)?;
    let axis = s.axis as i64;
    let ids = Val::from(ids).expand(x.shape());
    let own = |v: &Val| v.gather(axis, &ids);
    let total = |v: Val| own(&y.zeros_like().scatter_add(axis, &ids, v));
    // Elements outside of all segments count as one, and are multiplied by 0.
    let counted = |n: Val| n.masked_fill(n.eq(0.0), 1.0);
    let covered = Val::from(covered).to(g.dtype());
    let each = own(&g) * &covered;
    Ok(match s.kind {
        Kind::Sum => each,
        Kind::Mean => &each / counted(total((x.ones_like() * &covered).to(g.dtype()))),
        Kind::Max | Kind::Min => {
            let mask = x.eq(own(&y)).to(g.dtype()) * covered;
            &each * &mask / counted(total(mask.clone()))
        }
        Kind::Prod => {
            let zero = x.eq(0.0);
            let zeros = total(zero.to(g.dtype()) * &covered);
            args[0] = x.masked_fill(&zero, 1.0).into();
            let entry = super::find_overload("segment_reduce")
                .ok_or_else(|| crate::err!(NotImplemented, "no operator 'segment_reduce'"))?;
            let others = Val(super::call(entry, &args)?.swap_remove(0).into_tensor());
            let others = own(&others);
            let lone = others.masked_fill(zeros.ne(1.0), 0.0);
            let plain = (&others / x.masked_fill(&zero, 1.0)).masked_fill(zeros.ne(0.0), 0.0);
            each * lone.select_where(&zero, plain)
        }
    })
}

/// The mean of the elements that are not NaN.
fn nanmean(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.dtype().is_differentiable(),
        Runtime,
        "nanmean(): expected input to have floating point or complex dtype but got {}",
        x.dtype().scalar_name()
    );
    let present = Val(call!("logical_not", Val::from(x).isnan()));
    let count = present.sum(a.get(1), a.bool(2)?);
    let total = Val(call!("nansum", x, a.get(1), a.bool(2)?, a.opt_dtype(3)?));
    Ok(smallvec::smallvec![(total / count).get()?.into()])
}

ops! {
    /// Reduces the segments of a dimension, cut by lengths or offsets.
    "segment_reduce(Tensor data, str reduce, *, Tensor? lengths=None, Tensor? indices=None, Tensor? offsets=None, int axis=0, bool unsafe=False, Scalar? initial=None) -> Tensor", F,
        kernel(meta, compute), grad named("SegmentReduceBackward0", arg(0) | arg(2) | arg(4) | out(0), gradient);

    /// The mean of the elements that are not NaN, of all or along dimensions.
    "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | M | O,
        Body::Composite(nanmean);
}
