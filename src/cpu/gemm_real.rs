//! The products of floats, integers and complex numbers.
//!
//! Floats and integers take the blocked products of [`super::gemm_blocked`] once they are large, and the `gemm` crate or
//! plain loops where those have no instructions; small ones take the register tiles of [`super::tiles`].

use super::gemm::{
    Fixed, Gemm, Loose, Mat, Product, Series, begin, by_rows, row_major, useful_threads,
};
#[cfg(target_arch = "x86_64")]
use super::gemm_blocked::{self as blocked, Panels};
#[cfg(target_arch = "x86_64")]
use super::gemm_formats as formats;
#[cfg(target_arch = "x86_64")]
use super::gemm_kernels::Simd;
use super::gemm_precision;
#[cfg(target_arch = "x86_64")]
use super::gemm_thin as thin;
#[cfg(target_arch = "x86_64")]
use super::gemm_tile::Kernel;
#[cfg(target_arch = "x86_64")]
use super::multiversion::{Isa, isa};
use super::pool::{self, grain};
use super::tiles::{self, Lane};
use num_complex::Complex;

/// Products up to this many multiply-adds stay in the register tiles: packing would cost more.
const SMALL: usize = 22 * 22 * 22;

/// Steps up to which a dot product is not worth a call.
const SHORT: usize = 64;

/// Is a row-major product worth less than its call?
fn is_small<T: Copy>(p: &Product<T>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if thin::is_thin(p) {
        return false;
    }
    p.work() <= SMALL && (p.n > 1 || p.k <= SHORT)
}

macro_rules! float_gemm {
    ($($T:ty, $lanes:literal, $Avx512:ident $Avx2:ident
       $(, at $precision:ident)?;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[inline]
            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                // SAFETY: the caller's promise; the instruction set is there.
                unsafe {
                    if product.m == 1 && product.n == 1 {
                        begin(&product, start);
                        return dot(&product, threads, |part| {
                            #[cfg(target_arch = "x86_64")]
                            if part.a.col == 1 && part.b.row == 1 && isa() > Isa::Plain {
                                let sum = match isa() {
                                    Isa::Avx512 => sum_of_products::<formats::$Avx512>(part),
                                    _ => sum_of_products::<formats::$Avx2>(part),
                                };
                                return tiles::store(part, part.c.ptr, sum);
                            }
                            tiles::dot::<$T, $lanes>(part);
                        });
                    }
                    #[cfg(target_arch = "x86_64")]
                    if isa() > Isa::Plain && thin::is_thin(&product) {
                        let threads = useful_threads(&product, threads);
                        return match isa() {
                            Isa::Avx512 => thin::multiply::<formats::$Avx512>(&product, start, threads),
                            _ => thin::multiply::<formats::$Avx2>(&product, start, threads),
                        };
                    }
                    if product.work() <= SMALL && product.n > 1 {
                        begin(&product, start);
                        return tiles::multiply::<$T, $lanes>(&product);
                    }
                    #[cfg(target_arch = "x86_64")]
                    if isa() > Isa::Plain && product.m > 1 && product.n > 1 && product.k > 2 {
                        let threads = useful_threads(&product, threads);
                        return match isa() {
                            Isa::Avx512 => blocked::multiply::<formats::$Avx512>(&product, start, threads),
                            _ => blocked::multiply::<formats::$Avx2>(&product, start, threads),
                        };
                    }
                    begin(&product, start);
                    large(&product, threads);
                }
            }

            $(
                #[inline]
                unsafe fn matmul_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                    // SAFETY: the caller's promise.
                    unsafe {
                        if !$precision::multiply(product, start, threads) {
                            Self::gemm_from(product, start, threads);
                        }
                    }
                }
            )?

            unsafe fn small(series: &Series<Self>) -> bool {
                let series = series.row_major();
                let small = is_small(&series.first);
                if small {
                    // SAFETY: the caller's promise.
                    unsafe { tiles::series::<$T, $lanes>(&series) };
                }
                small
            }

            #[cfg(target_arch = "x86_64")]
            unsafe fn fixed(b: Mat<*const Self>, k: usize, n: usize) -> Box<dyn Fixed<Self>> {
                // SAFETY: the caller's promise; the instruction set is there.
                unsafe {
                    match isa() {
                        Isa::Avx512 => Box::new(Panels::<formats::$Avx512>::new(b, k, n)),
                        Isa::Avx2 => Box::new(Panels::<formats::$Avx2>::new(b, k, n)),
                        Isa::Plain => Box::new(Loose(b)),
                    }
                }
            }
        }
    )*};
}

