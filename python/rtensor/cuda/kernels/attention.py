"""Attention: products on cuBLAS around a fused softmax, for as many heads or queries at a time as fit the cache."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import cupy

import rtensor as torch
from rtensor.cuda._blas import gemm
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, struct

ATTENTION, FLASH = Source("attention.cu"), Source("flash_attention.cu")
#: Bytes of scores at a time: they stay in the cache, with weights of 16 bits beside them.
WORKSPACE = 24 << 20
#: Queries of a causal block: later blocks see more keys.
CAUSAL_ROWS = 1024
HELD, MOST_DIMS = 8, 6
#: Queries of a block of the kernel for tensor cores, its threads, and the largest head.
FLASH_ROWS, FLASH_THREADS, FLASH_SIZE = 64, 128, 128
_HALVES = (torch.float16, torch.bfloat16)


@dataclass
class Heads:
    """Queries, keys and values as batches of matrices, and what their scores have in common.

    Heads of queries that share keys stand one after the other in one matrix.
    """

    q: Any
    k: Any
    v: Any
    bias: Any
    queries: int
    shared: int
    causal: bool
    scale: float

    @classmethod
    def of(cls, args, lead, share=True):
        """The operands of `_attention`, of which each head has keys and values of its own unless they may be shared."""
        q, k, v, bias, causal, scale, shared = args[:7]
        fewer = k.shape[-3] if shared and k.ndim > 2 else 0
        together = lead[-1] // fewer if fewer and k.shape[:-2] == v.shape[:-2] and k.ndim == q.ndim and share else 1
        if shared and together == 1:
            k, v = (_repeated(t, lead) for t in (k, v))
        batch = (*lead[:-1], lead[-1] // together) if together > 1 else lead
        keys, values = (t.expand(*batch, *t.shape[-2:]).reshape(-1, *t.shape[-2:]) for t in (k, v))
        rows = q.expand(*lead, *q.shape[-2:]).reshape(len(keys), -1, q.shape[-1])
        return cls(rows, keys, values, _expanded(bias, lead, q, k), q.shape[-2], together, causal, scale)

    def blocks(self):
        """Ranges of heads and of rows, with the number of keys that the rows see."""
        heads, rows, keys = len(self.q), self.q.shape[1], self.k.shape[1]
        causal = self.causal and self.shared == 1
        nbytes = rows * keys * max(4, self.q.itemsize)
        if nbytes <= WORKSPACE and not (causal and rows > CAUSAL_ROWS):
            step = max(1, WORKSPACE // max(1, nbytes))
            yield from ((slice(at, at + step), slice(0, rows), keys) for at in range(0, heads, step))
            return
        step = max(1, min(rows, WORKSPACE * rows // nbytes, CAUSAL_ROWS if causal else rows))
        for head in range(heads):
            for at in range(0, rows, step):
                yield slice(head, head + 1), slice(at, at + step), min(keys, at + step) if causal else keys

    def weights(self, heads, rows, keys):
        """The weights of a block, whose scores they take the place of where the dtype allows."""
        q, k = self.q[heads, rows], self.k[heads, :keys]
        scores = torch.empty(len(q), q.shape[1], keys, dtype=_wide(q.dtype), device=q.device)
        gemm(scores, q, k.mT, self.scale)
        weights = scores if scores.dtype == q.dtype else torch.empty(scores.shape, dtype=q.dtype, device=q.device)
        bias, sizes, steps = self.bias or (0, (1,) * MOST_DIMS, (0,) * (MOST_DIMS + 2))
        where = heads.start, rows.start, q.shape[1], self.shared, self.queries, keys, int(self.causal)
        row = struct(*where, *sizes, *steps)
        ATTENTION.launch("attention_weights", *_shape(q.dtype, scores), scores, bias, weights, row)
        return weights


def _wide(dtype):
    return torch.float32 if dtype in _HALVES else dtype


def _shape(dtype, scores):
    """Settings, blocks and threads: as many that few elements of a row fall to each."""
    keys = scores.shape[-1]
    threads = min(256, max(32, -(-keys // HELD // 32) * 32))
    held = HELD if keys <= threads * HELD else 0
    return {"T": dtype, "HELD": held}, scores.shape[0] * scores.shape[1], threads


def _repeated(t, lead):
    """Each head of keys or values repeated for the heads that share it."""
    wide = t.unsqueeze(-3).expand(*t.shape[:-2], lead[-1] // t.shape[-3], *t.shape[-2:])
    return wide.reshape(*t.shape[:-3], lead[-1], *t.shape[-2:])


def _expanded(bias, lead, q, k):
    """What is added to scores, with its sizes and steps along the heads, the queries and the keys."""
    if bias is None:
        return None
    bias = bias.expand(*lead, q.shape[-2], k.shape[-2])
    if len(lead) > MOST_DIMS:
        bias = bias.reshape(-1, *bias.shape[-2:])
    missing = MOST_DIMS - (bias.ndim - 2)
    *steps, query, key = bias.stride()
    return bias, (1,) * missing + tuple(bias.shape[:-2]), (0,) * missing + (*steps, query, key)


@functools.cache
def _has_tensor_cores(device):
    """Whether a GPU has units for 16-bit floats of both kinds: since Ampere."""
    return int(cupy.cuda.Device(device).compute_capability) >= 80


def _steps(t, batch, heads):
    """How far apart batches, heads and rows are; None where elements of a row are not neighbours, or not aligned."""
    *steps, neighbour = t.expand(batch, heads, *t.shape[-2:]).stride()
    aligned = t.data_ptr() % 16 == 0 and not any(step % 8 for step in steps)
    return steps if aligned and neighbour == 1 else None


def _flash(args, out):
    """Compute attention in one launch where tensor cores can; whether it was."""
    q, k, v, bias, causal, scale, shared = args
    size, value_size, queries, keys = q.shape[-1], v.shape[-1], q.shape[-2], k.shape[-2]
    fits = max(size, value_size) <= FLASH_SIZE and size % 8 == value_size % 8 == 0 and out.ndim <= 4 and keys > 0
    if bias is not None or q.dtype not in _HALVES or not fits or not _has_tensor_cores(q.device.index):
        return False
    batch, heads = (1, 1, *out.shape[:-2])[-2:]
    fewer = k.shape[-3] if shared and k.ndim > 2 else heads
    if shared and v.shape[:-2] != k.shape[:-2]:
        return False
    steps = _steps(q, batch, heads), _steps(k, batch, fewer), _steps(v, batch, fewer)
    if None in steps:
        return False
    sizes = heads, heads // fewer, queries, keys, size, value_size, int(causal)
    where = struct(*sizes, *(step for of in steps for step in of))
    settings = {"T": q.dtype, "SIZE": 64 if max(size, value_size) <= 64 else FLASH_SIZE}
    count = batch * heads * -(-queries // FLASH_ROWS)
    FLASH.launch("flash_attention", settings, count, FLASH_THREADS, q, k, v, out, where, float(scale))
    return True


@kernel("_attention")
def attention(args, outs):
    out = outs[0]
    if out.numel() == 0 or _flash(args, out):
        return
    heads = Heads.of(args, tuple(out.shape[:-2]))
    target = out.view(len(heads.q), -1, out.shape[-1])
    for block, rows, keys in heads.blocks():
        gemm(target[block, rows], heads.weights(block, rows, keys), heads.v[block, :keys])


@kernel("_attention_backward")
def attention_gradient(args, outs):
    g = args[7]
    lead = tuple(g.shape[:-2])
    if g.numel() == 0:
        for out in outs:
            out.zero_()
        return
    heads = Heads.of(args, lead, share=False)
    count = math.prod(lead)
    of_q, of_k, of_v = (out.view(count, *out.shape[-2:]) for out in outs)
    g = g.reshape(count, *g.shape[-2:])
    blocks = list(heads.blocks())
    beta = int(any(rows.start > 0 or keys < of_k.shape[1] for _, rows, keys in blocks))
    if beta:
        of_k.zero_()
        of_v.zero_()
    for block, rows, keys in blocks:
        weights, grad = heads.weights(block, rows, keys), g[block, rows]
        slopes = torch.empty(weights.shape, dtype=_wide(g.dtype), device=g.device)
        gemm(slopes, grad, heads.v[block, :keys].mT)
        to_scores = slopes if slopes.dtype == g.dtype else torch.empty(slopes.shape, dtype=g.dtype, device=g.device)
        ATTENTION.launch(
            "attention_scores_gradient", *_shape(g.dtype, slopes), weights, slopes, to_scores, keys, heads.scale
        )
        gemm(of_q[block, rows], to_scores, heads.k[block, :keys])
        gemm(of_k[block, :keys], to_scores.mT, heads.q[block, rows], 1, beta)
        gemm(of_v[block, :keys], weights.mT, grad, 1, beta)
