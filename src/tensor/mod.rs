//! Strided tensors: a layout over shared storage, and what autograd hangs on it.

mod defaults;
mod device;
mod dtype;
mod layout;
mod make;
mod scalar;
mod storage;
mod stride;

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use parking_lot::Mutex;

pub use defaults::{
    current_index, default_device, default_dtype, set_current_index, set_default_device,
    set_default_dtype,
};
pub use device::{Device, DeviceType};
pub use dtype::{Bool, Category, DType, Element, bf16, c64, c128, f16};
pub use layout::{Dims, Layout, broadcast_shapes, checked_numel, contiguous_strides, wrap_dim};
pub use make::check_room;
pub use scalar::{FromScalar, Scalar};
pub use storage::{Owner, Storage};
pub use stride::slice_bounds;

use crate::Result;
use crate::autograd::Meta;
use make::check_bounds;

/// Transformations that a view applies when it is read (PyTorch's conjugate and negative bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lazy {
    pub conj: bool,
    pub neg: bool,
}

impl Lazy {
    #[inline]
    #[must_use]
    pub fn any(self) -> bool {
        self.conj | self.neg
    }
}

/// What `t_()`, `resize_()`, `set_()` and `x.data = y` may change.
#[derive(Clone)]
struct Body {
    layout: Layout,
    storage: Arc<Storage>,
    dtype: DType,
    lazy: Lazy,
    /// Set where writes are counted apart from the storage's other aliases (`x.data`).
    version: Option<Arc<AtomicU32>>,
}

/// A tensor is a handle: clones share layout, storage and autograd state.
///
/// Its metadata may be changed in place (`t_`, `resize_`, `set_`). Such changes, and every read of
/// metadata that may meet one, happen under the *call lock*: the interpreter lock when driven from
/// Python, one thread otherwise. Kernels run on copies of the layout.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

/// The tensor asks for gradients, or has a history.
const REQUIRES_GRAD: u8 = 1;
/// It is a differentiable view: gradients flow to it, too, if they flow to its base.
const VIEW: u8 = 2;
/// It was made in inference mode.
const INFERENCE: u8 = 4;

struct Inner {
    body: UnsafeCell<Body>,
    flags: AtomicU8,
    meta: Mutex<Option<Box<Meta>>>,
    /// The host language's object for this tensor, borrowed; null when there is none.
    object: AtomicPtr<()>,
}