float_gemm! {
    f32, 16, F32Avx512 F32Avx2, at gemm_precision;
    f64, 8, F64Avx512 F64Avx2;
}

/// Steps of a dot product that are summed by themselves: the same ones on any number of threads.
const DOT: usize = 2 * grain::REDUCE;

/// A product of one row and one column; `serial` computes a part.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn dot<T: Lane>(p: &Product<T>, threads: usize, serial: impl Fn(&Product<T>) + Sync) {
    if p.k <= DOT {
        return serial(p);
    }
    let mut sums = vec![T::ZERO; p.k.div_ceil(DOT)];
    let target = Mat::new(sums.as_mut_ptr(), 1, 1);
    let whole = Product {
        c: target,
        alpha: T::ONE,
        beta: T::ZERO,
        ..*p
    };
    let parts = |range: std::ops::Range<usize>| {
        // The whole structure, which may go to another thread, not its pointers one by one.
        let whole = &whole;
        for i in range {
            serial(&Product {
                k: DOT.min(whole.k - i * DOT),
                a: whole.a.at(0, i * DOT),
                b: whole.b.at(i * DOT, 0),
                c: whole.c.at(i, 0),
                ..*whole
            });
        }
    };
    if threads > 1 {
        pool::parallel_for(sums.len(), 1, parts);
    } else {
        parts(0..sums.len());
    }
    let sum = sums.into_iter().fold(T::ZERO, |sum, part| sum.add(part));
    // SAFETY: the caller's promise.
    unsafe {
        let old = if p.beta == T::ZERO {
            T::ZERO
        } else {
            p.beta.mul(*p.c.ptr)
        };
        *p.c.ptr = p.alpha.mul(sum).add(old);
    }
}

/// The sum of the products of a row and a column in runs.
///
/// # Safety
/// As for [`thin::multiply`].
#[cfg(target_arch = "x86_64")]
unsafe fn sum_of_products<K: Kernel<Unit: Simd>>(p: &Product<K::Element>) -> K::Element {
    // SAFETY: the caller's promise.
    K::narrow(unsafe { K::Unit::dot(p.k, p.a.ptr.cast(), p.b.ptr.cast()) })
}

