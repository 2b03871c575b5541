//! The innermost loop of the blocked products: a tile of the result in vector registers, written once and
//! compiled for every kind of element and instruction set.

use super::gemm_tile::{Tile, Tiles};
use std::arch::x86_64::*;
use std::num::Wrapping;

/// One instruction set's vectors for one kind of packed element.
pub trait Simd: Tiles<Packed: Default, Sum: Default + std::ops::Add<Output = Self::Sum>> {
    /// A register of packed elements.
    type Factors: Copy;
    /// A register of sums.
    type Sums: Copy;
    /// Sums in a register.
    const LANES: usize;

    /// # Safety
    /// The instruction set is there, as for all of these functions; pointers are good for a register.
    unsafe fn sums(from: *const Self::Sum) -> Self::Sums;
    unsafe fn zero() -> Self::Sums;
    unsafe fn store(to: *mut Self::Sum, sums: Self::Sums);
    /// All lanes added up.
    unsafe fn total(sums: Self::Sums) -> Self::Sum;
    unsafe fn load(from: *const Self::Packed) -> Self::Factors;
    /// The element at `from` in every lane.
    unsafe fn splat(from: *const Self::Packed) -> Self::Factors;
    unsafe fn multiply_add(a: Self::Factors, b: Self::Factors, sums: Self::Sums) -> Self::Sums;

    /// The sum of the products of `n` elements each.
    unsafe fn dot(n: usize, a: *const Self::Packed, b: *const Self::Packed) -> Self::Sum;

    /// The products of each of `rows` runs of `n` elements with each of `cols` others, up to [`DOTS`] of both; the
    /// runs lie `a.1` and `b.1` bytes apart.
    unsafe fn dots(
        size: (usize, usize),
        n: usize,
        a: (*const Self::Packed, isize),
        b: (*const Self::Packed, isize),
    ) -> [[Self::Sum; DOTS]; DOTS];
}

/// Rows and columns of dot products that are computed together.
pub const DOTS: usize = 4;

/// Independent registers of sums of a dot product.
const SUMS: usize = 4;
/// At least the elements in a register.
const MOST_LANES: usize = 16;

#[inline(always)]
unsafe fn dot<S: Simd>(n: usize, a: *const S::Packed, b: *const S::Packed) -> S::Sum {
    let mut lanes = [S::Sum::default(); MOST_LANES];
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [S::zero(); SUMS];
        let add = |sums: S::Sums, a: *const S::Packed, b: *const S::Packed| {
            S::multiply_add(S::load(a), S::load(b), sums)
        };
        let mut at = 0;
        while at + SUMS * S::LANES <= n {
            for (i, sums) in sums.iter_mut().enumerate() {
                let at = at + i * S::LANES;
                *sums = add(*sums, a.add(at), b.add(at));
            }
            at += SUMS * S::LANES;
        }
        while at < n {
            let count = S::LANES.min(n - at);
            let mut ends = [[S::Packed::default(); MOST_LANES]; 2];
            std::ptr::copy_nonoverlapping(a.add(at), ends[0].as_mut_ptr(), count);
            std::ptr::copy_nonoverlapping(b.add(at), ends[1].as_mut_ptr(), count);
            sums[0] = add(sums[0], ends[0].as_ptr(), ends[1].as_ptr());
            at += count;
        }
        let mut total = [S::Sum::default(); MOST_LANES];
        for register in sums {
            S::store(lanes.as_mut_ptr(), register);
            for (total, lane) in total.iter_mut().zip(lanes) {
                *total = *total + lane;
            }
        }
        total
            .into_iter()
            .fold(S::Sum::default(), |sum, lane| sum + lane)
    }
}

