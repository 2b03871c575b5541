"""Every row of the op table: forward, gradients, in place, `out=`, strided inputs, and wrong calls."""

import re

import numpy as np
import pytest
import samples
from op_table import ROWS, key
from samples import tensors_in

import rtensor as torch
from rtensor import _C

OPS = {key(op): op for op in _C._table()}
PUBLIC = {"function", "method", "property", "in_place"}
CASES = [
    (name, i)
    for name, row in ROWS.items()
    if name in OPS and any(OPS[name][form] for form in PUBLIC)
    for i in range(len(row.samples))
]
EPSILON = 1e-6


def function(op: dict):
    """The op as a function of its arguments, whether it is public as a function or as a method."""
    space, _, base = op["name"].rpartition(".")
    if op["function"]:
        return _C._namespaces[space][base] if space else getattr(_C, base)
    if op["property"]:
        return lambda x: getattr(x, base)
    if op["method"]:
        return lambda x, *args, **kwargs: getattr(x, base)(*args, **kwargs)
    return lambda x, *args, **kwargs: getattr(x.clone(), f"{base}_")(*args, **kwargs)


def cases(wanted=lambda op, row: True):
    chosen = [(name, i) for name, i in CASES if wanted(OPS[name], ROWS[name])]
    return pytest.mark.parametrize(("name", "sample"), chosen, ids=[f"{name}-{i}" for name, i in chosen])


def made(name, sample, dtype=torch.float64, **options):
    args, kwargs = ROWS[name].samples[sample].make(dtype, **options)
    if not tensors_in((args, kwargs)) and any(p["name"] == "device" for p in OPS[name]["params"]):
        kwargs["device"] = options.get("device", samples.DEVICE)
    return function(OPS[name]), args, kwargs


def array(value) -> np.ndarray:
    """A tensor's elements, or a number, as an array."""
    return value.numpy(force=True) if isinstance(value, torch.Tensor) else np.asarray(value)


def same(a, b, tolerance=1e-9):
    """Equal results, up to rounding."""
    a, b = tensors_in(a), tensors_in(b)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape and x.dtype is y.dtype
        np.testing.assert_allclose(array(x), array(y), rtol=tolerance, atol=tolerance)


@cases(lambda op, row: row.reference is not None)
def test_forward_is_numpys(name, sample):
    call, args, kwargs = made(name, sample)
    arrays = [array(a) if isinstance(a, torch.Tensor) else [array(x) for x in a] if tensors_in(a) else a for a in args]
    known = {key: value for key, value in kwargs.items() if key != "device"}
    with np.errstate(all="ignore"):
        try:
            want = ROWS[name].reference(*arrays, **known)
        except TypeError:
            pytest.skip("NumPy does not take these arguments")
    got = call(*args, **kwargs)
    pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
    for mine, numpys in pairs:
        tolerance = 1e-5 if getattr(mine, "dtype", None) is torch.float32 else 1e-9
        np.testing.assert_allclose(array(mine), numpys, rtol=tolerance, atol=tolerance)


@cases(lambda op, row: row.deterministic and row.unique)
def test_every_float_dtype(name, sample):
    call, args, kwargs = made(name, sample)
    wide = tensors_in(call(*args, **kwargs))
    call, args, kwargs = made(name, sample, torch.float32)
    for exact, result in zip(wide, tensors_in(call(*args, **kwargs)), strict=True):
        assert result.shape == exact.shape
        if exact.dtype is torch.float64 and result.dtype is torch.float32:
            np.testing.assert_allclose(array(result), array(exact), rtol=2e-3, atol=2e-4)


TOLERANCES = {torch.float32: 2e-5, torch.complex64: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128]
DTYPES += [torch.int64, torch.int32, torch.uint8, torch.bool]


@pytest.mark.parametrize("dtype", DTYPES if samples.DEVICE != "cpu" else [], ids=str)
@cases(lambda op, row: row.deterministic and row.unique and key(op) != "to/device")
def test_devices_agree(name, sample, dtype):
    call, args, kwargs = made(name, sample, dtype, device="cpu")
    try:
        want = tensors_in(call(*args, **kwargs))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        pytest.skip(f"not for this dtype: {error}")
    call, args, kwargs = made(name, sample, dtype)
    try:
        got = tensors_in(call(*args, **kwargs))
    except RuntimeError as error:
        if re.match(r'"\w+" not implemented for', str(error)):
            pytest.skip(str(error))
        raise
    for mine, cpus in zip(got, want, strict=True):
        tolerance = max(TOLERANCES.get(of, 1e-9) for of in (dtype, cpus.dtype))
        assert mine.device.type == samples.DEVICE and mine.shape == cpus.shape and mine.dtype is cpus.dtype
        assert mine.stride() == cpus.stride()
        tolerance = max(TOLERANCES.get(dtype, 1e-9), TOLERANCES.get(cpus.dtype, 1e-9))
        lossy = cpus.dtype in (torch.bfloat16, torch.float16)
        mine, cpus = (array(t.cpu().float() if lossy else t) for t in (mine, cpus))
        np.testing.assert_allclose(mine, cpus, rtol=tolerance, atol=tolerance)


