"""L D L^H of symmetric and Hermitian matrices."""

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _triangular
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source
from rtensor.cuda.kernels.linalg import check_infos, check_matrix

_SOURCE = Source("ldl.cu")
_THREADS = 32


@kernel("linalg.ldl_factor_ex")
def ldl_factor_ex(args: tuple) -> list[Tensor]:
    """(LD, pivots, info) of a batch."""
    x, hermitian, check_errors = args
    check_matrix(x, "torch.linalg.ldl_factor_ex", square=True)
    packed = _triangular.stacked(x.tril())
    batch, n, _ = packed.shape
    pivots, infos = x.new_empty((batch, n), dtype=_C.int32), x.new_empty((batch,), dtype=_C.int32)
    blocks = -(-batch // _THREADS)
    _SOURCE.launch("ldl_factor", {"T": x.dtype}, blocks, _THREADS, packed, batch, n, pivots, infos, int(hermitian))
    infos = infos.view(x.shape[:-2])
    if check_errors:
        check_infos(
            "torch.linalg.ldl_factor_ex",
            infos,
            lambda info: f"The factorization could not be completed because the diagonal block {info} is zero.",
        )
    return [packed.view(x.shape), pivots.view(x.shape[:-1]), infos]


@kernel("_linalg_ldl_solve")
def ldl_solve(args: tuple) -> list[Tensor]:
    """The solution from the factors, for batches of as many matrices."""
    ld, pivots, b, hermitian = args
    check_matrix(ld, "linalg.ldl_solve", square=True)
    result = _triangular.stacked(b)
    batch, n, columns = result.shape
    factors, blocks = _triangular.flattened(ld.contiguous()), -(-batch // _THREADS)
    settings = {"T": ld.dtype}
    sizes = (batch, n, columns, int(hermitian))
    _SOURCE.launch("ldl_solve", settings, blocks, _THREADS, factors, pivots.contiguous(), result, *sizes)
    return [result.view(b.shape)]
