"""Rows of ops that create tensors, draw random numbers, convert and copy."""

import numpy as np
from rows import call, row
from samples import AWAY, DISTINCT, INDEX, POS, PROB, F

import rtensor as torch

# --- constants
row("zeros", call((2, 3)), call((0,)), ref=np.zeros)
row("ones", call((2, 3)), ref=np.ones)
row("full", call((2, 3), 1.5), ref=np.full)
row("scalar_tensor", call(2.5))
for name in ("empty", "empty_strided", "empty_permuted", "empty_like", "new_empty", "new_empty_strided"):
    like = () if not (name.endswith("like") or name.startswith("new")) else (F(2, 3),)
    layout = ((3, 1),) if name.endswith("strided") else ((1, 0),) if name.endswith("permuted") else ()
    size = () if name.endswith("like") else ((2, 3),)
    row(name, call(*like, *size, *layout), grad=False, deterministic=False)
for name in ("zeros_like", "ones_like"):
    row(name, call(F(2, 3)), ref=getattr(np, name), grad=False)
row("full_like", call(F(2, 3), 1.5), ref=np.full_like, grad=False)
row("new_zeros", call(F(2), (2, 3)), grad=False)
row("new_ones", call(F(2), (2, 3)), grad=False)
row("new_full", call(F(2), (2, 3), 1.5), grad=False)
row("fill/Scalar", call(F(2, 3), 1.5), grad=False)
row("fill/Tensor", call(F(2, 3), F()), grad=False)
row("zero", call(F(2, 3)), grad=False)

# --- ranges
row("arange", call(5), call(4.5), ref=np.arange)
row("arange/start_step", call(1, 6, 2), call(0.0, 1.0, 0.25), ref=np.arange)
row("range", call(1, 4))
row("linspace", call(0.0, 1.0, 5), ref=np.linspace)
row("logspace", call(0.0, 2.0, 5), ref=np.logspace)
row("eye", call(3), ref=np.eye)
row("eye/m", call(2, 3), ref=np.eye)
row("tril_indices", call(3, 4), ref=lambda r, c: np.array(np.tril_indices(r, 0, c)))
row("triu_indices", call(3, 4), ref=lambda r, c: np.array(np.triu_indices(r, 0, c)))
for name in ("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"):
    row(name, call(8), call(7, False))
row("complex", call(F(3), F(3)), ref=lambda a, b: a + 1j * b)
row("polar", call(POS(3), F(3)), ref=lambda a, b: a * np.exp(1j * b))
row("meshgrid", call([F(2), F(3)], indexing="ij"))
row("cartesian_prod", call([F(2), F(3)]))
row("combinations", call(F(4)))
row("block_diag", call([F(2, 3), F(1, 2)]))
row("vander", call(F(3)), ref=np.vander)
row("linalg.vander", call(F(3)))

# --- random numbers
for name, args in {
    "rand": ((2, 3),),
    "randn": ((2, 3),),
    "randint": (9, (2, 3)),
    "randint/low": (3, 9, (2, 3)),
    "randperm": (7,),
    "rand_like": (F(2, 3),),
    "randn_like": (F(2, 3),),
    "randint_like": (F(2, 3), 9),
    "randint_like/low": (F(2, 3), 3, 9),
    "normal/Tensor_float": (F(3), 2.0),
    "normal/float_Tensor": (1.0, POS(3)),
    "normal/Tensor_Tensor": (F(3), POS(3)),
    "normal/float_float": (0.0, 1.0, (2, 3)),
    "bernoulli": (PROB(2, 3),),
    "bernoulli/p": (F(2, 3), 0.3),
    "bernoulli/Tensor": (F(2, 3), PROB(2, 3)),
    "bernoulli/float": (F(2, 3), 0.3),
    "multinomial": (PROB(4), 2),
    "poisson": (POS(2, 3),),
    "binomial": (INDEX(5, 3), PROB(3)),
    "_standard_gamma": (POS(3),),
    "dropout": (F(2, 3), 0.5, True),
    "feature_dropout": (F(2, 3, 4), 0.5, True),
    "alpha_dropout": (F(2, 3), 0.5, True),
    "feature_alpha_dropout": (F(2, 3, 4), 0.5, True),
    "rrelu": (AWAY(2, 3), 0.1, 0.3, True),
}.items():
    row(name, call(*args), grad=False, deterministic=False)
for name, args in {
    "uniform": (),
    "normal": (),
    "log_normal": (),
    "cauchy": (),
    "exponential": (),
    "geometric": (0.3,),
    "random": (),
    "random/to": (9,),
    "random/from": (2, 9),
}.items():
    row(name, call(F(2, 3), *args), grad=False, deterministic=False)

# --- copies and conversions
row("clone", call(F(3, 4)), ref=np.copy)
row("contiguous", call(F(3, 4)))
row("copy", call(F(3, 4), F(4)), grad=False)
row("_to_copy", call(F(3, 4)))
row("to/dtype", call(F(3, 4), torch.float64))
row("to/device", call(F(3, 4), "cpu"))
row("to/other", call(F(3, 4), F(1)))
row("type_as", call(F(3, 4), F(1)))
for name in (
    "half",
    "bfloat16",
    "float",
    "double",
    "cfloat",
    "cdouble",
    "bool",
    "byte",
    "char",
    "short",
    "int",
    "long",
):
    row(name, call(DISTINCT(3)), grad=False)
row("result_type", call(F(3), 2), grad=False)
row("can_cast", call(torch.float32, torch.int64), grad=False)
row("promote_types", call(torch.float32, torch.int64), grad=False)

# --- Fourier transforms
for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    row(f"fft.{name}", call(F(3, 6)), call(F(6), 4), ref=getattr(np.fft, name))
for name in (
    "fft2",
    "ifft2",
    "rfft2",
    "irfft2",
    "fftn",
    "ifftn",
    "rfftn",
    "irfftn",
    "hfft2",
    "ihfft2",
    "hfftn",
    "ihfftn",
):
    row(f"fft.{name}", call(F(3, 4)), ref=getattr(np.fft, name, None))
for name in ("fftshift", "ifftshift"):
    row(f"fft.{name}", call(F(5)), ref=getattr(np.fft, name))
for name in ("fftfreq", "rfftfreq"):
    row(f"fft.{name}", call(6), ref=getattr(np.fft, name))
row("segment_reduce", call(F(5), "sum", lengths=torch.tensor([2, 3])))
row("stft", call(F(20), 6, return_complex=True), grad=False)
row("istft", call(torch.ones(4, 7, dtype=torch.complex128), 6), grad=False)
