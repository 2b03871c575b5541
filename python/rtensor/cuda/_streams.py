"""Queues of work and marks in them: CuPy's streams and events under PyTorch's names."""

from typing import Any

from rtensor import _C
from rtensor.cuda import _devices


def _cuda() -> Any:
    """CuPy's module of streams and events, once the GPU is ready."""
    _devices.init()
    import cupy

    return cupy.cuda


class Stream:
    """A queue of work on a GPU, beside the default one.

    Parameters
    ----------
    device : device, str or int, optional
        The GPU; by default the current one.
    priority : int, default 0
        Lower numbers go first.
    stream_ptr : int, optional
        A ``cudaStream_t`` that exists already.
    """

    device: Any
    _native: Any

    def __init__(self, device: Any = None, priority: int = 0, *, stream_ptr: int | None = None):
        cuda = _cuda()
        self.device = _C.device("cuda", _devices.index_of(device))
        if stream_ptr is not None:
            self._native = cuda.ExternalStream(stream_ptr, self.device.index)
            return
        with _devices.device(self.device):
            self._native = cuda.Stream(non_blocking=True, priority=priority)

    @classmethod
    def _of(cls, native: Any, index: int) -> "Stream":
        stream = cls.__new__(cls)
        stream.device, stream._native = _C.device("cuda", index), native
        return stream

    @property
    def cuda_stream(self) -> int:
        """The stream's ``cudaStream_t``."""
        return self._native.ptr

    @property
    def stream_id(self) -> int:
        """A number that tells streams apart."""
        return self._native.ptr

    @property
    def device_index(self) -> int:
        """The index of the GPU."""
        return self.device.index

    @property
    def device_type(self) -> int:
        """PyTorch's number of the kind of device."""
        return 1

    @property
    def priority(self) -> int:
        """The priority; lower numbers go first."""
        return self._native.priority

    def wait_event(self, event: "Event") -> None:
        """Let all later work wait for an event."""
        event.wait(self)

    def wait_stream(self, stream: "Stream") -> None:
        """Let all later work wait for what another stream holds now."""
        self.wait_event(stream.record_event())

    def record_event(self, event: "Event | None" = None) -> "Event":
        """Mark the end of what the stream holds now."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def query(self) -> bool:
        """Whether all work is done."""
        return self._native.done

    def synchronize(self) -> None:
        """Wait until all work is done."""
        self._native.synchronize()

    def is_capturing(self) -> bool:
        """Whether a graph records the stream."""
        return self._native.is_capturing()

    @property
    def _as_parameter_(self) -> Any:
        import ctypes

        return ctypes.c_void_p(self.cuda_stream)

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self.cuda_stream)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stream):
            return False
        return (self.cuda_stream, self.device) == (other.cuda_stream, other.device)

    def __hash__(self) -> int:
        return hash((self.cuda_stream, self.device))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"

    def __enter__(self) -> "Stream":
        self._contexts = [*getattr(self, "_contexts", ()), stream(self)]
        self._contexts[-1].__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._contexts.pop().__exit__(*exc)


class ExternalStream(Stream):
    """A stream that another library made.

    Parameters
    ----------
    stream_ptr : int
        Its ``cudaStream_t``.
    device : device, str or int, optional
        The GPU; by default the current one.
    """

    def __init__(self, stream_ptr: int, device: Any = None):
        super().__init__(device, stream_ptr=stream_ptr)


class Event:
    """A mark in a queue of work, for timing and for waiting.

    Parameters
    ----------
    enable_timing : bool, default False
        Whether ``elapsed_time`` is wanted.
    blocking : bool, default False
        Whether ``synchronize`` lets the processor rest.
    interprocess : bool, default False
        Whether other processes may wait for it.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        self.enable_timing, self.blocking, self.interprocess = enable_timing, blocking, interprocess
        self.device: Any = None
        self._native: Any = None

    @property
    def cuda_event(self) -> int:
        """The event's ``cudaEvent_t``; 0 before it is recorded."""
        return 0 if self._native is None else self._native.ptr

    def record(self, stream: Stream | None = None) -> None:
        """Mark the end of what a stream holds now; by default the current one."""
        stream = current_stream() if stream is None else stream
        if self._native is None:
            self.device = stream.device
            with _devices.device(stream.device):
                self._native = _cuda().Event(self.blocking, not self.enable_timing, self.interprocess)
        elif self.device != stream.device:
            raise RuntimeError(f"Event device {self.device} does not match recording stream's device {stream.device}.")
        with _devices.device(stream.device):
            self._native.record(stream._native)

    def wait(self, stream: Stream | None = None) -> None:
        """Let all later work of a stream wait for the mark; by default the current stream."""
        if self._native is not None:
            (current_stream() if stream is None else stream)._native.wait_event(self._native)

    def query(self) -> bool:
        """Whether the mark has been passed."""
        return self._native is None or self._native.done

    def synchronize(self) -> None:
        """Wait for the mark."""
        if self._native is not None:
            self._native.synchronize()

    def elapsed_time(self, end_event: "Event") -> float:
        """Milliseconds from this mark to another one."""
        if self._native is None or end_event._native is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        return _cuda().get_elapsed_time(self._native, end_event._native)

    def __repr__(self) -> str:
        if self._native is None:
            return "<torch.cuda.Event uninitialized>"
        return f"<torch.cuda.Event {self.cuda_event:#x}>"


def current_stream(device: Any = None) -> Stream:
    """The stream that a GPU's work goes to; by default of the current GPU."""
    index = _devices.index_of(device)
    return Stream._of(_cuda().get_current_stream(index), index)


def default_stream(device: Any = None) -> Stream:
    """The stream that a GPU's work goes to unless another one is chosen."""
    return Stream._of(_cuda().Stream.null, _devices.index_of(device))


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """A stream that another library made, given as its ``cudaStream_t``."""
    return ExternalStream(data_ptr, device)


def set_stream(stream: Stream) -> None:
    """Send all work of the stream's GPU to a stream from now on, and make that GPU the current one."""
    if stream is None:
        return
    if stream.device_index != _devices.current_device():
        _devices.set_device(stream.device)
    stream._native.use()


class StreamContext:
    """Work goes to a stream within a ``with`` block, on the stream's GPU.

    Parameters
    ----------
    stream : Stream or None
        The stream; None changes nothing.
    """

    def __init__(self, stream: Stream | None):
        self.stream = stream
        self._before: tuple[int, Stream] | None = None

    def __enter__(self) -> None:
        if self.stream is not None:
            self._before = _devices.current_device(), current_stream(self.stream.device)
            set_stream(self.stream)

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            device, stream = self._before
            set_stream(stream)
            _devices.set_device(device)


def stream(stream: Stream | None) -> StreamContext:
    """Send the work of a ``with`` block to another stream.

    Parameters
    ----------
    stream : Stream or None
        The stream; None changes nothing.
    """
    return StreamContext(stream)


def is_current_stream_capturing() -> bool:
    """Whether a graph records the current stream."""
    return _devices.is_initialized() and _cuda().get_current_stream().is_capturing()
