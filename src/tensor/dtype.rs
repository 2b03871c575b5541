//! Element types, PyTorch's promotion lattice, and the only match from a dtype to a Rust type.

use crate::{Result, fail};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    Bool,
    U8,
    I8,
    I16,
    I32,
    I64,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
    C64,
    C128,
}

/// A boolean element: any non-zero byte is true, as memory shared with NumPy may hold.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct Bool(pub u8);

impl Bool {
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    #[inline(always)]
    fn from(value: bool) -> Self {
        Bool(u8::from(value))
    }
}

#[allow(non_camel_case_types)]
pub type f16 = half::f16;
#[allow(non_camel_case_types)]
pub type bf16 = half::bf16;
#[allow(non_camel_case_types)]
pub type c64 = num_complex::Complex<f32>;
#[allow(non_camel_case_types)]
pub type c128 = num_complex::Complex<f64>;

/// A Rust type that a tensor can hold.
pub trait Element: bytemuck::Pod + Send + Sync + std::fmt::Debug + PartialEq {
    const DTYPE: DType;
}

macro_rules! elements {
    ($($variant:ident $ty:ty, $name:literal, $letters:literal;)*) => {
        $(impl Element for $ty { const DTYPE: DType = DType::$variant; })*

        impl DType {
            pub const ALL: &'static [DType] = &[$(DType::$variant),*];

            /// Size of an element in bytes.
            #[inline]
            #[must_use]
            pub const fn size(self) -> usize {
                match self { $(DType::$variant => size_of::<$ty>()),* }
            }

            /// PyTorch's name, without the module: `float32`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(DType::$variant => $name),* }
            }

            /// The name that PyTorch's kernels use in messages: `Float`.
            #[must_use]
            pub const fn scalar_name(self) -> &'static str {
                match self { $(DType::$variant => $letters),* }
            }
        }
    };
}

elements! {
    Bool Bool, "bool", "Bool";
    U8 u8, "uint8", "Byte";
    I8 i8, "int8", "Char";
    I16 i16, "int16", "Short";
    I32 i32, "int32", "Int";
    I64 i64, "int64", "Long";
    U16 u16, "uint16", "UInt16";
    U32 u32, "uint32", "UInt32";
    U64 u64, "uint64", "UInt64";
    F16 f16, "float16", "Half";
    BF16 bf16, "bfloat16", "BFloat16";
    F32 f32, "float32", "Float";
    F64 f64, "float64", "Double";
    C64 c64, "complex64", "ComplexFloat";
    C128 c128, "complex128", "ComplexDouble";
}

/// Runs the body with `$T` bound to the Rust type of a dtype. The set names which dtypes are
/// taken (`all`, `int`, `float`, `real`, `ordered`, `complex`, `num`, `bits`, `wide`); the others run `else`.
///
/// `int`: integers without bool; `float`: f16..f64; `wide`: f32, f64, c64, c128;
/// `real`: int + float; `ordered`: bool + real; `num`: real + complex; `bits`: bool + int; `bytes`: by element size (u8, u16, u32, u64, c128).
#[macro_export]
macro_rules! dispatch {
    (@arms $dtype:expr, $T:ident, $body:expr, $other:expr, $($variant:ident $ty:ty),*) => {
        match $dtype {
            $($crate::tensor::DType::$variant => { type $T = $ty; $body })*
            #[allow(unreachable_patterns)]
            _ => $other,
        }
    };
    (int $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, U8 u8, I8 i8, I16 i16, I32 i32, I64 i64, U16 u16, U32 u32, U64 u64)
    };
    (bits $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, Bool $crate::tensor::Bool, U8 u8, I8 i8, I16 i16, I32 i32, I64 i64, U16 u16, U32 u32, U64 u64)
    };
    (float $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, F16 $crate::tensor::f16, BF16 $crate::tensor::bf16, F32 f32, F64 f64)
    };
    (wide $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, F32 f32, F64 f64, C64 $crate::tensor::c64, C128 $crate::tensor::c128)
    };
    (complex $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, C64 $crate::tensor::c64, C128 $crate::tensor::c128)
    };
    (real $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, U8 u8, I8 i8, I16 i16, I32 i32, I64 i64, U16 u16, U32 u32, U64 u64,
            F16 $crate::tensor::f16, BF16 $crate::tensor::bf16, F32 f32, F64 f64)
    };
    (num $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, U8 u8, I8 i8, I16 i16, I32 i32, I64 i64, U16 u16, U32 u32, U64 u64,
            F16 $crate::tensor::f16, BF16 $crate::tensor::bf16, F32 f32, F64 f64, C64 $crate::tensor::c64, C128 $crate::tensor::c128)
    };
    (ordered $d:expr, $T:ident => $b:expr, else $o:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, $o, Bool $crate::tensor::Bool, U8 u8, I8 i8, I16 i16, I32 i32, I64 i64,
            U16 u16, U32 u32, U64 u64, F16 $crate::tensor::f16, BF16 $crate::tensor::bf16, F32 f32, F64 f64)
    };
    (all $d:expr, $T:ident => $b:expr) => {
        $crate::dispatch!(@arms $d, $T, $b, unreachable!("every dtype has an arm"), Bool $crate::tensor::Bool, U8 u8, I8 i8, I16 i16, I32 i32, I64 i64,
            U16 u16, U32 u32, U64 u64, F16 $crate::tensor::f16, BF16 $crate::tensor::bf16, F32 f32, F64 f64,
            C64 $crate::tensor::c64, C128 $crate::tensor::c128)
    };
    (bytes $d:expr, $T:ident => $b:expr) => {
        match $d.size() {
            1 => { type $T = u8; $b }
            2 => { type $T = u16; $b }
            4 => { type $T = u32; $b }
            8 => { type $T = u64; $b }
            _ => { type $T = $crate::tensor::c128; $b }
        }
    };
}