macro_rules! int_gemm {
    ($($T:ty, $lanes:literal $wide:literal, $Avx512:ident $Avx2:ident;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = 0;
            const ONE: Self = 1;

            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                // Short integers are widened first.
                #[cfg(target_arch = "x86_64")]
                const IN_LANES: bool = size_of::<$T>() >= 4;
                let (product, start) = row_major(*product, start);
                #[cfg(target_arch = "x86_64")]
                if product.m > 1 && product.n > 1 && isa() > Isa::Plain {
                    let threads = useful_threads(&product, threads);
                    // SAFETY: the caller's promise; the instruction set is there.
                    return unsafe {
                        match isa() {
                            Isa::Avx512 => blocked::multiply::<formats::$Avx512>(&product, start, threads),
                            _ => blocked::multiply::<formats::$Avx2>(&product, start, threads),
                        }
                    };
                }
                #[cfg(target_arch = "x86_64")]
                if IN_LANES && product.n > 1 && isa() > Isa::Plain && thin::is_thin(&product) {
                    let threads = useful_threads(&product, threads);
                    // SAFETY: as above.
                    return unsafe {
                        match isa() {
                            Isa::Avx512 => thin::multiply::<formats::$Avx512>(&product, start, threads),
                            _ => thin::multiply::<formats::$Avx2>(&product, start, threads),
                        }
                    };
                }
                // SAFETY: the caller's promise; parts write elements of their own.
                unsafe {
                    begin(&product, start);
                    if product.m == 1 && product.n == 1 {
                        dot(&product, threads, |part| {
                            #[cfg(target_arch = "x86_64")]
                            if IN_LANES && part.a.col == 1 && part.b.row == 1 && isa() > Isa::Plain {
                                let sum = match isa() {
                                    Isa::Avx512 => sum_of_products::<formats::$Avx512>(part),
                                    _ => sum_of_products::<formats::$Avx2>(part),
                                };
                                return tiles::store(part, part.c.ptr, sum);
                            }
                            tiles::dot::<$T, $lanes>(part);
                        });
                    } else if product.m == 1 {
                        by_rows(&product.transposed(), threads, |part| {
                            tiles::multiply::<$T, $wide>(&part.transposed());
                        });
                    } else {
                        by_rows(&product, threads, |part| tiles::multiply::<$T, $lanes>(part));
                    }
                }
            }

            unsafe fn small(series: &Series<Self>) -> bool {
                let series = series.row_major();
                let small = series.first.n <= tiles::FEW && series.first.work() <= SMALL;
                if small {
                    // SAFETY: the caller's promise.
                    unsafe { tiles::series::<$T, $lanes>(&series) };
                }
                small
            }
        }
    )*};
}

int_gemm! {
    u8, 64 64, U8Avx512 U8Avx2;
    i8, 64 64, I8Avx512 I8Avx2;
    u16, 32 64, U16Avx512 U16Avx2;
    i16, 32 64, I16Avx512 I16Avx2;
    u32, 16 64, U32Avx512 U32Avx2;
    i32, 16 64, I32Avx512 I32Avx2;
    u64, 8 32, U64Avx512 U64Avx2;
    i64, 8 32, I64Avx512 I64Avx2;
}

macro_rules! complex_gemm {
    ($($T:ty),*) => {$(
        impl Gemm for Complex<$T> {
            const ZERO: Self = Complex::new(0.0, 0.0);
            const ONE: Self = Complex::new(1.0, 0.0);

            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                // SAFETY: the caller's promise.
                unsafe {
                    begin(&product, start);
                    large(&product, threads);
                }
            }
        }
    )*};
}

complex_gemm!(f32, f64);

/// The product by the `gemm` crate.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn large<T: Gemm>(p: &Product<T>, threads: usize) {
    if p.m == 1 || p.n == 1 || p.k <= 2 {
        let p = if p.m == 1 { p.transposed() } else { *p };
        // The crate runs these on one thread; they are bound by memory, which several threads read faster.
        // SAFETY: the caller's promise; parts write disjoint rows.
        return by_rows(&p, threads, |part| unsafe {
            one_gemm(part, gemm::Parallelism::None);
        });
    }
    if threads <= 1 || p.work() < 2 * grain::GEMM {
        // SAFETY: the caller's promise.
        return unsafe { one_gemm(p, gemm::Parallelism::None) };
    }
    // SAFETY: the caller's promise.
    pool::run_inside(|| unsafe { one_gemm(p, gemm::Parallelism::Rayon(threads)) });
}

/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn one_gemm<T: Gemm>(p: &Product<T>, parallelism: gemm::Parallelism) {
    // SAFETY: the caller's promise. The crate scales what it reads by its `alpha`: our `beta`.
    unsafe {
        gemm::gemm(
            p.m,
            p.n,
            p.k,
            p.c.ptr,
            p.c.col,
            p.c.row,
            p.beta != T::ZERO,
            p.a.ptr,
            p.a.col,
            p.a.row,
            p.b.ptr,
            p.b.col,
            p.b.row,
            p.beta,
            p.alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}