// SAFETY: `body` is only changed under the call lock, everything else is atomic or locked.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Tensor {
    fn build(
        layout: Layout,
        storage: Arc<Storage>,
        dtype: DType,
        lazy: Lazy,
        version: Option<Arc<AtomicU32>>,
        flags: u8,
    ) -> Tensor {
        let body = UnsafeCell::new(Body {
            layout,
            storage,
            dtype,
            lazy,
            version,
        });
        Tensor(Arc::new(Inner {
            body,
            flags: AtomicU8::new(flags),
            meta: Mutex::new(None),
            object: AtomicPtr::new(std::ptr::null_mut()),
        }))
    }

    #[inline]
    fn body(&self) -> &Body {
        // SAFETY: changed only under the call lock (see the type's documentation).
        unsafe { &*self.0.body.get() }
    }

    /// Takes over another tensor's layout, storage and dtype (`set_`, `x.data = y`). Writes go on
    /// being counted from where the count was.
    ///
    /// # Safety
    /// The caller holds the call lock, and no reference to this tensor's metadata lives on.
    pub unsafe fn set_body(&self, other: &Tensor) {
        let mut body = other.body().clone();
        let count = self.body().version.clone();
        body.version = Some(count.unwrap_or_else(|| Arc::new(AtomicU32::new(self.version()))));
        // SAFETY: passed on to the caller.
        unsafe { *self.0.body.get() = body }
    }

    /// Changes the layout in place (`t_`, `squeeze_`, `resize_`).
    ///
    /// # Safety
    /// As for `set_body`.
    pub unsafe fn set_layout(&self, layout: Layout) -> Result<()> {
        check_bounds(&layout, self.dtype(), self.storage().nbytes())?;
        // SAFETY: passed on to the caller.
        unsafe { (*self.0.body.get()).layout = layout }
        Ok(())
    }

    #[inline]
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.body().layout
    }

    #[inline]
    #[must_use]
    pub fn shape(&self) -> &[i64] {
        &self.body().layout.shape
    }

    #[inline]
    #[must_use]
    pub fn strides(&self) -> &[i64] {
        &self.body().layout.strides
    }

    #[inline]
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.shape().len()
    }

    #[inline]
    #[must_use]
    pub fn numel(&self) -> i64 {
        self.layout().numel()
    }

    #[inline]
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.body().dtype
    }

    #[inline]
    #[must_use]
    pub fn lazy(&self) -> Lazy {
        self.body().lazy
    }

    #[inline]
    #[must_use]
    pub fn device(&self) -> Device {
        self.body().storage.device()
    }

    #[inline]
    #[must_use]
    pub fn storage(&self) -> &Arc<Storage> {
        &self.body().storage
    }

    #[inline]
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.layout().is_contiguous()
    }

    /// Address of the first element. Valid for the extent of the layout.
    #[inline]
    #[must_use]
    pub fn data_ptr(&self) -> *mut u8 {
        let body = self.body();
        body.storage
            .ptr()
            .wrapping_offset(body.layout.offset as isize * body.dtype.size() as isize)
    }

    /// Address of the first element as the type of this tensor's dtype.
    #[inline]
    #[must_use]
    pub fn ptr<T: Element>(&self) -> *mut T {
        debug_assert_eq!(T::DTYPE, self.dtype());
        self.data_ptr().cast()
    }
    /// How often the elements were written.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u32 {
        match &self.body().version {
            Some(own) => own.load(Ordering::Relaxed),
            None => self.storage().version(),
        }
    }

    #[inline]
    pub fn bump_version(&self) {
        match &self.body().version {
            Some(own) => {
                own.fetch_add(1, Ordering::Relaxed);
            }
            None => self.storage().bump_version(),
        }
    }

    #[inline]
    #[must_use]
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[must_use]
    pub fn shares_storage(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(self.storage(), other.storage())
    }

    /// Does a gradient flow to this tensor: a leaf that asks for one, or the result of recorded ops?
    #[inline]
    #[must_use]
    pub fn requires_grad(&self) -> bool {
        match self.0.flags.load(Ordering::Relaxed) & (REQUIRES_GRAD | VIEW) {
            0 => false,
            VIEW => self.base_requires_grad(),
            _ => true,
        }
    }

    pub(crate) fn set_requires_grad_flag(&self, value: bool) {
        if value {
            self.0.flags.fetch_or(REQUIRES_GRAD, Ordering::Relaxed);
        } else {
            self.0.flags.fetch_and(!REQUIRES_GRAD, Ordering::Relaxed);
        }
    }

    /// As `requires_grad`, leaving aside what a view has of its base.
    pub(crate) fn has_grad_flag(&self) -> bool {
        self.0.flags.load(Ordering::Relaxed) & REQUIRES_GRAD != 0
    }

    #[inline]
    pub(crate) fn has_view_flag(&self) -> bool {
        self.0.flags.load(Ordering::Relaxed) & VIEW != 0
    }

    pub(crate) fn set_view_flag(&self) {
        self.0.flags.fetch_or(VIEW, Ordering::Relaxed);
    }

    /// Was it made in inference mode?
    #[inline]
    #[must_use]
    pub fn is_inference(&self) -> bool {
        self.inherited() != 0
    }

    /// The flags that aliases take over.
    fn inherited(&self) -> u8 {
        self.0.flags.load(Ordering::Relaxed) & INFERENCE
    }

    pub(crate) fn meta(&self) -> &Mutex<Option<Box<Meta>>> {
        &self.0.meta
    }

    /// The host language's object for this tensor (borrowed), if it has one now.
    #[must_use]
    pub fn object(&self) -> &AtomicPtr<()> {
        &self.0.object
    }

    /// How many handles share this tensor's state.
    #[must_use]
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// A number that identifies the tensor while it lives.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// A tensor reference that does not keep it alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakTensor {
        WeakTensor(Arc::downgrade(&self.0))
    }
}

/// A [`Tensor`] that may be gone.
#[derive(Clone)]
pub struct WeakTensor(std::sync::Weak<Inner>);

impl WeakTensor {
    #[must_use]
    pub fn upgrade(&self) -> Option<Tensor> {
        self.0.upgrade().map(Tensor)
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Tensor({}, {:?}, strides {:?}, {})",
            self.dtype(),
            self.shape(),
            self.strides(),
            self.device()
        )
    }
}
