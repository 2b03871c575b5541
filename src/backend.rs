//! Devices: what a backend must do, and which one serves a device.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::ops::{Args, Body, Entry};
use crate::tensor::{Device, DeviceType, Layout, Storage, Tensor};
use crate::{DType, Result, err};

/// What a device does for the ops. Kernels fill outputs that the core sized and allocated.
pub trait Backend: Send + Sync {
    /// Memory on the device, zeroed if asked for.
    fn alloc(&self, device: Device, nbytes: usize, zeroed: bool) -> Result<Arc<Storage>>;

    /// Copies elements between tensors of the same sizes, one of them on this device.
    fn copy(&self, target: &Tensor, source: &Tensor) -> Result<()>;

    /// Runs an op into its outputs.
    fn run(&self, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()>;

    /// Runs an op whose output sizes depend on data.
    fn run_dynamic(&self, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>>;

    /// Waits until all work given to the device is done.
    fn synchronize(&self, device: Device) -> Result<()>;
}

struct Cpu;

impl Backend for Cpu {
    fn alloc(&self, _: Device, nbytes: usize, zeroed: bool) -> Result<Arc<Storage>> {
        if zeroed {
            Storage::zeroed(nbytes)
        } else {
            Storage::empty(nbytes)
        }
    }

    fn copy(&self, target: &Tensor, source: &Tensor) -> Result<()> {
        crate::cpu::copy::copy(target, source)
    }

    #[inline]
    fn run(&self, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()> {
        match entry.op.body {
            Body::Kernel { cpu, .. } => cpu(args, outs),
            Body::Pointwise(spec) => spec.run(args, outs),
            _ => Err(not_implemented(entry, Device::CPU)),
        }
    }

    fn run_dynamic(&self, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>> {
        match entry.op.body {
            Body::Dynamic { cpu } => cpu(args),
            _ => Err(not_implemented(entry, Device::CPU)),
        }
    }

    fn synchronize(&self, _: Device) -> Result<()> {
        Ok(())
    }
}

type Registry = RwLock<[Option<Arc<dyn Backend>>; 4]>;

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| RwLock::new([Some(Arc::new(Cpu)), None, None, None]))
}

/// Gives a kind of device its backend; an earlier one is replaced.
pub fn register(kind: DeviceType, backend: Arc<dyn Backend>) {
    registry().write()[kind as usize] = Some(backend);
}

/// Is there a backend for this kind of device?
#[must_use]
pub fn is_registered(kind: DeviceType) -> bool {
    registry().read()[kind as usize].is_some()
}

/// The backend of a device, or PyTorch's error of a build without it.
pub fn of(device: Device) -> Result<Arc<dyn Backend>> {
    registry().read()[device.kind as usize].clone().ok_or_else(|| match device.kind {
        DeviceType::Cuda => err!(
            Runtime,
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver, and that CuPy is installed"
        ),
        _ => err!(NotImplemented, "no backend is registered for device {device}"),
    })
}

/// The error of an op without a kernel for a device; never a silent copy.
#[must_use]
pub fn not_implemented(entry: &Entry, device: Device) -> crate::Error {
    err!(
        NotImplemented,
        "Could not run '{}' on device '{}': no kernel for that device",
        entry.schema.name,
        device.type_name()
    )
}

/// Runs a kernel op; the CPU's is called without a look-up.
#[inline]
pub fn run(device: Device, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()> {
    if device.is_cpu() {
        Cpu.run(entry, args, outs)
    } else {
        of(device)?.run(entry, args, outs)
    }
}

/// A row-major tensor on a device, not initialised.
pub fn empty(device: Device, shape: &[i64], dtype: DType) -> Result<Tensor> {
    if device.is_cpu() {
        return Tensor::empty(shape, dtype);
    }
    let layout = Layout::contiguous(shape);
    let storage = of(device)?.alloc(device, layout.numel() as usize * dtype.size(), false)?;
    Tensor::from_storage(storage, layout, dtype)
}

/// Copies elements, between devices too; sizes are equal, dtypes may differ.
pub fn copy(target: &Tensor, source: &Tensor) -> Result<()> {
    let device = if target.device().is_cpu() {
        source.device()
    } else {
        target.device()
    };
    of(device)?.copy(target, source)
}

/// The tensor itself, or a copy of it on the CPU.
pub fn to_cpu(source: &Tensor) -> Result<Tensor> {
    to_device(source, Device::CPU)
}

/// The tensor itself, or a copy of it on a device; keeps no history.
pub fn to_device(source: &Tensor, device: Device) -> Result<Tensor> {
    if source.device() == device {
        return Ok(source.clone());
    }
    let target = empty(device, source.shape(), source.dtype())?;
    copy(&target, source)?;
    Ok(target)
}
