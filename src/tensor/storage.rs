//! The memory behind tensors: who owns it, and how often it was written.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cpu::alloc;
use crate::tensor::Device;
use crate::{Result, ensure, err};

/// Who gives the memory back.
pub enum Owner {
    /// A block of the CPU pool.
    Pool,
    /// Somebody else's memory, kept alive by this handle: a NumPy array, a CuPy array, a DLPack capsule.
    Foreign(Box<dyn Any + Send + Sync>),
}

struct Block {
    ptr: NonNull<u8>,
    nbytes: usize,
    owner: Owner,
}

impl Drop for Block {
    fn drop(&mut self) {
        if matches!(self.owner, Owner::Pool) {
            // SAFETY: the block came from `alloc` with this size, and nobody else frees it.
            unsafe { alloc::dealloc(self.ptr, self.nbytes) }
        }
    }
}

/// One allocation and its version counter, shared by all views of it.
pub struct Storage {
    block: UnsafeCell<Block>,
    device: Device,
    writable: bool,
    resizable: AtomicBool,
    version: AtomicU32,
}

// SAFETY: the block is replaced only by `resize`, which the holder of the call lock performs (see `Tensor`).
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Storage {
    fn new(
        ptr: NonNull<u8>,
        nbytes: usize,
        owner: Owner,
        device: Device,
        writable: bool,
    ) -> Arc<Storage> {
        let block = UnsafeCell::new(Block { ptr, nbytes, owner });
        Arc::new(Storage {
            block,
            device,
            writable,
            resizable: AtomicBool::new(true),
            version: AtomicU32::new(0),
        })
    }

    /// Memory of the CPU pool, not initialised.
    pub fn empty(nbytes: usize) -> Result<Arc<Storage>> {
        let ptr = alloc::alloc(nbytes).ok_or_else(|| out_of_memory(nbytes))?;
        Ok(Self::new(ptr, nbytes, Owner::Pool, Device::CPU, true))
    }

    /// Memory of the CPU pool, filled with zeros.
    pub fn zeroed(nbytes: usize) -> Result<Arc<Storage>> {
        let ptr = alloc::alloc_zeroed(nbytes).ok_or_else(|| out_of_memory(nbytes))?;
        Ok(Self::new(ptr, nbytes, Owner::Pool, Device::CPU, true))
    }

    /// Memory that somebody else owns.
    ///
    /// # Safety
    /// `ptr` is valid for `nbytes` (reads, and writes if `writable`) as long as `owner` lives;
    /// for another device than the CPU it is never dereferenced here.
    pub unsafe fn foreign(
        ptr: *mut u8,
        nbytes: usize,
        owner: Box<dyn Any + Send + Sync>,
        device: Device,
        writable: bool,
    ) -> Arc<Storage> {
        let ptr = NonNull::new(ptr).unwrap_or(NonNull::dangling());
        Self::new(ptr, nbytes, Owner::Foreign(owner), device, writable)
    }

    fn block(&self) -> &Block {
        // SAFETY: replaced only under the call lock; see `resize`.
        unsafe { &*self.block.get() }
    }

    #[inline]
    #[must_use]
    pub fn ptr(&self) -> *mut u8 {
        self.block().ptr.as_ptr()
    }

    #[inline]
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.block().nbytes
    }

    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Keeps the block where it is from now on: its address was given to somebody else.
    pub fn forbid_resize(&self) {
        self.resizable.store(false, Ordering::Relaxed);
    }

    /// The handle that keeps foreign memory alive.
    #[must_use]
    pub fn foreign_owner(&self) -> Option<&(dyn Any + Send + Sync)> {
        match &self.block().owner {
            Owner::Foreign(owner) => Some(owner.as_ref()),
            Owner::Pool => None,
        }
    }

    #[inline]
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    #[inline]
    pub fn bump_version(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Memory that somebody lent, or whose address was given away, stays as it is.
    pub fn check_resizable(&self) -> Result<()> {
        let own = matches!(self.block().owner, Owner::Pool) || !self.device.is_cpu();
        ensure!(
            own && self.resizable.load(Ordering::Relaxed),
            Runtime,
            "Trying to resize storage that is not resizable"
        );
        Ok(())
    }

    /// Exchanges the memory of two storages of one device.
    ///
    /// # Safety
    /// The caller holds the call lock, and no kernel is using the memory.
    pub unsafe fn exchange(&self, other: &Storage) {
        // SAFETY: the caller's promise; `self` and `other` are different storages.
        unsafe { std::ptr::swap(self.block.get(), other.block.get()) }
    }

    /// Grows or shrinks the memory in place; every alias sees the new block.
    ///
    /// # Safety
    /// The caller holds the call lock, and no kernel is using the memory.
    pub unsafe fn resize(&self, nbytes: usize) -> Result<()> {
        self.check_resizable()?;
        let old = self.block();
        let ptr = alloc::alloc(nbytes).ok_or_else(|| out_of_memory(nbytes))?;
        // SAFETY: both blocks hold at least the copied bytes, and the new one is fresh.
        unsafe {
            std::ptr::copy_nonoverlapping(old.ptr.as_ptr(), ptr.as_ptr(), old.nbytes.min(nbytes));
            *self.block.get() = Block {
                ptr,
                nbytes,
                owner: Owner::Pool,
            };
        }
        Ok(())
    }
}

fn out_of_memory(nbytes: usize) -> crate::Error {
    err!(
        Runtime,
        "[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory: you tried to allocate {nbytes} bytes. Error code 12 (Cannot allocate memory)"
    )
}
