//! Padding with elements of the input itself: every row is put together in one go.

use std::ops::Range;

use super::bytes;
use super::multiversion::multiversion;
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;

/// Where the elements of a dense result come from, as offsets in the input.
pub struct Sources {
    /// For each dimension but the last, outermost first, those of its places.
    pub outer: Vec<Vec<isize>>,
    pub columns: Columns,
}

/// The places of the last dimension: some that are looked up, a run as it lies in the input, and some more.
pub struct Columns {
    pub head: Vec<isize>,
    pub run: Range<isize>,
    pub tail: Vec<isize>,
}

impl Columns {
    fn len(&self) -> usize {
        self.head.len() + self.run.len() + self.tail.len()
    }
}

/// Fills `out` from `x`.
///
/// # Safety
/// The offsets lie in `x`, and `out` has room for the product of the sizes.
pub unsafe fn pad<T: Copy>(x: *const T, sources: &Sources, out: *mut T) {
    let (x, out) = (Pointer(x.cast_mut()), Pointer(out));
    let rows = sources.outer.iter().map(Vec::len).product();
    let width = sources.columns.len();
    parallel_for(rows, (grain::INDEX / width.max(1)).max(1), |range| {
        let (x, out) = (x, out);
        let mut index: Vec<usize> = vec![0; sources.outer.len()];
        let mut rest = range.start;
        for (i, places) in index.iter_mut().zip(&sources.outer).rev() {
            (*i, rest) = (rest % places.len(), rest / places.len());
        }
        let mut next = range.start;
        while next < range.end {
            // The rows of the last outer dimension are written together.
            let (row, group) = match (index.split_last(), sources.outer.split_last()) {
                (Some((&first, outer)), Some((inner, places))) => {
                    let offsets = outer.iter().zip(places).map(|(&i, places)| places[i]);
                    let end = inner.len().min(first + range.end - next);
                    (offsets.sum(), &inner[first..end])
                }
                _ => (0, [0].as_slice()),
            };
            // SAFETY: the caller's promise; rows of tasks are disjoint.
            unsafe {
                write_rows(
                    x.0.offset(row),
                    group,
                    &sources.columns,
                    out.at(next * width),
                );
            };
            next += group.len();
            if let Some(last) = index.last_mut() {
                *last += group.len();
            }
            for d in (1..index.len()).rev() {
                if index[d] == sources.outer[d].len() {
                    index[d] = 0;
                    index[d - 1] += 1;
                }
            }
        }
    });
}

multiversion! {
    /// A row for each offset, one behind the other.
    unsafe fn write_rows[T: Copy](x: *const T, rows: &[isize], columns: &Columns, out: *mut T) {
        let (first, count) = (columns.head.len(), columns.run.len());
        let bytes = count * size_of::<T>();
        // SAFETY: the caller's promise.
        unsafe {
            for (i, &row) in rows.iter().enumerate() {
                let (x, out) = (x.offset(row), out.add(i * columns.len()));
                for (c, &from) in columns.head.iter().enumerate() {
                    *out.add(c) = *x.offset(from);
                }
                for (c, &from) in columns.tail.iter().enumerate() {
                    *out.add(first + count + c) = *x.offset(from);
                }
                let (from, to) = (x.wrapping_offset(columns.run.start), out.add(first));
                if bytes::SHORT.contains(&bytes) {
                    bytes::copy_short(from.cast(), to.cast(), bytes);
                } else {
                    bytes::copy(from, to, count);
                }
            }
        }
    }
}
