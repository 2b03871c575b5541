//! Keys whose order as unsigned integers is the order that sorting wants, and how packed keys are sorted.

use half::{bf16, f16};
use num_traits::{PrimInt, Unsigned};

use super::buffer::Buffer;
use super::number::Ordered;
use crate::tensor::Bool;

/// Elements that map to unsigned keys in the same order; NaN maps to the greatest, -0 and 0 are equal.
pub trait SortKey: Ordered {
    type Key: PrimInt + Unsigned + Into<u64> + Send + Sync;
    const BITS: u32 = size_of::<Self::Key>() as u32 * 8;
    const PACKS_IN_64: bool = Self::BITS <= 32;
    /// The key of NaN, where there is one.
    const NAN_KEY: Option<u64> = None;
    /// The key in as many bits as the element has.
    fn narrow_key(self) -> Self::Key;
    /// An element with this key.
    fn of_key(key: u64) -> Self;
    #[inline(always)]
    fn key(self) -> u64 {
        self.narrow_key().into()
    }
}

macro_rules! unsigned {
    ($($t:ident)*) => {$(
        impl SortKey for $t {
            type Key = $t;
            #[inline(always)]
            fn narrow_key(self) -> $t { self }
            #[inline(always)]
            fn of_key(key: u64) -> $t { key as $t }
        }
    )*};
}
unsigned!(u8 u16 u32 u64);

macro_rules! signed {
    ($($t:ident $unsigned:ident;)*) => {$(
        impl SortKey for $t {
            type Key = $unsigned;
            #[inline(always)]
            fn narrow_key(self) -> $unsigned { self as $unsigned ^ (1 << ($t::BITS - 1)) }
            #[inline(always)]
            fn of_key(key: u64) -> $t { (key as $unsigned ^ (1 << ($t::BITS - 1))) as $t }
        }
    )*};
}
signed! { i8 u8; i16 u16; i32 u32; i64 u64; }

impl SortKey for Bool {
    type Key = u8;
    #[inline(always)]
    fn narrow_key(self) -> u8 {
        u8::from(self.get())
    }
    #[inline(always)]
    fn of_key(key: u64) -> Bool {
        (key != 0).into()
    }
}

macro_rules! float {
    ($($t:ident $bits:ident;)*) => {$(
        impl SortKey for $t {
            type Key = $bits;
            const NAN_KEY: Option<u64> = Some($bits::MAX as u64);
            #[inline(always)]
            fn narrow_key(self) -> $bits {
                const SIGN: $bits = 1 << ($bits::BITS - 1);
                const INFINITY: $bits = $t::INFINITY.to_bits();
                let bits = self.to_bits();
                let magnitude = bits & !SIGN;
                let ordered = if bits > SIGN { !bits } else { magnitude | SIGN };
                if magnitude > INFINITY { $bits::MAX } else { ordered }
            }
            #[inline(always)]
            fn of_key(key: u64) -> $t {
                const SIGN: $bits = 1 << ($bits::BITS - 1);
                let key = key as $bits;
                $t::from_bits(match key {
                    $bits::MAX => $t::NAN.to_bits(),
                    key if key & SIGN != 0 => key & !SIGN,
                    key => !key,
                })
            }
        }
    )*};
}
float! { f16 u16; bf16 u16; f32 u32; f64 u64; }

/// Digits of the radix sort.
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;

/// Integers that a radix sort reads digit by digit.
pub trait Digits: Copy + Ord {
    fn digit(self, shift: u32) -> usize;
}

impl Digits for u64 {
    #[inline(always)]
    fn digit(self, shift: u32) -> usize {
        (self >> shift) as usize & (DIGITS - 1)
    }
}

impl Digits for u128 {
    #[inline(always)]
    fn digit(self, shift: u32) -> usize {
        (self >> shift) as usize & (DIGITS - 1)
    }
}

/// A key with the position it came from, in one integer: sorting it is a stable sort of the keys.
pub trait Packed: Digits + Send + Sync {
    /// The key's lowest bit.
    const KEY_FROM: u32;
    fn pack(key: u64, position: usize) -> Self;
    fn position(self) -> usize;
    fn key(self) -> u64;
}

impl Packed for u64 {
    const KEY_FROM: u32 = 32;
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
}

impl Packed for u128 {
    const KEY_FROM: u32 = 64;
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
}

/// Below it a comparison sort wins over counting digits.
pub const RADIX_FROM: usize = 2048;
/// The same for each pass, where there are few.
pub const PASS_FROM: usize = 512;

/// Sorts packed keys of so many bits; their positions must ascend.
pub fn sort_packed<P: Packed>(items: &mut Buffer<P>, scratch: &mut Buffer<P>, bits: u32) {
    sort_digits(items, scratch, P::KEY_FROM, bits);
}

/// Sorts by so many bits from bit `from` on; those below must ascend where these are equal, those above be zero.
pub fn sort_digits<P: Digits>(
    items: &mut Buffer<P>,
    scratch: &mut Buffer<P>,
    from: u32,
    bits: u32,
) {
    let passes = bits.div_ceil(DIGIT_BITS) as usize;
    if items.len() < RADIX_FROM.min(passes * PASS_FROM) {
        return items.sort_unstable();
    }
    let mut counts = vec![[0usize; DIGITS]; passes];
    for x in items.iter() {
        for (pass, counts) in counts.iter_mut().enumerate() {
            counts[x.digit(from + pass as u32 * DIGIT_BITS)] += 1;
        }
    }
    for (pass, starts) in counts.iter_mut().enumerate() {
        if starts.contains(&items.len()) {
            // All keys agree in this digit.
            continue;
        }
        let mut sum = 0;
        for start in starts.iter_mut() {
            sum += std::mem::replace(start, sum);
        }
        let target = scratch.uninit(items.len());
        for &x in items.iter() {
            let at = &mut starts[x.digit(from + pass as u32 * DIGIT_BITS)];
            target[*at].write(x);
            *at += 1;
        }
        // SAFETY: the counts add up to the number of items.
        unsafe { scratch.set_len(items.len()) };
        std::mem::swap(items, scratch);
    }
}
