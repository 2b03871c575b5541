"""``cupy.ndarray`` and its functions: NumPy's, on the memory of the emulated device."""

from __future__ import annotations

import functools
import math
import types

import numpy as np

from . import native
from .memory import MemoryPointer, UnownedMemory, current_device, device_of
from .pools import alloc
from .streams import capturing, forbid_capture, get_current_stream, submit

# What is passed on to NumPy; every name is in CuPy, too.
FUNCTIONS = """
abs absolute add all allclose amax amin any arange argmax argmin argpartition argsort array_equal asfortranarray
ascontiguousarray atleast_2d bincount bitwise_and bitwise_or bitwise_xor broadcast_arrays broadcast_to ceil clip
concatenate conj conjugate copysign cos count_nonzero cumprod cumsum diag diagonal diff divide dot einsum empty_like
equal exp expand_dims eye flatnonzero flip floor floor_divide full_like greater greater_equal hypot identity imag inner
invert isfinite isinf isnan kron less less_equal lexsort log logical_and logical_not logical_or logspace linspace matmul
max maximum mean median min minimum mod moveaxis multiply nan_to_num nanmax nanmean nanmin nansum negative nonzero
not_equal ones_like outer partition permute_dims power prod quantile ravel real repeat reshape rint roll rollaxis round
searchsorted sign signbit sin sort sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan tanh
tensordot tile trace transpose tril triu true_divide trunc unique unravel_index var vdot where zeros_like
"""
CREATORS = "arange empty eye full identity linspace logspace ones tri zeros"
LINALG = """
cholesky cond det eig eigh eigvals eigvalsh inv lstsq matrix_power matrix_rank norm pinv qr slogdet solve svd
tensorinv tensorsolve
"""
FFT = """
fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftfreq rfftn
"""
METHODS = """
all any argmax argmin argpartition argsort astype clip conj conjugate copy cumprod cumsum diagonal dot max mean min
nonzero partition prod ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace transpose var
"""
OPERATORS = """
add sub mul matmul truediv floordiv mod pow lshift rshift and or xor neg pos abs invert lt le eq ne gt ge
"""
REFLECTED = "add sub mul matmul truediv floordiv mod pow lshift rshift and or xor"


class ndarray:
    """An array on the device.

    Parameters
    ----------
    shape, dtype, memptr, strides, order
        As CuPy's.
    """

    __array_priority__ = 100
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        self.shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        if memptr is None:
            memptr = alloc(math.prod(self.shape) * self.dtype.itemsize)
        self.data = memptr
        self.strides = tuple(strides) if strides is not None else _dense(self.shape, self.dtype.itemsize, order)
        self.base = None

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    itemsize = property(lambda self: self.dtype.itemsize)
    nbytes = property(lambda self: self.size * self.dtype.itemsize)
    device = property(lambda self: self.data.device)
    T = property(lambda self: self.transpose())
    flags = property(lambda self: _host(self).flags)
    real = property(lambda self: _wrapped(_host(self).real))
    imag = property(lambda self: _wrapped(_host(self).imag))

    @property
    def __cuda_array_interface__(self):
        contiguous = self.strides == _dense(self.shape, self.dtype.itemsize, "C")
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "version": 3,
            "strides": None if contiguous else self.strides,
            "data": (self.data.ptr, False),
            "stream": get_current_stream().ptr or 1,
        }

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        from .dlpack import capsule

        return capsule(self)

    def __dlpack_device__(self):
        return (2, self.data.device_id)

    def __repr__(self):
        return repr(self.get())

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        return _call(lambda a, k: a[k], self, key)

    def __setitem__(self, key, value):
        _inplace(lambda a, k, v: a.__setitem__(k, v), self, key, value)

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def item(self):
        """The only element."""
        return self.get().item()

    def tolist(self):
        """Elements as nested lists."""
        return self.get().tolist()

    def get(self, stream=None, order="C", out=None, blocking=True):
        """A copy on the host."""
        forbid_capture()
        with native.Unlocked():
            copied = _host(self).copy(order)
        if out is None:
            return copied
        out[...] = copied
        return out

    def set(self, arr, stream=None):
        """Copy from the host."""
        _inplace(lambda a: a.__setitem__(..., arr), self)

    def fill(self, value):
        """Set every element."""
        _inplace(lambda a: a.fill(value), self)

    def sort(self, axis=-1):
        """Sort in place."""
        _inplace(lambda a: a.sort(axis), self)

    def view(self, dtype=None):
        """The same memory as another dtype."""
        with native.Unlocked():
            return _wrapped(_host(self).view(dtype), owner=self)


def _dense(shape, itemsize, order):
    strides, step = [], itemsize
    for size in reversed(shape) if order in ("C", None) else shape:
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides)) if order in ("C", None) else tuple(strides)


class _Raw:
    """Memory as NumPy's array interface tells it."""

    def __init__(self, array: ndarray):
        raw = array.dtype if array.dtype.isbuiltin == 1 else np.dtype(f"V{array.dtype.itemsize}")
        self.__array_interface__ = {
            "shape": array.shape,
            "typestr": raw.str,
            "strides": array.strides,
            "data": (array.data.ptr or 8, False),
            "version": 3,
        }
        self.owner = array


