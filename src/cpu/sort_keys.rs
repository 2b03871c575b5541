//! Keys whose order as unsigned integers is the order that sorting wants, and how packed keys are sorted.

use half::{bf16, f16};

use super::number::Ordered;
use crate::tensor::Bool;

/// Elements that map to unsigned keys in the same order; NaN maps to the greatest, -0 and 0 are equal.
pub trait SortKey: Ordered {
    const BITS: u32;
    const PACKS_IN_64: bool = Self::BITS <= 32;
    /// The key of NaN, where there is one.
    const NAN_KEY: Option<u64> = None;
    fn key(self) -> u64;
}

macro_rules! unsigned {
    ($($t:ident)*) => {$(
        impl SortKey for $t {
            const BITS: u32 = $t::BITS;
            #[inline(always)]
            fn key(self) -> u64 { u64::from(self) }
        }
    )*};
}
unsigned!(u8 u16 u32 u64);

macro_rules! signed {
    ($($t:ident $unsigned:ident;)*) => {$(
        impl SortKey for $t {
            const BITS: u32 = $t::BITS;
            #[inline(always)]
            fn key(self) -> u64 { u64::from(self as $unsigned ^ (1 << ($t::BITS - 1))) }
        }
    )*};
}
signed! { i8 u8; i16 u16; i32 u32; i64 u64; }

impl SortKey for Bool {
    const BITS: u32 = 8;
    #[inline(always)]
    fn key(self) -> u64 {
        u64::from(self.get())
    }
}

macro_rules! float {
    ($($t:ident $bits:ident;)*) => {$(
        impl SortKey for $t {
            const BITS: u32 = $bits::BITS;
            const NAN_KEY: Option<u64> = Some($bits::MAX as u64);
            #[inline(always)]
            #[allow(clippy::eq_op)]
            fn key(self) -> u64 {
                const SIGN: $bits = 1 << ($bits::BITS - 1);
                let bits = self.to_bits();
                let bits = if bits == SIGN { 0 } else { bits };
                let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
                u64::from(if self != self { $bits::MAX } else { ordered })
            }
        }
    )*};
}
float! { f16 u16; bf16 u16; f32 u32; f64 u64; }

/// A key with the position it came from, in one integer: sorting it is a stable sort of the keys.
pub trait Packed: Copy + Ord + Send + Sync {
    fn pack(key: u64, position: usize) -> Self;
    fn position(self) -> usize;
    fn key(self) -> u64;
    fn digit(self, shift: u32) -> usize;
}

/// Digits of the radix sort.
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;

impl Packed for u64 {
    #[inline(always)]
    fn pack(key: u64, position: usize) -> u64 {
        key << 32 | position as u64
    }
    #[inline(always)]
    fn position(self) -> usize {
        (self & 0xffff_ffff) as usize
    }
    #[inline(always)]
    fn key(self) -> u64 {
        self >> 32
    }
    #[inline(always)]
    fn digit(self, shift: u32) -> usize {
        (self >> (32 + shift)) as usize & (DIGITS - 1)
    }
}

impl Packed for u128 {
    #[inline(always)]
    fn pack(key: u64, position: usize) -> u128 {
        u128::from(key) << 64 | position as u128
    }
    #[inline(always)]
    fn position(self) -> usize {
        self as u64 as usize
    }
    #[inline(always)]
    fn key(self) -> u64 {
        (self >> 64) as u64
    }
    #[inline(always)]
    fn digit(self, shift: u32) -> usize {
        ((self >> 64) as u64 >> shift) as usize & (DIGITS - 1)
    }
}

/// Below it a comparison sort wins over counting digits.
const RADIX_FROM: usize = 2048;

/// Sorts packed keys of so many bits; their positions must ascend.
pub fn sort_packed<P: Packed>(items: &mut Vec<P>, scratch: &mut Vec<P>, bits: u32) {
    if items.len() < RADIX_FROM {
        return items.sort_unstable();
    }
    let passes = bits.div_ceil(DIGIT_BITS) as usize;
    let mut counts = vec![[0usize; DIGITS]; passes];
    for x in items.iter() {
        for (pass, counts) in counts.iter_mut().enumerate() {
            counts[x.digit(pass as u32 * DIGIT_BITS)] += 1;
        }
    }
    scratch.resize(items.len(), P::pack(0, 0));
    for (pass, starts) in counts.iter_mut().enumerate() {
        if starts.contains(&items.len()) {
            // All keys agree in this digit.
            continue;
        }
        let mut sum = 0;
        for start in starts.iter_mut() {
            sum += std::mem::replace(start, sum);
        }
        for &x in items.iter() {
            let at = &mut starts[x.digit(pass as u32 * DIGIT_BITS)];
            scratch[*at] = x;
            *at += 1;
        }
        std::mem::swap(items, scratch);
    }
}
