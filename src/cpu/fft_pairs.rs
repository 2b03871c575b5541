//! The step between the spectrum of a real row and that of its pairs of neighbours taken as complex numbers.

use std::sync::Arc;

use num_complex::Complex;

use super::fft::Transform;

/// The step for rows of one length, both ways.
pub struct Exchange<T> {
    /// How many pairs there are.
    pub half: usize,
    /// `exp(-2 pi i k / n)`, for half of the pairs and one.
    pub roots: Arc<[Complex<T>]>,
    /// From pairs to the row, or back, which doubles the numbers.
    pub forward: bool,
    pub scale: T,
}

impl<T: Transform> Exchange<T> {
    /// Makes halves of the spectra of real rows from those of their pairs, or the latter from the former.
    /// `vectors` does some of a row's numbers and tells how many.
    #[inline(always)]
    pub fn rows(
        &self,
        from: &[Complex<T>],
        to: &mut [Complex<T>],
        vectors: impl Fn(&[Complex<T>], &mut [Complex<T>]) -> usize,
    ) {
        let (pairs, row) = (self.half, self.half + 1);
        let (by_from, by_to) = if self.forward {
            (pairs, row)
        } else {
            (row, pairs)
        };
        for (from, to) in from.chunks_exact(by_from).zip(to.chunks_exact_mut(by_to)) {
            self.ends(from, to);
            let done = vectors(from, to);
            self.middle(from, to, done);
        }
    }

    fn factor(&self) -> T {
        let half = if self.forward { 0.5 } else { 1.0 };
        self.scale * T::of(half)
    }

    /// The first and the last number.
    #[inline(always)]
    fn ends(&self, from: &[Complex<T>], to: &mut [Complex<T>]) {
        let (h, first) = (self.half, from[0]);
        let last = if self.forward { first.im } else { from[h].re };
        let (sum, gap) = (
            (first.re + last) * self.scale,
            (first.re - last) * self.scale,
        );
        if self.forward {
            to[0] = Complex::new(sum, T::zero());
            to[h] = Complex::new(gap, T::zero());
        } else {
            to[0] = Complex::new(sum, gap);
        }
    }

    /// The others, but for some.
    #[inline(always)]
    fn middle(&self, from: &[Complex<T>], to: &mut [Complex<T>], done: usize) {
        let (h, factor) = (self.half, self.factor());
        for k in 1 + done..=h / 2 {
            let (a, b, w) = (from[k], from[h - k], self.roots[k]);
            let (sum_re, sum_im) = ((a.re + b.re) * factor, (a.im - b.im) * factor);
            let (gap_re, gap_im) = ((a.re - b.re) * factor, (a.im + b.im) * factor);
            // -i times the root times the gap, or i times the conjugate root times the gap.
            let (odd_re, odd_im) = if self.forward {
                (w.re * gap_im + w.im * gap_re, w.im * gap_im - w.re * gap_re)
            } else {
                (w.im * gap_re - w.re * gap_im, w.re * gap_re + w.im * gap_im)
            };
            to[k] = Complex::new(sum_re + odd_re, sum_im + odd_im);
            to[h - k] = Complex::new(sum_re - odd_re, odd_im - sum_im);
        }
    }
}

/// [`Exchange::rows`] in registers, where the machine has them.
pub fn rows_f32(step: &Exchange<f32>, from: &[Complex<f32>], to: &mut [Complex<f32>]) {
    #[cfg(target_arch = "x86_64")]
    {
        use super::multiversion::{Isa, isa};
        assert!(step.roots.len() > step.half / 2);
        // SAFETY: the instruction set is there, and there are roots enough.
        unsafe {
            match (isa(), step.forward) {
                (Isa::Plain, _) => {}
                (Isa::Avx2, true) => return rows_avx2::<true>(step, from, to),
                (Isa::Avx2, false) => return rows_avx2::<false>(step, from, to),
                (Isa::Avx512, true) => return rows_avx512::<true>(step, from, to),
                (Isa::Avx512, false) => return rows_avx512::<false>(step, from, to),
            }
        }
    }
    step.rows(from, to, |_, _| 0);
}

/// # Safety
/// AVX2 is there, and a root for each of half of the pairs, and one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_avx2<const FORWARD: bool>(
    step: &Exchange<f32>,
    from: &[Complex<f32>],
    to: &mut [Complex<f32>],
) {
    // SAFETY: the caller's promise; rows have all numbers.
    step.rows(from, to, |from, to| unsafe {
        avx2::<FORWARD>(step, from, to)
    });
}

/// # Safety
/// As for [`rows_avx2`], with AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn rows_avx512<const FORWARD: bool>(
    step: &Exchange<f32>,
    from: &[Complex<f32>],
    to: &mut [Complex<f32>],
) {
    // SAFETY: the caller's promise; rows have all numbers.
    step.rows(from, to, |from, to| unsafe {
        avx512::<FORWARD>(step, from, to)
    });
}

