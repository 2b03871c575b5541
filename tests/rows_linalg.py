"""Rows of products and linear algebra."""

import numpy as np
from rows import call, row
from samples import AWAY, REGULAR, SPD, F

import rtensor as torch

# --- products and linear algebra
row("mm", call(F(2, 3), F(3, 4)), ref=np.matmul)
row("bmm", call(F(2, 2, 3), F(2, 3, 4)), ref=np.matmul)
row("mv", call(F(2, 3), F(3)), ref=np.matmul)
row("dot", call(F(3), F(3)), ref=np.dot)
row("outer", call(F(3), F(4)), ref=np.outer)
row(
    "matmul",
    call(F(2, 3), F(3, 4)),
    call(F(2, 1, 2, 3), F(5, 3, 4)),
    call(F(3), F(3, 2)),
    call(F(3), F(3)),
    ref=np.matmul,
)
row("addmm", call(F(2, 4), F(2, 3), F(3, 4)), ref=lambda m, a, b: m + a @ b)
row("baddbmm", call(F(2, 2, 4), F(2, 2, 3), F(2, 3, 4)), ref=lambda m, a, b: m + a @ b)
row("kron", call(F(2, 3), F(2, 2)), ref=np.kron)
row("einsum", call("ij,jk->ik", [F(2, 3), F(3, 4)]))
row("linalg.inv", call(REGULAR(3, 3)), call(REGULAR(2, 3, 3)), ref=np.linalg.inv)
row("linalg.det", call(REGULAR(3, 3)), ref=np.linalg.det)
row("linalg.solve", call(REGULAR(3, 3), F(3, 2)), ref=np.linalg.solve)
row("linalg.cholesky", call(SPD(3, 3)), ref=np.linalg.cholesky, grad=False)
row("linalg.vector_norm", call(AWAY(3, 4)), call(AWAY(3, 4), 1, 0))
row("softmax", call(F(3, 4), 1))
row("log_softmax", call(F(3, 4), 1))
row("vdot", call(F(3), F(3)), ref=np.vdot)
row("inner", call(F(2, 3), F(4, 3)), ref=np.inner)
row("ger", call(F(3), F(4)), ref=np.outer)
row("linalg.matmul", call(F(2, 3), F(3, 4)), ref=np.matmul)
row("addmv", call(F(2), F(2, 3), F(3)), ref=lambda m, a, v: m + a @ v)
row("addr", call(F(2, 3), F(2), F(3)), ref=lambda m, u, v: m + np.outer(u, v))
row("addbmm", call(F(2, 4), F(2, 2, 3), F(2, 3, 4)), ref=lambda m, a, b: m + (a @ b).sum(0))
row("tensordot", call(F(2, 3, 4), F(4, 3), [2, 1], [0, 1]))
row("bilinear", call(F(2, 3), F(2, 4), F(5, 3, 4)))
row("linalg.multi_dot", call([F(2, 3), F(3, 4), F(4, 2)]), ref=np.linalg.multi_dot)
row("chain_matmul", call([F(2, 3), F(3, 4)]))
for name in ("matrix_power", "linalg.matrix_power"):
    row(name, call(REGULAR(3, 3), 3), call(REGULAR(3, 3), 0), call(REGULAR(3, 3), -1), ref=np.linalg.matrix_power)
row("linalg.vecdot", call(F(2, 3), F(2, 3)))
row("linalg.cross", call(F(2, 3), F(2, 3)), ref=np.cross)
row("cross", call(F(2, 3), F(2, 3), 1))
row("pairwise_distance", call(F(4, 3), F(4, 3)))
row("dist", call(F(3, 4), F(3, 4)), call(F(3), F(3), 1.0))

# --- decompositions and solvers
row("inverse", call(REGULAR(3, 3)), ref=np.linalg.inv)
row("linalg.inv_ex", call(REGULAR(3, 3)))
row("linalg.solve_ex", call(REGULAR(3, 3), F(3, 2)))
row("det", call(REGULAR(3, 3)), ref=np.linalg.det)
for name in ("slogdet", "linalg.slogdet"):
    row(name, call(REGULAR(3, 3)))
