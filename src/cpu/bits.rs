//! Words of bits that say which of 64 neighbouring elements are set.

/// Elements that are looked at together, a bit for each.
pub const WORD: usize = 64;

/// Which of the bytes are not zero.
#[inline(always)]
pub fn word(bytes: &[u8; WORD]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_setzero_si128,
        };
        let mut bits = 0;
        for (i, part) in bytes.chunks_exact(16).enumerate() {
            // SAFETY: SSE2 is part of the architecture, and the part has 16 bytes.
            let zero = unsafe {
                let part = _mm_loadu_si128(part.as_ptr().cast());
                _mm_movemask_epi8(_mm_cmpeq_epi8(part, _mm_setzero_si128()))
            };
            bits |= u64::from(!zero as u16) << (16 * i);
        }
        bits
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        (0..WORD).fold(0, |bits, i| bits | u64::from(bytes[i] != 0) << i)
    }
}

/// Calls `visit` with the position of every set bit.
#[inline(always)]
pub fn for_each_bit(mut bits: u64, mut visit: impl FnMut(usize)) {
    while bits != 0 {
        visit(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}
