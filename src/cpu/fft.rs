//! Fourier transforms by `rustfft`, along any dimension, complex and real; one plan per length and direction is kept.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use num_complex::Complex;
use parking_lot::Mutex;
use rustfft::{Fft, FftDirection, FftNum, FftPlanner};

use super::fft_pairs::{exchange, exchange_f32};
use super::pool::{self, grain};
use super::reduce::Pointer;

type Plan<T> = Arc<dyn Fft<T>>;
type Roots<T> = Arc<[Complex<T>]>;

/// What is kept between calls.
pub struct Plans<T: FftNum> {
    planner: Option<FftPlanner<T>>,
    known: HashMap<(usize, bool), Plan<T>>,
    /// `exp(-2 pi i k / n)` for `k` up to `n / 4`.
    roots: HashMap<usize, Roots<T>>,
}

/// A real type with transforms.
pub trait Transform: FftNum {
    fn plans() -> &'static Mutex<Plans<Self>>;
    fn of(x: f64) -> Self;
    /// See [`exchange`].
    fn exchange_in_vectors(_: &mut [Complex<Self>], _: &[Complex<Self>], _: bool) -> usize {
        0
    }
}

macro_rules! transform {
    ($($T:ty $(, $exchange:ident)?;)*) => {$(
        impl Transform for $T {
            $(
                fn exchange_in_vectors(z: &mut [Complex<$T>], roots: &[Complex<$T>], forward: bool) -> usize {
                    $exchange(z, roots, forward)
                }
            )?
            fn plans() -> &'static Mutex<Plans<$T>> {
                static PLANS: OnceLock<Mutex<Plans<$T>>> = OnceLock::new();
                PLANS.get_or_init(|| Mutex::new(Plans { planner: None, known: HashMap::new(), roots: HashMap::new() }))
            }
            fn of(x: f64) -> $T {
                x as $T
            }
        }
    )*};
}

transform! {
    f32, exchange_f32;
    f64;
}

fn plan<T: Transform>(len: usize, forward: bool) -> Plan<T> {
    let mut plans = T::plans().lock();
    let Plans { planner, known, .. } = &mut *plans;
    let direction = if forward {
        FftDirection::Forward
    } else {
        FftDirection::Inverse
    };
    let planner = planner.get_or_insert_with(FftPlanner::new);
    known
        .entry((len, forward))
        .or_insert_with(|| planner.plan_fft(len, direction))
        .clone()
}

fn roots<T: Transform>(n: usize) -> Roots<T> {
    let root = |k: usize| {
        let (sin, cos) = (-std::f64::consts::TAU * k as f64 / n as f64).sin_cos();
        Complex::new(T::of(cos), T::of(sin))
    };
    let mut plans = T::plans().lock();
    let kept = plans.roots.entry(n);
    kept.or_insert_with(|| (0..=n / 4).map(root).collect())
        .clone()
}

fn scratch<T: Transform>(n: usize) -> Vec<Complex<T>> {
    vec![Complex::new(T::zero(), T::zero()); n]
}

/// Columns that are gathered and transformed together.
const COLUMNS: usize = 16;

/// Transforms in place along the middle one of the dimensions of row-major data, `(_, len, inner)`, and multiplies by
/// `scale`.
pub fn along<T: Transform>(
    data: &mut [Complex<T>],
    len: usize,
    inner: usize,
    forward: bool,
    scale: T,
) {
    if len == 0 || data.is_empty() {
        return;
    }
    let plan = plan::<T>(len, forward);
    let start = Pointer(data.as_mut_ptr());
    let lines = data.len() / len;
    if inner == 1 {
        return pool::parallel_for(lines, grain::MATH / len + 1, |range| {
            let start = start;
            // SAFETY: every task has rows of its own, inside `data`.
            let rows = unsafe {
                std::slice::from_raw_parts_mut(start.0.add(range.start * len), range.len() * len)
            };
            plan.process_with_scratch(rows, &mut scratch(plan.get_inplace_scratch_len()));
            if scale != T::one() {
                rows.iter_mut().for_each(|x| *x = x.scale(scale));
            }
        });
    }
    let groups = inner.div_ceil(COLUMNS);
    // Rows start a cache line apart from multiples of a page.
    let stride = len + PADDING;
    pool::parallel_for(
        lines / inner * groups,
        grain::MATH / (len * COLUMNS) + 1,
        |range| {
            let start = start;
            let (mut rows, mut rest) = (
                scratch(stride * COLUMNS),
                scratch(plan.get_inplace_scratch_len()),
            );
            for index in range {
                let (outer, first) = (index / groups, index % groups * COLUMNS);
                let width = COLUMNS.min(inner - first);
                let columns = start.0.wrapping_add(outer * len * inner + first);
                // SAFETY: the columns lie in `data` and belong to this task.
                unsafe { gather(columns, inner, &mut rows, (len, width)) };
                for row in rows.chunks_exact_mut(stride).take(width) {
                    plan.process_with_scratch(&mut row[..len], &mut rest);
                }
                // SAFETY: as above.
                unsafe { scatter(columns, inner, &rows, (len, width), scale) };
            }
        },
    );
}

