//! Binary search in sorted sequences, and counting: searchsorted, bucketize, bincount, histc.

use super::conv::dense;
use super::reduce_dims::{dispatch_widest, widest};
use super::selection::{long, row_major};
use super::{Args, Body, F, M, O, Out, Outs, Val, Value, kernel};
use crate::cpu::index::extremes;
use crate::cpu::search::{Bins, Search};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, cpu, ensure, ops};

/// The values searched for: a tensor, or a number in the boundaries' dtype.
fn needle(a: Args, position: usize, boundaries: &Tensor) -> Result<Tensor> {
    match a.get(position) {
        Value::Num(s) => {
            let dtype = if s.dtype().category() > boundaries.dtype().category() {
                DType::F32
            } else {
                boundaries.dtype()
            };
            Tensor::scalar(*s, dtype)
        }
        _ => Ok(a.t(position)?.clone()),
    }
}

/// Which side equal elements go to; `side` and `right` must not contradict each other.
fn side(right: bool, side: Option<&str>) -> Result<bool> {
    match side {
        None => Ok(right),
        Some(side) => {
            ensure!(
                side == "left" || side == "right",
                Runtime,
                "torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
            );
            ensure!(
                side == "right" || !right,
                Runtime,
                "torch.searchsorted(): side and right can't be set to opposites, got side of {side} while right was True"
            );
            Ok(side == "right")
        }
    }
}

struct Request {
    boundaries: Tensor,
    values: Tensor,
    sorter: Option<Tensor>,
    int32: bool,
    right: bool,
}

fn searchsorted_request(a: Args) -> Result<Request> {
    let boundaries = a.t(0)?.clone();
    let values = needle(a, 1, &boundaries)?;
    let right = side(a.bool(3)?, a.opt_str(4)?)?;
    let sorter = a.opt_t(5)?.cloned();
    let request = Request {
        boundaries,
        values,
        sorter,
        int32: a.bool(2)?,
        right,
    };
    check(
        &request,
        "torch.searchsorted()",
        matches!(a.get(1), Value::Num(_)),
    )?;
    Ok(request)
}

fn bucketize_request(a: Args) -> Result<Request> {
    let boundaries = a.t(1)?.clone();
    ensure!(
        boundaries.ndim() == 1,
        Runtime,
        "boundaries tensor must be 1 dimension, but got dim({})",
        boundaries.ndim()
    );
    let values = needle(a, 0, &boundaries)?;
    let request = Request {
        boundaries,
        values,
        sorter: None,
        int32: a.bool(2)?,
        right: a.bool(3)?,
    };
    check(
        &request,
        "torch.bucketize()",
        matches!(a.get(0), Value::Num(_)),
    )?;
    Ok(request)
}

fn check(r: &Request, name: &str, scalar: bool) -> Result<()> {
    let (b, v) = (&r.boundaries, &r.values);
    ensure!(
        !b.dtype().is_complex() && !v.dtype().is_complex(),
        NotImplemented,
        "{name}: not implemented for complex dtypes"
    );
    if scalar {
        ensure!(
            b.ndim() == 1,
            Runtime,
            "{name}: input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim({}) and input value's dim(0) numel(1)",
            b.ndim()
        );
    }
    ensure!(
        b.ndim() != 0,
        Runtime,
        "{name}: boundaries tensor should have positive dimension, but got 0 dimension"
    );
    let lead = |t: &Tensor| t.shape()[..t.ndim().saturating_sub(1)].to_vec();
    ensure!(
        b.ndim() == 1 || (v.ndim() == b.ndim() && lead(b) == lead(v)),
        Runtime,
        "{name}: boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {:?} and input value tensor {:?}",
        b.shape(),
        v.shape()
    );
    ensure!(
        scalar || b.dtype() == v.dtype(),
        Runtime,
        "{name}: boundary tensor and input value tensor should have same dtype, but got boundary tensor dtype {} and input value tensor dtype {}",
        b.dtype().scalar_name(),
        v.dtype().scalar_name()
    );
    if let Some(sorter) = &r.sorter {
        ensure!(
            sorter.shape() == b.shape(),
            Runtime,
            "{name}: boundary and sorter must have the same size, but got boundary tensor {:?} and got sorter tensor {:?}",
            b.shape(),
            sorter.shape()
        );
        ensure!(
            sorter.dtype() == DType::I64,
            Runtime,
            "{name}: sorter must be a tensor of long dtype but got dtype {}",
            sorter.dtype().scalar_name()
        );
        if sorter.numel() > 0 && sorter.device().is_cpu() {
            let row = b.shape()[b.ndim() - 1];
            let in_range = sorter
                .to_vec::<i64>()?
                .into_iter()
                .all(|i| (0..row).contains(&i));
            ensure!(in_range, Index, "{name}: sorter index out of range");
        }
    }
    Ok(())
}

fn search_meta(r: &Request) -> Outs {
    smallvec::smallvec![Out::new(
        r.values.shape(),
        if r.int32 { DType::I32 } else { DType::I64 }
    )]
}

