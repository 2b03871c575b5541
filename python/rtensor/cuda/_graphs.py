"""Graphs: work that is recorded once and given to the GPU again with one call, by CuPy's stream capture."""

import contextlib
import gc
from typing import Any

from rtensor.cuda import _devices, _memory, _random, _streams

_MODES = ("global", "thread_local", "relaxed")


def graph_pool_handle() -> Any:
    """A pool of memory that several graphs may share."""
    _devices.init()
    return _memory.PrivatePool()


class CUDAGraph:
    """A recorded sequence of GPU work that can be run again.

    All memory that the work allocates comes from a pool of the graph's own, so that a replay finds it as it was.

    Parameters
    ----------
    keep_graph : bool, default False
        Whether `capture_end` leaves the graph to be made ready by `instantiate`. CuPy makes it ready always.
    """

    def __init__(self, keep_graph: bool = False):
        _devices.init()
        self.keep_graph = keep_graph
        self._native: Any = None
        self._pool: Any = None
        self._stream: Any = None
        self._recordings: list[_random.Recording] = []
        self._generators = [_random.generator_of(_streams.current_stream().device)]
        self._capture = contextlib.ExitStack()

    def register_generator_state(self, generator: Any) -> None:
        """Let a generator's draws be recorded, too; that of the GPU always is."""
        self._generators.append(generator)

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Record the work of the current stream from now on.

        Parameters
        ----------
        pool : optional
            Memory to share with another graph: its `pool`, or what `graph_pool_handle` returned.
        capture_error_mode : {"global", "thread_local", "relaxed"}
            What other work may go on meanwhile. CuPy's pool allocates during captures, which "relaxed" alone allows,
            so that all of them mean it.
        """
        if capture_error_mode not in _MODES:
            raise RuntimeError(
                f"Unknown capture error mode. Expected `{'`, `'.join(_MODES)}`, got {capture_error_mode}"
            )
        import cupy

        if self._native is not None or self._stream is not None:
            raise RuntimeError(
                "This CUDAGraph instance already owns a captured graph. To capture a new graph, reset it."
            )
        stream = cupy.cuda.get_current_stream()
        if stream == cupy.cuda.Stream.null:
            raise RuntimeError(
                "CUDA graphs must be captured on a non-default stream. (However, after capture, it's ok to replay them "
                "on the default stream.)"
            )
        self._pool = _memory.PrivatePool() if pool is None else pool
        self._recordings = [_random.Recording(generator) for generator in self._generators]
        for recording in self._recordings:
            recording.begin()
            self._capture.callback(recording.end)
        self._capture.enter_context(cupy.cuda.using_allocator(self._pool.native.malloc))
        try:
            stream.begin_capture()  # in the relaxed mode
        except BaseException:
            self._capture.close()
            raise
        self._stream = stream

    def capture_end(self) -> None:
        """Stop recording."""
        if self._stream is None:
            raise RuntimeError("capture_end was called without capture_begin")
        stream, self._stream = self._stream, None
        try:
            self._native = stream.end_capture()
        finally:
            self._capture.close()

    def instantiate(self) -> None:
        """Make the graph ready, which the end of the capture did."""
        self._ready()

    def _ready(self) -> Any:
        if self._native is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        return self._native

    def replay(self) -> None:
        """Run the recorded work on the current stream, on the same memory, with fresh random numbers."""
        native = self._ready()
        for recording in self._recordings:
            recording.replay()
        native.launch()

    def reset(self) -> None:
        """Forget what was recorded, and give the memory back once no tensor is on it."""
        self._native = None
        self._recordings = []
        self._pool = None

    def pool(self) -> Any:
        """The graph's memory, for other graphs that are replayed in the order of their captures."""
        return self._pool

    def debug_dump(self, debug_path: str) -> None:
        """Write the graph down in Graphviz's language."""
        with open(debug_path, "w") as file:
            file.write(self._ready().debug_dot_str())


class graph:
    """Record the work of a ``with`` block into a graph, on a stream of its own.

    Parameters
    ----------
    cuda_graph : CUDAGraph
        The graph.
    pool : optional
        Memory to share with another graph.
    stream : Stream, optional
        Where to record; by default a stream that is kept for this.
    capture_error_mode : {"global", "thread_local", "relaxed"}
        See `CUDAGraph.capture_begin`.
    """

    default_capture_stream: "_streams.Stream | None" = None

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: "_streams.Stream | None" = None,
        capture_error_mode: str = "global",
    ):
        if stream is None:
            if graph.default_capture_stream is None:
                graph.default_capture_stream = _streams.Stream()
            stream = graph.default_capture_stream
        self.cuda_graph, self.capture_stream = cuda_graph, stream
        self.pool, self.capture_error_mode = pool, capture_error_mode
        self.stream_ctx = _streams.stream(stream)

    def __enter__(self) -> None:
        _devices.synchronize()
        gc.collect()
        _memory.empty_cache()
        self.stream_ctx.__enter__()
        try:
            self.cuda_graph.capture_begin(self.pool, self.capture_error_mode)
        except BaseException:
            self.stream_ctx.__exit__(None, None, None)
            raise

    def __exit__(self, *exc: object) -> None:
        try:
            self.cuda_graph.capture_end()
        finally:
            self.stream_ctx.__exit__(*exc)
