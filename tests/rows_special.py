"""Rows of special functions and of forms that other rows leave out."""

import numpy as np
from rows import binary, call, row, unary
from samples import AWAY, BIG, DISTINCT, INDEX, POS, PROB, F

import rtensor as torch

S = "special."

# --- special functions
unary(f"{S}i0e {S}i1 {S}i1e {S}ndtr {S}log_ndtr {S}erfcx {S}i0 {S}erf {S}erfc {S}expit {S}sinc {S}expm1 {S}exp2", AWAY)
unary(f"{S}entr {S}log1p {S}digamma {S}psi {S}gammaln", POS)
unary(f"{S}ndtri {S}erfinv {S}logit", PROB)
unary(f"{S}bessel_j0 {S}bessel_j1 {S}modified_bessel_i0 {S}modified_bessel_i1 {S}spherical_bessel_j0", AWAY, grad=False)
unary(f"{S}bessel_y0 {S}bessel_y1 {S}modified_bessel_k0 {S}modified_bessel_k1", POS, grad=False)
unary(f"{S}scaled_modified_bessel_k0 {S}scaled_modified_bessel_k1 {S}airy_ai", POS, grad=False)
unary(f"{S}round", AWAY, grad=False)
binary(f"{S}xlog1py {S}xlogy", AWAY, POS)
binary(f"{S}zeta", BIG, BIG, grad=False)
binary("igamma igammac", POS, POS, grad=False)
binary(f"{S}gammainc {S}gammaincc", POS, POS, grad=False)
binary("ldexp", AWAY, AWAY, grad=False)
for kind in "chebyshev_polynomial_{}", "shifted_chebyshev_polynomial_{}":
    for letter in "tuvw":
        row(S + kind.format(letter), call(PROB(3, 2), INDEX(4, 2)), grad=False)
for name in ("hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"):
    row(S + name, call(PROB(3, 2), INDEX(4, 2)), grad=False)
row("polygamma", call(2, POS(3)))
row("polygamma/method", call(POS(3), 1))
row(f"{S}polygamma", call(2, POS(3)))
for name in ("mvlgamma", f"{S}multigammaln"):
    row(name, call(BIG(3), 2))

# --- other forms of pointwise ops
for name in ("round/decimals", f"{S}round/decimals"):
    row(name, call(F(3, 4), decimals=1), grad=False)
row("frexp", call(AWAY(3, 4)), ref=np.frexp, grad=False)
row("remainder/scalar", call(2.5, POS(3)), ref=np.remainder, grad=False)
row("pow/scalar", call(2.5, F(3)), ref=np.power)
for name in ("div", "divide", "true_divide"):
    row(f"{name}/rounding", call(AWAY(3), POS(3), rounding_mode="floor"), grad=False)
row("clamp_min", call(AWAY(3, 4), 0.1), ref=np.maximum)
row("clamp_max", call(AWAY(3, 4), 0.1), ref=np.minimum)
row("clip", call(AWAY(3, 4), -1.0, 1.1), ref=np.clip)
row("isclose", call(F(3), F(3)), ref=np.isclose, grad=False)
row("allclose", call(F(3), F(3)), ref=np.allclose, grad=False)
row("where/method", call(F(3), torch.tensor([True, False, True]), F(3)))
row("isin", call(INDEX(5, 6), INDEX(5, 3)), ref=np.isin, grad=False)

# --- moments
row("count_nonzero", call(INDEX(2, 3, 4)), call(INDEX(2, 3, 4), 1), ref=np.count_nonzero, grad=False)
row("hash_tensor", call(F(2, 3, 4)), call(INDEX(2, 3, 4), 1, True), grad=False)
for name in ("var", "std", "var_mean", "std_mean"):
    row(name, call(F(3, 4)), call(F(3, 4), False))
    row(f"{name}/dim", call(F(3, 4), 1), call(F(3, 4), (0, 1), False, True))
    row(f"{name}/correction", call(F(3, 4), dim=1, correction=2))
for name in ("trapezoid", "trapz", "cumulative_trapezoid"):
    row(f"{name}/x", call(F(3, 4), F(4)))
    row(f"{name}/dx", call(F(3, 4), dx=0.5))
row("sort/stable", call(DISTINCT(3, 4), stable=True))
row("argsort/stable", call(DISTINCT(3, 4), stable=True), grad=False)
row("unique_dim", call(INDEX(2, 4, 2), 0), grad=False)
row("embedding_renorm", call(F(4, 3), INDEX(4, 2), 1.0, 2.0), grad=False)

# --- parts of complex numbers
row("view_as_real", call(torch.tensor([1 + 2j])), grad=False)
row("view_as_complex", call(F(3, 2)), grad=False)
row("imag", call(torch.tensor([1 + 2j])), ref=np.imag, grad=False)
for name in ("resolve_conj", "resolve_neg"):
    row(name, call(F(3)))
row("view/dtype", call(F(3), torch.uint8), grad=False, unique=False)

# --- views with other names
for name in ("T", "mT", "H", "mH"):
    row(name, call(F(2, 3)), ref=np.transpose)
row("adjoint", call(F(2, 3)), ref=np.transpose)
row("moveaxis/int", call(F(2, 3, 4), 0, 2), ref=np.moveaxis)
row("moveaxis/intlist", call(F(2, 3, 4), (0, 1), (2, 0)), ref=np.moveaxis)
row("linalg.diagonal", call(F(2, 3, 3)))
row("broadcast_tensors", call([F(2, 1), F(3)]))
row("sum_to_size", call(F(2, 3), (1, 3)))
for n in "123":
    row(f"atleast_{n}d/sequence", call([F(), F(2)]))
