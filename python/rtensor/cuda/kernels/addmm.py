"""Matrix products added to a tensor: a bias in the same launch, anything else is put into the result first."""

from rtensor.cuda._blas import gemm
from rtensor.cuda._blas_lt import gemm_with_bias
from rtensor.cuda._registry import kernel


def _start(out, added, beta):
    """Make the result what the product is added to; nothing is read where it counts for nothing."""
    if beta != 0 and not (added.data_ptr() == out.data_ptr() and added.stride() == out.stride()):
        out.copy_(added)


@kernel("addmm")
def addmm(args, outs):
    added, a, b, beta, alpha = args
    if beta == 1 and alpha == 1 and gemm_with_bias(outs[0], added, a, b):
        return
    _start(outs[0], added, beta)
    gemm(outs[0], a, b, alpha, beta)


@kernel("addmv")
def addmv(args, outs):
    added, a, x, beta, alpha = args
    _start(outs[0], added, beta)
    gemm(outs[0].unsqueeze(1), a, x.unsqueeze(1), alpha, beta, op="addmv_impl_cuda")


@kernel("baddbmm")
def baddbmm(args, outs):
    added, a, b, beta, alpha = args
    _start(outs[0], added, beta)
    gemm(outs[0], a, b, alpha, beta, op="baddbmm_cuda")


@kernel("addbmm")
def addbmm(args, outs):
    """The sum over a batch is one product, of matrices that stand side by side."""
    added, a, b, beta, alpha = args
    batch, rows, inner = a.shape
    _start(outs[0], added, beta)
    joined = a.transpose(0, 1).reshape(rows, batch * inner)
    gemm(outs[0], joined, b.reshape(batch * inner, b.shape[2]), alpha, beta)
