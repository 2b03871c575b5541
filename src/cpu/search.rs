//! Binary search and counting: searchsorted, bincount, histograms.

use super::number::Ordered;
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;

/// The first position whose element does not come before what is sought; those that do stand in front.
#[inline]
pub fn partition_point<T>(
    at: impl Fn(usize) -> T,
    n: usize,
    is_before: impl Fn(T) -> bool,
) -> usize {
    // Without a branch on the comparison, which nobody can predict.
    let (mut low, mut rest) = (0, n);
    while rest > 1 {
        let half = rest / 2;
        low += if is_before(at(low + half - 1)) {
            half
        } else {
            0
        };
        rest -= half;
    }
    if rest == 1 && is_before(at(low)) {
        low += 1;
    }
    low
}

/// Does `a` sort before `b`? NaN sorts after everything.
#[inline(always)]
#[allow(clippy::eq_op)]
pub fn less<T: Ordered>(a: T, b: T) -> bool {
    let (a, b) = (a.rank(), b.rank());
    a < b || (b != b && a == a)
}

/// Does a boundary come before the value's place? PyTorch's comparison: none is above or at NaN.
#[inline(always)]
fn precedes<T: Ordered>(boundary: T, value: T, right: bool) -> bool {
    let (boundary, value) = (boundary.rank(), value.rank());
    let reached = if right {
        boundary > value
    } else {
        boundary >= value
    };
    !reached
}

/// Searches each value in the boundaries of its row (or in the only row); all buffers are row-major.
pub struct Search<'a, T> {
    pub boundaries: &'a [T],
    /// Order of the boundaries, if they are not sorted themselves.
    pub sorter: Option<&'a [i64]>,
    /// Boundaries and values per row; one row of boundaries serves all values.
    pub row: usize,
    pub values_per_row: usize,
    pub right: bool,
}

impl<T: Ordered> Search<'_, T> {
    /// Writes the positions of `values`.
    pub fn run<I: TryFrom<usize> + Copy + Default + Send + Sync>(
        &self,
        values: &[T],
        out: &mut [I],
    ) {
        let out_pointer = Pointer(out.as_mut_ptr());
        let shared = self.boundaries.len() == self.row;
        parallel_for(values.len().min(out.len()), grain::INDEX / 8, |range| {
            let out = out_pointer;
            for i in range {
                let start = if shared {
                    0
                } else {
                    i / self.values_per_row.max(1) * self.row
                };
                let is_before = |boundary: T| precedes(boundary, values[i], self.right);
                let found = match self.sorter {
                    None => partition_point(|k| self.boundaries[start + k], self.row, is_before),
                    Some(order) => {
                        let at = |k: usize| self.boundaries[start + order[start + k] as usize];
                        partition_point(at, self.row, is_before)
                    }
                };
                // SAFETY: i < out.len(), and each i belongs to one task.
                unsafe { *out.0.add(i) = I::try_from(found).unwrap_or_default() };
            }
        });
    }
}

/// Bins of equal width over `low..=high`; the last one includes `high`.
#[derive(Clone, Copy)]
pub struct Bins {
    pub count: usize,
    pub low: f64,
    pub high: f64,
}

impl Bins {
    /// The bin of `x`, if it lies in the range.
    #[inline]
    pub fn of(self, x: f64) -> Option<usize> {
        if !(x >= self.low && x <= self.high) {
            return None;
        }
        let bin = ((x - self.low) * self.count as f64 / (self.high - self.low)) as usize;
        Some(bin.min(self.count - 1))
    }
}
