//! Stores that go around the caches, for results that would not stay there anyway: the processor
//! need not read a line that is about to be overwritten.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use super::multiversion::{Isa, isa};

/// Does a pass over so many bytes leave nothing of its beginning in the last-level cache?
pub fn pays(bytes: usize) -> bool {
    // Most calls are decided without looking the size up.
    bytes > SMALLEST && bytes > threshold()
}

const SMALLEST: usize = 8 << 20;
/// Caches beyond this are shared by many cores, and a virtual machine may report more than it has.
const LARGEST: usize = 24 << 20;

fn threshold() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| last_level_cache().clamp(SMALLEST, LARGEST))
}

#[cfg(target_os = "linux")]
fn last_level_cache() -> usize {
    // SAFETY: sysconf only reads.
    let bytes = unsafe { libc::sysconf(libc::_SC_LEVEL3_CACHE_SIZE) };
    usize::try_from(bytes).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn last_level_cache() -> usize {
    LARGEST
}

/// What starts at a cache line: what is gathered before it is stored, and vectors that must not straddle two lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Line<T>(pub T);

/// Bytes of a cache line, the unit of these stores.
const LINE: usize = 64;

/// Bytes from an address to the next cache line.
#[must_use]
pub fn to_line(address: *const u8) -> usize {
    (address as usize).next_multiple_of(LINE) - address as usize
}

/// Copies whole cache lines to memory; [`finish`] makes them visible to other threads.
///
/// The target starts at a cache line; both hold so many bytes, and do not overlap.
pub type Store = unsafe fn(source: *const u8, target: *mut u8, bytes: usize);

/// The widest stores that the CPU has.
#[cfg(target_arch = "x86_64")]
#[must_use]
pub fn store() -> Store {
    match isa() {
        Isa::Avx512 => lines_avx512,
        Isa::Avx2 => lines_avx2,
        Isa::Plain => lines_sse2,
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! lines {
    ($name:ident, $features:literal, $vector:ident, $load:ident, $store:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(source: *const u8, target: *mut u8, bytes: usize) {
            use std::arch::x86_64::{$load, $store, $vector};
            let (from, to) = (source.cast::<$vector>(), target.cast::<$vector>());
            for i in 0..bytes / size_of::<$vector>() {
                // SAFETY: the promise of [`Store`].
                unsafe { $store(to.add(i), $load(from.add(i))) };
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
lines!(
    lines_avx512,
    "avx512f",
    __m512i,
    _mm512_loadu_si512,
    _mm512_stream_si512
);
#[cfg(target_arch = "x86_64")]
lines!(
    lines_avx2,
    "avx2",
    __m256i,
    _mm256_loadu_si256,
    _mm256_stream_si256
);
#[cfg(target_arch = "x86_64")]
lines!(
    lines_sse2,
    "sse2",
    __m128i,
    _mm_loadu_si128,
    _mm_stream_si128
);

/// Brings a strip of values around the caches, in the registers that hold them.
///
/// # Safety
/// `to` starts at a cache line and has room for the values, which are whole lines; the level is that of the caller.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn put<T, const N: usize>(values: &[MaybeUninit<T>; N], to: *mut T, level: Isa) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's promise.
    unsafe {
        if level == Isa::Avx512 {
            let (from, to) = (values.as_ptr().cast::<__m512i>(), to.cast::<__m512i>());
            for i in 0..size_of_val(values) / size_of::<__m512i>() {
                _mm512_stream_si512(to.add(i), _mm512_loadu_si512(from.add(i)));
            }
        } else {
            let (from, to) = (values.as_ptr().cast::<__m128i>(), to.cast::<__m128i>());
            for i in 0..size_of_val(values) / size_of::<__m128i>() {
                _mm_stream_si128(to.add(i), _mm_loadu_si128(from.add(i)));
            }
        }
    }
}

/// Orders the stores of this thread before whatever it does next.
#[cfg(target_arch = "x86_64")]
pub fn finish() {
    // SAFETY: a fence has no preconditions; SSE is part of the architecture.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// Other machines have no such stores that pay.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub fn store() -> Store {
    |source, target, bytes| {
        // SAFETY: the promise of [`Store`].
        unsafe { std::ptr::copy_nonoverlapping(source, target, bytes) }
    }
}

/// # Safety
/// `to` has room for the values.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub unsafe fn put<T: Copy, const N: usize>(values: &[MaybeUninit<T>; N], to: *mut T, _: Isa) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<[MaybeUninit<T>; N]>().write_unaligned(*values) }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn finish() {}

/// What brings rows of `n` elements around the caches: nothing if they start or end within a cache line, or if a pass
/// over so many bytes leaves them in the caches.
pub fn for_rows<T>(target: *const T, n: usize, bytes: usize) -> Option<Store> {
    let whole = to_line(target.cast()) == 0 && (n * size_of::<T>()).is_multiple_of(LINE);
    (whole && pays(bytes)).then(store)
}

/// Writes `value(i)` to the `n` places from `target` on, by `store` if there is one ([`for_rows`]).
///
/// # Safety
/// The places are valid for writes; [`finish`] follows before other threads read them.
#[inline(always)]
pub unsafe fn write_row<T: Copy>(
    target: *mut T,
    n: usize,
    store: Option<Store>,
    value: impl Fn(usize) -> T,
) {
    const STRIP: usize = 128;
    let Some(store) = store else {
        // SAFETY: the caller's promise.
        return (0..n).for_each(|i| unsafe { target.add(i).write(value(i)) });
    };
    let mut aside = Line([MaybeUninit::<T>::uninit(); STRIP]);
    for start in (0..n).step_by(STRIP) {
        let count = STRIP.min(n - start);
        for (i, place) in aside.0[..count].iter_mut().enumerate() {
            place.write(value(start + i));
        }
        // SAFETY: the caller's promise; rows, and so their strips, are whole cache lines.
        unsafe {
            let target = target.add(start).cast();
            store(aside.0.as_ptr().cast(), target, count * size_of::<T>());
        }
    }
}
