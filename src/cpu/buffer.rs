//! Scratch memory of kernels, from the cache that serves tensors: fresh pages cost more than what is done on them.

use std::alloc::{Layout, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::alloc;

/// A vector of plain values.
pub struct Buffer<T: Copy> {
    ptr: NonNull<T>,
    capacity: usize,
    len: usize,
}

// SAFETY: the buffer owns its memory.
unsafe impl<T: Copy + Send> Send for Buffer<T> {}
// SAFETY: shared access only reads.
unsafe impl<T: Copy + Sync> Sync for Buffer<T> {}

impl<T: Copy> Default for Buffer<T> {
    fn default() -> Self {
        Buffer::new()
    }
}

impl<T: Copy> Buffer<T> {
    pub const fn new() -> Self {
        Buffer {
            ptr: NonNull::dangling(),
            capacity: 0,
            len: 0,
        }
    }

    /// So many values, not initialised.
    pub fn uninit(&mut self, len: usize) -> &mut [MaybeUninit<T>] {
        self.len = 0;
        self.reserve(len);
        // SAFETY: there is room for `len` values, and any bytes are uninitialised values.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr().cast(), len) }
    }

    /// The buffer of `f(i)` for `0..len`.
    pub fn fill_with(&mut self, len: usize, mut f: impl FnMut(usize) -> T) {
        for (i, slot) in self.uninit(len).iter_mut().enumerate() {
            slot.write(f(i));
        }
        self.len = len;
    }

    /// Takes the first `len` values for initialised.
    ///
    /// # Safety
    /// They were written since `uninit`.
    pub unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity);
        self.len = len;
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        if self.len == self.capacity {
            self.reserve(self.len + 1);
        }
        // SAFETY: there is room for one more.
        unsafe { self.ptr.as_ptr().add(self.len).write(value) };
        self.len += 1;
    }

    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let mut kept = 0;
        for i in 0..self.len {
            if keep(&self[i]) {
                self[kept] = self[i];
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Makes room for `n` values in all.
    #[cold]
    fn reserve(&mut self, n: usize) {
        if n <= self.capacity {
            return;
        }
        let n = n.max(2 * self.capacity).max(64 / size_of::<T>().max(1));
        let Ok(layout) = Layout::array::<T>(n) else {
            handle_alloc_error(Layout::new::<T>())
        };
        let Some(block) = alloc::alloc(layout.size()) else {
            handle_alloc_error(layout)
        };
        let grown = Buffer {
            ptr: block.cast::<T>(),
            capacity: n,
            len: self.len,
        };
        // SAFETY: both hold `len` values.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr.as_ptr(), grown.ptr.as_ptr(), self.len) };
        *self = grown;
    }
}

impl<T: Copy> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: `reserve` took the block with this size.
            unsafe { alloc::dealloc(self.ptr.cast(), self.capacity * size_of::<T>()) };
        }
    }
}

impl<T: Copy> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` values are initialised.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the access is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Copy> Extend<T> for Buffer<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_as_a_vector_does() {
        let mut buffer = Buffer::new();
        buffer.extend(0..1000);
        assert!(buffer.iter().copied().eq(0..1000));
        buffer.retain(|x| x % 2 == 0);
        buffer.truncate(3);
        buffer.push(7);
        assert_eq!(buffer[..], [0, 2, 4, 7]);
        buffer.fill_with(5, |i| i as i32);
        assert_eq!(buffer[..], [0, 1, 2, 3, 4]);
    }
}
