//! [`Simd`] for the registers of AVX2 and AVX-512.

use super::simd::Simd;
use std::arch::x86_64::*;

/// `n` set bits.
#[inline(always)]
fn bits(n: usize) -> u32 {
    ((1u64 << n) - 1) as u32
}

/// Masks of AVX2: the window that begins `n` before the middle has `n` lanes.
static WINDOW32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
static WINDOW64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

macro_rules! arithmetic {
    ($add:ident $sub:ident $mul:ident $div:ident $fma:ident) => {
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: the vector exists, so its level does.
            unsafe { $add(self, other) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { $sub(self, other) }
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { $mul(self, other) }
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { $div(self, other) }
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: as above.
            unsafe { $fma(self, factor, sum) }
        }
    };
}

macro_rules! memory {
    ($T:ident $splat:ident $load:ident $store:ident) => {
        #[inline(always)]
        fn splat(x: $T) -> Self {
            // SAFETY: only called at this level.
            unsafe { $splat(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const $T) -> Self {
            // SAFETY: the caller's promise.
            unsafe { $load(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut $T) {
            // SAFETY: the caller's promise.
            unsafe { $store(to, self) };
        }
    };
}

macro_rules! avx512 {
    ($V:ident $Half:ident $T:ident $lanes:literal $M:ident $even:expr, $pairs:expr, $transpose:ident;
        $splat:ident $load:ident $store:ident $maskload:ident $maskstore:ident $compress:ident
        $permute:ident $cmp:ident $blend:ident $($arithmetic:ident)*) => {
        impl Simd for $V {
            type T = $T;
            type Mask = $M;
            type Half = $Half;
            const LANES: usize = $lanes;
            const MANY: bool = true;
            memory!($T $splat $load $store);
            arithmetic!($($arithmetic)*);

            #[inline(always)]
            unsafe fn transpose(from: *const $T, by_from: usize, to: *mut $T, by_to: usize) {
                // SAFETY: the caller's promise.
                unsafe { $transpose(from, by_from, to, by_to) };
            }
            #[inline(always)]
            unsafe fn load_part(from: *const $T, count: usize) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $maskload(bits(count) as $M, from) }
            }
            #[inline(always)]
            unsafe fn store_part(self, to: *mut $T, count: usize) {
                // SAFETY: the caller's promise.
                unsafe { $maskstore(to, bits(count) as $M, self) };
            }
            #[inline(always)]
            unsafe fn load_lanes(from: *const $T, lanes: u32) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $maskload(lanes as $M, from) }
            }
            #[inline(always)]
            unsafe fn load_even(from: *const $T, seen: u32) -> Self {
                // SAFETY: the caller's promise.
                unsafe {
                    let low = $maskload(seen as $M, from);
                    let high = $maskload((seen >> $lanes) as $M, from.wrapping_add($lanes));
                    $permute(low, $even, high)
                }
            }
            #[inline(always)]
            unsafe fn store_lanes(self, to: *mut $T, lanes: u32) {
                // SAFETY: the caller's promise.
                unsafe {
                    if lanes == Self::ALL {
                        $store(to, self);
                    } else {
                        let together = $compress(lanes as $M, self);
                        $maskstore(to, bits(lanes.count_ones() as usize) as $M, together);
                    }
                }
            }
            #[inline(always)]
            unsafe fn store_pairs(self, odd: Self, to: *mut $T, count: usize) {
                let written = bits(count);
                // SAFETY: the caller's promise.
                unsafe {
                    let (low, high) = $pairs;
                    $maskstore(to, written as $M, $permute(self, low, odd));
                    let (to, written) = (to.wrapping_add($lanes), (written >> $lanes) as $M);
                    $maskstore(to, written, $permute(self, high, odd));
                }
            }
            #[inline(always)]
            fn above(self, other: Self) -> $M {
                // SAFETY: the vector exists, so its level does.
                unsafe { $cmp::<_CMP_GT_OQ>(self, other) | $cmp::<_CMP_UNORD_Q>(self, self) }
            }
            #[inline(always)]
            fn select(mask: $M, yes: Self, no: Self) -> Self {
                // SAFETY: as above.
                unsafe { $blend(mask, no, yes) }
            }
        }
    };
}

avx512!(__m512 __m256 f32 16 __mmask16 _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
    (
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
        _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
    ), transpose32;
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_maskz_loadu_ps _mm512_mask_storeu_ps
    _mm512_maskz_compress_ps _mm512_permutex2var_ps _mm512_cmp_ps_mask _mm512_mask_blend_ps
    _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps);
