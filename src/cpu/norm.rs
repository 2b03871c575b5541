//! Layer normalisation of rows: forward and backward, each row while it is in cache.

use std::ops::Range;

use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;

const LANES: usize = 16;

/// Rows of `size` elements with weight and bias per column.
pub struct LayerNorm<'a, T> {
    pub x: &'a [T],
    pub size: usize,
    pub weight: Option<&'a [T]>,
    pub bias: Option<&'a [T]>,
}

#[inline(always)]
fn sum<A: Accumulator>(n: usize, f: impl Fn(usize) -> A) -> A {
    let mut acc = [A::ZERO; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, a) in acc.iter_mut().enumerate() {
            *a = a.add(f(start + lane));
        }
    }
    let rest = (whole..n).fold(A::ZERO, |a, i| a.add(f(i)));
    acc.into_iter().fold(rest, A::add)
}

/// Outputs of the forward pass; statistics are kept in the accumulator's type.
pub struct Normalized<'a, T, A> {
    pub y: &'a mut [T],
    pub mean: &'a mut [A],
    pub rstd: &'a mut [A],
}

impl<T: Number<Acc: Real>> LayerNorm<'_, T> {
    pub fn forward(&self, eps: f64, out: Normalized<'_, T, T::Acc>) {
        let (y, mean, rstd) = (
            Pointer(out.y.as_mut_ptr()),
            Pointer(out.mean.as_mut_ptr()),
            Pointer(out.rstd.as_mut_ptr()),
        );
        parallel_for(
            out.mean.len(),
            (grain::REDUCE / self.size.max(1)).max(1),
            |rows| {
                let targets = (y, mean, rstd);
                // SAFETY: rows do not overlap, and each belongs to one task.
                unsafe { forward_rows(self, eps, rows, targets.0.0, targets.1.0, targets.2.0) };
            },
        );
    }

    #[inline(always)]
    unsafe fn forward_row(&self, eps: f64, row: usize, y: *mut T) -> (T::Acc, T::Acc) {
        let n = self.size;
        let x = &self.x[row * n..][..n];
        let mean = sum(n, |i| x[i].widen()).over(n as f64);
        let variance = sum(n, |i| {
            let d = x[i].widen().sub(mean);
            d.mul(d)
        });
        let rstd = T::Acc::ONE.div(variance.over(n as f64).add(T::Acc::of_f64(eps)).sqrt());
        for (i, x) in x.iter().enumerate() {
            let mut value = x.widen().sub(mean).mul(rstd);
            if let Some(weight) = self.weight {
                value = value.mul(weight[i].widen());
            }
            if let Some(bias) = self.bias {
                value = value.add(bias[i].widen());
            }
            // SAFETY: the row lies in the output.
            unsafe { *y.add(row * n + i) = T::narrow(value) };
        }
        (mean, rstd)
    }
}

multiversion! {
unsafe fn forward_rows[T: Number<Acc: Real>](
    norm: &LayerNorm<'_, T>, eps: f64, rows: Range<usize>, y: *mut T, mean: *mut T::Acc, rstd: *mut T::Acc,
) {
    for row in rows {
        // SAFETY: as the caller's.
        unsafe {
            let (m, r) = norm.forward_row(eps, row, y);
            *mean.add(row) = m;
            *rstd.add(row) = r;
        }
    }
}
}

/// The backward pass; `weight` is that of the forward pass.
pub struct LayerNormBackward<'a, T: Number> {
    pub grad: &'a [T],
    pub x: &'a [T],
    pub mean: &'a [T::Acc],
    pub rstd: &'a [T::Acc],
    pub size: usize,
    pub weight: Option<&'a [T]>,
}

impl<T: Number<Acc: Real>> LayerNormBackward<'_, T> {
    /// Writes the input's gradient; adds up those of weight and bias, which come in zeroed.
    pub fn run(&self, dx: &mut [T], dw: &mut [T::Acc], db: &mut [T::Acc]) {
        let target = Pointer(dx.as_mut_ptr());
        let sums = parking_lot::Mutex::new((dw, db));
        parallel_for(
            self.mean.len(),
            (grain::REDUCE / self.size.max(1)).max(1),
            |rows| {
                let target = target;
                let mut own = (vec![T::Acc::ZERO; self.size], vec![T::Acc::ZERO; self.size]);
                // SAFETY: rows do not overlap, and each belongs to one task.
                unsafe { backward_rows(self, rows, target.0, &mut own.0, &mut own.1) };
                let mut sums = sums.lock();
                sums.0
                    .iter_mut()
                    .zip(own.0)
                    .for_each(|(total, part)| *total = total.add(part));
                sums.1
                    .iter_mut()
                    .zip(own.1)
                    .for_each(|(total, part)| *total = total.add(part));
            },
        );
    }

    #[inline(always)]
    unsafe fn row(&self, row: usize, dx: *mut T, dw: &mut [T::Acc], db: &mut [T::Acc]) {
        let n = self.size;
        let (x, g) = (&self.x[row * n..][..n], &self.grad[row * n..][..n]);
        let (mean, rstd) = (self.mean[row], self.rstd[row]);
        let hat = |i: usize| x[i].widen().sub(mean).mul(rstd);
        let gw = |i: usize| match self.weight {
            Some(weight) => g[i].widen().mul(weight[i].widen()),
            None => g[i].widen(),
        };
        let along = sum(n, |i| gw(i).mul(hat(i))).over(n as f64);
        let level = sum(n, gw).over(n as f64);
        for i in 0..n {
            let value = gw(i).sub(level).sub(hat(i).mul(along)).mul(rstd);
            // SAFETY: the row lies in the output.
            unsafe { *dx.add(row * n + i) = T::narrow(value) };
        }
        for (i, (dw, db)) in dw[..n].iter_mut().zip(&mut db[..n]).enumerate() {
            *dw = dw.add(g[i].widen().mul(hat(i)));
            *db = db.add(g[i].widen());
        }
    }
}

multiversion! {
unsafe fn backward_rows[T: Number<Acc: Real>](
    norm: &LayerNormBackward<'_, T>, rows: Range<usize>, dx: *mut T, dw: &mut [T::Acc], db: &mut [T::Acc],
) {
    for row in rows {
        // SAFETY: as the caller's.
        unsafe { norm.row(row, dx, dw, db) };
    }
}
}
