//! Formulas that serve frequent scalar arguments better than the general one.

use super::pointwise::Formula;
use super::{Args, Value};
use crate::tensor::{DType, Scalar};

/// A formula that stands on its own.
macro_rules! alone {
    ($lanes:ident $args:tt => $body:expr) => {{
        struct This;
        formula!(This keep $lanes [] $args $body);
        static FORMULA: Formula = formula!(@written keep $lanes This, $args);
        &FORMULA
    }};
}

fn is_one(s: &Value) -> bool {
    matches!(s, Value::Num(Scalar::Int(1)))
}

pub(super) fn plain_add(args: Args, _: DType) -> Option<&'static Formula> {
    is_one(args.get(2)).then(|| alone!(Num (a, b) => a + b))
}

pub(super) fn plain_sub(args: Args, _: DType) -> Option<&'static Formula> {
    is_one(args.get(2)).then(|| alone!(Num (a, b) => a - b))
}

pub(super) fn plain_power(args: Args, common: DType) -> Option<&'static Formula> {
    let Value::Num(exponent) = args.get(1) else {
        return None;
    };
    if matches!(exponent, Scalar::Complex(_)) {
        return None;
    }
    let exponent = exponent.to_f64();
    let floats = common.is_differentiable();
    if exponent == 2.0 {
        Some(alone!(Num (a, b) => a * a))
    } else if exponent == 3.0 {
        Some(alone!(Num (a, b) => a * a * a))
    } else if exponent == 0.5 {
        Some(alone!(Field (a, b) => a.sqrt()))
    } else if exponent == -0.5 && floats {
        Some(alone!(Field (a, b) => a.rsqrt()))
    } else if exponent == -1.0 && floats {
        Some(alone!(Field (a, b) => a.reciprocal()))
    } else if exponent == -2.0 && floats {
        Some(alone!(Field (a, b) => (a * a).reciprocal()))
    } else {
        None
    }
}

/// The neighbour of a half-precision number, computed in f32.
pub(super) fn next_half(_: Args, common: DType) -> Option<&'static Formula> {
    match common {
        DType::BF16 => Some(alone!(Rare (a, b) => a.next_bf16(b))),
        DType::F16 => Some(alone!(Rare (a, b) => a.next_f16(b))),
        _ => None,
    }
}

/// The inverse of a bool is its negation.
pub(super) fn invert_bool(args: Args, _: DType) -> Option<&'static Formula> {
    let dtype = args.get(0).tensor()?.dtype();
    (dtype == DType::Bool).then(|| alone!(Int (a) => E::ONE.bitwise_xor(a)))
}
