"""Linear systems, determinants and triangular factors, on the blocks of `_triangular`."""

from collections.abc import Callable

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _triangular
from rtensor.cuda._arrays import scalar_name
from rtensor.cuda._registry import kernel


def check_matrix(x: Tensor, op: str, *, square: bool = False) -> None:
    """PyTorch's errors for what is no matrix, or none of these dtypes."""
    if x.ndim < 2:
        raise RuntimeError(f"{op}: The input tensor A must have at least 2 dimensions.")
    rows, cols = x.shape[-2:]
    if square and rows != cols:
        raise RuntimeError(f"{op}: A must be batches of square matrices, but they are {rows} by {cols} matrices")
    if not (x.is_floating_point() or x.is_complex()):
        raise RuntimeError(f"{op}: Expected a floating point or complex tensor as input. Got {scalar_name(x.dtype)}")
    if x.dtype in (_C.float16, _C.bfloat16):
        raise RuntimeError(f"{op}: Low precision dtypes not supported. Got {scalar_name(x.dtype)}")


def _check_wide(x: Tensor, op: str) -> None:
    """The core's error for dtypes that are not computed in."""
    if x.dtype not in (_C.float32, _C.float64, _C.complex64, _C.complex128):
        raise RuntimeError(f"{op}: {x.dtype}")


def check_infos(op: str, infos: Tensor, message: Callable[[int], str]) -> None:
    """Fail for the first matrix whose info is not zero. Waits for the GPU."""
    for position, info in enumerate(infos.flatten().tolist()):
        if info:
            place = "" if infos.ndim == 0 else f"(Batch element {position}): "
            raise _C._LinAlgError(f"{op}: {place}{message(info)}")


def _lead(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape[:-2])


@kernel("linalg.lu_factor_ex")
def lu_factor_ex(args: tuple) -> list[Tensor]:
    """(LU, pivots, info) of a batch."""
    x, pivot, check_errors = args
    check_matrix(x, "torch.linalg.lu_factor_ex")
    if not pivot:
        raise NotImplementedError("linalg.lu_factor: LU without pivoting is not implemented on device 'cuda'")
    lu = _triangular.stacked(x)
    pivots, infos = _triangular.factor_lu(lu)
    infos = infos.view(_lead(x))
    if check_errors:
        check_infos(
            "torch.linalg.lu_factor_ex",
            infos,
            lambda info: (
                f"U[{info},{info}] is zero and using it on lu_solve would result in a division by zero. If you still "
                "want to perform the factorization, consider calling linalg.lu(A, pivot) or "
                "linalg.lu_factor_ex(A, pivot)"
            ),
        )
    return [lu.view(x.shape), pivots.view(*_lead(x), pivots.shape[1]), infos]


@kernel("_pivots_to_matrix")
def pivots_to_matrix(args: tuple) -> list[Tensor]:
    """The permutation matrices of LAPACK's pivots."""
    pivots, rows, dtype = args
    lead = tuple(pivots.shape[:-1])
    exchanged = _C.eye(rows, dtype=_C.float32, device=pivots.device).expand(*lead, rows, rows)
    exchanged = _triangular.flattened(exchanged.contiguous())
    _triangular.swap_rows(exchanged, pivots.to(_C.int32).contiguous().view(exchanged.shape[0], pivots.shape[-1]))
    return [exchanged.mT.to(dtype).contiguous().view(*lead, rows, rows)]


@kernel("linalg.inv_ex")
def inv_ex(args: tuple) -> list[Tensor]:
    """(inverse, info) of a batch."""
    x, check_errors = args
    check_matrix(x, "linalg.inv", square=True)
    lu = _triangular.stacked(x)
    pivots, infos = _triangular.factor_lu(lu)
    n = x.shape[-1]
    inverse = _C.eye(n, dtype=x.dtype, device=x.device).expand(lu.shape).contiguous()
    _triangular.solve_factored(lu, pivots, inverse)
    infos = infos.view(_lead(x))
    if check_errors:
        check_infos(
            "linalg.inv",
            infos,
            lambda info: (
                f"The diagonal element {info} is zero, the inversion could not be completed because the input matrix "
                "is singular."
            ),
        )
    return [inverse.view(x.shape), infos]


