"""Factorizations and norms under PyTorch's old names, and decompositions of low rank."""

from rtensor import _C
from rtensor._C import Tensor

__all__ = ["frobenius_norm", "nuclear_norm", "pca_lowrank", "svd_lowrank"]


def frobenius_norm(input, dim=None, keepdim=False) -> Tensor:
    """The root of the sum of squares over dimensions."""
    return _C._namespaces["linalg"]["vector_norm"](input, 2, dim, keepdim)


def nuclear_norm(input, dim=(-2, -1), keepdim=False) -> Tensor:
    """The sum of the singular values of matrices."""
    return _C._namespaces["linalg"]["matrix_norm"](input, "nuc", dim, keepdim)


def _range_of(A: Tensor, rank: int, niter: int, M: Tensor | None) -> Tensor:
    """An orthonormal basis of nearly the range of `A - M`, by subspace iteration from a random start."""
    qr = _C._namespaces["linalg"]["qr"]

    def apply(matrix, shift, vectors):
        product = matrix @ vectors
        return product if shift is None else product - shift @ vectors

    start = _C.randn(A.shape[-1], rank, dtype=A.dtype, device=A.device)
    Q = qr(apply(A, M, start))[0]
    for _ in range(niter):
        Q = qr(apply(A.mH, None if M is None else M.mH, Q))[0]
        Q = qr(apply(A, M, Q))[0]
    return Q


def svd_lowrank(A, q=6, niter=2, M=None) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values of matrices and their vectors, nearly, by a randomized method.

    Parameters
    ----------
    A : Tensor
        Matrices.
    q : int, default 6
        How many values.
    niter : int, default 2
        How many iterations make them more exact.
    M : Tensor, optional
        What is subtracted from the matrices.
    """
    M = None if M is None else M.broadcast_to(A.size())
    wide = A.shape[-2] < A.shape[-1]
    if wide:
        A, M = A.mH, None if M is None else M.mH
    Q = _range_of(A, 6 if q is None else q, 2 if niter is None else niter, M)
    small = Q.mH @ A if M is None else Q.mH @ A - Q.mH @ M
    U, S, Vh = _C._namespaces["linalg"]["svd"](small, full_matrices=False)
    U, V = Q.matmul(U), Vh.mH
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(A, q=None, center=True, niter=2) -> tuple[Tensor, Tensor, Tensor]:
    """The principal components of rows, nearly, by a randomized method.

    Parameters
    ----------
    A : Tensor
        Rows of observations.
    q : int, optional
        How many components; at most 6, unless given.
    center : bool, default True
        Whether to subtract the mean of each column.
    niter : int, default 2
        How many iterations make them more exact.
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(dim=(-2,), keepdim=True) if center else A, q, niter)