row("narrow/Tensor", call(F(5, 2), 0, torch.tensor(1), 3))
row("detach", call(F(3)), grad=False)
row("as_strided_", call(F(12), (2, 3), (4, 1), 1), grad=False)
row("tensor_split/sections", call(F(5, 2), 2))
row("tensor_split/indices", call(F(5, 2), (1, 3)))
row("tensor_split/tensor", call(F(5, 2), torch.tensor([1, 3])))
for name, shape in (("hsplit", (2, 4)), ("vsplit", (4, 2)), ("dsplit", (2, 2, 4))):
    row(name, call(F(*shape), 2), ref=getattr(np, name))
    row(f"{name}/array", call(F(*shape), (1, 3)), ref=getattr(np, name))
row("split/sizes", call(F(5, 2), (2, 3)))
row("split/method", call(F(5, 2), 2))
row("split/method_sizes", call(F(5, 2), (2, 3)))
for name in ("split_with_sizes", "unsafe_split_with_sizes"):
    row(name, call(F(5, 2), (2, 3)))
for name in ("unsafe_split", "unsafe_chunk"):
    row(name, call(F(5, 2), 2))

# --- copies of views: the same arguments as the view
for name, args in {
    "view": ((3, 4),),
    "transpose": (0, 1),
    "t": (),
    "permute": ((1, 0),),
    "select": (0, 1),
    "slice": (0, 1),
    "unsqueeze": (0,),
    "squeeze": (),
    "expand": ((2, 2, 6),),
    "diagonal": (),
    "unfold": (1, 2, 1),
    "alias": (),
    "detach": (),
    "unbind": (),
    "split_with_sizes": ((1, 1),),
    "as_strided": ((2, 2), (1, 2)),
}.items():
    row(f"{name}_copy", call(F(2, 6), *args))
row("squeeze_copy/dim", call(F(2, 1), 1))
row("squeeze_copy/dims", call(F(2, 1), (1,)))
row("split_copy/method", call(F(4, 2), 2))
row("view_copy/dtype", call(F(3), torch.uint8), grad=False, unique=False)
row("view_as_real_copy", call(torch.tensor([1 + 2j])), grad=False)
row("view_as_complex_copy", call(F(3, 2)), grad=False)

# --- indexing and scattering
row("index", call(F(4, 3), [torch.tensor([0, 2])]))
row("index_put", call(F(4, 3), [torch.tensor([0, 2])], F(3)))
row("take_along_dim", call(F(4, 3), INDEX(4, 4, 3), 0))
row("put", call(F(4, 3), torch.tensor([0, 5]), F(2)))
row("nonzero/numpy", call(INDEX(2, 3, 4), as_tuple=True), grad=False)
row("where/condition", call(INDEX(2, 3, 4)), grad=False)
row("argwhere", call(INDEX(2, 3, 4)), ref=np.argwhere, grad=False)
row("unravel_index", call(INDEX(6, 4), (2, 3)), grad=False)
row("scatter", call(F(4, 3), 0, torch.tensor([[0, 1, 2], [1, 2, 3]]), F(2, 3)))
row("scatter/value", call(F(4, 3), 0, torch.tensor([[0, 1, 2]]), 1.5))
row("scatter/reduce", call(POS(4, 3), 0, torch.tensor([[0, 1, 2]]), POS(1, 3), reduce="multiply"), grad=False)
row("scatter/value_reduce", call(POS(4, 3), 0, torch.tensor([[0, 1, 2]]), 1.5, reduce="add"), grad=False)
row("scatter_reduce", call(DISTINCT(4, 3), 0, INDEX(4, 2, 3), DISTINCT(2, 3), "sum"))
row("index_copy", call(F(4, 3), 0, torch.tensor([0, 2]), F(2, 3)))
row("index_reduce", call(POS(4, 3), 0, torch.tensor([0, 2]), POS(2, 3), "prod"))
row("masked_scatter", call(F(3), torch.tensor([True, False, True]), F(3)))
row("select_scatter", call(F(4, 3), F(3), 0, 1))
row("slice_scatter", call(F(4, 3), F(2, 3), 0, 1, 3))
row("diagonal_scatter", call(F(3, 3), F(3)))
row("as_strided_scatter", call(F(6), F(2, 2), (2, 2), (2, 1)), grad=False)
row("repeat_interleave", call(INDEX(3, 4)), grad=False)
row("repeat_interleave/self_int", call(F(2, 3), 2), call(F(2, 3), 2, 1))
row("repeat_interleave/self_Tensor", call(F(2, 3), torch.tensor([1, 2]), 0))
row("diag_embed", call(F(2, 3)))
row("diagflat", call(F(3)), ref=np.diagflat)
row("fill_diagonal_", call(F(3, 3), 1.5), grad=False)
row("resize_", call(F(6), (2, 3)), grad=False)
row("resize_as_", call(F(6), F(2, 3)), grad=False)
row("set_", call(F(3)), grad=False)
row("set_/tensor", call(F(3), F(2)), grad=False)
row("set_/part", call(F(3), F(6), 1, (2,), (2,)), grad=False)