/// # Safety
/// As for [`rows_avx2`]; both sides have a number for each pair.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const FORWARD: bool>(
    step: &Exchange<f32>,
    from: &[Complex<f32>],
    to: &mut [Complex<f32>],
) -> usize {
    use std::arch::x86_64::*;
    let h = step.half;
    let pairs = h.saturating_sub(1) / 2;
    let (from, to) = (from.as_ptr().cast::<f32>(), to.as_mut_ptr().cast::<f32>());
    let mut done = 0;
    // SAFETY: the caller's promise.
    unsafe {
        let factor = _mm256_set1_ps(step.factor());
        let odd_signs = _mm256_setr_ps(0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0);
        let even_signs = _mm256_setr_ps(-0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0);
        let turn = |x| _mm256_castpd_ps(_mm256_permute4x64_pd::<0x1b>(_mm256_castps_pd(x)));
        while done + 4 <= pairs {
            let k = done + 1;
            let (low, high) = (2 * k, 2 * (h - k - 3));
            let a = _mm256_loadu_ps(from.add(low));
            let b = _mm256_xor_ps(turn(_mm256_loadu_ps(from.add(high))), odd_signs);
            let sum = _mm256_mul_ps(_mm256_add_ps(a, b), factor);
            let gap = _mm256_mul_ps(_mm256_sub_ps(a, b), factor);
            let swapped = _mm256_permute_ps::<0xb1>(gap);
            let turned = _mm256_xor_ps(swapped, if FORWARD { odd_signs } else { even_signs });
            let w = _mm256_loadu_ps(step.roots.as_ptr().add(k).cast());
            let (re, im) = (_mm256_moveldup_ps(w), _mm256_movehdup_ps(w));
            let crossed = _mm256_mul_ps(im, _mm256_permute_ps::<0xb1>(turned));
            let odd = if FORWARD {
                _mm256_fmaddsub_ps(re, turned, crossed)
            } else {
                _mm256_fmsubadd_ps(re, turned, crossed)
            };
            _mm256_storeu_ps(to.add(low), _mm256_add_ps(sum, odd));
            let rest = _mm256_xor_ps(_mm256_sub_ps(sum, odd), odd_signs);
            _mm256_storeu_ps(to.add(high), turn(rest));
            done += 4;
        }
    }
    done
}

/// # Safety
/// As for [`avx2`], with AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<const FORWARD: bool>(
    step: &Exchange<f32>,
    from: &[Complex<f32>],
    to: &mut [Complex<f32>],
) -> usize {
    use std::arch::x86_64::*;
    let h = step.half;
    let (from, to) = (from.as_ptr().cast::<f64>(), to.as_mut_ptr().cast::<f64>());
    let roots = step.roots.as_ptr().cast::<f64>();
    let factor = _mm512_set1_ps(step.factor());
    let odd_signs = _mm512_castpd_ps(_mm512_set1_pd(f64::from_bits(1 << 63)));
    let even_signs = _mm512_castpd_ps(_mm512_set1_pd(f64::from_bits(1 << 31)));
    let backwards = _mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    let turn = |x| _mm512_permutexvar_pd(backwards, x);
    for k in (1..=h / 2).step_by(8) {
        let count = (h / 2 + 1 - k).min(8);
        let (first, last) = (0xff_u8 >> (8 - count), 0xff_u8 << (8 - count));
        // The numbers `h - k`, `h - k - 1`, .. in the last lanes of what begins here.
        let high = (h - k).wrapping_sub(7);
        // SAFETY: the caller's promise; masks keep other numbers out.
        unsafe {
            let a = _mm512_castpd_ps(_mm512_maskz_loadu_pd(first, from.add(k)));
            let b = turn(_mm512_maskz_loadu_pd(last, from.wrapping_add(high)));
            let b = _mm512_xor_ps(_mm512_castpd_ps(b), odd_signs);
            let sum = _mm512_mul_ps(_mm512_add_ps(a, b), factor);
            let gap = _mm512_mul_ps(_mm512_sub_ps(a, b), factor);
            let swapped = _mm512_permute_ps::<0xb1>(gap);
            let turned = _mm512_xor_ps(swapped, if FORWARD { odd_signs } else { even_signs });
            let w = _mm512_castpd_ps(_mm512_maskz_loadu_pd(first, roots.add(k)));
            let (re, im) = (_mm512_moveldup_ps(w), _mm512_movehdup_ps(w));
            let crossed = _mm512_mul_ps(im, _mm512_permute_ps::<0xb1>(turned));
            let odd = if FORWARD {
                _mm512_fmaddsub_ps(re, turned, crossed)
            } else {
                _mm512_fmsubadd_ps(re, turned, crossed)
            };
            let low = _mm512_castps_pd(_mm512_add_ps(sum, odd));
            let rest = _mm512_xor_ps(_mm512_sub_ps(sum, odd), odd_signs);
            let rest = turn(_mm512_castps_pd(rest));
            // Stores with masks cost more.
            if count == 8 {
                _mm512_storeu_pd(to.add(k), low);
                _mm512_storeu_pd(to.wrapping_add(high), rest);
            } else {
                _mm512_mask_storeu_pd(to.add(k), first, low);
                _mm512_mask_storeu_pd(to.wrapping_add(high), last, rest);
            }
        }
    }
    h / 2
}