/// Numbers between gathered columns.
const PADDING: usize = 8;

/// # Safety
/// `columns` leads to `len` rows `inner` apart, each good for `width` numbers.
unsafe fn gather<T: Copy>(
    columns: *const T,
    inner: usize,
    rows: &mut [T],
    (len, width): (usize, usize),
) {
    assert!(rows.len() >= width * (len + PADDING));
    let rows = rows.as_mut_ptr();
    for i in 0..len {
        for j in 0..width {
            // SAFETY: the caller's promise; the length was compared.
            unsafe { *rows.add(j * (len + PADDING) + i) = *columns.add(i * inner + j) };
        }
    }
}

/// Undoes [`gather`], and multiplies by `scale`.
///
/// # Safety
/// As for [`gather`].
unsafe fn scatter<T: Transform>(
    columns: *mut Complex<T>,
    inner: usize,
    rows: &[Complex<T>],
    (len, width): (usize, usize),
    scale: T,
) {
    assert!(rows.len() >= width * (len + PADDING));
    for i in 0..len {
        for j in 0..width {
            // SAFETY: the caller's promise; the length was compared.
            unsafe {
                *columns.add(i * inner + j) =
                    rows.get_unchecked(j * (len + PADDING) + i).scale(scale);
            };
        }
    }
}

/// Halves of the spectra of real rows of length `n`, times `scale`: rows of `n / 2 + 1`.
pub fn from_real<T: Transform>(rows: &[T], n: usize, out: &mut [Complex<T>], scale: T) {
    let width = n / 2 + 1;
    let even = n.is_multiple_of(2);
    let plan = plan::<T>(if even { n / 2 } else { n }, true);
    let roots = roots::<T>(n);
    let target = Pointer(out.as_mut_ptr());
    pool::parallel_for(rows.len() / n, grain::MATH / n + 1, |range| {
        let target = target;
        let mut rest = scratch(plan.get_inplace_scratch_len());
        let mut whole = scratch::<T>(if even { 0 } else { n });
        for row in range {
            let real = &rows[row * n..][..n];
            // SAFETY: every task has rows of its own.
            let half = unsafe { std::slice::from_raw_parts_mut(target.0.add(row * width), width) };
            if even {
                // Neighbours as the parts of complex numbers.
                for (z, pair) in half.iter_mut().zip(real.chunks_exact(2)) {
                    *z = Complex::new(pair[0] * scale, pair[1] * scale);
                }
                plan.process_with_scratch(&mut half[..n / 2], &mut rest);
                untangle(half, &roots);
            } else {
                for (z, &x) in whole.iter_mut().zip(real) {
                    *z = Complex::new(x * scale, T::zero());
                }
                plan.process_with_scratch(&mut whole, &mut rest);
                half.copy_from_slice(&whole[..width]);
            }
        }
    });
}

/// The spectrum of a real row from that of its pairs.
fn untangle<T: Transform>(z: &mut [Complex<T>], roots: &[Complex<T>]) {
    let (h, first) = (z.len() - 1, z[0]);
    z[0] = Complex::new(first.re + first.im, T::zero());
    z[h] = Complex::new(first.re - first.im, T::zero());
    exchange(z, roots, true);
}

/// Real rows of length `n` from halves of their spectra, times `scale`.
pub fn to_real<T: Transform>(spectra: &[Complex<T>], n: usize, out: &mut [T], scale: T) {
    let width = n / 2 + 1;
    let even = n.is_multiple_of(2);
    let plan = plan::<T>(if even { n / 2 } else { n }, false);
    let roots = roots::<T>(n);
    let target = Pointer(out.as_mut_ptr());
    pool::parallel_for(spectra.len() / width, grain::MATH / n + 1, |range| {
        let target = target;
        let mut rest = scratch(plan.get_inplace_scratch_len());
        let mut whole = scratch::<T>(n.max(width));
        for row in range {
            whole[..width].copy_from_slice(&spectra[row * width..][..width]);
            // SAFETY: every task has rows of its own.
            let real = unsafe { std::slice::from_raw_parts_mut(target.0.add(row * n), n) };
            if even {
                tangle(&mut whole[..width], &roots);
                plan.process_with_scratch(&mut whole[..n / 2], &mut rest);
                for (pair, z) in real.chunks_exact_mut(2).zip(&whole) {
                    (pair[0], pair[1]) = (z.re * scale, z.im * scale);
                }
            } else {
                whole[0].im = T::zero();
                for k in 1..width {
                    whole[n - k] = whole[k].conj();
                }
                plan.process_with_scratch(&mut whole[..n], &mut rest);
                real.iter_mut()
                    .zip(&whole)
                    .for_each(|(x, z)| *x = z.re * scale);
            }
        }
    });
}

/// The spectrum of the pairs of a real row from half of its own; undoes [`untangle`], but for a factor of two.
fn tangle<T: Transform>(z: &mut [Complex<T>], roots: &[Complex<T>]) {
    let h = z.len() - 1;
    let (first, last) = (z[0].re, z[h].re);
    z[0] = Complex::new(first + last, first - last);
    exchange(z, roots, false);
}