/// `R` rows of `W` registers each of a tile.
#[inline(always)]
unsafe fn part<S: Simd, const R: usize, const W: usize>(
    depth: usize,
    mut a: *const S::Packed,
    mut b: *const S::Packed,
    tile: Tile<S::Sum>,
) {
    let Tile {
        from,
        from_row,
        to,
        to_row,
    } = tile;
    // SAFETY: the caller's promise: panels of `depth` steps, and a whole tile.
    unsafe {
        let mut sums = [[S::zero(); W]; R];
        if !from.is_null() {
            for i in 0..R {
                for j in 0..W {
                    sums[i][j] = S::sums(from.offset(i as isize * from_row).add(j * S::LANES));
                }
            }
        }
        for _ in 0..depth {
            let mut columns = [S::load(b); W];
            for j in 1..W {
                columns[j] = S::load(b.add(j * S::LANES));
            }
            for i in 0..R {
                let x = S::splat(a.add(i));
                for j in 0..W {
                    sums[i][j] = S::multiply_add(x, columns[j], sums[i][j]);
                }
            }
            a = a.add(S::ROWS);
            b = b.add(S::COLS);
        }
        for i in 0..R {
            for j in 0..W {
                S::store(to.offset(i as isize * to_row).add(j * S::LANES), sums[i][j]);
            }
        }
    }
}

/// `R` times `C` dot products.
#[inline(always)]
unsafe fn products<S: Simd, const R: usize, const C: usize>(
    n: usize,
    a: (*const S::Packed, isize),
    b: (*const S::Packed, isize),
) -> [[S::Sum; DOTS]; DOTS] {
    let mut out = [[S::Sum::default(); DOTS]; DOTS];
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[S::zero(); C]; R];
        let run = |(first, step): (*const S::Packed, isize), i: usize| {
            first.byte_offset(i as isize * step)
        };
        let (lefts, rights): ([_; R], [_; C]) = (
            std::array::from_fn(|i| run(a, i)),
            std::array::from_fn(|j| run(b, j)),
        );
        let whole = n / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            let mut columns = [S::load(rights[0].add(at)); C];
            for j in 1..C {
                columns[j] = S::load(rights[j].add(at));
            }
            for i in 0..R {
                let x = S::load(lefts[i].add(at));
                for j in 0..C {
                    sums[i][j] = S::multiply_add(x, columns[j], sums[i][j]);
                }
            }
        }
        if whole < n {
            let end = |run: *const S::Packed| {
                let mut end = [S::Packed::default(); MOST_LANES];
                let bytes = (n - whole) * size_of::<S::Packed>();
                let from = run.add(whole).cast::<u8>();
                std::ptr::copy_nonoverlapping(from, end.as_mut_ptr().cast::<u8>(), bytes);
                S::load(end.as_ptr())
            };
            for j in 0..C {
                let column = end(rights[j]);
                for i in 0..R {
                    sums[i][j] = S::multiply_add(end(lefts[i]), column, sums[i][j]);
                }
            }
        }
        for i in 0..R {
            for j in 0..C {
                out[i][j] = S::total(sums[i][j]);
            }
        }
    }
    out
}

