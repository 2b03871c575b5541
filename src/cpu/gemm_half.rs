//! The products of half precision, summed in f32 and rounded once.

use super::gemm::{Gemm, Mat, Product, begin, row_major, useful_threads};
#[cfg(target_arch = "x86_64")]
use super::gemm_amx;
#[cfg(target_arch = "x86_64")]
use super::gemm_amx_formats::{self, Bf16Amx};
#[cfg(target_arch = "x86_64")]
use super::gemm_blocked as blocked;
#[cfg(target_arch = "x86_64")]
use super::gemm_formats as formats;
#[cfg(target_arch = "x86_64")]
use super::gemm_kernels::Simd;
#[cfg(target_arch = "x86_64")]
use super::gemm_thin as thin;
#[cfg(target_arch = "x86_64")]
use super::gemm_tile::Kernel;
#[cfg(target_arch = "x86_64")]
use super::multiversion::{Isa, isa};
use half::{bf16, f16};

macro_rules! half_gemm {
    ($($T:ident, $Avx512:ident, $Avx2:ident;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = $T::ZERO;
            const ONE: Self = $T::ONE;

            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the caller's promise; the instruction set is there.
                unsafe {
                    let threads = useful_threads(&product, threads);
                    match isa() {
                        Isa::Avx512 if $T::has_pairs() && thin::is_thin(&product) => {
                            return thin::multiply::<<$T as Pairs>::Kernel>(&product, start, threads);
                        }
                        Isa::Avx512 if $T::has_tiles(&product) => {
                            return blocked::multiply::<<$T as Pairs>::Tiles>(&product, start, threads);
                        }
                        Isa::Avx512 if $T::has_pairs() => {
                            return blocked::multiply::<<$T as Pairs>::Kernel>(&product, start, threads);
                        }
                        Isa::Avx512 => return blocked::multiply::<formats::$Avx512>(&product, start, threads),
                        Isa::Avx2 => return blocked::multiply::<formats::$Avx2>(&product, start, threads),
                        Isa::Plain => {}
                    }
                }
                // SAFETY: the caller's promise.
                unsafe {
                    begin(&product, start);
                    widened(&product, threads);
                }
            }
        }
    )*};
}

half_gemm! {
    f16, F16Avx512, F16Avx2;
    bf16, Bf16Avx512, Bf16Avx2;
}

/// Half precision that the machine may multiply in pairs.
#[cfg(target_arch = "x86_64")]
trait Pairs: Sized {
    type Kernel: Kernel<Element = Self, Unit: Simd>;
    type Tiles: Kernel<Element = Self>;
    fn has_pairs() -> bool;
    /// Is there a matrix unit, and does the product repay its use?
    fn has_tiles(product: &Product<Self>) -> bool;
}

#[cfg(target_arch = "x86_64")]
impl Pairs for bf16 {
    type Kernel = formats::Bf16Pairs;
    type Tiles = Bf16Amx;
    fn has_pairs() -> bool {
        is_x86_feature_detected!("avx512bf16")
    }
    fn has_tiles(product: &Product<Self>) -> bool {
        gemm_amx::available() && gemm_amx_formats::pays(product)
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for f16 {
    type Kernel = formats::F16Avx512;
    type Tiles = formats::F16Avx512;
    fn has_pairs() -> bool {
        false
    }
    fn has_tiles(_: &Product<Self>) -> bool {
        false
    }
}

/// The product of copies in f32.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn widened<T: Gemm + Into<f32> + num_traits::FromPrimitive>(p: &Product<T>, threads: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (widen(p.m, p.k, p.a), widen(p.k, p.n, p.b));
        let mut c = widen(p.m, p.n, p.c.into());
        let product = Product {
            m: p.m,
            n: p.n,
            k: p.k,
            a: Mat::new(a.as_ptr(), p.k as isize, 1),
            b: Mat::new(b.as_ptr(), p.n as isize, 1),
            c: Mat::new(c.as_mut_ptr(), p.n as isize, 1),
            alpha: p.alpha.into(),
            beta: p.beta.into(),
        };
        f32::gemm(&product, threads);
        for (at, &value) in c.iter().enumerate() {
            if let Some(value) = T::from_f32(value) {
                *p.c.at(at / p.n, at % p.n).ptr = value;
            }
        }
    }
}

/// A contiguous copy in f32.
///
/// # Safety
/// The matrix lies in live memory.
unsafe fn widen<T: Into<f32> + Copy>(rows: usize, cols: usize, m: Mat<*const T>) -> Vec<f32> {
    let places = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
    // SAFETY: the caller's promise.
    places
        .map(|(i, j)| unsafe { (*m.at(i, j).ptr).into() })
        .collect()
}
