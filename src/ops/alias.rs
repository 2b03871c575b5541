//! Second names of ops, as PyTorch has them.

use super::{F, I, M, O};

/// (alias, op, variants that the alias has)
#[rustfmt::skip]
pub(super) static ALIASES: &[(&str, &str, u16)] = &[
    ("absolute", "abs", F | M | I | O), ("arccos", "acos", F | M | I | O), ("arccosh", "acosh", F | M | I | O),
    ("arcsin", "asin", F | M | I | O), ("arcsinh", "asinh", F | M | I | O), ("arctan", "atan", F | M | I | O),
    ("arctanh", "atanh", F | M | I | O), ("arctan2", "atan2", F | M | I | O), ("negative", "neg", F | M | I | O),
    ("fix", "trunc", F | M | I | O), ("subtract", "sub", F | M | I | O), ("multiply", "mul", F | M | I | O),
    ("divide", "div", F | M | I | O), ("true_divide", "div", F | M | I | O), ("clip", "clamp", F | M | I | O),
    ("not_equal", "ne", F | M | I | O), ("greater", "gt", F | M | I | O), ("greater_equal", "ge", F | M | I | O),
    ("less", "lt", F | M | I | O), ("less_equal", "le", F | M | I | O), ("mvlgamma", "special.multigammaln", F | M | I | O),
    ("special.exp2", "exp2", F | O), ("special.expm1", "expm1", F | O), ("special.log1p", "log1p", F | O),
    ("special.erf", "erf", F | O), ("special.erfc", "erfc", F | O), ("special.erfinv", "erfinv", F | O),
    ("special.digamma", "digamma", F | O), ("special.psi", "digamma", F | O), ("special.gammaln", "lgamma", F | O),
    ("special.polygamma", "polygamma", F | O), ("special.gammainc", "igamma", F | O),
    ("special.gammaincc", "igammac", F | O), ("special.i0", "i0", F | O), ("special.expit", "sigmoid", F | O),
    ("special.logit", "logit", F | O), ("special.sinc", "sinc", F | O), ("special.xlogy", "xlogy", F | O),
    ("special.round", "round", F | O),
];
