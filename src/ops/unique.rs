//! Distinct elements, and membership.

use super::reduce_dims::{dispatch_widest, widest};
use super::{Args, Body, F, O, Outputs, Val, Value, output};
use crate::cpu::pool::{grain, parallel_for};
use crate::cpu::reduce::Pointer;
use crate::cpu::search::{less, partition_point};
use crate::cpu::sort::{Groups, group};
use crate::cpu::unique::{distinct, runs};
use crate::tensor::{Bool, DType, Element, Tensor, wrap_dim};
use crate::{Result, call, dispatch, ensure, fail, ops};

/// What is asked for beside the values.
#[derive(Clone, Copy)]
struct Wanted {
    inverse: bool,
    counts: bool,
}

fn wanted(a: Args, from: usize) -> Result<Wanted> {
    Ok(Wanted {
        inverse: a.bool(from)?,
        counts: a.bool(from + 1)?,
    })
}

/// A vector, or an empty one where it is not asked for.
fn if_wanted(wanted: bool, values: &[i64], shape: &[i64]) -> Result<Tensor> {
    if wanted {
        Tensor::from_slice(values, shape)
    } else {
        Tensor::empty(&[0], DType::I64)
    }
}

/// Groups of complex elements in their order or in lexicographic order; and each element's group.
fn complex_groups(x: &Tensor, consecutive: bool) -> Result<(Groups, Vec<i64>)> {
    let mut inverse = vec![0i64; x.numel() as usize];
    let groups = dispatch!(complex x.dtype(), T => {
        let elements = x.as_slice::<T>()?;
        let mut order: Vec<usize> = (0..elements.len()).collect();
        if !consecutive {
            order.sort_by(|&a, &b| {
                let (a, b) = (elements[a], elements[b]);
                a.re.total_cmp(&b.re).then(a.im.total_cmp(&b.im))
            });
        }
        group(order.into_iter(), |a, b| elements[a] == elements[b], Some(&mut inverse))
    }, else fail!(NotImplemented, "\"unique\" not implemented for '{}'", x.dtype().scalar_name()));
    Ok((groups, inverse))
}

fn positions(groups: &Groups) -> Result<Tensor> {
    let first: Vec<i64> = groups.first.iter().map(|&i| i as i64).collect();
    Tensor::from_slice(&first, &[first.len() as i64])
}

fn counts(groups: &Groups) -> Result<Tensor> {
    Tensor::from_slice(&groups.counts, &[groups.counts.len() as i64])
}

/// (values, inverse, counts) of all elements.
fn unique_flat(x: &Tensor, consecutive: bool, wanted: Wanted) -> Result<Vec<Tensor>> {
    let flat = call!(
        "contiguous",
        call!("reshape", x.detached().resolved()?, [-1])?
    )?;
    if !x.dtype().is_complex() {
        return distinct_elements(&flat, x.shape(), consecutive, wanted);
    }
    let (groups, inverse) = complex_groups(&flat, consecutive)?;
    let values = call!("index_select", &flat, 0i64, positions(&groups)?)?;
    let counted = [groups.counts.len() as i64];
    Ok(vec![
        values,
        if_wanted(wanted.inverse, &inverse, x.shape())?,
        if_wanted(wanted.counts, &groups.counts, &counted)?,
    ])
}

/// The same by values instead of positions.
fn distinct_elements(
    flat: &Tensor,
    shape: &[i64],
    consecutive: bool,
    wanted: Wanted,
) -> Result<Vec<Tensor>> {
    let wide = widest(flat)?;
    dispatch_widest!(wide.dtype(), T => {
        let elements = wide.as_slice::<T>()?;
        let found = if consecutive {
            runs(elements, wanted.inverse)
        } else {
            distinct(elements, wanted.inverse)
        };
        let counted = [found.values.len() as i64];
        let values = Tensor::from_slice(&found.values, &counted)?;
        Ok(vec![
            Val(Ok(values)).to(flat.dtype()).get()?,
            if_wanted(wanted.inverse, &found.inverse.unwrap_or_default(), shape)?,
            if_wanted(wanted.counts, &found.counts, &counted)?,
        ])
    }, else fail!(NotImplemented, "\"unique\" not implemented for '{}'", flat.dtype().scalar_name()))
}

