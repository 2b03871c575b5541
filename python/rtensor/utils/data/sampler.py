"""Samplers: in which order to visit the samples of a data set."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import rtensor

__all__ = [
    "BatchSampler",
    "DistributedSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T = TypeVar("T", covariant=True)


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


class Sampler(Generic[T]):
    """Base class of samplers: an iterable of indices."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """All samples in order.

    Parameters
    ----------
    data_source
        The data set.
    """

    def __init__(self, data_source: Sized):
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Samples in random order.

    Parameters
    ----------
    data_source
        The data set.
    replacement
        Whether a sample may come twice.
    num_samples
        How many; all by default.
    generator
        Source of the order; by default one that is seeded from the default generator.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ):
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        _check_count("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many samples one pass draws."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        generator = self.generator
        if generator is None:
            seed = rtensor.empty((), dtype=rtensor.int64).random_().tolist()
            generator = rtensor.Generator()
            generator.manual_seed(seed)
        size = len(self.data_source)
        whole, rest = divmod(self.num_samples, 32 if self.replacement else size)
        if self.replacement:
            for count in (*itertools.repeat(32, whole), rest):
                yield from rtensor.randint(high=size, size=(count,), dtype=rtensor.int64, generator=generator).tolist()
            return
        for _ in range(whole):
            yield from rtensor.randperm(size, generator=generator).tolist()
        yield from rtensor.randperm(size, generator=generator).tolist()[:rest]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order.

    Parameters
    ----------
    indices
        The indices.
    generator
        Source of the order.
    """

    def __init__(self, indices: Sequence[int], generator: Any = None):
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in rtensor.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with given weights.

    Parameters
    ----------
    weights
        A weight for each index; they need not sum to 1.
    num_samples
        How many to draw.
    replacement
        Whether an index may come twice.
    generator
        Source of the draws.
    """

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None):
        _check_count("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = rtensor.as_tensor(weights, dtype=rtensor.double)
        if self.weights.dim() != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn = rtensor.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Batches of what another sampler yields.

    Parameters
    ----------
    sampler
        The sampler.
    batch_size
        Size of a batch.
    drop_last
        Whether to leave out a last batch that is smaller.
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool):
        _check_count("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        size = len(self.sampler)
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)


class DistributedSampler(Sampler[int]):
    """The share of one process among several that train together.

    Parameters
    ----------
    dataset
        The data set.
    num_replicas, rank
        Number of processes, and which of them this is.
    shuffle
        Whether to visit the samples in random order, another one after each `set_epoch`.
    seed
        Of the random order; the same in all processes.
    drop_last
        Whether to leave out samples that do not fill all shares, instead of repeating some.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ):
        if num_replicas is None or rank is None:
            raise RuntimeError("Requires distributed package to be available")
        if rank >= num_replicas or rank < 0:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.epoch, self.drop_last, self.shuffle, self.seed = 0, drop_last, shuffle, seed
        size = len(dataset)
        short = drop_last and size % num_replicas != 0
        self.num_samples = math.ceil((size - num_replicas if short else size) / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        indices: Iterable[int] = range(size)
        if self.shuffle:
            generator = rtensor.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = rtensor.randperm(size, generator=generator).tolist()
        # Repeated from the start until every share is full, or cut where there are too many.
        filled = itertools.islice(itertools.cycle(indices), self.total_size)
        return itertools.islice(filled, self.rank, self.total_size, self.num_replicas)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the random order of an epoch."""
        self.epoch = epoch
