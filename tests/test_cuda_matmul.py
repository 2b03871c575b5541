"""Matrix products, attention and recurrent layers on a GPU, where the generic tests do not go."""

import copy

import numpy as np
import pytest
import samples

import rtensor as torch
from rtensor import nn
from rtensor.nn import functional as F

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 8e-2, torch.complex64: 1e-4}


def agree(mine, cpus, tolerance):
    assert mine.is_cuda and mine.shape == cpus.shape and mine.dtype is cpus.dtype
    arrays = [t.detach().cpu() for t in (mine, cpus)]
    arrays = [t.float() if t.dtype in (torch.bfloat16, torch.float16) else t for t in arrays]
    np.testing.assert_allclose(*[a.numpy() for a in arrays], rtol=tolerance, atol=tolerance)


def operand(rows, columns, how, dtype):
    """A matrix of certain strides on both devices."""
    if how == "transposed":
        x = torch.randn(columns, rows).to(dtype)
        return x.T, x.cuda().T
    if how == "steps":
        x = torch.randn(rows, 2 * columns).to(dtype)
        return x[:, ::2], x.cuda()[:, ::2]
    if how == "broadcast":
        x = torch.randn(rows, 1).to(dtype)
        return x.expand(rows, columns), x.cuda().expand(rows, columns)
    x = torch.randn(rows, columns).to(dtype)
    return x, x.cuda()


LAYOUTS = ["plain", "transposed", "steps", "broadcast"]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_products_of_any_strides(dtype, left, right):
    tolerance = TOLERANCES[dtype]
    for m, k, n in [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (0, 3, 2), (3, 0, 2)]:
        (a, a_there), (b, b_there) = operand(m, k, left, dtype), operand(k, n, right, dtype)
        agree(a_there @ b_there, a @ b, tolerance)
        out = torch.zeros(n, m, dtype=dtype, device="cuda").T
        assert torch.mm(a_there, b_there, out=out) is out
        agree(out, a @ b, tolerance)
        bias = torch.randn(n).to(dtype)
        agree(torch.addmm(bias.cuda(), a_there, b_there, beta=2), torch.addmm(bias, a, b, beta=2), tolerance)