avx512!(__m512d __m256d f64 8 __mmask8 _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
    (_mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15)), transpose64;
    _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_maskz_loadu_pd _mm512_mask_storeu_pd
    _mm512_maskz_compress_pd _mm512_permutex2var_pd _mm512_cmp_pd_mask _mm512_mask_blend_pd
    _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd);

/// 16 rows of 16: pairs of rows, then of pairs, then of groups of four columns.
#[inline(always)]
unsafe fn transpose32(from: *const f32, by_from: usize, to: *mut f32, by_to: usize) {
    // SAFETY: the caller's promise; only called where AVX-512 was detected.
    unsafe {
        let mut a = [_mm512_setzero_ps(); 16];
        for i in 0..16 {
            a[i] = _mm512_loadu_ps(from.add(i * by_from));
        }
        let mut b = a;
        for i in 0..8 {
            b[2 * i] = _mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]);
            b[2 * i + 1] = _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]);
        }
        // a[4 * i + j]: column j of each group of four, of rows 4 * i and on.
        for i in 0..4 {
            let pair = |x: __m512, y: __m512| (_mm512_castps_pd(x), _mm512_castps_pd(y));
            let (x, y) = pair(b[4 * i], b[4 * i + 2]);
            a[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            a[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
            let (x, y) = pair(b[4 * i + 1], b[4 * i + 3]);
            a[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            a[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
        for j in 0..4 {
            let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(a[j], a[4 + j]);
            let low2 = _mm512_shuffle_f32x4::<0b10_00_10_00>(a[8 + j], a[12 + j]);
            let high = _mm512_shuffle_f32x4::<0b11_01_11_01>(a[j], a[4 + j]);
            let high2 = _mm512_shuffle_f32x4::<0b11_01_11_01>(a[8 + j], a[12 + j]);
            b[j] = _mm512_shuffle_f32x4::<0b10_00_10_00>(low, low2);
            b[8 + j] = _mm512_shuffle_f32x4::<0b11_01_11_01>(low, low2);
            b[4 + j] = _mm512_shuffle_f32x4::<0b10_00_10_00>(high, high2);
            b[12 + j] = _mm512_shuffle_f32x4::<0b11_01_11_01>(high, high2);
        }
        for i in 0..16 {
            _mm512_storeu_ps(to.add(i * by_to), b[i]);
        }
    }
}

/// 8 rows of 8 by pairs of rows, then of groups of two columns.
#[inline(always)]
unsafe fn transpose64(from: *const f64, by_from: usize, to: *mut f64, by_to: usize) {
    // SAFETY: the caller's promise; only called where AVX-512 was detected.
    unsafe {
        let mut a = [_mm512_setzero_pd(); 8];
        for i in 0..4 {
            let x = _mm512_loadu_pd(from.add(2 * i * by_from));
            let y = _mm512_loadu_pd(from.add((2 * i + 1) * by_from));
            a[2 * i] = _mm512_unpacklo_pd(x, y);
            a[2 * i + 1] = _mm512_unpackhi_pd(x, y);
        }
        for j in 0..2 {
            let low = _mm512_shuffle_f64x2::<0b10_00_10_00>(a[j], a[2 + j]);
            let low2 = _mm512_shuffle_f64x2::<0b10_00_10_00>(a[4 + j], a[6 + j]);
            let high = _mm512_shuffle_f64x2::<0b11_01_11_01>(a[j], a[2 + j]);
            let high2 = _mm512_shuffle_f64x2::<0b11_01_11_01>(a[4 + j], a[6 + j]);
            let rows = [
                (j, _mm512_shuffle_f64x2::<0b10_00_10_00>(low, low2)),
                (4 + j, _mm512_shuffle_f64x2::<0b11_01_11_01>(low, low2)),
                (2 + j, _mm512_shuffle_f64x2::<0b10_00_10_00>(high, high2)),
                (6 + j, _mm512_shuffle_f64x2::<0b11_01_11_01>(high, high2)),
            ];
            for (row, value) in rows {
                _mm512_storeu_pd(to.add(row * by_to), value);
            }
        }
    }
}

macro_rules! avx2 {
    ($V:ident $T:ident $lanes:literal $window:ident $even:expr, $bits:expr, $has:ident $all:ident;
        $splat:ident $load:ident $store:ident $maskload:ident $maskstore:ident
        $cmp:ident $or:ident $blend:ident $low:ident $high:ident $join:ident $($arithmetic:ident)*) => {
        impl Simd for $V {
            type T = $T;
            type Mask = $V;
            type Half = Self;
            const LANES: usize = $lanes;
            const MANY: bool = false;
            memory!($T $splat $load $store);
            arithmetic!($($arithmetic)*);

            #[inline(always)]
            unsafe fn load_part(from: *const $T, count: usize) -> Self {
                // SAFETY: the caller's promise; the window lies in its table.
                unsafe { $maskload(from, _mm256_loadu_si256($window.as_ptr().add($lanes - count).cast())) }
            }
            #[inline(always)]
            unsafe fn store_part(self, to: *mut $T, count: usize) {
                // SAFETY: as above.
                unsafe { $maskstore(to, _mm256_loadu_si256($window.as_ptr().add($lanes - count).cast()), self) };
            }
            #[inline(always)]
            unsafe fn load_lanes(from: *const $T, lanes: u32) -> Self {
                // SAFETY: the caller's promise.
                unsafe {
                    let bits = $bits;
                    $maskload(from, $has(_mm256_and_si256($all(lanes as _), bits), bits))
                }
            }
            #[inline(always)]
            unsafe fn load_even(from: *const $T, seen: u32) -> Self {
                // SAFETY: the caller's promise.
                unsafe {
                    let low = Self::load_lanes(from, seen);
                    let high = Self::load_lanes(from.wrapping_add($lanes), seen >> $lanes);
                    $even(low, high)
                }
            }
            #[inline(always)]
            unsafe fn store_lanes(self, to: *mut $T, lanes: u32) {
                // SAFETY: the caller's promise.
                unsafe {
                    if lanes == Self::ALL {
                        return $store(to, self);
                    }
                    let mut all = [0.0; $lanes];
                    $store(all.as_mut_ptr(), self);
                    let mut to = to;
                    for (i, &lane) in all.iter().enumerate() {
                        if lanes >> i & 1 == 1 {
                            *to = lane;
                            to = to.add(1);
                        }
                    }
                }
            }
            #[inline(always)]
            unsafe fn store_pairs(self, odd: Self, to: *mut $T, count: usize) {
                // SAFETY: the caller's promise.
                unsafe {
                    let (low, high) = ($low(self, odd), $high(self, odd));
                    let pairs = ($join::<0x20>(low, high), $join::<0x31>(low, high));
                    if count == 2 * $lanes {
                        $store(to, pairs.0);
                        return $store(to.add($lanes), pairs.1);
                    }
                    pairs.0.store_part(to, count.min($lanes));
                    pairs.1.store_part(to.wrapping_add($lanes), count.max($lanes) - $lanes);
                }
            }
            #[inline(always)]
            fn above(self, other: Self) -> $V {
                // SAFETY: the vector exists, so its level does.
                unsafe { $or($cmp::<_CMP_GT_OQ>(self, other), $cmp::<_CMP_UNORD_Q>(self, self)) }
            }
            #[inline(always)]
            fn select(mask: $V, yes: Self, no: Self) -> Self {
                // SAFETY: as above.
                unsafe { $blend(no, yes, mask) }
            }
        }
    };
}

/// The even lanes of two vectors.
#[inline(always)]
unsafe fn even32(low: __m256, high: __m256) -> __m256 {
    // SAFETY: only called where AVX2 was detected.
    unsafe {
        let pairs = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(pairs))
    }
}

#[inline(always)]
unsafe fn even64(low: __m256d, high: __m256d) -> __m256d {
    // SAFETY: as above.
    unsafe { _mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_unpacklo_pd(low, high)) }
}

avx2!(__m256 f32 8 WINDOW32 even32, _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128),
    _mm256_cmpeq_epi32 _mm256_set1_epi32;
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_maskload_ps _mm256_maskstore_ps
    _mm256_cmp_ps _mm256_or_ps _mm256_blendv_ps _mm256_unpacklo_ps _mm256_unpackhi_ps _mm256_permute2f128_ps
    _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps);
avx2!(__m256d f64 4 WINDOW64 even64, _mm256_setr_epi64x(1, 2, 4, 8),
    _mm256_cmpeq_epi64 _mm256_set1_epi64x;
    _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_maskload_pd _mm256_maskstore_pd
    _mm256_cmp_pd _mm256_or_pd _mm256_blendv_pd _mm256_unpacklo_pd _mm256_unpackhi_pd _mm256_permute2f128_pd
    _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd);
