//! Copies of contiguous bytes.

use std::ops::RangeInclusive;

use super::multiversion::multiversion;
use super::stream::{Line, to_line};

/// From here on `rep movsb`, which C libraries may use for longer copies, is many times slower where the target lies a
/// few bytes further within its page than the source does; shorter copies are at the library's best.
const LONG: usize = 2048;

/// Copies `count` elements.
///
/// # Safety
/// Both sides hold so many and do not overlap.
#[inline]
pub unsafe fn copy<T: Copy>(from: *const T, to: *mut T, count: usize) {
    let bytes = count * size_of::<T>();
    // SAFETY: the caller's promise.
    unsafe {
        if bytes < LONG {
            std::ptr::copy_nonoverlapping(from, to, count);
        } else {
            lines(from.cast(), to.cast(), bytes);
        }
    }
}

multiversion! {
    /// Copies a line at least, by stores that do not straddle lines: the first and the last line overlap their neighbours.
    unsafe fn lines[](from: *const u8, to: *mut u8, bytes: usize) {
        let head = to_line(to);
        let last = bytes - 64;
        // SAFETY: the caller's promise; all lines lie within `bytes`, those in between at multiples of their size.
        unsafe {
            let line = |at: usize| from.add(at).cast::<[u64; 8]>().read_unaligned();
            to.cast::<[u64; 8]>().write_unaligned(line(0));
            let mut at = head;
            while at < last {
                to.add(at).cast::<Line<[u64; 8]>>().write(Line(line(at)));
                at += 64;
            }
            to.add(last).cast::<[u64; 8]>().write_unaligned(line(last));
        }
    }
}

/// Bytes that [`copy_short`] takes: beyond, a call is worth its cost.
pub const SHORT: RangeInclusive<usize> = 16..=1024;

/// Copies bytes in place, where a call for each row would cost more: by whole vectors, of which the last may meet the
/// one before.
///
/// # Safety
/// The two hold so many bytes, a number in [`SHORT`], and do not overlap.
#[inline(always)]
pub unsafe fn copy_short(source: *const u8, target: *mut u8, bytes: usize) {
    // SAFETY: vectors are no longer than `bytes`.
    unsafe {
        match bytes {
            0..32 => copy_by::<16>(source, target, bytes),
            32..64 => copy_by::<32>(source, target, bytes),
            _ => copy_by::<64>(source, target, bytes),
        }
    }
}

/// # Safety
/// As above; `bytes` are at least `SIZE`.
#[inline(always)]
unsafe fn copy_by<const SIZE: usize>(source: *const u8, target: *mut u8, bytes: usize) {
    let copy = |at: usize| {
        // SAFETY: the caller's promise.
        unsafe {
            let vector = source.add(at).cast::<[u8; SIZE]>().read();
            target.add(at).cast::<[u8; SIZE]>().write(vector);
        }
    };
    (0..bytes - SIZE).step_by(SIZE).for_each(copy);
    copy(bytes - SIZE);
}

multiversion! {
    /// Copies `count` elements in reverse: the last of them at `from` comes first.
    ///
    /// # Safety
    /// As for [`copy`].
    pub unsafe fn reverse[T: Copy](from: *const T, to: *mut T, count: usize) {
        for i in 0..count {
            // SAFETY: both sides hold so many.
            unsafe { to.add(i).write_unaligned(from.add(count - 1 - i).read_unaligned()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_and_no_other_is_touched() {
        let source: Vec<u8> = (0..9000_u32).map(|i| (i * 7 % 251) as u8).collect();
        for count in [0, 1, 63, 2047, 2048, 2049, 2111, 2112, 4096, 8191] {
            for (start, shift) in [(0, 0), (0, 4), (3, 64), (61, 1), (128, 127)] {
                let mut target = vec![255_u8; 9000];
                // SAFETY: both vectors are long enough.
                unsafe {
                    let (from, to) = (source.as_ptr(), target.as_mut_ptr());
                    copy(from.add(start), to.add(shift), count);
                }
                assert_eq!(target[shift..shift + count], source[start..start + count]);
                let rest = target[..shift].iter().chain(&target[shift + count..]);
                assert!(rest.copied().all(|byte| byte == 255));
            }
        }
    }

    #[test]
    fn short_copies_are_as_long_as_they_say() {
        let source: Vec<u8> = (0..1024_u32).map(|i| (i * 7 % 251) as u8).collect();
        for count in SHORT {
            let mut target = vec![255_u8; 1025];
            // SAFETY: both vectors are long enough.
            unsafe { copy_short(source.as_ptr(), target.as_mut_ptr(), count) };
            assert_eq!(target[..count], source[..count]);
            assert_eq!(target[count], 255);
        }
    }

    #[test]
    fn reversed_copies_are_reversed() {
        let source: Vec<u16> = (0..100).collect();
        for count in [0, 1, 15, 16, 33, 100] {
            let mut target = vec![7_u16; 100];
            // SAFETY: both vectors are long enough.
            unsafe { reverse(source.as_ptr(), target.as_mut_ptr(), count) };
            assert!(target[..count].iter().eq(source[..count].iter().rev()));
            assert!(target[count..].iter().all(|&value| value == 7));
        }
    }
}