/// Kinds of dtype, in the order of promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Bool,
    Int,
    Float,
    Complex,
}

impl DType {
    #[must_use]
    pub const fn category(self) -> Category {
        match self {
            DType::Bool => Category::Bool,
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => Category::Float,
            DType::C64 | DType::C128 => Category::Complex,
            _ => Category::Int,
        }
    }

    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self.category(), Category::Float)
    }

    #[must_use]
    pub const fn is_complex(self) -> bool {
        matches!(self.category(), Category::Complex)
    }

    /// Integers, and bool where asked for.
    #[must_use]
    pub const fn is_integral(self, with_bool: bool) -> bool {
        match self.category() {
            Category::Int => true,
            Category::Bool => with_bool,
            _ => false,
        }
    }

    /// Can a tensor of this dtype require a gradient?
    #[must_use]
    pub const fn is_differentiable(self) -> bool {
        self.is_float() || self.is_complex()
    }

    #[must_use]
    pub const fn is_signed(self) -> bool {
        !matches!(
            self,
            DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64
        )
    }

    /// The real dtype of a complex one's parts; others stay.
    #[must_use]
    pub const fn to_real(self) -> DType {
        match self {
            DType::C64 => DType::F32,
            DType::C128 => DType::F64,
            other => other,
        }
    }

    /// The complex dtype whose parts hold this one (half precision goes to complex64).
    #[must_use]
    pub const fn to_complex(self) -> DType {
        match self {
            DType::F64 | DType::C128 => DType::C128,
            _ => DType::C64,
        }
    }

    /// Accumulators and transcendental functions compute half precision in f32.
    #[must_use]
    pub const fn compute(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            other => other,
        }
    }

    /// May a result of this dtype be stored in `to`? (PyTorch's `can_cast`.)
    #[must_use]
    pub fn can_cast(self, to: DType) -> bool {
        self.category() <= to.category()
            || (self.category() == Category::Int && to.category() == Category::Int)
    }

    const fn is_barebones(self) -> bool {
        matches!(self, DType::U16 | DType::U32 | DType::U64)
    }

    /// The smallest dtype that both promote to (PyTorch's `promote_types`).
    pub fn promote(self, other: DType) -> Result<DType> {
        use DType::{BF16, Bool, C64, F16, F32, I16, U8};
        let (a, b) = if self <= other {
            (self, other)
        } else {
            (other, self)
        };
        if a == b {
            return Ok(a);
        }
        if a.is_barebones() || b.is_barebones() {
            if a.is_differentiable() || b.is_differentiable() {
                return Ok(if a.is_differentiable() { a } else { b });
            }
            fail!(
                Runtime,
                "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {} and {}",
                self.scalar_name(),
                other.scalar_name()
            );
        }
        Ok(match (a, b) {
            (Bool, _) => b,
            (U8, DType::I8) => I16,
            (F16, BF16) => F32,
            (DType::F64, C64) => DType::C128,
            _ => b,
        })
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::DType::{self, *};

    #[test]
    fn promotion_follows_pytorch() {
        for (a, b, want) in [
            (U8, I8, I16),
            (Bool, I8, I8),
            (I64, F16, F16),
            (F16, BF16, F32),
            (F64, C64, C128),
            (F32, C64, C64),
            (U8, I32, I32),
            (I64, Bool, I64),
            (BF16, C64, C64),
            (U16, F32, F32),
        ] {
            assert_eq!(a.promote(b).unwrap(), want);
            assert_eq!(b.promote(a).unwrap(), want);
        }
        assert!(U16.promote(I32).is_err());
    }

    #[test]
    fn every_dtype_dispatches() {
        for &dtype in DType::ALL {
            let size = dispatch!(all dtype, T => size_of::<T>());
            assert_eq!(size, dtype.size());
        }
    }
}
