"""``cupy.cuda.stream`` and graphs: work is done at once, or noted down while a stream captures."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from .memory import current_device

_handles = itertools.count(0x10000, 16)
_local = threading.local()
# Handles of the streams that capture, and what was given to them.
_captures: dict[int, list[Callable[[], None]]] = {}


class _BaseStream:
    def __init__(self, ptr, device_id):
        self.ptr, self.device_id = ptr, device_id
        self._outer = []

    def __eq__(self, other):
        return isinstance(other, _BaseStream) and self.ptr == other.ptr

    def __hash__(self):
        return self.ptr

    def __repr__(self):
        return f"<{type(self).__name__} {self.ptr} (device {self.device_id})>"

    def __cuda_stream__(self):
        return (0, self.ptr)

    def _device(self):
        device = current_device() if self.device_id < 0 else self.device_id
        if device != current_device():
            raise RuntimeError(f"This stream was not created on the current device ({device} != {current_device()})")
        return device

    def __enter__(self):
        device = self._device()
        self._outer.append((device, get_current_stream()))
        _streams()[device] = self
        return self

    def __exit__(self, *exc):
        device, before = self._outer.pop()
        _streams()[device] = before

    def use(self):
        """Make the stream current."""
        _streams()[self._device()] = self
        return self

    @property
    def done(self):
        """Whether all work was done."""
        return True

    def synchronize(self):
        """Wait for the work of the stream."""
        forbid_capture(self.ptr)

    def record(self, event=None):
        """Record an event."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        """Let later work wait for an event; one that a capturing stream recorded brings the capture along."""
        capture = event._capture
        if capture is not None and self.ptr not in _captures:
            _captures[self.ptr] = capture

    def begin_capture(self, mode=None):
        """Note work down from now on."""
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        _captures[self.ptr] = []

    def end_capture(self):
        """The work that was noted down."""
        work = _captures[self.ptr]
        for handle in [handle for handle, noted in _captures.items() if noted is work]:
            del _captures[handle]
        return Graph._of(work)

    def is_capturing(self):
        """Whether work is noted down."""
        return self.ptr in _captures


class Stream(_BaseStream):
    """A queue of work."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        super().__init__(0 if null else 2 if ptds else next(_handles), -1 if null or ptds else current_device())
        self.is_non_blocking, self.priority = non_blocking, priority or 0

    @classmethod
    def from_external(cls, obj):
        """The stream of another library."""
        version, handle = obj.__cuda_stream__()
        if version != 0:
            raise TypeError(f"__cuda_stream__() returned unsupported version {version}")
        stream = cls.__new__(cls)
        _BaseStream.__init__(stream, handle, -1)
        return stream


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)


class ExternalStream(_BaseStream):
    """A stream that CuPy does not own."""

    def __init__(self, ptr, device_id=-1):
        super().__init__(ptr, device_id)


class Event:
    """A mark in a queue."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.ptr = next(_handles)
        self.disable_timing = disable_timing
        self.time = None
        self._capture = None

    @property
    def done(self):
        """Whether the mark was passed."""
        return True

    def record(self, stream=None):
        """Set the mark."""
        self._capture = _captures.get((stream or get_current_stream()).ptr)
        self.time = time.perf_counter()

    def synchronize(self):
        """Wait for the mark."""
        if self._capture is not None:
            from .runtime import CUDARuntimeError

            raise CUDARuntimeError(907)


def get_elapsed_time(start_event, end_event):
    """Milliseconds between two marks."""
    from .runtime import CUDARuntimeError

    if start_event.time is None or end_event.time is None or start_event.disable_timing or end_event.disable_timing:
        raise CUDARuntimeError(400)
    return (end_event.time - start_event.time) * 1e3


class Graph:
    """Work that can be given to a stream at once."""

    def __init__(self, *args, **kwargs):
        raise NotImplementedError("a graph must be created via stream capture")

    @classmethod
    def _of(cls, work):
        graph = cls.__new__(cls)
        graph.work = work
        return graph

    def launch(self, stream=None):
        """Do the work."""
        submit(lambda: [step() for step in self.work], stream)

    def debug_dot_str(self, flags=0):
        """The graph in Graphviz's language."""
        return "digraph { " + " -> ".join(f"step{i}" for i in range(len(self.work))) + " }"

    def upload(self, stream=None):
        """Make the work ready."""


def _streams() -> dict:
    if not hasattr(_local, "streams"):
        _local.streams = {}
    return _local.streams


def get_current_stream(device_id=-1):
    """The stream of this thread on a device."""
    return _streams().get(current_device() if device_id < 0 else device_id, Stream.null)


def capturing(handle: int | None = None) -> bool:
    """Whether a stream (None: the current one) captures."""
    return (get_current_stream().ptr if handle is None else handle) in _captures


def forbid_capture(handle: int | None = None) -> None:
    """Waiting is an error while a stream captures."""
    if capturing(handle):
        from .runtime import CUDARuntimeError

        raise CUDARuntimeError(900)


def submit(work: Callable[[], None], stream=None) -> None:
    """Do work on a stream (an object, a handle, None: the current one), or note it down."""
    handle = get_current_stream().ptr if stream is None else stream if isinstance(stream, int) else stream.ptr
    noted = _captures.get(handle)
    if noted is None:
        work()
    else:
        noted.append(work)
