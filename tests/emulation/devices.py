"""``cupy.cuda.device``."""

from __future__ import annotations

from . import runtime


class Device:
    """One device, and a context in which it is the current one."""

    def __init__(self, device=None):
        self.id = runtime.getDevice() if device is None else int(device)
        self._outer = []

    def __int__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return self.id

    def __enter__(self):
        self._outer.append(runtime.getDevice())
        runtime.setDevice(self.id)
        return self

    def __exit__(self, *exc):
        runtime.setDevice(self._outer.pop())

    def use(self):
        """Make the device current."""
        runtime.setDevice(self.id)
        return self

    def synchronize(self):
        """Wait for the device."""
        runtime.deviceSynchronize()

    @property
    def compute_capability(self):
        """The two numbers in one string."""
        return "90"

    @property
    def mem_info(self):
        """Free and all bytes."""
        with self:
            return runtime.memGetInfo()

    @property
    def attributes(self):
        """Attributes by name."""
        known = {name: value for name, value in vars(runtime).items() if name.startswith("cudaDevAttr")}
        return {name[len("cudaDevAttr") :]: runtime.deviceGetAttribute(key, self.id) for name, key in known.items()}

    @property
    def cublas_handle(self):
        """The handle of cuBLAS."""
        return 0xB1A5 + self.id


def get_device_id():
    """The current device."""
    return runtime.getDevice()


def get_cublas_handle():
    """The current device's handle of cuBLAS."""
    return Device().cublas_handle


def get_compute_capability():
    """The current device's compute capability."""
    return Device().compute_capability
