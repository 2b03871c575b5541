//! Fourier transforms of real rows.

use num_complex::Complex;

use super::fft::{Plan, ROWS, Scratch, Transform, plan, roots};
use super::fft_pairs::Exchange;

/// Two real numbers lie as a complex one does.
fn pairs<T>(numbers: &[T]) -> &[Complex<T>] {
    // SAFETY: as many numbers, and what they need of alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len() / 2) }
}

fn pairs_mut<T>(numbers: &mut [T]) -> &mut [Complex<T>] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len() / 2) }
}

/// Transforms of real rows: neighbours are the parts of complex numbers if there is an even number of them.
pub(super) struct RealRows<T: Transform> {
    n: usize,
    plan: Plan<T>,
    scale: T,
    exchange: Exchange<T>,
}

impl<T: Transform> RealRows<T> {
    pub fn new(n: usize, forward: bool, scale: T) -> Self {
        let half = n / 2;
        let exchange = Exchange {
            half,
            roots: roots(n),
            forward,
            scale,
        };
        RealRows {
            n,
            plan: plan(if n.is_multiple_of(2) { half } else { n }, forward),
            scale,
            exchange,
        }
    }

    /// How many rows are transformed at once.
    fn some(&self) -> usize {
        (ROWS / self.n).max(1)
    }

    pub fn forward(&self, rows: &[T], out: &mut [Complex<T>], scratch: &mut Scratch<T>) {
        let (n, some, width) = (self.n, self.some(), self.n / 2 + 1);
        let (whole, rest) =
            scratch.parts(some * self.plan.len(), self.plan.get_inplace_scratch_len());
        for (rows, out) in rows.chunks(some * n).zip(out.chunks_mut(some * width)) {
            if n.is_multiple_of(2) {
                let spectra = &mut whole[..rows.len() / 2];
                spectra.copy_from_slice(pairs(rows));
                self.plan.process_with_scratch(spectra, rest);
                T::exchange(&self.exchange, spectra, out);
                continue;
            }
            let spectra = &mut whole[..rows.len()];
            for (z, &x) in spectra.iter_mut().zip(rows) {
                *z = Complex::new(x * self.scale, T::zero());
            }
            self.plan.process_with_scratch(spectra, rest);
            for (spectrum, out) in spectra.chunks_exact(n).zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(&spectrum[..width]);
            }
        }
    }

    pub fn backward(&self, halves: &[Complex<T>], out: &mut [T], scratch: &mut Scratch<T>) {
        let (n, some, width) = (self.n, self.some(), self.n / 2 + 1);
        let numbers = if n.is_multiple_of(2) { 0 } else { some * n };
        let (whole, rest) = scratch.parts(numbers, self.plan.get_inplace_scratch_len());
        for (halves, out) in halves.chunks(some * width).zip(out.chunks_mut(some * n)) {
            if n.is_multiple_of(2) {
                let spectra = pairs_mut(out);
                T::exchange(&self.exchange, halves, spectra);
                self.plan.process_with_scratch(spectra, rest);
                continue;
            }
            let spectra = &mut whole[..out.len()];
            for (half, spectrum) in halves.chunks_exact(width).zip(spectra.chunks_exact_mut(n)) {
                spectrum[..width].copy_from_slice(half);
                spectrum[0].im = T::zero();
                for k in 1..width {
                    spectrum[n - k] = half[k].conj();
                }
            }
            self.plan.process_with_scratch(spectra, rest);
            for (x, z) in out.iter_mut().zip(&*spectra) {
                *x = z.re * self.scale;
            }
        }
    }
}
