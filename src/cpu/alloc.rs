//! A caching allocator for tensor data: 64-byte aligned blocks in size classes, kept when freed.
//!
//! Fresh pages cost more than the arithmetic done on them, so freed blocks wait for reuse: small ones in
//! a list of the thread, large ones in shared lists with a cap.

use parking_lot::Mutex;
use std::alloc::Layout;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Alignment of every block: a cache line, and the widest vector register.
pub const ALIGN: usize = 64;
/// Classes up to this size are kept per thread.
const LOCAL_MAX: usize = 256 << 10;
/// Bytes that a thread keeps per class.
const LOCAL_KEEP: usize = 512 << 10;
/// Blocks from here on are mapped by themselves, on huge pages.
const HUGE: usize = 4 << 20;
/// The part of the memory that freed large blocks may hold.
const CACHE_SHARE: usize = 4;

const CLASSES: usize = class_of(1 << 46) + 1;
const LOCAL_CLASSES: usize = class_of(LOCAL_MAX) + 1;

/// 16 classes of 64 bytes, then four to a power of two.
const fn class_of(nbytes: usize) -> usize {
    let last = nbytes - 1;
    if last < 1024 {
        return last / 64;
    }
    let exponent = last.ilog2() as usize;
    16 + (exponent - 10) * 4 + ((last >> (exponent - 2)) & 3)
}

const fn class_size(class: usize) -> usize {
    if class < 16 {
        return (class + 1) * 64;
    }
    let (exponent, quarter) = ((class - 16) / 4 + 10, (class - 16) % 4);
    (1 << exponent) + ((quarter + 1) << (exponent - 2))
}

/// Freed blocks of one thread, by class.
struct LocalCache([Vec<NonNull<u8>>; LOCAL_CLASSES]);

impl Drop for LocalCache {
    fn drop(&mut self) {
        for (class, blocks) in self.0.iter_mut().enumerate() {
            blocks
                .drain(..)
                .for_each(|block| system::free(block, class_size(class)));
        }
    }
}

thread_local! {
    static LOCAL: RefCell<LocalCache> = const { RefCell::new(LocalCache([const { Vec::new() }; LOCAL_CLASSES])) };
}

struct SharedCache([Vec<NonNull<u8>>; CLASSES]);

// SAFETY: the blocks in the lists belong to nobody else.
unsafe impl Send for SharedCache {}

static SHARED: Mutex<SharedCache> = Mutex::new(SharedCache([const { Vec::new() }; CLASSES]));
static CACHED: AtomicUsize = AtomicUsize::new(0);
static RESERVED: AtomicUsize = AtomicUsize::new(0);

/// What the allocator holds, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    /// Taken from the system and not given back.
    pub reserved: usize,
    /// Of these, freed large blocks that wait for reuse.
    pub cached: usize,
}

/// The current figures.
pub fn stats() -> Stats {
    Stats {
        reserved: RESERVED.load(Relaxed),
        cached: CACHED.load(Relaxed),
    }
}

/// A block of at least `nbytes`, uninitialised; `None` if the memory cannot be had.
#[inline]
pub fn alloc(nbytes: usize) -> Option<NonNull<u8>> {
    if nbytes == 0 {
        return Some(dangling());
    }
    if nbytes > 1 << 46 {
        return None;
    }
    let class = class_of(nbytes);
    reuse(class).or_else(|| fresh(class_size(class)))
}

/// A block of at least `nbytes` zeros.
pub fn alloc_zeroed(nbytes: usize) -> Option<NonNull<u8>> {
    if nbytes == 0 || nbytes > 1 << 46 {
        return alloc(nbytes);
    }
    let class = class_of(nbytes);
    let size = class_size(class);
    if let Some(block) = reuse(class) {
        system::clear(block, nbytes, size);
        return Some(block);
    }
    let block = fresh(size)?;
    if size < HUGE {
        system::clear(block, nbytes, size);
    }
    Some(block)
}

/// Takes back a block.
///
/// # Safety
/// `block` came from `alloc` or `alloc_zeroed` with the same `nbytes` and is not used any more.
#[inline]
pub unsafe fn dealloc(block: NonNull<u8>, nbytes: usize) {
    if nbytes == 0 {
        return;
    }
    let class = class_of(nbytes);
    if class >= LOCAL_CLASSES {
        return keep_shared(block, class);
    }
    let size = class_size(class);
    let kept = LOCAL.try_with(|cache| {
        let blocks = &mut cache.borrow_mut().0[class];
        let room = blocks.len() * size < LOCAL_KEEP;
        if room {
            blocks.push(block);
        }
        room
    });
    if kept != Ok(true) {
        system::free(block, size);
    }
}

/// Gives the freed blocks of this thread and all freed large blocks back to the system.
pub fn empty_cache() {
    let _ = LOCAL.try_with(|cache| {
        *cache.borrow_mut() = LocalCache([const { Vec::new() }; LOCAL_CLASSES]);
    });
    let blocks: Vec<_> = SHARED.lock().0.iter_mut().map(std::mem::take).collect();
    for (class, blocks) in blocks.into_iter().enumerate() {
        CACHED.fetch_sub(blocks.len() * class_size(class), Relaxed);
        blocks
            .into_iter()
            .for_each(|block| system::free(block, class_size(class)));
    }
}

fn dangling() -> NonNull<u8> {
    NonNull::<Aligned>::dangling().cast()
}

#[repr(align(64))]
struct Aligned;