STRIDED = {"view", "as_strided", "view_as", "unflatten", "view_as_complex", "as_strided_", "as_strided_copy"}
STRIDED |= {"resize_", "resize_as_", "set_", "view_as_complex_copy", "as_strided_scatter", "view_copy"}


@cases(lambda op, row: row.deterministic and op["name"] not in STRIDED)
def test_strides_do_not_matter(name, sample):
    call, args, kwargs = made(name, sample)
    _, strided, strided_kwargs = made(name, sample, strided=True)
    same(call(*strided, **strided_kwargs), call(*args, **kwargs))


@cases(lambda op, row: row.grad)
def test_gradients_are_finite_differences(name, sample):
    call, args, kwargs = made(name, sample, requires_grad=True)
    leaves = [t for t in tensors_in((args, kwargs)) if t.requires_grad]
    everything = tensors_in(call(*args, **kwargs))
    chosen = [i for i, t in enumerate(everything) if t.requires_grad and not t.is_complex()]
    outs = [everything[i] for i in chosen]
    if not outs or not leaves or not any(t.numel() for t in leaves):
        pytest.skip("nothing to differentiate")
    rng = np.random.default_rng(1)
    weights = [torch.tensor(rng.normal(size=tuple(t.shape)), device=t.device) for t in outs]
    directions = [torch.tensor(rng.normal(size=tuple(t.shape)), device=t.device) for t in leaves]
    grads = torch.autograd.grad(outs, leaves, weights, allow_unused=True)
    slope = sum((g * d).sum().item() for g, d in zip(grads, directions, strict=True) if g is not None)

    def value(step: float) -> float:
        with torch.no_grad():
            for leaf, direction in zip(leaves, directions, strict=True):
                leaf.add_(direction, alpha=step)
            moved = tensors_in(call(*args, **kwargs))
            moved = [moved[i] for i in chosen]
            total = sum((t * w).sum().item() for t, w in zip(moved, weights, strict=True))
            for leaf, direction in zip(leaves, directions, strict=True):
                leaf.sub_(direction, alpha=step)
        return total

    measured = (value(EPSILON) - value(-EPSILON)) / (2 * EPSILON)
    assert abs(slope - measured) <= 1e-5 * max(1.0, abs(measured)), (slope, measured)


@cases(lambda op, row: op["in_place"] and row.deterministic)
def test_in_place(name, sample):
    call, args, kwargs = made(name, sample)
    want = call(*args, **kwargs)
    target = args[0]
    if not isinstance(want, torch.Tensor) or want.shape != target.shape or want.dtype is not target.dtype:
        pytest.skip("the result does not fit the input")
    method = getattr(target, OPS[name]["name"].rpartition(".")[2] + "_")
    version = target._version
    assert method(*args[1:], **kwargs) is target and target._version > version
    same(target, want)


@cases(lambda op, row: op["out"] and row.deterministic)
def test_out(name, sample):
    call, args, kwargs = made(name, sample)
    want = call(*args, **kwargs)
    targets = [torch.empty(0, dtype=t.dtype, device=t.device) for t in tensors_in(want)]
    out = targets[0] if isinstance(want, torch.Tensor) else tuple(targets)
    returned = call(*args, **kwargs, out=out)
    assert all(a is b for a, b in zip(tensors_in(returned), targets, strict=True))
    same(targets, tensors_in(want))


@cases(lambda op, row: not op["property"])
def test_wrong_calls(name, sample):
    call, args, kwargs = made(name, sample)
    with pytest.raises(TypeError):
        call(*args, **kwargs, no_such_argument=1)
    with pytest.raises((TypeError, AttributeError)):
        call(object(), *args[1:], **kwargs)


def test_every_op_has_a_doc():
    bare = [name for name, op in OPS.items() if len(op["doc"].strip()) < 8]
    assert not bare, bare


def test_every_row_is_an_op():
    strangers = [name for name in ROWS if name not in OPS]
    assert not strangers, strangers


def test_every_public_op_has_a_row():
    public = [name for name, op in OPS.items() if any(op[form] for form in PUBLIC) and not op["name"].startswith("_")]
    bare = [name for name in public if name not in ROWS]
    assert not bare, bare
