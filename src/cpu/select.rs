//! The least keys of a line: a threshold keeps almost everything else out.

use num_traits::{Bounded, NumCast, Zero};

use super::bits::{WORD, for_each_bit, word};
use super::buffer::Buffer;
use super::multiversion::multiversion;
use super::sort_keys::{Packed, SortKey};

/// Is a threshold worth it for so many of a line's elements?
pub fn pays(k: usize, n: usize) -> bool {
    k > 0 && 8 * k + 4 * WORD <= n
}

/// Packs the `k` least elements of a line, or the greatest, the first of equal ones; in no order.
pub fn least<T: SortKey, P: Packed>(line: &[T], k: usize, greatest: bool, items: &mut Buffer<P>) {
    let flip = if greatest {
        T::Key::max_value()
    } else {
        T::Key::zero()
    };
    let pack = |i: usize| P::pack((line[i].narrow_key() ^ flip).into(), i);
    let room = 2 * k + WORD;
    items.clear();
    items.extend((0..room).map(pack));
    let (mut threshold, mut next) = (keep_least::<T, P>(items, k), room);
    while next < line.len() {
        // SAFETY: no contract beyond the slice's.
        let (start, below) = unsafe { next_below(line, next, flip, threshold) };
        for_each_bit(below, |bit| items.push(pack(start + bit)));
        next = start + WORD;
        if items.len() >= room {
            threshold = keep_least::<T, P>(items, k);
        }
    }
    keep_least::<T, P>(items, k);
}

/// Leading bits of a key that are counted to find those around a place.
const COUNTED_BITS: u32 = 11;
/// Lines from this length on are counted before items are made of them.
pub const COUNT_FROM: usize = 4096;

/// Leaves the item that sorts to a place, by way of those that share its leading bits.
pub fn nth<T: SortKey, P: Packed>(line: &[T], place: usize, items: &mut Buffer<P>) {
    let shift = T::BITS.saturating_sub(COUNTED_BITS);
    let bin_of = |x: &T| (x.key() >> shift) as usize;
    let mut counts = [0usize; 1 << COUNTED_BITS];
    line.iter().for_each(|x| counts[bin_of(x)] += 1);
    let (mut bin, mut rank) = (0, place);
    while rank >= counts[bin] {
        rank -= counts[bin];
        bin += 1;
    }
    let shared = line.iter().enumerate().filter(|(_, x)| bin_of(x) == bin);
    items.clear();
    items.extend(shared.map(|(i, x)| P::pack(x.key(), i)));
    keep(items, rank);
}

/// Keeps the item that sorts to this place.
pub fn keep<P: Packed>(items: &mut Buffer<P>, place: usize) {
    let item = *items.select_nth_unstable(place).1;
    items.clear();
    items.push(item);
}

/// Keeps the `k` least items; what follows counts only below the greatest of them.
fn keep_least<T: SortKey, P: Packed>(items: &mut Buffer<P>, k: usize) -> T::Key {
    items.select_nth_unstable(k - 1);
    items.truncate(k);
    NumCast::from(items[k - 1].key()).unwrap_or(T::Key::max_value())
}

multiversion! {
/// The first word of elements from `from` on in which keys lie below the threshold, and which do.
unsafe fn next_below[T: SortKey](line: &[T], from: usize, flip: T::Key, threshold: T::Key) -> (usize, u64) {
    let is_below = |x: &T| (x.narrow_key() ^ flip < threshold) as u8;
    let (words, rest) = line[from..].as_chunks::<WORD>();
    let mut bytes = [0; WORD];
    for (i, elements) in words.iter().enumerate() {
        for (byte, x) in bytes.iter_mut().zip(elements) {
            *byte = is_below(x);
        }
        let found = word(&bytes);
        if found != 0 {
            return (from + i * WORD, found);
        }
    }
    bytes.fill(0);
    for (byte, x) in bytes.iter_mut().zip(rest) {
        *byte = is_below(x);
    }
    (line.len() - rest.len(), word(&bytes))
}
}
