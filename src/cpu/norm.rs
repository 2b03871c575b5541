//! Normalisation of rows: forward and backward, each row while it is in cache.

use std::ops::Range;

use super::lane_fold::sum;
use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::stream::{self, Store, write_row};

/// Rows whose gradients of weight and bias are summed up by themselves, so that the sums depend neither
/// on the number of threads nor on their order.
const PART_ROWS: usize = 64;
const MAX_PARTS: usize = 64;

/// Rows of `size` elements with weight and bias per column. Without `centered` the mean counts as zero.
pub struct RowNorm<'a, T> {
    pub x: &'a [T],
    pub size: usize,
    pub weight: Option<&'a [T]>,
    pub bias: Option<&'a [T]>,
    pub centered: bool,
}

/// Outputs of the forward pass; statistics are kept in the accumulator's type.
pub struct Normalized<'a, T, A> {
    pub y: &'a mut [T],
    pub mean: &'a mut [A],
    pub rstd: &'a mut [A],
}

/// The elements of a row or of a vector as long as one, widened.
#[inline(always)]
fn reader<T: Number>(from: *const T) -> impl Fn(usize) -> T::Acc + Copy {
    // SAFETY: used for positions in the row only, by functions that are told its length.
    move |i| unsafe { (*from.add(i)).widen() }
}

#[inline(always)]
fn row_of<T>(x: &[T], row: usize, size: usize) -> *const T {
    x[row * size..][..size].as_ptr()
}

impl<T: Number<Acc: Real>> RowNorm<'_, T> {
    pub fn forward(&self, eps: f64, out: Normalized<'_, T, T::Acc>) {
        let (y, mean, rstd) = (
            Pointer(out.y.as_mut_ptr()),
            Pointer(out.mean.as_mut_ptr()),
            Pointer(out.rstd.as_mut_ptr()),
        );
        let bytes = 2 * out.rstd.len() * self.size * size_of::<T>();
        let store = stream::for_rows(y.0, self.size, bytes);
        parallel_for(
            out.rstd.len(),
            (grain::REDUCE / self.size.max(1)).max(1),
            |rows| {
                let targets = (y, mean, rstd);
                // SAFETY: rows do not overlap, and each belongs to one task.
                unsafe {
                    let (y, mean, rstd) = (targets.0.0, targets.1.0, targets.2.0);
                    forward_rows(self, eps, rows, y, store, mean, rstd);
                }
                if store.is_some() {
                    stream::finish();
                }
            },
        );
    }

    /// Mean and inverse deviation of a row.
    #[inline(always)]
    fn statistics(&self, x: impl Fn(usize) -> T::Acc + Copy, eps: f64) -> (T::Acc, T::Acc) {
        let n = self.size;
        let (mean, squares) = if self.centered {
            let mean = sum(n, x).over(n as f64);
            let spread = |i: usize| {
                let d = x(i).sub(mean);
                d.mul(d)
            };
            (mean, sum(n, spread))
        } else {
            (T::Acc::ZERO, sum(n, |i| x(i).mul(x(i))))
        };
        let variance = squares.over(n as f64).add(T::Acc::of_f64(eps));
        (mean, T::Acc::ONE.div(variance.sqrt()))
    }
}

multiversion! {
unsafe fn forward_rows[T: Number<Acc: Real>](
    norm: &RowNorm<'_, T>, eps: f64, rows: Range<usize>, y: *mut T, store: Option<Store>,
    mean: *mut T::Acc, rstd: *mut T::Acc,
) {
    let n = norm.size;
    for row in rows {
        let x = reader(row_of(norm.x, row, n));
        let (m, r) = norm.statistics(x, eps);
        let hat = |i: usize| x(i).sub(m).mul(r);
        // SAFETY: the row lies in the output, and the statistics have an element per row.
        unsafe {
            let y = y.add(row * n);
            match (norm.weight, norm.bias) {
                (Some(w), Some(b)) => {
                    let (w, b) = (reader(w[..n].as_ptr()), reader(b[..n].as_ptr()));
                    write_row(y, n, store, |i| T::narrow(hat(i).mul(w(i)).add(b(i))));
                }
                (Some(w), None) => {
                    let w = reader(w[..n].as_ptr());
                    write_row(y, n, store, |i| T::narrow(hat(i).mul(w(i))));
                }
                (None, Some(b)) => {
                    let b = reader(b[..n].as_ptr());
                    write_row(y, n, store, |i| T::narrow(hat(i).add(b(i))));
                }
                (None, None) => write_row(y, n, store, |i| T::narrow(hat(i))),
            }
            if norm.centered {
                *mean.add(row) = m;
            }
            *rstd.add(row) = r;
        }
    }
}
}

