//! The step between the spectrum of a real row and that of its pairs of neighbours taken as complex numbers.

use num_complex::Complex;

use super::fft::Transform;

/// Makes half of the spectrum of a real row from that of its pairs, or the latter (times two) from the former, but for
/// the ends. `roots` are `exp(-2 pi i k / n)`.
#[inline(always)]
pub fn exchange<T: Transform>(z: &mut [Complex<T>], roots: &[Complex<T>], forward: bool) {
    let h = z.len() - 1;
    let factor = T::of(if forward { 0.5 } else { 1.0 });
    for k in 1 + T::exchange_in_vectors(z, roots, forward)..=h / 2 {
        let (a, b, w) = (z[k], z[h - k], roots[k]);
        let (sum_re, sum_im) = ((a.re + b.re) * factor, (a.im - b.im) * factor);
        let (gap_re, gap_im) = ((a.re - b.re) * factor, (a.im + b.im) * factor);
        // -i times the root times the gap, or i times the conjugate root times the gap.
        let (odd_re, odd_im) = if forward {
            (w.re * gap_im + w.im * gap_re, w.im * gap_im - w.re * gap_re)
        } else {
            (w.im * gap_re - w.re * gap_im, w.re * gap_re + w.im * gap_im)
        };
        z[k] = Complex::new(sum_re + odd_re, sum_im + odd_im);
        z[h - k] = Complex::new(sum_re - odd_re, odd_im - sum_im);
    }
}

/// The part of [`exchange`] that goes in whole registers: returns how many numbers are done from the first on.
#[cfg(target_arch = "x86_64")]
pub fn exchange_f32(z: &mut [Complex<f32>], roots: &[Complex<f32>], forward: bool) -> usize {
    use super::multiversion::{Isa, isa};
    if isa() == Isa::Plain || roots.len() <= (z.len() - 1) / 2 {
        return 0;
    }
    // SAFETY: the instruction set is there, and roots for half of the numbers.
    unsafe {
        if forward {
            avx2::<true>(z, roots)
        } else {
            avx2::<false>(z, roots)
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn exchange_f32(_: &mut [Complex<f32>], _: &[Complex<f32>], _: bool) -> usize {
    0
}

/// # Safety
/// AVX2 is there, and a root for each of the first half of the numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const FORWARD: bool>(z: &mut [Complex<f32>], roots: &[Complex<f32>]) -> usize {
    use std::arch::x86_64::*;
    let h = z.len() - 1;
    let pairs = h.saturating_sub(1) / 2;
    let numbers = z.as_mut_ptr().cast::<f32>();
    let mut done = 0;
    // SAFETY: the caller's promise; the low numbers end before the high ones begin.
    unsafe {
        let factor = _mm256_set1_ps(if FORWARD { 0.5 } else { 1.0 });
        let odd_signs = _mm256_setr_ps(0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0);
        let even_signs = _mm256_setr_ps(-0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0);
        let turn = |x| _mm256_castpd_ps(_mm256_permute4x64_pd::<0x1b>(_mm256_castps_pd(x)));
        while done + 4 <= pairs {
            let k = done + 1;
            let (low, high) = (numbers.add(2 * k), numbers.add(2 * (h - k - 3)));
            let a = _mm256_loadu_ps(low);
            let b = _mm256_xor_ps(turn(_mm256_loadu_ps(high)), odd_signs);
            let sum = _mm256_mul_ps(_mm256_add_ps(a, b), factor);
            let gap = _mm256_mul_ps(_mm256_sub_ps(a, b), factor);
            let swapped = _mm256_permute_ps::<0xb1>(gap);
            let turned = _mm256_xor_ps(swapped, if FORWARD { odd_signs } else { even_signs });
            let w = _mm256_loadu_ps(roots.as_ptr().add(k).cast());
            let (re, im) = (_mm256_moveldup_ps(w), _mm256_movehdup_ps(w));
            let crossed = _mm256_mul_ps(im, _mm256_permute_ps::<0xb1>(turned));
            let odd = if FORWARD {
                _mm256_fmaddsub_ps(re, turned, crossed)
            } else {
                _mm256_fmsubadd_ps(re, turned, crossed)
            };
            _mm256_storeu_ps(low, _mm256_add_ps(sum, odd));
            _mm256_storeu_ps(
                high,
                turn(_mm256_xor_ps(_mm256_sub_ps(sum, odd), odd_signs)),
            );
            done += 4;
        }
    }
    done
}
