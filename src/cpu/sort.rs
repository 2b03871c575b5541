//! Sorting and selection along a dimension: sort, topk, k-th value, median, mode.

use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};
use super::sort_keys::{Packed, SortKey, sort_packed};

/// Where a line's results go: values and positions, `stride` apart.
struct Line<T> {
    src: *const T,
    size: usize,
    stride: isize,
    values: *mut T,
    indices: *mut i64,
    out: isize,
}

impl<T: SortKey> Line<T> {
    #[inline(always)]
    unsafe fn at(&self, i: usize) -> T {
        // SAFETY: i < size.
        unsafe { *self.src.offset(i as isize * self.stride) }
    }

    unsafe fn pack<P: Packed>(&self, items: &mut Vec<P>, descending: bool) {
        let flip = if descending {
            u64::MAX >> (64 - T::BITS)
        } else {
            0
        };
        items.clear();
        // SAFETY: positions are below size.
        items.extend((0..self.size).map(|i| P::pack(unsafe { self.at(i) }.key() ^ flip, i)));
    }

    /// Writes the elements at these positions as the line's results.
    unsafe fn put(&self, positions: impl Iterator<Item = usize>) {
        for (o, i) in positions.enumerate() {
            // SAFETY: the caller gives as many positions as the line has outputs.
            unsafe {
                *self.values.offset(o as isize * self.out) = self.at(i);
                *self.indices.offset(o as isize * self.out) = i as i64;
            }
        }
    }
}

/// What happens to each line.
#[derive(Clone, Copy)]
pub enum Pick {
    Sort {
        descending: bool,
    },
    /// The k greatest or least.
    Top {
        k: usize,
        largest: bool,
        sorted: bool,
    },
    /// The k-th least, from 0; NaN counts as greatest.
    Kth {
        k: usize,
    },
    /// The lower median; NaN wins, or is left out.
    Median {
        ignore_nan: bool,
    },
    /// The most frequent element, the least of equally frequent ones.
    Mode,
}

/// Applies `pick` to each line of `src`; `lines.out` is the stride of the outputs along the dimension.
///
/// # Safety
/// All pointers are valid for every offset of `lines`; outputs do not overlap the input.
pub unsafe fn pick_lines<T: SortKey>(
    pick: Pick,
    src: *const T,
    lines: &Lines,
    values: *mut T,
    indices: *mut i64,
) {
    // SAFETY: as the caller's.
    unsafe {
        if T::BITS <= 32 && u32::try_from(lines.size).is_ok() {
            each_line::<T, u64>(pick, src, lines, values, indices);
        } else {
            each_line::<T, u128>(pick, src, lines, values, indices);
        }
    }
}

unsafe fn each_line<T: SortKey, P: Packed>(
    pick: Pick,
    src: *const T,
    lines: &Lines,
    values: *mut T,
    indices: *mut i64,
) {
    let (src, values, indices) = (Pointer(src.cast_mut()), Pointer(values), Pointer(indices));
    parallel_for(
        lines.plan.outputs(),
        (grain::SORT / lines.size.max(1)).max(1),
        |range| {
            let (src, values, indices) = (src, values, indices);
            let (mut items, mut scratch) = (Vec::<P>::with_capacity(lines.size), Vec::new());
            let mut walk = Walk::starting_at(&lines.plan.kept, range.start);
            for _ in range {
                // SAFETY: every line is written by one task only.
                unsafe {
                    let line = Line {
                        src: src.0.offset(walk.input),
                        size: lines.size,
                        stride: lines.stride,
                        values: values.0.offset(walk.output),
                        indices: indices.0.offset(walk.output),
                        out: lines.out,
                    };
                    run(pick, &line, &mut items, &mut scratch);
                }
                walk.advance();
            }
        },
    );
}

unsafe fn run<T: SortKey, P: Packed>(
    pick: Pick,
    line: &Line<T>,
    items: &mut Vec<P>,
    scratch: &mut Vec<P>,
) {
    // SAFETY: as the caller's.
    unsafe {
        match pick {
            Pick::Sort { descending } => {
                line.pack(items, descending);
                sort_packed(items, scratch, T::BITS);
                line.put(items.iter().map(|x| x.position()));
            }
            Pick::Top { k, largest, sorted } => {
                line.pack(items, largest);
                if k < items.len() && k > 0 {
                    items.select_nth_unstable(k - 1);
                }
                items.truncate(k);
                if sorted {
                    items.sort_unstable();
                }
                line.put(items.iter().map(|x| x.position()));
            }
            Pick::Kth { k } => {
                line.pack(items, false);
                let position = items.select_nth_unstable(k).1.position();
                line.put(std::iter::once(position));
            }
            Pick::Median { ignore_nan } => {
                line.put(std::iter::once(median(line, items, ignore_nan)))
            }
            Pick::Mode => {
                line.pack(items, false);
                sort_packed(items, scratch, T::BITS);
                line.put(std::iter::once(mode(items)));
            }
        }
    }
}

unsafe fn median<T: SortKey, P: Packed>(
    line: &Line<T>,
    items: &mut Vec<P>,
    ignore_nan: bool,
) -> usize {
    // SAFETY: as the caller's.
    unsafe {
        let first_nan = (0..line.size).find(|&i| line.at(i).is_nan());
        line.pack(items, false);
        if let Some(nan) = first_nan {
            if !ignore_nan {
                return nan;
            }
            items.retain(|x| !line.at(x.position()).is_nan());
            if items.is_empty() {
                return nan;
            }
        }
        let middle = (items.len() - 1) / 2;
        items.select_nth_unstable(middle).1.position()
    }
}

/// Position of the last of the most frequent keys in sorted order.
fn mode<P: Packed>(items: &[P]) -> usize {
    let (mut best, mut position) = (0, 0);
    for run in items.chunk_by(|a, b| a.key() == b.key()) {
        if run.len() > best {
            (best, position) = (run.len(), run[run.len() - 1].position());
        }
    }
    position
}

/// Distinct values of a row-major buffer: the order of first positions, and for each element its group.
pub struct Groups {
    /// Position of one element of each group.
    pub first: Vec<usize>,
    /// Elements in each group.
    pub counts: Vec<i64>,
}

/// Sorted groups of equal elements; `inverse` gets each element's group. Each NaN is a group of its own.
pub fn group_sorted<T: SortKey>(src: &[T], inverse: Option<&mut [i64]>) -> Groups {
    let line = Line {
        src: src.as_ptr(),
        size: src.len(),
        stride: 1,
        values: std::ptr::null_mut(),
        indices: std::ptr::null_mut(),
        out: 1,
    };
    let mut items: Vec<u128> = Vec::new();
    // SAFETY: the line is the slice.
    unsafe { line.pack(&mut items, false) };
    sort_packed(&mut items, &mut Vec::new(), T::BITS);
    group(
        items.iter().map(|x| x.position()),
        |a, b| src[a] == src[b],
        inverse,
    )
}

/// Groups of equal neighbours in the order of `positions`.
pub fn group(
    positions: impl Iterator<Item = usize>,
    equal: impl Fn(usize, usize) -> bool,
    mut inverse: Option<&mut [i64]>,
) -> Groups {
    let mut groups = Groups {
        first: Vec::new(),
        counts: Vec::new(),
    };
    for position in positions {
        match (groups.first.last(), groups.counts.last_mut()) {
            (Some(&first), Some(count)) if equal(first, position) => *count += 1,
            _ => {
                groups.first.push(position);
                groups.counts.push(1);
            }
        }
        if let Some(inverse) = &mut inverse {
            inverse[position] = groups.first.len() as i64 - 1;
        }
    }
    groups
}