fn search(r: &Request, out: &Tensor) -> Result<()> {
    let dtype = r.boundaries.dtype().promote(r.values.dtype())?;
    let plain = |t: &Tensor| {
        Val(widest(&Val::from(t.detached()).to(dtype).get()?))
            .contiguous()
            .get()
    };
    let (boundaries, values) = (plain(&r.boundaries)?, plain(&r.values)?);
    let sorter = r
        .sorter
        .as_ref()
        .map(|t| Val::from(t).contiguous().get())
        .transpose()?;
    let row = r.boundaries.shape()[r.boundaries.ndim() - 1] as usize;
    let values_per_row = r.values.shape().last().map_or(1, |&n| n as usize);
    dispatch_widest!(boundaries.dtype(), T => {
        let request = Search {
            boundaries: boundaries.as_slice::<T>()?,
            sorter: sorter.as_ref().map(|t| t.as_slice::<i64>()).transpose()?,
            row,
            values_per_row,
            right: r.right,
        };
        let values = values.as_slice::<T>()?;
        // SAFETY: the output was made for this call.
        unsafe {
            if r.int32 {
                request.run(values, out.as_mut_slice::<i32>()?);
            } else {
                request.run(values, out.as_mut_slice::<i64>()?);
            }
        }
    }, else ());
    Ok(())
}

fn bincount(a: Args) -> Result<Vec<Tensor>> {
    let (x, weights, minimum) = (a.t(0)?, a.opt_t(1)?, a.int(2)?);
    ensure!(
        x.dtype().is_integral(true),
        NotImplemented,
        "\"bincount_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    ensure!(minimum >= 0, Runtime, "minlength should be >= 0");
    ensure!(
        x.ndim() == 1,
        Runtime,
        "bincount only supports 1-d non-negative integral inputs."
    );
    let bins = row_major(&long(x)?)?;
    let bins = bins.as_slice::<i64>()?;
    let (low, high) = extremes(bins);
    ensure!(
        bins.is_empty() || low >= 0,
        Runtime,
        "bincount only supports 1-d non-negative integral inputs."
    );
    let size = if bins.is_empty() { 0 } else { high + 1 }.max(minimum);
    let Some(weights) = weights else {
        let counts = Tensor::zeros(&[size], DType::I64)?;
        // SAFETY: the tensor was made for this call.
        let slots = unsafe { counts.as_mut_slice::<i64>()? };
        bins.iter().for_each(|&b| slots[b as usize] += 1);
        return Ok(vec![counts]);
    };
    ensure!(
        weights.ndim() == 1 && weights.shape() == x.shape(),
        Runtime,
        "weights should be 1-d and have the same length as input"
    );
    let single = weights.dtype() == DType::F32;
    let weights = Val::from(weights.detached())
        .to(DType::F64)
        .contiguous()
        .get()?;
    let sums = Tensor::zeros(&[size], DType::F64)?;
    // SAFETY: the tensor was made for this call.
    let slots = unsafe { sums.as_mut_slice::<f64>()? };
    for (&b, &w) in bins.iter().zip(weights.as_slice::<f64>()?) {
        slots[b as usize] += w;
    }
    Ok(vec![if single {
        call!("_to_copy", sums, DType::F32)?
    } else {
        sums
    }])
}

fn histc_meta(a: Args) -> Result<Outs> {
    let (x, bins) = (a.t(0)?, a.int(1)?);
    ensure!(
        x.dtype().is_float() || x.dtype().is_integral(false),
        NotImplemented,
        "\"histogram_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    ensure!(bins > 0, Runtime, "bins must be > 0");
    Ok(smallvec::smallvec![Out::new(&[bins], x.dtype())])
}

fn histc(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let (low, high) = outer_edges(x, a.float(2)?, a.float(3)?)?;
    let bins = Bins {
        count: a.int(1)? as usize,
        low,
        high,
    };
    let counts = Tensor::zeros(&[a.int(1)?], DType::I64)?;
    let values = dense(x, DType::F64)?;
    // SAFETY: the tensor was made for this call.
    let slots = unsafe { counts.as_mut_slice::<i64>()? };
    bins.count_all(values.as_slice::<f64>()?, slots);
    cpu::copy::copy(&outs[0], &counts)
}

/// The range of a histogram: as given, or that of the data, never empty.
fn outer_edges(x: &Tensor, low: f64, high: f64) -> Result<(f64, f64)> {
    let (mut low, mut high) = (low, high);
    if low == high && x.numel() > 0 {
        let all = || Value::Ints(vec![]);
        low = call!("amin", x, all())?.item()?.to_f64();
        high = call!("amax", x, all())?.item()?.to_f64();
    }
    if low == high {
        (low, high) = (low - 1.0, high + 1.0);
    }
    ensure!(
        low.is_finite() && high.is_finite(),
        Runtime,
        "histc: range of [{low}, {high}] is not finite"
    );
    ensure!(low < high, Runtime, "histc: max must be larger than min");
    Ok((low, high))
}

ops! {
    /// Where each value may be inserted into a sorted sequence.
    "searchsorted(Tensor sorted_sequence, Tensor|Scalar self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor", F | O,
        kernel(|a| Ok(search_meta(&searchsorted_request(a)?)), |a, o| search(&searchsorted_request(a)?, &o[0]));

    /// The bucket that each value falls into, by the buckets' boundaries.
    "bucketize(Tensor|Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor", F | O,
        kernel(|a| Ok(search_meta(&bucketize_request(a)?)), |a, o| search(&bucketize_request(a)?, &o[0]));

    /// How often each non-negative integer occurs, or the sum of its weights.
    "bincount(Tensor self, Tensor? weights=None, int minlength=0) -> Tensor", F | M, Body::Dynamic { cpu: bincount };

    /// How many elements fall into each of some equal bins.
    "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", F | M | O, kernel(histc_meta, histc);
}
