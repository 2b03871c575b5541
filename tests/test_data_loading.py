"""Data sets, samplers and loaders; their random order is PyTorch's."""

import collections
import os

import numpy as np
import pytest

import rtensor as torch
from rtensor.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)


def pairs():
    return TensorDataset(torch.arange(20.0).reshape(10, 2), torch.arange(10))


class Squares(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return index * index


class Stream(IterableDataset):
    def __iter__(self):
        worker = get_worker_info()
        start = 0 if worker is None else 10 * worker.id
        return iter(range(start, start + 5))


class Failing(Squares):
    def __getitem__(self, index):
        raise ValueError("no such sample")


class Dying(Squares):
    def __getitem__(self, index):
        os._exit(1)


def test_random_orders_are_pytorchs():
    torch.manual_seed(0)
    assert list(RandomSampler(range(8))) == [2, 5, 4, 6, 1, 7, 0, 3]
    torch.manual_seed(0)
    assert [b.tolist() for b in DataLoader(torch.arange(8), batch_size=3, shuffle=True)] == [
        [2, 0, 5],
        [3, 1, 4],
        [7, 6],
    ]
    torch.manual_seed(0)
    assert [part.indices for part in random_split(range(6), [4, 2])] == [[2, 5, 3, 0], [1, 4]]


def test_batches():
    loader = DataLoader(pairs(), batch_size=4)
    batches = list(loader)
    assert len(loader) == 3 and [len(labels) for _, labels in batches] == [4, 4, 2]
    assert batches[1][0].tolist() == [[8, 9], [10, 11], [12, 13], [14, 15]]
    assert len(list(DataLoader(pairs(), batch_size=4, drop_last=True))) == 2
    assert list(DataLoader(Squares(), batch_size=None)) == [0, 1, 4, 9, 16, 25, 36]


def test_workers_yield_the_same():
    for shuffle in (False, True):
        torch.manual_seed(5)
        here = [b.tolist() for b in DataLoader(Squares(), batch_size=2, shuffle=shuffle)]
        torch.manual_seed(5)
        there = [b.tolist() for b in DataLoader(Squares(), batch_size=2, shuffle=shuffle, num_workers=2)]
        assert here == there


def test_workers_that_stay():
    loader = DataLoader(Squares(), batch_size=3, num_workers=2, persistent_workers=True)
    assert [[b.tolist() for b in loader] for _ in range(2)] == [[[0, 1, 4], [9, 16, 25], [36]]] * 2


def test_streams():
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    batches = [b.tolist() for b in DataLoader(Stream(), batch_size=2, num_workers=2)]
    assert batches == [[0, 1], [10, 11], [2, 3], [12, 13], [4], [14]]


def test_errors_in_workers_reach_the_caller():
    with pytest.raises(ValueError, match=r"Caught ValueError in DataLoader worker process 0(.|\n)*no such sample"):
        list(DataLoader(Failing(), num_workers=1))
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(DataLoader(Dying(), num_workers=1))


def test_leaving_early_stops_the_workers():
    loader = DataLoader(Squares(), num_workers=1)
    batches = iter(loader)
    assert next(batches).tolist() == [0]
    batches.close()
    assert [b.item() for b in loader] == [0, 1, 4, 9, 16, 25, 36]


def test_data_sets():
    joined = ConcatDataset([pairs(), Subset(pairs(), [2, 4])])
    assert len(joined) == 12 and joined[11][1].item() == 4 and joined[-2][1].item() == 2
    assert (pairs() + pairs())[13][1].item() == 3
    assert StackDataset(a=Squares(), b=range(7))[3] == {"a": 9, "b": 3}
    assert [part.indices for part in random_split(range(3), [0.5, 0.5])][1].__len__() == 1
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(range(3), [1, 1])


def test_samplers():
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert len(list(RandomSampler(range(3), replacement=True, num_samples=40))) == 40
    assert sorted(SubsetRandomSampler([3, 1])) == [1, 3]
    assert set(WeightedRandomSampler([0.0, 1.0], 5)) == {1}
    shares = [list(DistributedSampler(range(10), 3, rank, shuffle=False)) for rank in range(3)]
    assert shares == [[0, 3, 6, 9], [1, 4, 7, 0], [2, 5, 8, 1]]


def test_collate():
    point = collections.namedtuple("point", "x y")
    batch = default_collate([{"n": 1, "v": (2.0, "s")}, {"n": 3, "v": (4.0, "t")}])
    assert batch["n"].tolist() == [1, 3] and batch["v"][0].dtype == torch.float64 and batch["v"][1] == ("s", "t")
    assert default_collate([np.ones(2), np.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert default_collate([point(1, 2), point(3, 4)]).y.tolist() == [2, 4]
    assert default_convert([np.float32(2), "text"])[0].dtype == torch.float32
    with pytest.raises(TypeError, match="batch must contain tensors, numpy arrays, numbers"):
        default_collate([object()])
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size should be a positive integer value"),
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"sampler": [1], "shuffle": True}, "mutually exclusive with shuffle"),
        ({"prefetch_factor": 2}, "could only be specified in multiprocessing"),
        ({"timeout": -1}, "timeout option should be non-negative"),
    ],
)
def test_misuse(options, text):
    with pytest.raises(ValueError, match=text):
        DataLoader(Squares(), **options)


def test_options_are_fixed():
    loader = DataLoader(Squares())
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 3
