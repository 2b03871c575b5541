//! The dtype and device of tensors made without either.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{DType, Device};
use crate::{Result, ensure};

static DTYPE: AtomicU8 = AtomicU8::new(DType::F32 as u8);

#[inline]
#[must_use]
pub fn default_dtype() -> DType {
    DType::ALL[DTYPE.load(Ordering::Relaxed) as usize]
}

pub fn set_default_dtype(dtype: DType) -> Result<()> {
    ensure!(
        dtype.is_float(),
        Type,
        "only floating-point types are supported as the default type, got {dtype}"
    );
    DTYPE.store(dtype as u8, Ordering::Relaxed);
    Ok(())
}

thread_local! {
    static DEVICE: Cell<Device> = const { Cell::new(Device::CPU) };
}

/// The device of this thread's `set_default_device` or `with device:`.
#[must_use]
pub fn default_device() -> Device {
    DEVICE.get()
}

pub fn set_default_device(device: Device) -> Device {
    DEVICE.replace(device)
}
