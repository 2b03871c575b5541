"""Worker processes of a loader: each fetches the batches whose indices it is sent."""

import itertools
import queue
import random
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import rtensor

__all__ = ["WorkerInfo", "WorkerPool", "get_worker_info"]

# How long to wait for a batch before looking whether the workers are alive.
_POLL_SECONDS = 5.0


class WorkerInfo(NamedTuple):
    """What a worker process knows about itself."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return the number, count and seed of this worker process; None in the main process."""
    return _worker_info


class _Failure(NamedTuple):
    """An exception of a worker, on its way to the main process."""

    kind: type
    text: str

    def reraise(self) -> None:
        try:
            error = self.kind(self.text)
        except Exception:  # a class whose constructor wants something else
            error = RuntimeError(self.text)
        raise error


class _Exhausted(NamedTuple):
    """A stream came to its end in a worker."""


def _work(make_fetch: Any, info: WorkerInfo, init: Any, tasks: Any, results: Any) -> None:
    """Serve tasks until the empty one."""
    global _worker_info
    _worker_info = info
    rtensor.set_num_threads(1)
    random.seed(info.seed)
    rtensor.manual_seed(info.seed)
    try:
        if init is not None:
            init(info.id)
        fetch = make_fetch()
        failure = None
    except Exception as error:
        failure = _failure(error, info.id)
    while (task := tasks.get()) is not None:
        number, indices = task
        if failure is not None:
            results.put((number, failure))
            continue
        try:
            results.put((number, fetch(indices)))
        except StopIteration:
            results.put((number, _Exhausted()))
        except Exception as error:
            results.put((number, _failure(error, info.id)))


def _failure(error: Exception, worker: int) -> _Failure:
    text = f"Caught {type(error).__name__} in DataLoader worker process {worker}.\nOriginal {traceback.format_exc()}"
    return _Failure(type(error), text)


class WorkerPool:
    """Processes that fetch batches ahead; results come in the order of the indices."""

    def __init__(self, loader: Any, make_fetch: Any, base_seed: int):
        import multiprocessing

        context = loader.multiprocessing_context or multiprocessing.get_context("fork")
        self.timeout = loader.timeout
        self.results = context.Queue()
        self.tasks = [context.Queue() for _ in range(loader.num_workers)]
        self.processes = []
        for i, tasks in enumerate(self.tasks):
            info = WorkerInfo(i, loader.num_workers, base_seed + i, loader.dataset)
            arguments = (make_fetch, info, loader.worker_init_fn, tasks, self.results)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            self.processes.append(process)
        self.ahead = loader.num_workers * loader.prefetch_factor

    def iterate(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield the batch of each list of indices."""
        open_workers = itertools.cycle(range(len(self.tasks)))
        exhausted: set[int] = set()
        owner: dict[int, int] = {}
        arrived: dict[int, Any] = {}
        sent = 0

        def send() -> None:
            nonlocal sent
            if len(exhausted) == len(self.tasks):
                return
            try:
                indices = next(batches)
            except StopIteration:
                return
            worker = next(w for w in open_workers if w not in exhausted)
            owner[sent] = worker
            self.tasks[worker].put((sent, indices))
            sent += 1

        for _ in range(self.ahead):
            send()
        number = 0
        while number < sent:
            while number not in arrived:
                key, data = self._receive()
                arrived[key] = data
            data = arrived.pop(number)
            worker = owner.pop(number)
            number += 1
            if isinstance(data, _Exhausted):
                exhausted.add(worker)
                send()
                continue
            send()
            if isinstance(data, _Failure):
                data.reraise()
            yield data

    def _receive(self) -> tuple[int, Any]:
        waited = 0.0
        step = min(_POLL_SECONDS, self.timeout) if self.timeout else _POLL_SECONDS
        while True:
            try:
                return self.results.get(timeout=step)
            except queue.Empty:
                dead = [process.pid for process in self.processes if not process.is_alive()]
                if dead:
                    pids = ", ".join(map(str, dead))
                    raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly") from None
                waited += step
                if self.timeout and waited >= self.timeout:
                    raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds") from None

    def shut_down(self) -> None:
        """Let the workers end, and wait for them."""
        for tasks in self.tasks:
            tasks.put(None)
        for process in self.processes:
            process.join(timeout=0.5)
            if process.is_alive():
                process.terminate()
        for channel in (self.results, *self.tasks):
            channel.cancel_join_thread()
            channel.close()
