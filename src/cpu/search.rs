//! Binary search and counting: searchsorted, bincount, histograms.

use parking_lot::Mutex;

use super::multiversion::multiversion;
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
    /// Adds to each bin's count how many of the values fall into it.
    pub fn count_all(self, values: &[f64], counts: &mut [i64]) {
        if self.count > FEW {
            return self.count_in_turn(values, counts);
        }
        let counts = Mutex::new(counts);
        parallel_for(values.len(), grain::MATH.max(self.count), |range| {
            let mut own = vec![0; self.count];
            self.count_in_turn(&values[range], &mut own);
            let mut counts = counts.lock();
            counts
                .iter_mut()
                .zip(&own)
                .for_each(|(sum, count)| *sum += count);
        });
    }

    fn count_in_turn(self, values: &[f64], counts: &mut [i64]) {
        let mut places = [0; BLOCK];
        for values in values.chunks(BLOCK) {
            // SAFETY: there are as many places as values, at most.
            unsafe { place(self, values.as_ptr(), places.as_mut_ptr(), values.len()) };
            for &bin in &places[..values.len()] {
                // Values outside have none.
                if let Some(count) = counts.get_mut(bin as usize) {
                    *count += 1;
                }
            }
        }
    }
}

/// So many bins each task can afford to have of its own.
const FEW: usize = 1 << 14;
const BLOCK: usize = 256;

multiversion! {
    /// The bin of each value, the number of bins for those outside.
    unsafe fn place[](bins: Bins, values: *const f64, places: *mut i64, n: usize) {
        let count = bins.count as f64;
        for i in 0..n {
            // SAFETY: both have `n` elements; what is converted is between 0 and the number of bins.
            unsafe {
                let x = values.add(i).read();
                let inside = (x >= bins.low) & (x <= bins.high);
                let bin = (x - bins.low) * count / (bins.high - bins.low);
                let bin = if bin < count { bin } else { count - 1.0 };
                places.add(i).write((if inside { bin } else { count }).to_int_unchecked());
            }
        }
    }
}