def _host(array: ndarray) -> np.ndarray:
    """The device's memory as a NumPy array, which may be looked into while the memory is unlocked."""
    view = np.asarray(_Raw(array))
    return view if view.dtype == array.dtype else view.view(array.dtype)


def _unwrapped(value):
    if isinstance(value, ndarray):
        return _host(value)
    if isinstance(value, np.ndarray) and value.ndim > 0:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (tuple, list)):
        return type(value)(_unwrapped(v) for v in value)
    return value


def _wrapped(value, owner=None):
    """A result on the device: a view where it lies on the device's memory, else a copy."""
    if isinstance(value, tuple):
        return tuple(_wrapped(v, owner) for v in value)
    if isinstance(value, list):
        return [_wrapped(v, owner) for v in value]
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    value = np.asarray(value)
    address = value.ctypes.data
    if isinstance(owner, ndarray) and device_of(address) >= 0:
        mem = owner.data.mem
        view = ndarray(value.shape, value.dtype, MemoryPointer(mem, address - mem.ptr), value.strides)
        view.base = owner
        return view
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    made = ndarray(value.shape, value.dtype, order=order)
    _host(made)[...] = value
    return made


def _owner(args) -> ndarray | None:
    return next((a for a in args if isinstance(a, ndarray)), None)


def _call(function, *args, out=None, **kwargs):
    """Call a NumPy function on the device's memory; a capturing stream repeats it into the same results."""
    targets = {} if out is None else {"out": _unwrapped(out)}
    bound = functools.partial(
        function, *[_unwrapped(a) for a in args], **{k: _unwrapped(v) for k, v in kwargs.items()}, **targets
    )
    with native.Unlocked(), np.errstate(all="ignore"):
        if out is not None:
            submit(lambda: _quietly(bound))
            return out
        result = _wrapped(bound(), _owner(args))
    if capturing():
        submit(lambda: _repeat(bound, result))
    return result


def _quietly(function):
    with native.Unlocked(), np.errstate(all="ignore"):
        return function()


def _repeat(bound, result):
    with native.Unlocked(), np.errstate(all="ignore"):
        again = bound()
        for target, value in zip(_flat(result), _flat(again), strict=True):
            if target.base is None:
                _host(target)[...] = value


def _flat(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _inplace(function, array, *args):
    values = [_unwrapped(a) for a in args]
    host = _host(array)
    submit(lambda: _quietly(lambda: function(host, *values)))


def _forward(function):
    @functools.wraps(function)
    def forwarded(*args, **kwargs):
        return _call(function, *args, **kwargs)

    return forwarded


def _add_methods():
    for name in METHODS.split():
        setattr(ndarray, name, _forward(getattr(np.ndarray, name)))
    for name in OPERATORS.split():
        setattr(ndarray, f"__{name}__", _forward(getattr(np.ndarray, f"__{name}__")))
    for name in REFLECTED.split():
        setattr(ndarray, f"__r{name}__", _forward(getattr(np.ndarray, f"__r{name}__")))
        if name != "matmul":
            method = getattr(np.ndarray, f"__i{name}__")
            setattr(ndarray, f"__i{name}__", lambda self, other, m=method: (_inplace(m, self, other), self)[1])


_add_methods()


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """An array on the device, of values on the host or on it."""
    with native.Unlocked():
        if isinstance(obj, ndarray):
            obj = _host(obj)
        forbid_capture()
        return _wrapped(np.array(obj, dtype=dtype, copy=True, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None, *, blocking=False):
    """As `array`; one that is on the device stays as it is."""
    if isinstance(a, ndarray) and dtype in (None, a.dtype):
        return a
    interface = getattr(a, "__cuda_array_interface__", None)
    return array(a, dtype) if interface is None else _of_interface(a, interface)


def _of_interface(owner, interface):
    address = interface["data"][0]
    dtype = np.dtype(interface["typestr"])
    memory = UnownedMemory(address, 0, owner, current_device() if address == 0 else device_of(address))
    return ndarray(interface["shape"], dtype, MemoryPointer(memory, 0), interface.get("strides"))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """An array on the host."""
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def from_dlpack(array, *, device=None, copy=None):
    """An array on the memory of another library's."""
    from .dlpack import imported

    return imported(array)


def functions_of(module, names: str) -> dict:
    """NumPy's functions as CuPy's."""
    return {name: _forward(getattr(module, name)) for name in names.split()}


def fill_module(module: types.ModuleType) -> None:
    """Give the top module its names."""
    vars(module).update(functions_of(np, FUNCTIONS + CREATORS))
    for function in (array, asarray, asnumpy, from_dlpack):
        setattr(module, function.__name__, function)
    module.ndarray = ndarray
    module.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=as_strided))
    for name in [
        "bool_",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "complex64",
    ]:
        setattr(module, name, getattr(np, name))
    for name in [
        "complex128",
        "dtype",
        "inf",
        "nan",
        "pi",
        "newaxis",
        "result_type",
        "promote_types",
        "finfo",
        "iinfo",
        "can_cast",
    ]:
        setattr(module, name, getattr(np, name))


def as_strided(x, shape=None, strides=None):
    """A view of any sizes and strides."""
    view = ndarray(x.shape if shape is None else shape, x.dtype, x.data, x.strides if strides is None else strides)
    view.base = x
    return view
