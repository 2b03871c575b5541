//! Strided tensors: a layout over shared storage, and what autograd hangs on it.

mod defaults;
mod device;
mod dtype;
mod layout;
mod scalar;
mod storage;
mod stride;

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use parking_lot::Mutex;

pub use defaults::{default_device, default_dtype, set_default_device, set_default_dtype};
pub use device::{Device, DeviceType};
pub use dtype::{Bool, Category, DType, Element, bf16, c64, c128, f16};
pub use layout::{Dims, Layout, broadcast_shapes, checked_numel, contiguous_strides, wrap_dim};
pub use scalar::{FromScalar, Scalar};
pub use storage::{Owner, Storage};
pub use stride::slice_bounds;

use crate::autograd::Meta;
use crate::{Result, dispatch, ensure, err};

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

    /// A tensor of fresh memory.
    fn fresh(storage: Arc<Storage>, layout: Layout, dtype: DType) -> Tensor {
        let flags = if crate::autograd::inference_enabled() {
            INFERENCE
        } else {
            0
        };
        Tensor::build(layout, storage, dtype, Lazy::default(), None, flags)
    }

    /// A tensor over storage; the layout must lie within it.
    pub fn from_storage(storage: Arc<Storage>, layout: Layout, dtype: DType) -> Result<Tensor> {
        check_bounds(&layout, dtype, storage.nbytes())?;
        Ok(Tensor::fresh(storage, layout, dtype))
    }

    /// Uninitialised memory on the CPU, row-major.
    pub fn empty(shape: &[i64], dtype: DType) -> Result<Tensor> {
        let storage = Storage::empty(byte_size(shape, dtype)?)?;
        Ok(Tensor::fresh(storage, Layout::contiguous(shape), dtype))
    }

    /// Zeros on the CPU, row-major.
    pub fn zeros(shape: &[i64], dtype: DType) -> Result<Tensor> {
        let storage = Storage::zeroed(byte_size(shape, dtype)?)?;
        Ok(Tensor::fresh(storage, Layout::contiguous(shape), dtype))
    }

    /// A 0-dim CPU tensor.
    pub fn scalar(value: Scalar, dtype: DType) -> Result<Tensor> {
        let t = Tensor::empty(&[], dtype)?;
        dispatch!(all dtype, T => {
            // SAFETY: the storage was just made for one element of this type.
            unsafe { *t.ptr::<T>() = T::from_scalar(value) }
        });
        Ok(t)
    }

    /// A CPU tensor that holds a copy of the values.
    pub fn from_slice<T: Element>(values: &[T], shape: &[i64]) -> Result<Tensor> {
        ensure!(
            checked_numel(shape)? == values.len() as i64,
            Runtime,
            "shape {shape:?} is invalid for {} values",
            values.len()
        );
        let t = Tensor::empty(shape, T::DTYPE)?;
        // SAFETY: the storage was just made for exactly these elements.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), t.ptr::<T>(), values.len()) }
        Ok(t)
    }

    /// The elements in row-major order, widened or cut to the type asked for.
    pub fn to_vec<T: Element + FromScalar>(&self) -> Result<Vec<T>> {
        let source = self.resolved()?;
        let layout = source.layout();
        let mut out = Vec::with_capacity(layout.numel() as usize);
        dispatch!(all source.dtype(), S => {
            crate::cpu::iter::for_each_offset(&layout.shape, &layout.strides, |offset| {
                // SAFETY: the layout lies within the storage, checked when the tensor was made.
                let value = unsafe { *source.ptr::<S>().offset(offset as isize) };
                out.push(T::from_scalar(value.to_scalar()));
            });
        });
        Ok(out)
    }

    /// Another tensor on the same storage, as views are.
    pub fn alias(&self, layout: Layout) -> Result<Tensor> {
        let body = self.body();
        check_bounds(&layout, body.dtype, body.storage.nbytes())?;
        Ok(Tensor::build(
            layout,
            body.storage.clone(),
            body.dtype,
            body.lazy,
            body.version.clone(),
            self.inherited(),
        ))
    }

    /// An alias read under another dtype; offset and strides are in its elements.
    pub fn alias_as(&self, layout: Layout, dtype: DType, lazy: Lazy) -> Result<Tensor> {
        let body = self.body();
        check_bounds(&layout, dtype, body.storage.nbytes())?;
        Ok(Tensor::build(
            layout,
            body.storage.clone(),
            dtype,
            lazy,
            body.version.clone(),
            self.inherited(),
        ))
    }

    /// The same elements without history; writes are counted together (`x.detach()`).
    #[must_use]
    pub fn detached(&self) -> Tensor {
        let body = self.body().clone();
        Tensor::build(
            body.layout,
            body.storage,
            body.dtype,
            body.lazy,
            body.version,
            self.inherited(),
        )
    }

    /// The same elements without history, whose writes autograd does not see (`x.data`).
    #[must_use]
    pub fn untracked(&self) -> Tensor {
        let body = self.body().clone();
        Tensor::build(
            body.layout,
            body.storage,
            body.dtype,
            body.lazy,
            Some(Arc::new(AtomicU32::new(0))),
            self.inherited(),
        )
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

    /// The elements of a contiguous CPU tensor.
    ///
    /// # Errors
    /// The tensor has another dtype, is not contiguous, or lies on another device.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.check_slice::<T>()?;
        // SAFETY: bounds were checked when the tensor was made; dtype, device and density just now.
        Ok(unsafe { std::slice::from_raw_parts(self.ptr::<T>(), self.numel() as usize) })
    }

    /// The elements of a contiguous CPU tensor that a kernel fills.
    ///
    /// # Safety
    /// Nothing else reads or writes them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn as_mut_slice<T: Element>(&self) -> Result<&mut [T]> {
        self.check_slice::<T>()?;
        // SAFETY: as in `as_slice`; exclusiveness is the caller's promise.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.ptr::<T>(), self.numel() as usize) })
    }

    fn check_slice<T: Element>(&self) -> Result<()> {
        ensure!(
            T::DTYPE == self.dtype(),
            Runtime,
            "expected scalar type {} but found {}",
            T::DTYPE.scalar_name(),
            self.dtype().scalar_name()
        );
        ensure!(
            self.is_contiguous() && self.device().is_cpu() && !self.lazy().any(),
            Runtime,
            "expected a contiguous CPU tensor"
        );
        Ok(())
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

    /// The tensor with its conjugate and negative bits carried out.
    pub fn resolved(&self) -> Result<Tensor> {
        if self.lazy().any() {
            crate::ops::resolve_lazy(self)
        } else {
            Ok(self.clone())
        }
    }

    /// The single element's value.
    pub fn item(&self) -> Result<Scalar> {
        ensure!(
            self.numel() == 1,
            Runtime,
            "a Tensor with {} elements cannot be converted to Scalar",
            self.numel()
        );
        let source = crate::backend::to_cpu(self)?.resolved()?;
        // SAFETY: one element exists at the first address.
        Ok(dispatch!(all source.dtype(), T => unsafe { *source.ptr::<T>() }.to_scalar()))
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

/// Fails where memory for so many elements cannot be had: for lists that are made before their tensor.
pub fn check_room(count: i64, dtype: DType) -> Result<()> {
    Tensor::empty(&[count], dtype).map(drop)
}

fn byte_size(shape: &[i64], dtype: DType) -> Result<usize> {
    let bytes = checked_numel(shape)?.checked_mul(dtype.size() as i64);
    bytes.map(|n| n as usize).ok_or_else(|| {
        err!(
            Runtime,
            "Storage size calculation overflowed with sizes={shape:?}"
        )
    })
}

/// Every index must reach an element inside the storage.
fn check_bounds(layout: &Layout, dtype: DType, nbytes: usize) -> Result<()> {
    if layout.shape.contains(&0) {
        return Ok(());
    }
    let room = (nbytes / dtype.size()) as i64;
    let inside = layout
        .extent()
        .is_some_and(|(low, high)| low >= 0 && high < room);
    ensure!(
        inside,
        Runtime,
        "setStorage: sizes {:?}, strides {:?}, storage offset {}, and itemsize {} requiring a storage size of {} are out of bounds for storage of size {nbytes}",
        &layout.shape[..],
        &layout.strides[..],
        layout.offset,
        dtype.size(),
        layout.extent().map_or(0, |(_, high)| (high + 1)
            .saturating_mul(dtype.size() as i64))
    );
    Ok(())
}
