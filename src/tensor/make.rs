//! How tensors come about: fresh memory, values, aliases; and how their values are read back.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::{
    DType, Element, FromScalar, INFERENCE, Layout, Lazy, Scalar, Storage, Tensor, checked_numel,
};
use crate::{Result, dispatch, ensure, err};

impl Tensor {
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
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let source = crate::backend::to_cpu(self)?.resolved()?;
        if source.dtype() == T::DTYPE && source.is_contiguous() {
            return Ok(source.as_slice::<T>()?.to_vec());
        }
        let row = Tensor::empty(source.shape(), T::DTYPE)?;
        crate::cpu::copy::copy(&row, &source)?;
        Ok(row.as_slice::<T>()?.to_vec())
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
pub(super) fn check_bounds(layout: &Layout, dtype: DType, nbytes: usize) -> Result<()> {
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
