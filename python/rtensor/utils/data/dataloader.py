"""Loaders: batches of a data set, fetched here or by worker processes."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import rtensor
from rtensor.utils.data.collate import default_collate, default_convert
from rtensor.utils.data.dataset import IterableDataset
from rtensor.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from rtensor.utils.data.worker import WorkerPool

__all__ = ["DataLoader"]

_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class _Always:
    """The sampler of a stream: it has no indices, only "the next one"."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """An iterable of batches.

    Parameters
    ----------
    dataset
        Samples by index, or a stream of them.
    batch_size
        Size of a batch; None yields single samples.
    shuffle
        Whether to visit the samples in a new random order each time.
    sampler, batch_sampler
        The order, or the batches, if neither of the above.
    num_workers
        Number of processes that fetch batches; 0 fetches in this one.
    collate_fn
        Makes a batch of a list of samples.
    pin_memory
        Whether to copy tensors into memory from which GPUs copy faster.
    drop_last
        Whether to leave out a last batch that is smaller.
    timeout
        Seconds after which a batch that does not come from the workers is an error; 0 waits.
    worker_init_fn
        Called in each worker with its number.
    multiprocessing_context
        How to start workers: a name or a context of `multiprocessing`.
    generator
        Source of the random order.
    prefetch_factor
        Batches that each worker fetches ahead; 2 by default.
    persistent_workers
        Whether to keep the workers for the next pass.
    pin_memory_device
        Accepted for compatibility.
    in_order
        Accepted for compatibility: batches come in order.
    """

    _ready = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            _check_stream(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._is_stream:
                sampler = _Always()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.worker_init_fn, self.timeout = num_workers, worker_init_fn, timeout
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._pool: WorkerPool | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        indices = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        # Drawn even without workers, as PyTorch does: the default generator must stay in step.
        base_seed = rtensor.empty((), dtype=rtensor.int64).random_(generator=self.generator).tolist()
        make_fetch = functools.partial(
            _stream_fetch if self._is_stream else _index_fetch,
            self.dataset,
            self.batch_sampler is not None,
            self.collate_fn,
            self.drop_last,
        )
        if self.num_workers == 0:
            batches = _fetch_here(make_fetch(), indices)
        else:
            batches = self._fetch_by_workers(make_fetch, indices, base_seed)
        return map(_pinned, batches) if self.pin_memory and rtensor.cuda.is_available() else batches

    def _fetch_by_workers(self, make_fetch: Any, indices: Iterator[Any], base_seed: int) -> Iterator[Any]:
        keep = self.persistent_workers and not self._is_stream
        pool = self._pool or WorkerPool(self, make_fetch, base_seed)
        self._pool = pool if keep else None
        finished = False
        try:
            yield from pool.iterate(indices)
            finished = True
        finally:
            # A pass that was broken off leaves batches in the channels: such workers are not used again.
            if not (keep and finished):
                self._pool = None
                pool.shut_down()

    def __len__(self) -> int:
        if not self._is_stream:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        size = len(self.dataset)
        if self.batch_size is None:
            return size
        return size // self.batch_size if self.drop_last else math.ceil(size / self.batch_size)


def _fetch_here(fetch: Callable[[Any], Any], indices: Iterator[Any]) -> Iterator[Any]:
    for chosen in indices:
        try:
            batch = fetch(chosen)
        except StopIteration:
            return
        yield batch


def _index_fetch(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Callable[[Any], Any]:
    fetch_all = getattr(dataset, "__getitems__", None)

    def fetch(chosen: Any) -> Any:
        if not batched:
            return collate(dataset[chosen])
        return collate(fetch_all(chosen) if callable(fetch_all) else [dataset[i] for i in chosen])

    return fetch


def _stream_fetch(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Callable[[Any], Any]:
    samples = iter(dataset)

    def fetch(chosen: Any) -> Any:
        if not batched:
            return collate(next(samples))
        batch = list(itertools.islice(samples, len(chosen)))
        if not batch or (drop_last and len(batch) < len(chosen)):
            raise StopIteration
        return collate(batch)

    return fetch


def _pinned(data: Any) -> Any:
    """The same structure with its tensors in page-locked memory."""
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, dict):
        return type(data)((key, _pinned(value)) for key, value in data.items())
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(_pinned, data))
    return type(data)(map(_pinned, data)) if isinstance(data, (list, tuple)) else data


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_stream(shuffle: bool | None, sampler: Any, batch_sampler: Any) -> None:
    for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
            )


def _context(wanted: Any, num_workers: int) -> Any:
    """The multiprocessing context that was asked for; None for the default."""
    if wanted is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}"
        )
    import multiprocessing

    if isinstance(wanted, str):
        methods = multiprocessing.get_all_start_methods()
        if wanted not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods!r}, "
                f"but got multiprocessing_context={wanted!r}"
            )
        return multiprocessing.get_context(wanted)
    return wanted
