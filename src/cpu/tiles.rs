//! Register-tiled matrix products for small floats and for integers, written once and compiled per
//! instruction set.

use super::gemm::{Gemm, Mat, Product, Series, begin};
#[cfg(target_arch = "x86_64")]
use super::multiversion::{Isa, isa};
use smallvec::SmallVec;

/// Arithmetic of a tile element; integers wrap.
pub trait Lane: Gemm + PartialEq {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * other + sum`, in one rounding if the machine does that in one instruction.
    fn mul_add<const FUSED: bool>(self, other: Self, sum: Self) -> Self;
}

macro_rules! float_lane {
    ($($T:ty),*) => {$(
        impl Lane for $T {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn mul_add<const FUSED: bool>(self, other: Self, sum: Self) -> Self {
                if FUSED { <$T>::mul_add(self, other, sum) } else { self * other + sum }
            }
        }
    )*};
}

macro_rules! int_lane {
    ($($T:ty),*) => {$(
        impl Lane for $T {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn mul_add<const FUSED: bool>(self, other: Self, sum: Self) -> Self {
                self.wrapping_mul(other).wrapping_add(sum)
            }
        }
    )*};
}

float_lane!(f32, f64);
int_lane!(u8, i8, u16, i16, u32, i32, u64, i64);

/// `name(args)` compiled for AVX-512, AVX2 and the baseline, chosen at run time.
macro_rules! per_instruction_set {
    ($name:ident, $body:ident, $Arg:ident) => {
        /// # Safety
        /// As for [`Gemm::gemm`].
        #[inline]
        pub unsafe fn $name<T: Lane, const W: usize>(p: &$Arg<T>) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
                unsafe fn avx512<T: Lane, const W: usize>(p: &$Arg<T>) {
                    // SAFETY: the caller's promise.
                    unsafe { $body::<T, W, true>(p) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2<T: Lane, const W: usize>(p: &$Arg<T>) {
                    // SAFETY: the caller's promise.
                    unsafe { $body::<T, W, true>(p) }
                }
                match isa() {
                    // SAFETY: the features were detected.
                    Isa::Avx512 => return unsafe { avx512::<T, W>(p) },
                    // SAFETY: as above.
                    Isa::Avx2 => return unsafe { avx2::<T, W>(p) },
                    Isa::Plain => {}
                }
            }
            const FUSED: bool = cfg!(target_arch = "aarch64");
            // SAFETY: the caller's promise.
            unsafe { $body::<T, W, FUSED>(p) }
        }
    };
}

per_instruction_set!(series, series_body, Series);
per_instruction_set!(dot, dot_body, Product);

/// # Safety
/// As for [`Gemm::gemm`].
pub unsafe fn multiply<T: Lane, const W: usize>(p: &Product<T>) {
    // SAFETY: the caller's promise.
    unsafe { series::<T, W>(&Series::one(*p)) };
}

/// Lanes for results of few columns, most of whose lanes would be empty otherwise.
pub const FEW: usize = 4;
/// Steps from which on a row times columns in runs is dot products.
const LONG: usize = 32;

/// # Safety
/// As for [`Gemm::gemm`].
#[inline(always)]
unsafe fn series_body<T: Lane, const W: usize, const FUSED: bool>(s: &Series<T>) {
    let mut packed = SmallVec::<[T; 512]>::new();
    for index in s.range.clone() {
        let (p, start) = s.product(index);
        // SAFETY: the caller's promise.
        unsafe {
            begin(&p, start);
            if p.m == 1 && p.b.row == 1 && p.b.col != 1 && p.k >= LONG {
                for j in 0..p.n {
                    let (n, b, c) = (1, p.b.at(0, j), p.c.at(0, j));
                    dot_body::<T, W, FUSED>(&Product { n, b, c, ..p });
                }
            } else if p.n <= FEW {
                panels::<T, FEW, FUSED>(&p, &mut packed);
            } else {
                panels::<T, W, FUSED>(&p, &mut packed);
            }
        }
    }
}

/// # Safety
/// As for [`Gemm::gemm`].
#[inline(always)]
unsafe fn panels<T: Lane, const W: usize, const FUSED: bool>(
    p: &Product<T>,
    packed: &mut SmallVec<[T; 512]>,
) {
    let mut j = 0;
    // SAFETY: the caller's promise; a panel is columns `j .. j + width` of `b`.
    unsafe {
        while j < p.n {
            let width = W.min(p.n - j);
            let b = p.b.at(0, j);
            let panel = if width == W && b.col == 1 {
                b
            } else {
                pack::<T, W>(packed, p.k, width, b);
                Mat::new(packed.as_ptr(), W as isize, 1)
            };
            let mut i = 0;
            while i + 4 <= p.m {
                four_rows::<T, W, FUSED>(p, panel, (i, j, width));
                i += 4;
            }
            while i < p.m {
                one_row::<T, W, FUSED>(p, panel, (i, j, width));
                i += 1;
            }
            j += W;
        }
    }
}

/// Copies a k x `width` panel into rows of `W`, padded with zeros.
///
/// # Safety
/// The panel lies in live memory.
#[inline(always)]
unsafe fn pack<T: Lane, const W: usize>(
    packed: &mut SmallVec<[T; 512]>,
    k: usize,
    width: usize,
    panel: Mat<*const T>,
) {
    packed.clear();
    packed.resize(k * W, T::ZERO);
    for (q, row) in packed.chunks_exact_mut(W).enumerate() {
        let from = panel.ptr.wrapping_offset(q as isize * panel.row);
        for (j, lane) in row[..width].iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *lane = unsafe { *from.offset(j as isize * panel.col) };
        }
    }
}

/// Rows `i .. i + 4`, columns `j .. j + width` of the result. One array and one loop per row: the compiler keeps
/// those in registers, which it does not do for an array of arrays.
///
/// # Safety
/// As for [`Gemm::gemm`]; `panel` has k rows of `W` elements.
#[inline(always)]
unsafe fn four_rows<T: Lane, const W: usize, const FUSED: bool>(
    p: &Product<T>,
    panel: Mat<*const T>,
    (i, j, width): (usize, usize, usize),
) {
    let (mut s0, mut s1, mut s2, mut s3) = ([T::ZERO; W], [T::ZERO; W], [T::ZERO; W], [T::ZERO; W]);
    let a = p.a.ptr.wrapping_offset(i as isize * p.a.row);
    let row = p.a.row;
    for q in 0..p.k as isize {
        let a = a.wrapping_offset(q * p.a.col);
        // SAFETY: the caller's promise.
        let (lanes, x0, x1, x2, x3) = unsafe {
            let lanes = &*panel.ptr.offset(q * panel.row).cast::<[T; W]>();
            (
                lanes,
                *a,
                *a.offset(row),
                *a.offset(2 * row),
                *a.offset(3 * row),
            )
        };
        for l in 0..W {
            s0[l] = x0.mul_add::<FUSED>(lanes[l], s0[l]);
        }
        for l in 0..W {
            s1[l] = x1.mul_add::<FUSED>(lanes[l], s1[l]);
        }
        for l in 0..W {
            s2[l] = x2.mul_add::<FUSED>(lanes[l], s2[l]);
        }
        for l in 0..W {
            s3[l] = x3.mul_add::<FUSED>(lanes[l], s3[l]);
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        store_row(p, (i, j, width), &s0);
        store_row(p, (i + 1, j, width), &s1);
        store_row(p, (i + 2, j, width), &s2);
        store_row(p, (i + 3, j, width), &s3);
    }
}

/// As [`four_rows`], for row `i` alone.
///
/// # Safety
/// As for [`four_rows`].
#[inline(always)]
unsafe fn one_row<T: Lane, const W: usize, const FUSED: bool>(
    p: &Product<T>,
    panel: Mat<*const T>,
    (i, j, width): (usize, usize, usize),
) {
    let mut sums = [T::ZERO; W];
    let a = p.a.ptr.wrapping_offset(i as isize * p.a.row);
    for q in 0..p.k as isize {
        // SAFETY: the caller's promise.
        let (lanes, x) = unsafe {
            (
                &*panel.ptr.offset(q * panel.row).cast::<[T; W]>(),
                *a.offset(q * p.a.col),
            )
        };
        for l in 0..W {
            sums[l] = x.mul_add::<FUSED>(lanes[l], sums[l]);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store_row(p, (i, j, width), &sums) };
}

/// # Safety
/// Row `i`, columns `j .. j + width` lie in the result.
#[inline(always)]
unsafe fn store_row<T: Lane, const W: usize>(
    p: &Product<T>,
    (i, j, width): (usize, usize, usize),
    sums: &[T; W],
) {
    let row =
        p.c.ptr
            .wrapping_offset(i as isize * p.c.row + j as isize * p.c.col);
    // SAFETY: the caller's promise.
    unsafe {
        if p.c.col == 1 && p.alpha == T::ONE && p.beta == T::ZERO {
            if width == W {
                *row.cast::<[T; W]>() = *sums;
            } else {
                for (l, &sum) in sums[..width].iter().enumerate() {
                    *row.add(l) = sum;
                }
            }
            return;
        }
        for (l, &sum) in sums[..width].iter().enumerate() {
            store(p, row.offset(l as isize * p.c.col), sum);
        }
    }
}

/// # Safety
/// `at` is an element of the result.
#[inline(always)]
pub unsafe fn store<T: Lane>(p: &Product<T>, at: *mut T, sum: T) {
    let scaled = if p.alpha == T::ONE {
        sum
    } else {
        p.alpha.mul(sum)
    };
    // SAFETY: the caller's promise.
    unsafe {
        *at = if p.beta == T::ZERO {
            scaled
        } else {
            scaled.add(p.beta.mul(*at))
        }
    };
}

/// A product with one row and one column. Chunks keep four times `W` partial sums.
///
/// # Safety
/// As for [`Gemm::gemm`].
#[inline(always)]
unsafe fn dot_body<T: Lane, const W: usize, const FUSED: bool>(p: &Product<T>) {
    let (a, b) = (p.a.ptr, p.b.ptr);
    let (step_a, step_b) = (p.a.col, p.b.row);
    let mut total = T::ZERO;
    let mut q = 0;
    if step_a == 1 && step_b == 1 {
        let (mut s0, mut s1) = ([T::ZERO; W], [T::ZERO; W]);
        let (mut s2, mut s3) = ([T::ZERO; W], [T::ZERO; W]);
        while q + 4 * W <= p.k {
            // SAFETY: the caller's promise.
            let (x, y) = unsafe {
                (
                    &*a.add(q).cast::<[[T; W]; 4]>(),
                    &*b.add(q).cast::<[[T; W]; 4]>(),
                )
            };
            for l in 0..W {
                s0[l] = x[0][l].mul_add::<FUSED>(y[0][l], s0[l]);
            }
            for l in 0..W {
                s1[l] = x[1][l].mul_add::<FUSED>(y[1][l], s1[l]);
            }
            for l in 0..W {
                s2[l] = x[2][l].mul_add::<FUSED>(y[2][l], s2[l]);
            }
            for l in 0..W {
                s3[l] = x[3][l].mul_add::<FUSED>(y[3][l], s3[l]);
            }
            q += 4 * W;
        }
        let mut lanes = [T::ZERO; W];
        for l in 0..W {
            lanes[l] = s0[l].add(s1[l]).add(s2[l].add(s3[l]));
        }
        let mut half = W / 2;
        while half > 0 {
            for l in 0..half {
                lanes[l] = lanes[l].add(lanes[l + half]);
            }
            half /= 2;
        }
        total = lanes[0];
    }
    while q < p.k {
        let at = q as isize;
        // SAFETY: the caller's promise.
        let (x, y) = unsafe { (*a.offset(at * step_a), *b.offset(at * step_b)) };
        total = x.mul_add::<FUSED>(y, total);
        q += 1;
    }
    // SAFETY: the caller's promise.
    unsafe { store(p, p.c.ptr, total) };
}
