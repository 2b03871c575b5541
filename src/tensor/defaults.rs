//! The dtype and device of tensors made without either.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{DType, Device, DeviceType};
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

thread_local! {
    static CURRENT: Cell<[i8; 4]> = const { Cell::new([0; 4]) };
}

/// The index that this thread means by a kind of device without one: `cuda`.
#[must_use]
pub fn current_index(kind: DeviceType) -> i8 {
    CURRENT.get()[kind as usize]
}

pub fn set_current_index(kind: DeviceType, index: i8) -> i8 {
    let mut all = CURRENT.get();
    let before = std::mem::replace(&mut all[kind as usize], index);
    CURRENT.set(all);
    before
}

impl Device {
    /// The device with its index; the CPU has none.
    #[inline]
    #[must_use]
    pub fn resolved(self) -> Device {
        if self.is_cpu() || self.index >= 0 {
            return self;
        }
        Device {
            index: current_index(self.kind),
            ..self
        }
    }
}