row("logdet", call(SPD(3, 3)))
for name in ("linalg.lu_factor", "linalg.lu_factor_ex", "linalg.lu", "lu"):
    row(name, call(REGULAR(3, 3)))
row("linalg.cholesky_ex", call(SPD(3, 3)), grad=False)
row("cholesky", call(SPD(3, 3)), ref=np.linalg.cholesky, grad=False)
row("cholesky_solve", call(F(3, 2), SPD(3, 3)), grad=False)
row("cholesky_inverse", call(SPD(3, 3)), grad=False)
row("linalg.solve_triangular", call(REGULAR(3, 3), F(3, 2), upper=True))
row("triangular_solve", call(F(3, 2), REGULAR(3, 3)))
row("linalg.svdvals", call(F(4, 3)))
row("linalg.svd", call(F(4, 3), False), grad=False, unique=False)
row("svd", call(F(4, 3)), grad=False, unique=False)
row("linalg.eigvalsh", call(SPD(3, 3)), ref=np.linalg.eigvalsh, grad=False)
row("linalg.eigh", call(SPD(3, 3)), grad=False, unique=False)
row("linalg.eig", call(REGULAR(3, 3)), grad=False, unique=False)
row("linalg.eigvals", call(REGULAR(3, 3)), grad=False, unique=False)
row("linalg.qr", call(REGULAR(4, 3)))
row("qr", call(REGULAR(4, 3)))
row("lu_unpack", call(REGULAR(3, 3), torch.tensor([1, 2, 3], dtype=torch.int32)), grad=False)
row("linalg.lu_solve", call(REGULAR(3, 3), torch.tensor([1, 2, 3], dtype=torch.int32), F(3, 2)), grad=False)
row("lu_solve", call(F(3, 2), REGULAR(3, 3), torch.tensor([1, 2, 3], dtype=torch.int32)), grad=False)
row("linalg.lstsq", call(REGULAR(4, 3), F(4, 2)), grad=False)
row("linalg.pinv", call(REGULAR(4, 3)), ref=np.linalg.pinv)
row("linalg.pinv/rcond", call(REGULAR(4, 3), rcond=1e-10))
row("pinverse", call(REGULAR(4, 3)))
row("linalg.matrix_rank", call(REGULAR(4, 3)), ref=np.linalg.matrix_rank, grad=False)
row("linalg.matrix_rank/tol", call(REGULAR(4, 3), 0.1), grad=False)
row("linalg.tensorinv", call(F(2, 3, 6)), ref=np.linalg.tensorinv)
row("linalg.tensorsolve", call(F(2, 3, 6), F(2, 3)), ref=np.linalg.tensorsolve)
row("linalg.matrix_exp", call(F(3, 3)))
row("matrix_exp", call(F(3, 3)))
row("renorm", call(F(3, 4), 2, 0, 1.0), grad=False)

# --- norms
row("linalg.norm", call(F(3, 4)), call(F(3, 4), 1, (0, 1)), ref=np.linalg.norm)
row("linalg.norm/ord_str", call(F(3, 4), "fro"), call(F(3, 4), "nuc"), ref=np.linalg.norm)
row("linalg.matrix_norm", call(F(3, 4), 2), call(F(3, 4), 1))
row("linalg.matrix_norm/str_ord", call(F(3, 4), "fro"), call(F(3, 4), "nuc"))
row("linalg.cond", call(REGULAR(3, 3)), ref=np.linalg.cond)
row("linalg.cond/p_str", call(REGULAR(3, 3), "fro"), ref=np.linalg.cond)
row("norm", call(F(3, 4)), call(F(3, 4), "fro", 1))
row("norm/Scalar", call(F(3, 4), 1), call(F(3, 4), 3, 1))

# --- packed factors
row("geqrf", call(REGULAR(4, 3)), grad=False)
row("linalg.householder_product", call(F(4, 3), F(3)))
row("orgqr", call(F(4, 3), F(3)))
row("ormqr", call(F(4, 3), F(3), F(4, 2)))
row("linalg.ldl_factor", call(SPD(3, 3)), grad=False)
row("linalg.ldl_factor_ex", call(SPD(3, 3)), grad=False)
row("linalg.ldl_solve", call(SPD(3, 3), torch.tensor([1, 2, 3], dtype=torch.int32), F(3, 2)), grad=False)