#[inline]
fn reuse(class: usize) -> Option<NonNull<u8>> {
    if class < LOCAL_CLASSES {
        return LOCAL
            .try_with(|cache| cache.borrow_mut().0[class].pop())
            .ok()?;
    }
    let block = SHARED.lock().0[class].pop()?;
    CACHED.fetch_sub(class_size(class), Relaxed);
    Some(block)
}

#[cold]
fn fresh(size: usize) -> Option<NonNull<u8>> {
    system::get(size).or_else(|| {
        empty_cache();
        system::get(size)
    })
}

#[cold]
fn keep_shared(block: NonNull<u8>, class: usize) {
    let size = class_size(class);
    if CACHED.load(Relaxed) + size > cache_limit() {
        return system::free(block, size);
    }
    CACHED.fetch_add(size, Relaxed);
    SHARED.lock().0[class].push(block);
}

fn cache_limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| system::memory() / CACHE_SHARE)
}

/// Memory from the operating system, counted in `RESERVED`.
mod system {
    use super::{ALIGN, HUGE, Layout, NonNull, RESERVED, Relaxed};

    pub fn get(size: usize) -> Option<NonNull<u8>> {
        let block = if size >= HUGE { map(size) } else { heap(size) }?;
        RESERVED.fetch_add(size, Relaxed);
        Some(block)
    }

    pub fn free(block: NonNull<u8>, size: usize) {
        RESERVED.fetch_sub(size, Relaxed);
        if size >= HUGE {
            unmap(block, size);
        } else if let Ok(layout) = Layout::from_size_align(size, ALIGN) {
            // SAFETY: `heap` made the block with this layout.
            unsafe { std::alloc::dealloc(block.as_ptr(), layout) };
        }
    }

    fn heap(size: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(size, ALIGN).ok()?;
        // SAFETY: sizes of classes are not zero.
        NonNull::new(unsafe { std::alloc::alloc(layout) })
    }

    /// Zeroes the first `nbytes`; large blocks get fresh zero pages when they are touched.
    pub fn clear(block: NonNull<u8>, nbytes: usize, size: usize) {
        if size < HUGE || !drop_pages(block, size) {
            // SAFETY: the block has at least `nbytes` bytes.
            unsafe { block.as_ptr().write_bytes(0, nbytes) };
        }
    }

    #[cfg(target_os = "linux")]
    fn drop_pages(block: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is a private anonymous mapping of ours.
        unsafe { libc::madvise(block.as_ptr().cast(), size, libc::MADV_DONTNEED) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn drop_pages(_: NonNull<u8>, _: usize) -> bool {
        false
    }

    /// A mapping that starts at a huge page.
    #[cfg(unix)]
    fn map(size: usize) -> Option<NonNull<u8>> {
        const PAGE: usize = 2 << 20;
        // SAFETY: an anonymous mapping touches no existing memory; the parts cut off are its own.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start = libc::mmap(std::ptr::null_mut(), size + PAGE, protection, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return None;
            }
            let head = (start as usize).next_multiple_of(PAGE) - start as usize;
            let block = start.cast::<u8>().add(head);
            if head > 0 {
                libc::munmap(start, head);
            }
            libc::munmap(block.add(size).cast(), PAGE - head);
            #[cfg(target_os = "linux")]
            libc::madvise(block.cast(), size, libc::MADV_HUGEPAGE);
            NonNull::new(block)
        }
    }

    #[cfg(unix)]
    fn unmap(block: NonNull<u8>, size: usize) {
        // SAFETY: the block is a whole mapping made by `map`.
        unsafe { libc::munmap(block.as_ptr().cast(), size) };
    }

    #[cfg(not(unix))]
    fn map(size: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(size, ALIGN).ok()?;
        // SAFETY: sizes of classes are not zero.
        NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
    }

    #[cfg(not(unix))]
    fn unmap(block: NonNull<u8>, size: usize) {
        if let Ok(layout) = Layout::from_size_align(size, ALIGN) {
            // SAFETY: `map` made the block with this layout.
            unsafe { std::alloc::dealloc(block.as_ptr(), layout) };
        }
    }

    /// Bytes of memory that this process may expect: the machine's, or less under a container's limit.
    pub fn memory() -> usize {
        let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(usize::MAX);
        physical().min(limit)
    }

    #[cfg(unix)]
    fn physical() -> usize {
        // SAFETY: sysconf only reads.
        let (pages, size) = unsafe {
            (
                libc::sysconf(libc::_SC_PHYS_PAGES),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        usize::try_from(pages).unwrap_or(0) * usize::try_from(size).unwrap_or(0)
    }

    #[cfg(not(unix))]
    fn physical() -> usize {
        8 << 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_sizes() {
        for nbytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 40_000_000, 1 << 46]) {
            let class = class_of(nbytes);
            assert!(class_size(class) >= nbytes);
            assert!(class == 0 || class_size(class - 1) < nbytes);
        }
    }

    #[test]
    fn blocks_are_aligned_reused_and_zeroed() {
        for nbytes in [1, 64, 1000, 300_000, 5 << 20] {
            let block = alloc(nbytes).unwrap();
            assert_eq!(block.as_ptr() as usize % ALIGN, 0);
            // SAFETY: the block has `nbytes` bytes and is freed once.
            unsafe {
                block.as_ptr().write_bytes(0xff, nbytes);
                dealloc(block, nbytes);
            }
            let zeros = alloc_zeroed(nbytes).unwrap();
            // SAFETY: as above.
            unsafe {
                assert!(
                    std::slice::from_raw_parts(zeros.as_ptr(), nbytes)
                        .iter()
                        .all(|&b| b == 0)
                );
                dealloc(zeros, nbytes);
            }
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(alloc(1 << 45).is_none());
        assert!(alloc(usize::MAX).is_none());
    }
}
