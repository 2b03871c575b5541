//! A Python number, or an element read out of a tensor.

use super::dtype::{Bool, DType, Element, bf16, c64, c128, f16};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    /// An integer beyond `i64`, as uint64 elements are.
    UInt(u64),
    Float(f64),
    Complex(c128),
}

impl Scalar {
    /// The dtype of the scalar's category at full width.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::UInt(_) => DType::U64,
            Scalar::Float(_) => DType::F64,
            Scalar::Complex(_) => DType::C128,
        }
    }

    #[must_use]
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(v) => f64::from(u8::from(v)),
            Scalar::Int(v) => v as f64,
            Scalar::UInt(v) => v as f64,
            Scalar::Float(v) => v,
            Scalar::Complex(v) => v.re,
        }
    }

    #[must_use]
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(v) => i64::from(v),
            Scalar::Int(v) => v,
            Scalar::UInt(v) => v as i64,
            Scalar::Float(v) => v as i64,
            Scalar::Complex(v) => v.re as i64,
        }
    }

    #[must_use]
    pub fn to_c128(self) -> c128 {
        match self {
            Scalar::Complex(v) => v,
            other => c128::new(other.to_f64(), 0.0),
        }
    }

    #[must_use]
    pub fn to_bool(self) -> bool {
        match self {
            Scalar::Bool(v) => v,
            Scalar::Int(v) => v != 0,
            Scalar::UInt(v) => v != 0,
            Scalar::Float(v) => v != 0.0,
            Scalar::Complex(v) => v.re != 0.0 || v.im != 0.0,
        }
    }
}

/// Elements and scalars convert into each other; a scalar narrows as a C cast does.
pub trait FromScalar: Element {
    fn from_scalar(value: Scalar) -> Self;
    fn to_scalar(self) -> Scalar;
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl FromScalar for $ty {
            #[inline]
            fn from_scalar(value: Scalar) -> Self {
                match value {
                    Scalar::UInt(v) => v as $ty,
                    other => other.to_i64() as $ty,
                }
            }
            #[inline]
            fn to_scalar(self) -> Scalar {
                Scalar::Int(self as i64)
            }
        }
    )*};
}
integers!(u8, i8, i16, i32, i64, u16, u32);

impl FromScalar for u64 {
    fn from_scalar(value: Scalar) -> Self {
        match value {
            Scalar::UInt(v) => v,
            Scalar::Float(v) if v > 0.0 => v as u64,
            other => other.to_i64() as u64,
        }
    }
    fn to_scalar(self) -> Scalar {
        i64::try_from(self).map_or(Scalar::UInt(self), Scalar::Int)
    }
}

impl FromScalar for Bool {
    #[inline]
    fn from_scalar(value: Scalar) -> Self {
        value.to_bool().into()
    }
    #[inline]
    fn to_scalar(self) -> Scalar {
        Scalar::Bool(self.get())
    }
}

macro_rules! floats {
    ($($ty:ty: |$v:ident| $from:expr, |$s:ident| $to:expr;)*) => {$(
        impl FromScalar for $ty {
            #[inline]
            fn from_scalar(value: Scalar) -> Self {
                let $v = value;
                $from
            }
            #[inline]
            fn to_scalar(self) -> Scalar {
                let $s = self;
                $to
            }
        }
    )*};
}
floats! {
    f16: |v| f16::from_f64(v.to_f64()), |s| Scalar::Float(s.to_f64());
    bf16: |v| bf16::from_f64(v.to_f64()), |s| Scalar::Float(s.to_f64());
    f32: |v| v.to_f64() as f32, |s| Scalar::Float(f64::from(s));
    f64: |v| v.to_f64(), |s| Scalar::Float(s);
    c64: |v| { let c = v.to_c128(); c64::new(c.re as f32, c.im as f32) },
        |s| Scalar::Complex(c128::new(f64::from(s.re), f64::from(s.im)));
    c128: |v| v.to_c128(), |s| Scalar::Complex(s);
}

impl From<f64> for Scalar {
    fn from(v: f64) -> Self {
        Scalar::Float(v)
    }
}

impl From<i64> for Scalar {
    fn from(v: i64) -> Self {
        Scalar::Int(v)
    }
}

impl From<bool> for Scalar {
    fn from(v: bool) -> Self {
        Scalar::Bool(v)
    }
}

impl From<c128> for Scalar {
    fn from(v: c128) -> Self {
        Scalar::Complex(v)
    }
}
