//! Sorting and selection along a dimension: sort, topk, k-th value, median, mode.

use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};
use super::sort_keys::{Packed, SortKey, sort_packed};

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

impl Pick {
    fn is_descending(self) -> bool {
        matches!(
            self,
            Pick::Sort { descending: true } | Pick::Top { largest: true, .. }
        )
    }
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
        if T::PACKS_IN_64 && u32::try_from(lines.size).is_ok() {
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
    let flip = if pick.is_descending() {
        u64::MAX >> (64 - T::BITS)
    } else {
        0
    };
    parallel_for(
        lines.plan.outputs(),
        (grain::SORT / lines.size.max(1)).max(1),
        |range| {
            let (src, values, indices) = (src, values, indices);
            let (mut items, mut scratch) = (Vec::<P>::with_capacity(lines.size), Vec::new());
            let mut walk = Walk::starting_at(&lines.plan.kept, range.start);
            for _ in range {
                items.clear();
                // SAFETY: every line is written by one task only, and a selection has as many results as the output.
                unsafe {
                    let line = src.0.offset(walk.input);
                    let at = |i: usize| *line.offset(i as isize * lines.stride);
                    items.extend((0..lines.size).map(|i| P::pack(at(i).key() ^ flip, i)));
                    select(pick, &mut items, &mut scratch, T::BITS, T::NAN_KEY);
                    for (o, item) in items.iter().enumerate() {
                        let to = walk.output + o as isize * lines.out;
                        *values.0.offset(to) = at(item.position());
                        *indices.0.offset(to) = item.position() as i64;
                    }
                }
                walk.advance();
            }
        },
    );
}

/// Leaves the chosen items, in the order of the results.
fn select<P: Packed>(
    pick: Pick,
    items: &mut Vec<P>,
    scratch: &mut Vec<P>,
    bits: u32,
    nan: Option<u64>,
) {
    match pick {
        Pick::Sort { .. } => sort_packed(items, scratch, bits),
        Pick::Top { k, sorted, .. } => {
            if k < items.len() && k > 0 {
                items.select_nth_unstable(k - 1);
            }
            items.truncate(k);
            if sorted {
                items.sort_unstable();
            }
        }
        Pick::Kth { k } => keep(items, k),
        Pick::Median { ignore_nan } => {
            let is_nan = |item: &P| Some(item.key()) == nan;
            match items.iter().position(is_nan) {
                Some(first) if !ignore_nan => keep_at(items, first),
                Some(first) => {
                    let fallback = items[first];
                    items.retain(|item| !is_nan(item));
                    if items.is_empty() {
                        items.push(fallback);
                    }
                    keep(items, (items.len() - 1) / 2);
                }
                None => keep(items, (items.len() - 1) / 2),
            }
        }
        Pick::Mode => {
            sort_packed(items, scratch, bits);
            keep_at(items, mode(items));
        }
    }
}

/// Keeps the item that sorts to this place.
fn keep<P: Packed>(items: &mut Vec<P>, place: usize) {
    let item = *items.select_nth_unstable(place).1;
    items.clear();
    items.push(item);
}

fn keep_at<P: Packed>(items: &mut Vec<P>, index: usize) {
    let item = items[index];
    items.clear();
    items.push(item);
}

/// Index of the last of the most frequent keys in sorted order.
fn mode<P: Packed>(items: &[P]) -> usize {
    let (mut best, mut index, mut start) = (0, 0, 0);
    for run in items.chunk_by(|a, b| a.key() == b.key()) {
        start += run.len();
        if run.len() > best {
            (best, index) = (run.len(), start - 1);
        }
    }
    index
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
    let mut items: Vec<u128> = src
        .iter()
        .enumerate()
        .map(|(i, x)| u128::pack(x.key(), i))
        .collect();
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
