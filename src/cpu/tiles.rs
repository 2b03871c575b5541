//! Register-tiled matrix products for small floats and for integers, written once and compiled per
//! instruction set.

use super::gemm::{Gemm, Mat, Product};
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

/// `name(args)` compiled for AVX-512, AVX2 and the baseline, chosen at run time. `$R` is the number of
/// accumulator rows that the registers hold.
macro_rules! per_instruction_set {
    ($name:ident, $body:ident) => {
        /// # Safety
        /// As for [`Gemm::gemm`].
        #[inline]
        pub unsafe fn $name<T: Lane, const W: usize>(p: &Product<T>) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
                unsafe fn avx512<T: Lane, const W: usize>(p: &Product<T>) {
                    // SAFETY: the caller's promise.
                    unsafe { $body::<T, W, 8, true>(p) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2<T: Lane, const W: usize>(p: &Product<T>) {
                    // SAFETY: the caller's promise.
                    unsafe { $body::<T, W, 6, true>(p) }
                }
                if is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the features were just found.
                    return unsafe { avx512::<T, W>(p) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features were just found.
                    return unsafe { avx2::<T, W>(p) };
                }
            }
            const FUSED: bool = cfg!(target_arch = "aarch64");
            // SAFETY: the caller's promise.
            unsafe { $body::<T, W, 4, FUSED>(p) }
        }
    };
}

per_instruction_set!(multiply, multiply_body);
per_instruction_set!(dot, dot_body);

/// # Safety
/// As for [`Gemm::gemm`].
#[inline(always)]
unsafe fn multiply_body<T: Lane, const W: usize, const R: usize, const FUSED: bool>(
    p: &Product<T>,
) {
    let mut packed = SmallVec::<[T; 512]>::new();
    let mut j = 0;
    while j < p.n {
        let width = W.min(p.n - j);
        let b = p.b.ptr.wrapping_offset(j as isize * p.b.col);
        // SAFETY: the caller's promise; the panel is columns `j .. j + width` of `b`.
        unsafe {
            let panel = if width == W && p.b.col == 1 {
                Mat::new(b, p.b.row, 1)
            } else {
                pack::<T, W>(&mut packed, p.k, width, Mat::new(b, p.b.row, p.b.col));
                Mat::new(packed.as_ptr(), W as isize, 1)
            };
            let mut i = 0;
            while i + R <= p.m {
                tile::<T, W, R, FUSED>(p, panel, i, j, width);
                i += R;
            }
            while i + 2 <= p.m {
                tile::<T, W, 2, FUSED>(p, panel, i, j, width);
                i += 2;
            }
            if i < p.m {
                tile::<T, W, 1, FUSED>(p, panel, i, j, width);
            }
        }
        j += W;
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

/// Rows `i .. i + R`, columns `j .. j + width` of the result.
///
/// # Safety
/// As for [`Gemm::gemm`]; `panel` has k rows of `W` elements.
#[inline(always)]
unsafe fn tile<T: Lane, const W: usize, const R: usize, const FUSED: bool>(
    p: &Product<T>,
    panel: Mat<*const T>,
    i: usize,
    j: usize,
    width: usize,
) {
    let mut sums = [[T::ZERO; W]; R];
    let a = p.a.ptr.wrapping_offset(i as isize * p.a.row);
    for q in 0..p.k as isize {
        // SAFETY: the caller's promise.
        let lanes = unsafe { &*panel.ptr.offset(q * panel.row).cast::<[T; W]>() };
        for (r, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let factor = unsafe { *a.offset(r as isize * p.a.row + q * p.a.col) };
            for (s, &lane) in sum.iter_mut().zip(lanes) {
                *s = factor.mul_add::<FUSED>(lane, *s);
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        let row =
            p.c.ptr
                .wrapping_offset((i + r) as isize * p.c.row + j as isize * p.c.col);
        for (l, &s) in sum[..width].iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { store(p, row.offset(l as isize * p.c.col), s) };
        }
    }
}

/// # Safety
/// `at` is an element of the result.
#[inline(always)]
unsafe fn store<T: Lane>(p: &Product<T>, at: *mut T, sum: T) {
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

/// A product with one row and one column. Chunks keep `R` times `W` partial sums.
///
/// # Safety
/// As for [`Gemm::gemm`].
#[inline(always)]
unsafe fn dot_body<T: Lane, const W: usize, const R: usize, const FUSED: bool>(p: &Product<T>) {
    let (a, b) = (p.a.ptr, p.b.ptr);
    let (step_a, step_b) = (p.a.col, p.b.row);
    let mut total = T::ZERO;
    let mut q = 0;
    if step_a == 1 && step_b == 1 {
        let mut sums = [[T::ZERO; W]; 4];
        while q + 4 * W <= p.k {
            // SAFETY: the caller's promise.
            let (x, y) = unsafe {
                (
                    &*a.add(q).cast::<[[T; W]; 4]>(),
                    &*b.add(q).cast::<[[T; W]; 4]>(),
                )
            };
            for r in 0..4 {
                for l in 0..W {
                    sums[r][l] = x[r][l].mul_add::<FUSED>(y[r][l], sums[r][l]);
                }
            }
            q += 4 * W;
        }
        let mut lanes = [T::ZERO; W];
        for l in 0..W {
            lanes[l] = sums[0][l].add(sums[1][l]).add(sums[2][l].add(sums[3][l]));
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
