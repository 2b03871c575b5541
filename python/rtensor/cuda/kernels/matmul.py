"""Matrix products: `mm`, `bmm`, `mv` on cuBLAS, and dot products, of whole numbers too, in two launches."""

import rtensor as torch
from rtensor.cuda._arrays import unsupported
from rtensor.cuda._blas import gemm
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source

DOT = Source("dot.cu")
#: Partial sums of a dot product, and elements from which on a further block pays.
PARTS, GRAIN = 1024, 4096


@kernel("mm")
def mm(args, outs):
    gemm(outs[0], *args)


@kernel("bmm")
def bmm(args, outs):
    gemm(outs[0], *args, op="baddbmm_cuda")


@kernel("mv")
def mv(args, outs):
    gemm(outs[0].unsqueeze(1), args[0], args[1].unsqueeze(1), op="addmv_impl_cuda")


@kernel("dot", "vdot")
def dot(name, args, outs):
    x, y = args
    if x.dtype == torch.bool:
        raise unsupported(name, x.dtype)
    size = x.numel()
    parts = min(PARTS, (size + GRAIN - 1) // GRAIN)
    wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    sums = torch.empty(parts, dtype=wide, device=x.device)
    settings = {"T": x.dtype}
    conjugated = int(name == "vdot")
    DOT.launch("dot_parts", settings, parts, 256, x, y, sums, size, x.stride(0), y.stride(0), conjugated)
    DOT.launch("dot_sum", settings, 1, 256, sums, outs[0], parts)
