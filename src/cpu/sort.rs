//! Sorting and selection along a dimension: sort, topk, k-th value, median, mode.

use super::buffer::Buffer;
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};
use super::select::{COUNT_FROM, keep, least, nth, pays};
use super::sort_keys::{PASS_FROM, Packed, SortKey, sort_digits, sort_packed};

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
    parallel_for(
        lines.plan.outputs(),
        (grain::SORT / lines.size.max(1)).max(1),
        |range| {
            let (src, values, indices) = (src, values, indices);
            let mut picker = Picker::<P>::new(pick);
            let mut buffer = Buffer::new();
            let mut next = range.start;
            while next < range.end {
                let walk = Walk::starting_at(&lines.plan.kept, next);
                // SAFETY: every line is written by one task only, and a selection has as many results as the output.
                unsafe {
                    let start = src.0.offset(walk.input).cast_const();
                    let (together, apart) = neighbours(lines, next, range.end);
                    let dense = if lines.stride == 1 && together == 1 {
                        std::slice::from_raw_parts(start, lines.size)
                    } else {
                        read_lines(start, lines, together, &mut buffer);
                        &buffer
                    };
                    for l in 0..together {
                        let line = &dense[l * lines.size..][..lines.size];
                        let to = walk.output + l as isize * apart;
                        picker.pick(line, |o, position| {
                            let to = to + o as isize * lines.out;
                            *values.0.offset(to) = line[position];
                            *indices.0.offset(to) = position as i64;
                        });
                    }
                    next += together;
                }
            }
        },
    );
}

/// Neighbouring lines that are read together.
const TOGETHER: usize = 16;

/// How many lines are read together from line `next` on, and how far apart their results lie.
fn neighbours(lines: &Lines, next: usize, end: usize) -> (usize, isize) {
    match lines.plan.kept.last() {
        Some(inner) if lines.plan.is_vertical() => {
            let together = TOGETHER.min(inner.size - next % inner.size).min(end - next);
            (together, inner.out)
        }
        _ => (1, 0),
    }
}

/// Copies neighbouring lines one behind the other.
unsafe fn read_lines<T: Copy>(start: *const T, lines: &Lines, together: usize, to: &mut Buffer<T>) {
    let apart = lines.plan.kept.last().map_or(0, |inner| inner.stride);
    let slots = to.uninit(together * lines.size);
    for i in 0..lines.size {
        for l in 0..together {
            let from = i as isize * lines.stride + l as isize * apart;
            // SAFETY: the lines lie inside the layout.
            slots[l * lines.size + i].write(unsafe { *start.offset(from) });
        }
    }
    // SAFETY: all of them were written.
    unsafe { to.set_len(together * lines.size) };
}

/// Picks from one line after another, with buffers that last.
struct Picker<P: Packed> {
    pick: Pick,
    items: Buffer<P>,
    scratch: Buffer<P>,
    /// For keys that fit with their positions in 64 bits once their common part is taken away.
    tight: [Buffer<u64>; 2],
}

impl<P: Packed> Picker<P> {
    fn new(pick: Pick) -> Self {
        Picker {
            pick,
            items: Buffer::new(),
            scratch: Buffer::new(),
            tight: [Buffer::new(), Buffer::new()],
        }
    }

    /// Calls `found` with the position of each chosen item, in the order of the results.
    fn pick<T: SortKey>(&mut self, line: &[T], mut found: impl FnMut(usize, usize)) {
        if let Pick::Sort { .. } = self.pick
            && T::BITS > 32
            && line.len() >= PASS_FROM
            && self.sort_tight(line, &mut found)
        {
            return;
        }
        let (n, items) = (line.len(), &mut self.items);
        match self.pick {
            Pick::Top { k, largest, sorted } if pays(k, n) => {
                least(line, k, largest, items);
                if sorted {
                    items.sort_unstable();
                }
            }
            Pick::Kth { k } if n >= COUNT_FROM => nth(line, k, items),
            Pick::Median { .. } if n >= COUNT_FROM && !has_nan(line) => {
                nth(line, (n - 1) / 2, items);
            }
            pick => {
                let flip = if pick.is_descending() {
                    u64::MAX >> (64 - T::BITS)
                } else {
                    0
                };
                items.fill_with(n, |i| P::pack(line[i].key() ^ flip, i));
                select(pick, items, &mut self.scratch, T::BITS, T::NAN_KEY);
            }
        }
        let positions = self.items.iter().map(|item| item.position());
        positions.enumerate().for_each(|(o, i)| found(o, i));
    }

    /// Sorts a line whose keys span little: without what they have in common, key and position share an integer.
    fn sort_tight<T: SortKey>(&mut self, line: &[T], found: &mut impl FnMut(usize, usize)) -> bool {
        let (low, high) = line.iter().fold((u64::MAX, 0), |(low, high), x| {
            (low.min(x.key()), high.max(x.key()))
        });
        let used = |x: u64| u64::BITS - x.leading_zeros();
        let (key_bits, position_bits) = (used(high - low), used(line.len() as u64 - 1));
        if key_bits + position_bits > u64::BITS {
            return false;
        }
        let [items, scratch] = &mut self.tight;
        let descending = self.pick.is_descending();
        items.fill_with(line.len(), |i| {
            let key = line[i].key();
            let key = if descending { high - key } else { key - low };
            key << position_bits | i as u64
        });
        sort_digits(items, scratch, position_bits, key_bits);
        let positions = (1u64 << position_bits) - 1;
        items
            .iter()
            .enumerate()
            .for_each(|(o, item)| found(o, (item & positions) as usize));
        true
    }
}

fn has_nan<T: SortKey>(line: &[T]) -> bool {
    line.iter().fold(false, |found, x| found | x.is_nan())
}

/// Leaves the chosen items, in the order of the results.
fn select<P: Packed>(
    pick: Pick,
    items: &mut Buffer<P>,
    scratch: &mut Buffer<P>,
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

fn keep_at<P: Packed>(items: &mut Buffer<P>, index: usize) {
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