@kernel("_linalg_solve")
def solve(args: tuple) -> list[Tensor]:
    """(result, info) of ``A X = B`` for batches of as many matrices."""
    x, b = args
    _check_wide(x, "linalg.solve")
    lu, result = _triangular.stacked(x), _triangular.stacked(b)
    pivots, infos = _triangular.factor_lu(lu)
    _triangular.solve_factored(lu, pivots, result)
    return [result.view(b.shape), infos.view(_lead(x))]


def _diagonal_and_sign(x: Tensor, op: str) -> tuple[Tensor, Tensor]:
    """The diagonal of U, and the sign of the permutation, in the dtype of the matrices."""
    check_matrix(x, op, square=True)
    lu = _triangular.stacked(x)
    pivots, _ = _triangular.factor_lu(lu)
    n = x.shape[-1]
    places = _C.arange(1, n + 1, dtype=_C.int32, device=x.device)
    swaps = (pivots != places).sum(-1)
    sign = (1 - 2 * (swaps % 2)).to(x.dtype)
    return lu.diagonal(0, -2, -1), sign


@kernel("linalg.det")
def det(args: tuple) -> list[Tensor]:
    """Determinants."""
    x = args[0]
    diagonal, sign = _diagonal_and_sign(x, "linalg.det")
    return [(diagonal.prod(-1) * sign).view(_lead(x))]


@kernel("linalg.slogdet")
def slogdet(args: tuple) -> list[Tensor]:
    """(sign, logabsdet), which do not overflow."""
    x = args[0]
    diagonal, sign = _diagonal_and_sign(x, "linalg.slogdet")
    return [(diagonal.sgn().prod(-1) * sign).view(_lead(x)), diagonal.abs().log().sum(-1).view(_lead(x))]


@kernel("_solve_triangular")
def solve_triangular(args: tuple) -> list[Tensor]:
    """``A^-1 B`` for batches of as many triangular matrices."""
    a, b, upper, unit = args
    _check_wide(a, "linalg.solve_triangular")
    result = _triangular.stacked(b)
    _triangular.solve_triangular(_triangular.flattened(a.contiguous()), result, upper, unit)
    return [result.view(b.shape)]


@kernel("linalg.cholesky_ex")
def cholesky_ex(args: tuple) -> list[Tensor]:
    """(factor, info) of a batch."""
    x, upper, check_errors = args
    check_matrix(x, "linalg.cholesky", square=True)
    factor = _triangular.stacked(x.mH.resolve_conj() if upper else x)
    infos = _triangular.factor_cholesky(factor).view(_lead(x))
    if check_errors:
        check_infos(
            "linalg.cholesky_ex",
            infos,
            lambda info: (
                "The factorization could not be completed because the input is not positive-definite (the leading "
                f"minor of order {info} is not positive-definite)."
            ),
        )
    factor = factor.view(x.shape)
    return [factor.mH.resolve_conj().contiguous() if upper else factor, infos]


def _solve_with_factor(b: Tensor, factor: Tensor, upper: bool) -> Tensor:
    lower = factor.mH.resolve_conj() if upper else factor
    half = solve_triangular((lower, b, False, False))[0]
    return solve_triangular((lower.mH.resolve_conj(), half, True, False))[0]


@kernel("cholesky_inverse")
def cholesky_inverse(args: tuple) -> list[Tensor]:
    """The inverse of ``L L^H`` (or ``U^H U``)."""
    factor, upper = args
    check_matrix(factor, "cholesky_inverse", square=True)
    eye = _C.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand(factor.shape)
    return [_solve_with_factor(eye, factor, upper)]


@kernel("_cholesky_solve")
def cholesky_solve(args: tuple) -> list[Tensor]:
    """The solution of ``L L^H X = B`` (or with ``U^H U``)."""
    b, factor, upper = args
    return [_solve_with_factor(b, factor, upper)]