/// Declares an instruction set's vectors and its `tile`, with a version of the loop for each size in the lists.
macro_rules! simd {
    ($name:ident, $features:literal, $Packed:ty, $Sum:ty, $Factors:ty, $Sums:ty, $lanes:literal,
     [$($row_limit:literal)*], $wide:tt, $rows:literal x $columns:literal,
     $sums:expr, $zero:expr, $store:expr, $total:expr, $load:expr, $splat:expr, $fma:expr) => {
        pub struct $name;

        impl Tiles for $name {
            type Packed = $Packed;
            type Sum = $Sum;
            type Ready = ();
            const ROWS: usize = $rows;
            const COLS: usize = $columns * $lanes;
            const DEPTH: usize = 512;
            const SPEED: usize = 1;

            unsafe fn ready() {}

            #[target_feature(enable = $features)]
            unsafe fn tile(
                (rows, cols): (usize, usize),
                depth: usize,
                a: *const $Packed,
                b: *const $Packed,
                tile: Tile<$Sum>,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    simd!(@rows [$($row_limit)*] $wide (rows, cols.div_ceil($lanes)) (depth, a, b, tile))
                }
            }

            fn is_exact(rows: usize, cols: usize) -> bool {
                matches!(rows, $($row_limit)|*) && cols.is_multiple_of($lanes)
            }
        }

        impl Simd for $name {
            type Factors = $Factors;
            type Sums = $Sums;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn sums(from: *const $Sum) -> $Sums {
                // SAFETY: the caller's promise, as in all of these.
                unsafe { $sums(from) }
            }
            #[inline(always)]
            unsafe fn zero() -> $Sums {
                // SAFETY: as above.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn store(to: *mut $Sum, sums: $Sums) {
                // SAFETY: as above.
                unsafe { $store(to, sums) }
            }
            #[inline(always)]
            unsafe fn total(sums: $Sums) -> $Sum {
                // SAFETY: as above.
                unsafe { $total(sums) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $Packed) -> $Factors {
                // SAFETY: as above.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn splat(from: *const $Packed) -> $Factors {
                // SAFETY: as above.
                unsafe { $splat(from) }
            }
            #[inline(always)]
            unsafe fn multiply_add(a: $Factors, b: $Factors, sums: $Sums) -> $Sums {
                // SAFETY: as above.
                unsafe { $fma(a, b, sums) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dot(n: usize, a: *const $Packed, b: *const $Packed) -> $Sum {
                // SAFETY: the caller's promise.
                unsafe { dot::<Self>(n, a, b) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots(
                size: (usize, usize),
                n: usize,
                a: (*const $Packed, isize),
                b: (*const $Packed, isize),
            ) -> [[$Sum; DOTS]; DOTS] {
                // SAFETY: the caller's promise.
                unsafe {
                    match size {
                        (4, 4) => products::<Self, 4, 4>(n, a, b),
                        (1, 4) => products::<Self, 1, 4>(n, a, b),
                        (2, 4) => products::<Self, 2, 4>(n, a, b),
                        (3, 4) => products::<Self, 3, 4>(n, a, b),
                        (rows, cols) => {
                            let mut out = [[<$Sum>::default(); DOTS]; DOTS];
                            for i in 0..rows {
                                for j in 0..cols {
                                    let (a, b) = (a.0.byte_offset(i as isize * a.1), b.0.byte_offset(j as isize * b.1));
                                    out[i][j] = products::<Self, 1, 1>(n, (a, 0), (b, 0))[0][0];
                                }
                            }
                            out
                        }
                    }
                }
            }
        }
    };
    (@rows [$($limit:literal)*] $wide:tt ($rows:expr, $registers:expr) $args:tt) => {
        match $rows {
            $(0..=$limit => simd!(@columns $limit $wide $registers, $args),)*
            _ => unreachable!("a tile has no more rows"),
        }
    };
    (@columns $limit:literal [$($wide:literal)*] $registers:expr, $args:tt) => {
        match $registers {
            $(0..=$wide => part::<Self, $limit, $wide> $args,)*
            _ => unreachable!("a tile has no more columns"),
        }
    };
}

simd!(
    F32x16, "avx512f,avx512bw,avx512dq,avx512vl,fma", f32, f32, __m512, __m512, 16,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_reduce_add_ps,
    _mm512_loadu_ps, |x: *const f32| _mm512_set1_ps(*x), _mm512_fmadd_ps
);
simd!(
    F64x8, "avx512f,avx512bw,avx512dq,avx512vl,fma", f64, f64, __m512d, __m512d, 8,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    _mm512_loadu_pd, _mm512_setzero_pd, _mm512_storeu_pd, _mm512_reduce_add_pd,
    _mm512_loadu_pd, |x: *const f64| _mm512_set1_pd(*x), _mm512_fmadd_pd
);
simd!(
    Bf16x32, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma", u32, f32, __m512i, __m512, 16,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_reduce_add_ps,
    |x: *const u32| _mm512_loadu_si512(x.cast()), |x: *const u32| _mm512_set1_epi32((*x).cast_signed()),
    |a, b, sums| _mm512_dpbf16_ps(sums, pairs(a), pairs(b))
);
simd!(
    F32x8, "avx2,fma", f32, f32, __m256, __m256, 8,
    [1 2 4 6], [1 2], 6 x 2,
    _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps, total_of_eight,
    _mm256_loadu_ps, |x: *const f32| _mm256_set1_ps(*x), _mm256_fmadd_ps
);
simd!(
    F64x4, "avx2,fma", f64, f64, __m256d, __m256d, 4,
    [1 2 4 6], [1 2], 6 x 2,
    _mm256_loadu_pd, _mm256_setzero_pd, _mm256_storeu_pd, total_of_four,
    _mm256_loadu_pd, |x: *const f64| _mm256_set1_pd(*x), _mm256_fmadd_pd
);

simd!(
    I32x16, "avx512f,avx512bw,avx512dq,avx512vl,fma", Wrapping<i32>, Wrapping<i32>, __m512i, __m512i, 16,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    |x: *const Wrapping<i32>| _mm512_loadu_si512(x.cast()), _mm512_setzero_si512,
    |x: *mut Wrapping<i32>, sums| _mm512_storeu_si512(x.cast(), sums),
    |sums| Wrapping(_mm512_reduce_add_epi32(sums)),
    |x: *const Wrapping<i32>| _mm512_loadu_si512(x.cast()),
    |x: *const Wrapping<i32>| _mm512_set1_epi32((*x).0),
    |a, b, sums| _mm512_add_epi32(sums, _mm512_mullo_epi32(a, b))
);
simd!(
    I32x8, "avx2,fma", Wrapping<i32>, Wrapping<i32>, __m256i, __m256i, 8,
    [1 2 4 6], [1 2], 6 x 2,
    |x: *const Wrapping<i32>| _mm256_loadu_si256(x.cast()), _mm256_setzero_si256,
    |x: *mut Wrapping<i32>, sums| _mm256_storeu_si256(x.cast(), sums),
    total_of_eight_integers,
    |x: *const Wrapping<i32>| _mm256_loadu_si256(x.cast()),
    |x: *const Wrapping<i32>| _mm256_set1_epi32((*x).0),
    |a, b, sums| _mm256_add_epi32(sums, _mm256_mullo_epi32(a, b))
);

simd!(
    I64x8, "avx512f,avx512bw,avx512dq,avx512vl,fma", Wrapping<i64>, Wrapping<i64>, __m512i, __m512i, 8,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    |x: *const Wrapping<i64>| _mm512_loadu_si512(x.cast()), _mm512_setzero_si512,
    |x: *mut Wrapping<i64>, sums| _mm512_storeu_si512(x.cast(), sums),
    |sums| Wrapping(_mm512_reduce_add_epi64(sums)),
    |x: *const Wrapping<i64>| _mm512_loadu_si512(x.cast()),
    |x: *const Wrapping<i64>| _mm512_set1_epi64((*x).0),
    |a, b, sums| _mm512_add_epi64(sums, _mm512_mullo_epi64(a, b))
);
simd!(
    I64x4, "avx2,fma", Wrapping<i64>, Wrapping<i64>, __m256i, __m256i, 4,
    [1 2 4 6], [1 2], 6 x 2,
    |x: *const Wrapping<i64>| _mm256_loadu_si256(x.cast()), _mm256_setzero_si256,
    |x: *mut Wrapping<i64>, sums| _mm256_storeu_si256(x.cast(), sums),
    total_of_four_integers,
    |x: *const Wrapping<i64>| _mm256_loadu_si256(x.cast()),
    |x: *const Wrapping<i64>| _mm256_set1_epi64x((*x).0),
    |a, b, sums| _mm256_add_epi64(sums, low_products(a, b))
);

#[inline(always)]
fn pairs(register: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without a meaning of their own.
    unsafe { std::mem::transmute(register) }
}

/// # Safety
/// AVX is there.
#[inline(always)]
unsafe fn total_of_eight(x: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// # Safety
/// AVX is there.
#[inline(always)]
unsafe fn total_of_four(x: __m256d) -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        let two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
    }
}

/// # Safety
/// AVX2 is there.
#[inline(always)]
unsafe fn total_of_eight_integers(x: __m256i) -> Wrapping<i32> {
    let mut lanes = [Wrapping(0); 8];
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), x) };
    lanes.into_iter().sum()
}

/// # Safety
/// AVX2 is there.
#[inline(always)]
unsafe fn total_of_four_integers(x: __m256i) -> Wrapping<i64> {
    let mut lanes = [Wrapping(0); 4];
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), x) };
    lanes.into_iter().sum()
}

/// The low halves of the products of numbers of 64 bits, from those of their halves.
///
/// # Safety
/// AVX2 is there.
#[inline(always)]
unsafe fn low_products(a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let crossed = _mm256_mullo_epi32(a, _mm256_shuffle_epi32::<0xb1>(b));
        let sums = _mm256_add_epi32(crossed, _mm256_srli_epi64::<32>(crossed));
        _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64::<32>(sums))
    }
}
