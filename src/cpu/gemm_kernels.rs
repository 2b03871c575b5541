//! The innermost loop of the blocked products: a tile of the result in vector registers, written once and
//! compiled for every kind of element and instruction set.

use std::arch::x86_64::*;

/// One instruction set's vectors for one kind of packed element.
pub trait Simd: 'static {
    /// What panels hold: a number, or a pair of steps of half precision.
    type Packed: Copy + Default;
    /// What is summed in.
    type Sum: Copy + Default + std::ops::Add<Output = Self::Sum>;
    /// A register of packed elements.
    type Factors: Copy;
    /// A register of sums.
    type Sums: Copy;
    /// Sums in a register.
    const LANES: usize;
    /// Rows of a tile.
    const ROWS: usize;
    /// Registers in a row of a tile.
    const WIDE: usize;

    /// # Safety
    /// The instruction set is there, as for all of these functions; pointers are good for a register.
    unsafe fn sums(from: *const Self::Sum) -> Self::Sums;
    unsafe fn zero() -> Self::Sums;
    unsafe fn store(to: *mut Self::Sum, sums: Self::Sums);
    unsafe fn load(from: *const Self::Packed) -> Self::Factors;
    /// The element at `from` in every lane.
    unsafe fn splat(from: *const Self::Packed) -> Self::Factors;
    unsafe fn multiply_add(a: Self::Factors, b: Self::Factors, sums: Self::Sums) -> Self::Sums;

    /// Adds the product of two panels of `depth` steps to a tile of `ROWS` times `WIDE * LANES` sums,
    /// of which only the first `rows` and `cols` are wanted. The tile starts at zero unless `resume`.
    unsafe fn tile(
        size: (usize, usize),
        depth: usize,
        a: *const Self::Packed,
        b: *const Self::Packed,
        tile: *mut Self::Sum,
        resume: bool,
    );

    /// The sum of the products of `n` elements each.
    unsafe fn dot(n: usize, a: *const Self::Packed, b: *const Self::Packed) -> Self::Sum;
}

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
    tile: *mut S::Sum,
    resume: bool,
) {
    let width = S::WIDE * S::LANES;
    // SAFETY: the caller's promise: panels of `depth` steps, and a whole tile.
    unsafe {
        let mut sums = [[S::zero(); W]; R];
        if resume {
            for i in 0..R {
                for j in 0..W {
                    sums[i][j] = S::sums(tile.add(i * width + j * S::LANES));
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
            b = b.add(width);
        }
        for i in 0..R {
            for j in 0..W {
                S::store(tile.add(i * width + j * S::LANES), sums[i][j]);
            }
        }
    }
}

/// Declares an instruction set's vectors and its `tile`, with a version of the loop for each size in the lists.
macro_rules! simd {
    ($name:ident, $features:literal, $Packed:ty, $Sum:ty, $Factors:ty, $Sums:ty, $lanes:literal,
     [$($row_limit:literal)*], $wide:tt, $rows:literal x $columns:literal,
     $sums:expr, $zero:expr, $store:expr, $load:expr, $splat:expr, $fma:expr) => {
        pub struct $name;

        impl Simd for $name {
            type Packed = $Packed;
            type Sum = $Sum;
            type Factors = $Factors;
            type Sums = $Sums;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            const WIDE: usize = $columns;

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
            unsafe fn tile(
                (rows, cols): (usize, usize),
                depth: usize,
                a: *const $Packed,
                b: *const $Packed,
                tile: *mut $Sum,
                resume: bool,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    simd!(@rows [$($row_limit)*] $wide (rows, cols.div_ceil($lanes)) (depth, a, b, tile, resume))
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn dot(n: usize, a: *const $Packed, b: *const $Packed) -> $Sum {
                // SAFETY: the caller's promise.
                unsafe { dot::<Self>(n, a, b) }
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
    _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    _mm512_loadu_ps, |x: *const f32| _mm512_set1_ps(*x), _mm512_fmadd_ps
);
simd!(
    F64x8, "avx512f,avx512bw,avx512dq,avx512vl,fma", f64, f64, __m512d, __m512d, 8,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    _mm512_loadu_pd, _mm512_setzero_pd, _mm512_storeu_pd,
    _mm512_loadu_pd, |x: *const f64| _mm512_set1_pd(*x), _mm512_fmadd_pd
);
simd!(
    Bf16x32, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma", u32, f32, __m512i, __m512, 16,
    [1 2 4 6 8 12], [1 2], 12 x 2,
    _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    |x: *const u32| _mm512_loadu_si512(x.cast()), |x: *const u32| _mm512_set1_epi32((*x).cast_signed()),
    |a, b, sums| _mm512_dpbf16_ps(sums, pairs(a), pairs(b))
);
simd!(
    F32x8, "avx2,fma", f32, f32, __m256, __m256, 8,
    [1 2 4 6], [1 2], 6 x 2,
    _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    _mm256_loadu_ps, |x: *const f32| _mm256_set1_ps(*x), _mm256_fmadd_ps
);
simd!(
    F64x4, "avx2,fma", f64, f64, __m256d, __m256d, 4,
    [1 2 4 6], [1 2], 6 x 2,
    _mm256_loadu_pd, _mm256_setzero_pd, _mm256_storeu_pd,
    _mm256_loadu_pd, |x: *const f64| _mm256_set1_pd(*x), _mm256_fmadd_pd
);

#[inline(always)]
fn pairs(register: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without a meaning of their own.
    unsafe { std::mem::transmute(register) }
}
