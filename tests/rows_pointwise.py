"""Rows of pointwise ops."""

import numpy as np
from rows import binary, unary
from samples import AWAY, BIG, DISTINCT, INDEX, MASK, POS, PROB, UNIT

# --- one element
unary(
    "neg negative abs absolute square sin cos tan sinh cosh tanh asinh arcsinh atan arctan "
    "exp exp2 expm1 erf erfc sigmoid",
    AWAY,
    erf=None,
)
unary("arcsin asin arccos acos atanh arctanh erfinv", UNIT, asin=np.arcsin, acos=np.arccos, atanh=np.arctanh)
unary("log log2 log10 log1p sqrt rsqrt reciprocal lgamma digamma", POS, rsqrt=lambda x: 1 / np.sqrt(x))
unary("acosh arccosh", BIG, acosh=np.arccosh)
unary(
    "floor ceil trunc fix round sign sgn signbit isnan isinf isfinite isposinf isneginf isreal logical_not frac",
    AWAY,
    grad=False,
    isposinf=None,
)

unary("deg2rad rad2deg sinc i0 angle real conj conj_physical positive nan_to_num", AWAY, i0=np.i0, sinc=np.sinc)
unary("logit", PROB)
unary("bitwise_not", lambda *s: MASK(*s), grad=False)

# --- two elements
binary(
    "add sub subtract mul multiply rsub hypot logaddexp logaddexp2 maximum minimum fmax fmin",
    AWAY,
    DISTINCT,
    rsub=lambda a, b: b - a,
)
binary("div divide true_divide atan2 arctan2 copysign heaviside", AWAY, POS, heaviside=None)
binary("pow float_power", POS, AWAY)
binary("xlogy", AWAY, POS)
binary("remainder fmod floor_divide", AWAY, POS, grad=False)
binary(
    "eq ne lt le gt ge equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor",
    AWAY,
    AWAY,
    grad=False,
    equal=None,
)
binary("nextafter", AWAY, AWAY, grad=False)
binary("gcd lcm", lambda *s: INDEX(20, *s), lambda *s: INDEX(20, *s), grad=False)
binary("bitwise_and bitwise_or bitwise_xor", MASK, MASK, grad=False)
binary("bitwise_left_shift bitwise_right_shift", lambda *s: INDEX(9, *s), lambda *s: INDEX(4, *s), grad=False)
