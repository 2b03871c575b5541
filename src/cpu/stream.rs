//! Stores that go around the caches, for results that would not stay there anyway: the processor
//! need not read a line that is about to be overwritten.

use std::sync::OnceLock;

/// Does a pass over so many bytes leave nothing of its beginning in the last-level cache?
pub fn pays(bytes: usize) -> bool {
    // Most calls are decided without looking the size up.
    bytes > SMALLEST && bytes > threshold()
}

const SMALLEST: usize = 8 << 20;
/// A virtual machine may report a cache that it shares with many.
const LARGEST: usize = 64 << 20;

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
    LARGEST / 2
}

/// Copies bytes to memory; [`finish`] makes them visible to other threads.
///
/// # Safety
/// Both sides have so many bytes and do not overlap.
#[cfg(target_arch = "x86_64")]
pub unsafe fn store(source: *const u8, target: *mut u8, bytes: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    // SAFETY: the caller's promise; streaming stores are to multiples of 16 bytes.
    unsafe {
        let head = target.align_offset(16).min(bytes);
        std::ptr::copy_nonoverlapping(source, target, head);
        let vectors = (bytes - head) / 16;
        let from = source.add(head).cast::<__m128i>();
        let to = target.add(head).cast::<__m128i>();
        for i in 0..vectors {
            _mm_stream_si128(to.add(i), _mm_loadu_si128(from.add(i)));
        }
        let done = head + vectors * 16;
        std::ptr::copy_nonoverlapping(source.add(done), target.add(done), bytes - done);
    }
}

/// Orders the stores of this thread before whatever it does next.
#[cfg(target_arch = "x86_64")]
pub fn finish() {
    // SAFETY: a fence has no preconditions; SSE is part of the architecture.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// # Safety
/// Both sides have so many bytes and do not overlap.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn store(source: *const u8, target: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(source, target, bytes) }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn finish() {}
