//! Devices: what a backend must do, and which one serves a device.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::ops::expr::{Expr, Tree};
use crate::ops::{ANY_DEVICE, Args, Body, Entry, Value};
use crate::tensor::{Device, DeviceType, Layout, Scalar, Storage, Tensor, checked_numel};
use crate::{DType, Result, cpu, ensure, err, tree};

/// What a device does for the ops. Kernels fill outputs that the core sized and allocated.
pub trait Backend: Send + Sync {
    /// Memory on the device, zeroed if asked for.
    fn alloc(&self, device: Device, nbytes: usize, zeroed: bool) -> Result<Arc<Storage>>;

    /// Moves contiguous elements of one dtype between devices, one of them of this kind. With `non_blocking`
    /// the host need not wait where its memory is page-locked.
    fn transfer(&self, target: &Tensor, source: &Tensor, non_blocking: bool) -> Result<()>;

    /// Computes a formula element by element; copies and conversions on the device are formulas, too.
    fn map(&self, map: &Map) -> Result<()>;

    /// Runs an op that is no formula into its outputs.
    fn run(&self, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()>;

    /// Runs an op whose output sizes depend on data.
    fn run_dynamic(&self, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>>;

    /// A copy of a CPU tensor in memory that the device reaches without the host's help.
    fn pinned(&self, source: &Tensor) -> Result<Tensor>;

    /// Waits until all work given to the device is done.
    fn synchronize(&self, device: Device) -> Result<()>;
}

/// A formula and what it reads and writes, for devices that have no loops of their own.
pub struct Map<'a> {
    pub tree: &'static Tree,
    /// The dtype that it computes in, and the one in which its result comes out.
    pub lane: DType,
    pub result: DType,
    /// Tensors on the device that broadcast to the target, numbers, or None where the formula reads nothing.
    pub operands: &'a [&'a Value],
    /// Numbers; None is NaN.
    pub params: &'a [&'a Value],
    pub target: &'a Tensor,
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

    fn transfer(&self, target: &Tensor, source: &Tensor, _: bool) -> Result<()> {
        cpu::copy::copy(target, source)
    }

    /// The CPU has compiled loops for every formula (`ops::pointwise`).
    fn map(&self, map: &Map) -> Result<()> {
        Err(err!(
            NotImplemented,
            "no formula is interpreted on {}",
            map.target.device()
        ))
    }

    #[inline]
    fn run(&self, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()> {
        match entry.op.body {
            Body::Kernel { cpu, .. } => cpu(args, outs),
            _ => Err(not_implemented(entry, Device::CPU)),
        }
    }

    fn run_dynamic(&self, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>> {
        match entry.op.body {
            Body::Dynamic { cpu } => cpu(args),
            _ => Err(not_implemented(entry, Device::CPU)),
        }
    }

    fn pinned(&self, source: &Tensor) -> Result<Tensor> {
        Err(err!(Runtime, "the CPU does not pin memory: {source:?}"))
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

/// Registers the backend of a kind of device when one is first asked for, or says why there is none.
type Loader = fn(DeviceType) -> Result<()>;

static LOADER: OnceLock<Loader> = OnceLock::new();

/// Sets what is asked for backends that nobody registered; the first one stays.
pub fn set_loader(loader: Loader) {
    let _ = LOADER.set(loader);
}

/// The backend of a device, or the error of a machine without it.
pub fn of(device: Device) -> Result<Arc<dyn Backend>> {
    let known = |device: Device| registry().read()[device.kind as usize].clone();
    if let Some(backend) = known(device) {
        return Ok(backend);
    }
    if let Some(load) = LOADER.get() {
        load(device.kind)?;
    }
    known(device).ok_or_else(|| {
        err!(
            NotImplemented,
            "no backend is registered for device {device}"
        )
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
    if device.is_cpu() || entry.has(ANY_DEVICE) {
        Cpu.run(entry, args, outs)
    } else {
        of(device)?.run(entry, args, outs)
    }
}

/// Runs an op whose output sizes depend on data.
pub fn run_dynamic(device: Device, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>> {
    if device.is_cpu() || entry.has(ANY_DEVICE) {
        Cpu.run_dynamic(entry, args)
    } else {
        of(device)?.run_dynamic(entry, args)
    }
}

/// A row-major tensor on a device, not initialised.
pub fn empty(device: Device, shape: &[i64], dtype: DType) -> Result<Tensor> {
    if device.is_cpu() {
        return Tensor::empty(shape, dtype);
    }
    fresh(device, shape, dtype, false)
}

/// A row-major tensor of zeros on a device.
pub fn zeros(device: Device, shape: &[i64], dtype: DType) -> Result<Tensor> {
    if device.is_cpu() {
        return Tensor::zeros(shape, dtype);
    }
    fresh(device, shape, dtype, true)
}

/// A number as a 0-dim tensor on a device, where nobody waits for it.
pub fn scalar(device: Device, value: Scalar, dtype: DType) -> Result<Tensor> {
    let made = empty(device, &[], dtype)?;
    fill(&made, value)?;
    Ok(made)
}

fn fresh(device: Device, shape: &[i64], dtype: DType, zeroed: bool) -> Result<Tensor> {
    let device = device.resolved();
    let layout = Layout::contiguous(shape);
    let bytes = checked_numel(shape)?.checked_mul(dtype.size() as i64);
    let bytes = bytes.ok_or_else(|| {
        err!(
            Runtime,
            "Storage size calculation overflowed with sizes={shape:?}"
        )
    })?;
    let storage = of(device)?.alloc(device, bytes as usize, zeroed)?;
    Tensor::from_storage(storage, layout, dtype)
}

/// Computes a formula on the device of its target.
pub fn map(map: &Map) -> Result<()> {
    of(map.target.device())?.map(map)
}

/// Copies elements, between devices too; sizes are equal, dtypes may differ.
pub fn copy(target: &Tensor, source: &Tensor) -> Result<()> {
    copy_as(target, source, false)
}

/// As [`copy`]; with `non_blocking` the host does not wait for devices where it need not.
pub fn copy_as(target: &Tensor, source: &Tensor, non_blocking: bool) -> Result<()> {
    let (to, from) = (target.device(), source.device());
    if to.is_cpu() && from.is_cpu() {
        return cpu::copy::copy(target, source);
    }
    if to == from {
        return copy_within(target, source);
    }
    let packed = packed(source)?;
    let lands = target.is_contiguous() && target.dtype() == source.dtype() && !target.lazy().any();
    let landed = if lands {
        target.clone()
    } else {
        empty(to, source.shape(), source.dtype())?
    };
    if landed.numel() > 0 {
        let backend = of(if to.is_cpu() { from } else { to })?;
        // What the host reads at once has to be there.
        backend.transfer(&landed, &packed, non_blocking && (lands || from.is_cpu()))?;
    }
    if lands { Ok(()) } else { copy(target, &landed) }
}

/// The tensor itself if its elements stand in a row as they are, else such a copy on its device.
fn packed(source: &Tensor) -> Result<Tensor> {
    if source.is_contiguous() && !source.lazy().any() {
        return Ok(source.clone());
    }
    let target = empty(source.device(), source.shape(), source.dtype())?;
    copy(&target, source)?;
    Ok(target)
}

/// The formulas of copies: as it is, conjugated, negated, both.
static COPIES: [fn(bool) -> &'static Tree; 4] = [
    tree!(Expr::input(0)),
    tree!(Expr::call("conj", &[Expr::input(0)])),
    tree!(Expr::call("neg", &[Expr::input(0)])),
    tree!(Expr::call("neg", &[Expr::call("conj", &[Expr::input(0)])])),
];

/// Copies between tensors of one device other than the CPU.
fn copy_within(target: &Tensor, source: &Tensor) -> Result<()> {
    let conj = source.lazy().conj != target.lazy().conj && source.dtype().is_complex();
    let neg = source.lazy().neg != target.lazy().neg;
    let lane = lane_of(source.dtype());
    map(&Map {
        tree: COPIES[usize::from(conj) + 2 * usize::from(neg)](conj),
        lane,
        result: lane,
        operands: &[&Value::Tensor(source.clone())],
        params: &[],
        target,
    })
}

/// Gives every element of a tensor one value.
pub fn fill(target: &Tensor, value: Scalar) -> Result<()> {
    if target.device().is_cpu() {
        cpu::fill::fill(target, value);
        return Ok(());
    }
    let lane = lane_of(target.dtype());
    map(&Map {
        tree: COPIES[0](false),
        lane,
        result: lane,
        operands: &[&Value::Num(value)],
        params: &[],
        target,
    })
}

/// Where elements are read into: halves compute in float32.
fn lane_of(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::Bool => DType::U8,
        other => other,
    }
}

/// Gives a storage another size in place; every alias sees the new memory.
///
/// # Safety
/// As [`Storage::resize`].
pub unsafe fn resize(storage: &Arc<Storage>, nbytes: usize) -> Result<()> {
    let device = storage.device();
    if device.is_cpu() {
        // SAFETY: the caller's promise.
        return unsafe { storage.resize(nbytes) };
    }
    storage.check_resizable()?;
    let fresh = of(device)?.alloc(device, nbytes, false)?;
    let kept = Layout::contiguous(&[storage.nbytes().min(nbytes) as i64]);
    copy(
        &Tensor::from_storage(Arc::clone(&fresh), kept.clone(), DType::U8)?,
        &Tensor::from_storage(Arc::clone(storage), kept, DType::U8)?,
    )?;
    // SAFETY: the caller's promise; nobody else knows the fresh memory.
    unsafe { storage.exchange(&fresh) };
    Ok(())
}

/// A copy of a CPU tensor in page-locked memory.
pub fn pinned(source: &Tensor) -> Result<Tensor> {
    ensure!(
        source.device().is_cpu(),
        Runtime,
        "Only dense CPU tensors can be pinned"
    );
    let device = Device {
        kind: DeviceType::Cuda,
        index: 0,
    };
    let backend = of(device).map_err(|_| {
        err!(
            Runtime,
            "Cannot access accelerator device when none is available."
        )
    })?;
    backend.pinned(source)
}

/// The tensor itself, or a copy of it on the CPU.
pub fn to_cpu(source: &Tensor) -> Result<Tensor> {
    to_device(source, Device::CPU)
}

/// The tensor itself, or a copy of it on a device; keeps no history.
pub fn to_device(source: &Tensor, device: Device) -> Result<Tensor> {
    if source.device() == device.resolved() {
        return Ok(source.clone());
    }
    let target = empty(device, source.shape(), source.dtype())?;
    copy(&target, source)?;
    Ok(target)
}