/// The backward pass; `weight` is that of the forward pass.
pub struct RowNormBackward<'a, T: Number> {
    pub grad: &'a [T],
    pub x: &'a [T],
    /// Absent where the mean counts as zero.
    pub mean: Option<&'a [T::Acc]>,
    pub rstd: &'a [T::Acc],
    pub size: usize,
    pub weight: Option<&'a [T]>,
}

impl<T: Number<Acc: Real>> RowNormBackward<'_, T> {
    /// Writes the input's gradient; adds up those of weight and bias, which come in zeroed.
    pub fn run(&self, dx: &mut [T], dw: &mut [T::Acc], db: &mut [T::Acc]) {
        let (rows, n) = (self.rstd.len(), self.size);
        let part = PART_ROWS.max(rows.div_ceil(MAX_PARTS));
        let parts = rows.div_ceil(part);
        let mut sums = vec![T::Acc::ZERO; parts * 2 * n];
        let (target, own) = (Pointer(dx.as_mut_ptr()), Pointer(sums.as_mut_ptr()));
        let grain = (grain::REDUCE / (part * n).max(1)).max(1);
        parallel_for(parts, grain, |range| {
            let (target, own) = (target, own);
            for i in range {
                // SAFETY: rows do not overlap, and each belongs to one part, which has its own sums.
                unsafe {
                    let own = std::slice::from_raw_parts_mut(own.0.add(i * 2 * n), 2 * n);
                    let (dw, db) = own.split_at_mut(n);
                    backward_rows(self, i * part..((i + 1) * part).min(rows), target.0, dw, db);
                }
            }
        });
        for own in sums.chunks_exact((2 * n).max(1)) {
            add_to(dw, &own[..n]);
            add_to(db, &own[n..]);
        }
    }
}

fn add_to<A: Accumulator>(totals: &mut [A], parts: &[A]) {
    totals
        .iter_mut()
        .zip(parts)
        .for_each(|(total, &part)| *total = total.add(part));
}

multiversion! {
unsafe fn backward_rows[T: Number<Acc: Real>](
    norm: &RowNormBackward<'_, T>, rows: Range<usize>, dx: *mut T, dw: &mut [T::Acc], db: &mut [T::Acc],
) {
    let n = norm.size;
    for row in rows {
        let (x, g) = (reader(row_of(norm.x, row, n)), reader(row_of(norm.grad, row, n)));
        let (mean, rstd) = (norm.mean.map_or(T::Acc::ZERO, |mean| mean[row]), norm.rstd[row]);
        let hat = |i: usize| x(i).sub(mean).mul(rstd);
        // SAFETY: the row lies in the output.
        unsafe {
            let dx = dx.add(row * n);
            match norm.weight {
                Some(w) => {
                    let w = reader(w[..n].as_ptr());
                    input_gradient(n, |i| g(i).mul(w(i)), hat, rstd, norm.mean.is_some(), dx);
                }
                None => input_gradient(n, g, hat, rstd, norm.mean.is_some(), dx),
            }
        }
        for (i, (dw, db)) in dw[..n].iter_mut().zip(&mut db[..n]).enumerate() {
            *dw = dw.add(g(i).mul(hat(i)));
            *db = db.add(g(i));
        }
    }
}
}

/// The gradient of a row of the input by that of its weighted, normalised elements.
#[inline(always)]
unsafe fn input_gradient<T: Number<Acc: Real>>(
    n: usize,
    gw: impl Fn(usize) -> T::Acc + Copy,
    hat: impl Fn(usize) -> T::Acc + Copy,
    rstd: T::Acc,
    centered: bool,
    dx: *mut T,
) {
    let along = sum(n, |i| gw(i).mul(hat(i))).over(n as f64);
    let level = if centered {
        sum(n, gw).over(n as f64)
    } else {
        T::Acc::ZERO
    };
    for i in 0..n {
        let value = gw(i).sub(level).sub(hat(i).mul(along)).mul(rstd);
        // SAFETY: the caller's promise.
        unsafe { *dx.add(i) = T::narrow(value) };
    }
}