def test_batches_share_matrices_and_sums_of_batches():
    a, b = torch.randn(3, 4, 5), torch.randn(4, 5, 2)
    agree(a.cuda().transpose(0, 1) @ b.cuda()[0], a.transpose(0, 1) @ b[0], 1e-5)
    a = a.transpose(0, 1)
    shared, shared_there = a[:1].expand(4, 3, 5), a.cuda()[:1].expand(4, 3, 5)
    agree(shared_there.bmm(b.cuda()), shared.bmm(b), 1e-5)
    agree(torch.zeros(2).cuda().addbmm(a.cuda(), b.cuda()), torch.zeros(2).addbmm(a, b), 1e-5)
    start = torch.randn(4, 3, 2)
    agree(start.cuda().baddbmm_(a.cuda(), b.cuda(), alpha=0.5), start.baddbmm(a, b, alpha=0.5), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_bias_takes_no_launch_of_its_own(dtype, monkeypatch):
    from rtensor.cuda import _blas_lt

    launches = []
    launch = _blas_lt._run
    monkeypatch.setattr(_blas_lt, "_run", lambda *args: launches.append(launch(*args)) or launches[-1])
    for m, k, n in [(8, 4, 16), (3, 8, 4), (1, 8, 4), (2, 3, 5)]:
        x, weight, bias = (torch.randn(*sizes).to(dtype) for sizes in ((m, k), (n, k), (n,)))
        agree(F.linear(x.cuda(), weight.cuda(), bias.cuda()), F.linear(x, weight, bias), TOLERANCES[dtype])
        shifted = F.linear(x.cuda(), weight.cuda(), torch.cat([bias, bias]).cuda()[1 : n + 1])
        agree(shifted, F.linear(x, weight, torch.cat([bias, bias])[1 : n + 1]), TOLERANCES[dtype])
    assert launches == [True] * 3


def test_dtypes_without_products():
    x = torch.ones(2, 2, dtype=torch.int64, device="cuda")
    with pytest.raises(RuntimeError, match="\"addmm_cuda\" not implemented for 'Long'"):
        x @ x


def test_tf32_is_a_choice():
    x = torch.randn(4, 4, device="cuda")
    assert not torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert torch.get_float32_matmul_precision() == "high"
        agree(x @ x, x.cpu() @ x.cpu(), 2e-2)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not torch.backends.cuda.matmul.allow_tf32


def test_products_in_a_graph():
    a, b, out = (torch.randn(3, 3, device="cuda") for _ in range(3))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch.mm(a, b, out=out)
    a.fill_(2.0)
    graph.replay()
    agree(out, a.cpu() @ b.cpu(), 1e-5)


def attend(device, q, k, v, mask=None, **how):
    q, k, v = (t.to(device).requires_grad_() for t in (q, k, v))
    mask = mask if mask is None else mask.to(device)
    out = F.scaled_dot_product_attention(q, k, v, mask, **how)
    slope = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    return [out, *torch.autograd.grad(out, (q, k, v), slope.to(device))]


@pytest.mark.parametrize("few", [False, True], ids=["whole", "in blocks"])
def test_attention(few, monkeypatch):
    from rtensor.cuda.kernels import attention

    if few:
        monkeypatch.setattr(attention, "WORKSPACE", 300)
        monkeypatch.setattr(attention, "CAUSAL_ROWS", 2)
        monkeypatch.setattr(attention, "HELD", 1)
    q, k, v = torch.randn(2, 6, 5, 4), torch.randn(2, 3, 40, 4), torch.randn(2, 3, 40, 6)
    mask = torch.rand(2, 1, 5, 40) > 0.4
    mask[0, 0, 2] = False
    cases = [(q[:, :3], {}), (q[:, ::2], {"is_causal": True, "scale": 0.3}), (q[:, 1:4], {"mask": mask})]
    cases += [(q, {"enable_gqa": True, "is_causal": True}), (q, {"enable_gqa": True, "mask": mask.float()})]
    for query, how in cases:
        for mine, cpus in zip(*(attend(device, query, k, v, **how) for device in ("cuda", "cpu")), strict=True):
            agree(mine, cpus, 1e-4)


@pytest.mark.parametrize(("heads", "queries", "keys", "size", "value_size"), [(2, 5, 7, 16, 8), (1, 66, 70, 72, 80)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_on_tensor_cores(heads, queries, keys, size, value_size, causal):
    from rtensor.cuda.kernels import attention

    q = torch.randn(1, queries, 2, size, dtype=torch.bfloat16).transpose(1, 2)
    k, v = (torch.randn(1, heads, keys, each, dtype=torch.bfloat16) for each in (size, value_size))
    out = torch.zeros(1, 2, queries, value_size, dtype=torch.bfloat16, device="cuda")
    there = q.transpose(1, 2).cuda().transpose(1, 2), k.cuda(), v.cuda()
    assert attention._flash((*there, None, causal, 0.3, heads == 1), out)
    agree(out, F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=0.3, enable_gqa=True), 3e-2)


@pytest.mark.parametrize("lengths", [None, [5, 3, 1]], ids=["equal", "packed"])
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers(make, lengths):
    x, results = torch.randn(5, 3, 4), []
    torch.manual_seed(0)
    original = make(4, 5, bidirectional=True)
    for device in ("cuda", "cpu"):
        layer = copy.deepcopy(original).to(device)
        steps = x.to(device).requires_grad_()
        given = nn.utils.rnn.pack_padded_sequence(steps, lengths) if lengths else steps
        output, state = layer(given)
        outs = [output.data if lengths else output, *(state if isinstance(state, tuple) else [state])]
        total = sum((out * torch.linspace(-1, 1, out.numel(), device=device).view(out.shape)).sum() for out in outs)
        results.append([*outs, *torch.autograd.grad(total, [steps, *layer.parameters()])])
    for mine, cpus in zip(*results, strict=True):
        agree(mine, cpus, 1e-4)
