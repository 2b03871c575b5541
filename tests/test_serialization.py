"""Files in PyTorch's format: what goes in comes out, and nothing runs code."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest

import rtensor as torch
from rtensor import nn
from rtensor.serialization import add_safe_globals, clear_safe_globals, safe_globals


def round_trip(value, **options):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int8", "uint8", "bool", "complex64"]
)
def test_dtypes(dtype):
    value = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    loaded = round_trip(value)
    assert loaded.dtype == value.dtype and torch.equal(loaded, value)


def test_layout_and_shared_storage():
    base = torch.arange(12.0).reshape(3, 4)
    loaded = round_trip({"t": base.t(), "row": base[1], "again": base})
    assert loaded["t"].stride() == (1, 4) and loaded["row"].storage_offset() == 4
    loaded["again"].zero_()
    assert loaded["t"].sum() == 0 == loaded["row"].sum()


def test_what_belongs_to_a_tensor():
    loaded = round_trip([torch.ones(2, requires_grad=True), nn.Parameter(torch.zeros(1)), torch.empty(0, 3)])
    assert loaded[0].requires_grad and loaded[0].is_leaf
    assert type(loaded[1]) is nn.Parameter and loaded[2].shape == (0, 3)


def test_other_values():
    value = {
        "n": 3,
        "s": "x",
        "size": torch.Size([1, 2]),
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "l": [1, (2.5, None)],
    }
    assert round_trip(value) == value


def test_state_dict_with_versions(tmp_path):
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    path = tmp_path / "net.pt"
    torch.save(net.state_dict(), path)
    state = torch.load(path)
    assert isinstance(state, OrderedDict) and state._metadata[""] == {"version": 1}
    twin = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    twin.load_state_dict(state)
    assert torch.equal(twin(torch.ones(2)), net(torch.ones(2)))


def test_archive_is_laid_out_as_pytorchs(tmp_path):
    path = tmp_path / "some.model.pt"
    torch.save(torch.ones(3), path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names == [f"some.model/{name}" for name in ("data.pkl", "byteorder", "data/0", "version")]
        info = archive.getinfo("some.model/data/0")
        assert info.compress_type == zipfile.ZIP_STORED
        start = info.header_offset + 30 + len(info.filename) + len(info.extra)
        assert start % 64 == 0 and path.read_bytes()[start : start + 4] == b"\x00\x00\x80?"


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must not run > /dev/null",)


class Plain:
    pass


def test_only_known_types_are_loaded():
    for value in (Evil(), Plain(), nn.Linear(1, 1)):
        with pytest.raises(pickle.UnpicklingError, match=r"(?s)Weights only load failed.*was not an allowed global"):
            round_trip(value)
    assert isinstance(round_trip(Plain(), weights_only=False), Plain)
    assert round_trip(nn.Linear(2, 1), weights_only=False)(torch.ones(2)).shape == (1,)


def test_safe_globals():
    try:
        add_safe_globals([Plain])
        assert isinstance(round_trip(Plain()), Plain)
    finally:
        clear_safe_globals()
    with safe_globals([Plain]):
        assert isinstance(round_trip(Plain()), Plain)
    with pytest.raises(pickle.UnpicklingError):
        round_trip(Plain())


def test_map_location():
    value = torch.ones(2)
    for location in ("cpu", torch.device("cpu"), {"cpu": "cpu"}, lambda storage, location: storage):
        assert torch.equal(round_trip(value, map_location=location), value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 but no archive"])
def test_other_files(tmp_path, content):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="expected a zip archive"):
        torch.load(path)


def test_damaged_archives(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "missing.pt")
    file = io.BytesIO()
    torch.save(torch.ones(4), file)
    with zipfile.ZipFile(file) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    for change in ({"archive/data/0": b"\x00" * 4}, {"archive/data/0": None}, {"archive/data.pkl": None}):
        damaged = io.BytesIO()
        with zipfile.ZipFile(damaged, "w") as target:
            for name, content in (entries | change).items():
                if content is not None:
                    target.writestr(name, content)
        with pytest.raises(RuntimeError):
            torch.load(damaged)