/// Lexicographic order of rows of a contiguous matrix.
fn row_groups(rows: &Tensor, consecutive: bool) -> Result<(Groups, Vec<i64>)> {
    let (n, width) = (rows.shape()[0] as usize, rows.shape()[1] as usize);
    let mut inverse = vec![0i64; n];
    fn run<T: Element + PartialEq>(
        elements: &[T],
        (n, width): (usize, usize),
        consecutive: bool,
        inverse: &mut [i64],
        less: impl Fn(&T, &T) -> std::cmp::Ordering,
    ) -> Groups {
        let row = |i: usize| &elements[i * width..][..width];
        let mut order: Vec<usize> = (0..n).collect();
        if !consecutive {
            order.sort_by(|&a, &b| {
                let pairs = row(a).iter().zip(row(b));
                pairs
                    .map(|(x, y)| less(x, y))
                    .find(|o| o.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        group(order.into_iter(), |a, b| row(a) == row(b), Some(inverse))
    }
    let size = (n, width);
    let rows = &widest(rows)?;
    let groups = dispatch_widest!(rows.dtype(), T => {
        run(rows.as_slice::<T>()?, size, consecutive, &mut inverse, |a, b| {
            crate::cpu::sort_keys::SortKey::key(*a).cmp(&crate::cpu::sort_keys::SortKey::key(*b))
        })
    }, else fail!(NotImplemented, "\"unique_dim\" not implemented for '{}'", rows.dtype().scalar_name()));
    Ok((groups, inverse))
}

/// (values, inverse, counts) of the slices along a dimension.
fn unique_slices(x: &Tensor, dim: i64, consecutive: bool) -> Result<Vec<Tensor>> {
    let d = wrap_dim(dim, x.ndim())?;
    let n = x.shape().get(d).copied().unwrap_or(1);
    if x.numel() == 0 {
        ensure!(
            n == 0,
            Runtime,
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        );
        ensure!(
            x.shape().iter().filter(|&&s| s == 0).count() == 1,
            Runtime,
            "Number of zero sized dimensions is more than one, so unique cannot be applied "
        );
        let empty = Tensor::empty(&[0], DType::I64)?;
        return Ok(vec![
            Tensor::empty(x.shape(), x.dtype())?,
            empty.clone(),
            empty,
        ]);
    }
    let source = x.detached().resolved()?;
    let source = if x.ndim() == 0 {
        call!("reshape", source, [1])?
    } else {
        source
    };
    let first = Val::from(&source)
        .transpose(0i64, d as i64)
        .reshape([n, -1])
        .contiguous()
        .get()?;
    let (groups, inverse) = row_groups(&first, consecutive)?;
    let values = call!("index_select", &source, d as i64, positions(&groups)?)?;
    Ok(vec![
        values,
        Tensor::from_slice(&inverse, &[n])?,
        counts(&groups)?,
    ])
}

fn unique(a: Args) -> Result<Vec<Tensor>> {
    unique_flat(a.t(0)?, false, wanted(a, 2)?)
}

fn consecutive(a: Args) -> Result<Vec<Tensor>> {
    match a.opt_int(3)? {
        Some(dim) => unique_slices(a.t(0)?, dim, true),
        None => unique_flat(a.t(0)?, true, wanted(a, 1)?),
    }
}

/// Membership on other devices: by their binary search.
fn is_in(elements: &Val, tests: &Val, dtype: DType, invert: bool) -> Val {
    let set = Val(call!("sort", tests.to(dtype).reshape([-1])));
    let last = set.shape().first().map_or(0, |size| size - 1);
    if last < 0 {
        return Val(call!("full_like", elements, invert, DType::Bool));
    }
    let elements = elements.to(dtype);
    let found = Val(call!("searchsorted", &set, &elements));
    let at = Val(call!("clamp_max", found, last)).reshape([-1]);
    let nearest = set.index_select(0, at).reshape(elements.shape());
    if invert {
        nearest.ne(&elements)
    } else {
        nearest.eq(&elements)
    }
}

/// Membership of each element in a set: binary search in the sorted set.
fn isin(a: Args) -> Result<Outputs> {
    let operand = |i: usize, other: &Value| -> Result<Tensor> {
        match (a.get(i), other) {
            (Value::Num(s), Value::Tensor(t)) => {
                let dtype = if s.dtype().category() > t.dtype().category() {
                    s.dtype()
                } else {
                    t.dtype()
                };
                crate::backend::scalar(t.device(), *s, dtype)
            }
            _ => Ok(a.t(i)?.clone()),
        }
    };
    let (elements, tests) = (operand(0, a.get(1))?, operand(1, a.get(0))?);
    for t in [&elements, &tests] {
        ensure!(
            t.dtype() != DType::Bool && !t.dtype().is_complex(),
            Runtime,
            "Unsupported input type encountered for isin(): {}",
            t.dtype().scalar_name()
        );
    }
    let dtype = elements.dtype().promote(tests.dtype())?;
    if [&elements, &tests].iter().any(|t| !t.device().is_cpu()) {
        return output(is_in(&elements.into(), &tests.into(), dtype, a.bool(3)?).get());
    }
    let flat = |t: &Tensor| {
        let wide = widest(&Val::from(t.detached()).to(dtype).get()?);
        Val(wide).reshape([-1]).contiguous().get()
    };
    let (values, set) = (
        flat(&elements)?,
        Val(call!("sort", flat(&tests)?)).contiguous().get()?,
    );
    let invert = a.bool(3)?;
    let found = Tensor::empty(elements.shape(), DType::Bool)?;
    dispatch_widest!(set.dtype(), T => {
        let (set, values) = (set.as_slice::<T>()?, values.as_slice::<T>()?);
        let target = Pointer(found.ptr::<Bool>());
        parallel_for(values.len(), grain::INDEX / 8, |range| {
            let target = &target;
            for i in range {
                let at = partition_point(|k| set[k], set.len(), |y| less(y, values[i]));
                let contains = set.get(at).is_some_and(|y| *y == values[i]);
                // SAFETY: every element belongs to one task.
                unsafe { *target.0.add(i) = Bool::from(contains != invert) };
            }
        });
    }, else ());
    Ok(smallvec::smallvec![found.into()])
}

ops! {
    /// Distinct elements in ascending order, the group of each element, and how many each has.
    "_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)", F,
        Body::Dynamic { cpu: unique };

    /// Distinct slices along a dimension in lexicographic order, the group of each slice, and how many each has.
    "unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)", F,
        Body::Dynamic { cpu: |a| unique_slices(a.t(0)?, a.int(1)?, false) };

    /// Runs of equal elements or slices: their values, the run of each element, and their lengths.
    "_unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> (Tensor, Tensor, Tensor)", F,
        Body::Dynamic { cpu: consecutive };

    /// Is each element among the test elements?
    "isin(Tensor|Scalar elements, Tensor|Scalar test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor", F | O,
        Body::Composite(isin);
}
