//! Fourier transforms by `rustfft`, along any dimension, complex and real; one plan per length and direction is kept.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use num_complex::Complex;
use parking_lot::Mutex;
use rustfft::{Fft, FftDirection, FftNum, FftPlanner};

pub use super::fft_lines::Axis;
use super::fft_lines::Pass;
use super::fft_pairs::{Exchange, rows_f32};
use super::fft_real::RealRows;
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd;

pub(super) type Plan<T> = Arc<dyn Fft<T>>;
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
    /// See [`Exchange::rows`].
    fn exchange(step: &Exchange<Self>, from: &[Complex<Self>], to: &mut [Complex<Self>]) {
        step.rows(from, to, |_, _| 0);
    }
    /// Rows as columns, as in [`simd::turn`].
    ///
    /// # Safety
    /// As there.
    unsafe fn transpose(
        from: *const Complex<Self>,
        size: (usize, usize),
        by_from: usize,
        to: *mut Complex<Self>,
        by_to: usize,
    );
}

macro_rules! plans {
    ($T:ty) => {
        fn plans() -> &'static Mutex<Plans<$T>> {
            static PLANS: OnceLock<Mutex<Plans<$T>>> = OnceLock::new();
            PLANS.get_or_init(|| {
                Mutex::new(Plans {
                    planner: None,
                    known: HashMap::new(),
                    roots: HashMap::new(),
                })
            })
        }
        fn of(x: f64) -> $T {
            x as $T
        }
    };
}

impl Transform for f32 {
    plans!(f32);
    fn exchange(step: &Exchange<f32>, from: &[Complex<f32>], to: &mut [Complex<f32>]) {
        rows_f32(step, from, to);
    }
    unsafe fn transpose(
        from: *const Complex<f32>,
        size: (usize, usize),
        by_from: usize,
        to: *mut Complex<f32>,
        by_to: usize,
    ) {
        // A complex number moves as one number of its size.
        // SAFETY: the caller's promise.
        unsafe { simd::turn::<f64>(from.cast(), size, by_from, to.cast(), by_to) };
    }
}

impl Transform for f64 {
    plans!(f64);
    unsafe fn transpose(
        from: *const Complex<f64>,
        (rows, columns): (usize, usize),
        by_from: usize,
        to: *mut Complex<f64>,
        by_to: usize,
    ) {
        for i in 0..rows {
            for j in 0..columns {
                // SAFETY: the caller's promise.
                unsafe { *to.add(j * by_to + i) = *from.add(i * by_from + j) };
            }
        }
    }
}

pub(super) fn plan<T: Transform>(len: usize, forward: bool) -> Plan<T> {
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

pub(super) fn roots<T: Transform>(n: usize) -> Roots<T> {
    let root = |k: usize| {
        let (sin, cos) = (-std::f64::consts::TAU * k as f64 / n as f64).sin_cos();
        Complex::new(T::of(cos), T::of(sin))
    };
    let mut plans = T::plans().lock();
    let kept = plans.roots.entry(n);
    kept.or_insert_with(|| (0..=n / 4).map(root).collect())
        .clone()
}

/// Memory for the steps of a task, which grows as they need it.
pub(super) struct Scratch<T>(Vec<Complex<T>>);

impl<T: Transform> Scratch<T> {
    pub fn new() -> Self {
        Scratch(Vec::new())
    }

    /// Two parts.
    pub fn parts(&mut self, first: usize, second: usize) -> (&mut [Complex<T>], &mut [Complex<T>]) {
        if self.0.len() < first + second {
            let zero = Complex::new(T::zero(), T::zero());
            self.0.resize(first + second, zero);
        }
        self.0[..first + second].split_at_mut(first)
    }
}

/// Numbers of the rows that are transformed at once.
pub(super) const ROWS: usize = 2048;
/// Bytes of a part of the data that stays in the cache of a core from one dimension to the next.
const CACHE: usize = 512 * 1024;

/// Parts of the data that hold whole dimensions are transformed along all of them while they are in the cache, if there
/// are enough for the threads.
fn parts(numbers: usize, block: usize, bytes: usize) -> bool {
    block * bytes <= CACHE && numbers / block >= pool::threads()
}

/// Transforms along dimensions, and multiplies by `scale`: from `source` into `data`, or in place.
pub fn complex<T: Transform>(
    source: Option<&[Complex<T>]>,
    data: &mut [Complex<T>],
    axes: &[Axis],
    forward: bool,
    scale: T,
) {
    assert!(source.is_none_or(|source| source.len() == data.len()));
    if data.is_empty() {
        return;
    }
    let passes = Pass::all(axes, forward, scale);
    let to = Pointer(data.as_mut_ptr());
    let from = source.map_or(to, |source| Pointer(source.as_ptr().cast_mut()));
    let Some(block) = passes.iter().map(Pass::block).max() else {
        source
            .into_iter()
            .for_each(|source| data.copy_from_slice(source));
        return;
    };
    // SAFETY: both slices have the dimensions; tasks have parts of their own.
    unsafe {
        if passes.len() > 1 && parts(data.len(), block, size_of::<Complex<T>>()) {
            pool::parallel_for(data.len() / block, grain::MATH / block + 1, |range| {
                let (from, to, mut scratch) = (from, to, Scratch::new());
                for part in range {
                    let (mut from, to) = (from.at(part * block), to.at(part * block));
                    for pass in &passes {
                        pass.run(from, to, 0..pass.units(block), &mut scratch);
                        from = to;
                    }
                }
            });
            return;
        }
        passes[0].spread(from, to, data.len());
        passes[1..]
            .iter()
            .for_each(|pass| pass.spread(to, to, data.len()));
    }
}

/// Halves of the spectra of real rows of length `n`, times `scale`: rows of `n / 2 + 1`. These are transformed along
/// `others`, dimensions of theirs, too.
pub fn from_real<T: Transform>(
    rows: &[T],
    n: usize,
    out: &mut [Complex<T>],
    scale: T,
    others: &[Axis],
) {
    let width = n / 2 + 1;
    let count = rows.len() / n;
    assert!(out.len() == count * width);
    let real = RealRows::new(n, true, scale);
    let passes = Pass::all(others, true, T::one());
    let block = passes.iter().map(Pass::block).max().unwrap_or(width);
    let to = Pointer(out.as_mut_ptr());
    // SAFETY: every task has rows of its own.
    let part = |to: Pointer<Complex<T>>, range: Range<usize>| unsafe {
        std::slice::from_raw_parts_mut(to.at(range.start * width), range.len() * width)
    };
    if !passes.is_empty() && parts(out.len(), block, size_of::<Complex<T>>()) {
        let lines = block / width;
        pool::parallel_for(count / lines, grain::MATH / block + 1, |range| {
            let (to, mut scratch) = (to, Scratch::new());
            for index in range {
                let range = index * lines..(index + 1) * lines;
                let out = part(to, range.clone());
                real.forward(&rows[range.start * n..range.end * n], out, &mut scratch);
                let data = out.as_mut_ptr();
                for pass in &passes {
                    // SAFETY: the part has the dimensions.
                    unsafe { pass.run(data, data, 0..pass.units(block), &mut scratch) };
                }
            }
        });
        return;
    }
    pool::parallel_for(count, grain::MATH / n + 1, |range| {
        let to = to;
        let out = part(to, range.clone());
        real.forward(
            &rows[range.start * n..range.end * n],
            out,
            &mut Scratch::new(),
        );
    });
    // SAFETY: the result has the dimensions.
    passes
        .iter()
        .for_each(|pass| unsafe { pass.spread(to, to, out.len()) });
}

/// Real rows of length `n` from halves of their spectra, times `scale`.
pub fn to_real<T: Transform>(spectra: &[Complex<T>], n: usize, out: &mut [T], scale: T) {
    let width = n / 2 + 1;
    let count = spectra.len() / width;
    assert!(out.len() == count * n);
    let real = RealRows::new(n, false, scale);
    let to = Pointer(out.as_mut_ptr());
    pool::parallel_for(count, grain::MATH / n + 1, |range| {
        let to = to;
        // SAFETY: every task has rows of its own.
        let out =
            unsafe { std::slice::from_raw_parts_mut(to.at(range.start * n), range.len() * n) };
        let spectra = &spectra[range.start * width..range.end * width];
        real.backward(spectra, out, &mut Scratch::new());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize) -> Vec<Complex<f64>> {
        let part = |i: usize| ((i * i + 3 * i) % 17) as f64 - 8.0;
        (0..n)
            .map(|i| Complex::new(part(i), part(7 * i + 1)))
            .collect()
    }

    /// The transform along one dimension by its definition.
    fn slowly(data: &[Complex<f64>], axis: Axis) -> Vec<Complex<f64>> {
        let Axis { len, inner } = axis;
        let term = |k: usize, at: usize| {
            let turn = -std::f64::consts::TAU * (k * (at / inner % len) % len) as f64 / len as f64;
            data[at] * Complex::from_polar(1.0, turn)
        };
        let sum = |at: usize| {
            let (k, first) = (at / inner % len, at - at / inner % len * inner);
            (0..len).map(|i| term(k, first + i * inner)).sum()
        };
        (0..data.len()).map(sum).collect()
    }

    fn close(a: &[Complex<f64>], b: &[Complex<f64>], tolerance: f64) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).norm() < tolerance)
    }

    #[test]
    fn transforms_follow_the_definition() {
        // More columns than a group has, groups that end early, parts and whole data.
        for (count, rows, columns) in [(1, 5, 3), (3, 12, 37), (1, 4, 16), (40, 6, 10)] {
            let axes = [(rows, columns), (columns, 1)].map(|(len, inner)| Axis { len, inner });
            let data = wave(count * rows * columns);
            let wanted = slowly(&slowly(&data, axes[0]), axes[1]);
            let mut result = vec![Complex::default(); data.len()];
            complex(Some(&data), &mut result, &axes, true, 1.0);
            assert!(
                close(&result, &wanted, 1e-9),
                "{count} x {rows} x {columns}"
            );
            let back = 1.0 / (rows * columns) as f64;
            complex(None, &mut result, &axes, false, back);
            assert!(close(&result, &data, 1e-9));
            let single = |z: &Complex<f64>| Complex::new(z.re as f32, z.im as f32);
            let data: Vec<_> = data.iter().map(single).collect();
            let mut result = vec![Complex::default(); data.len()];
            complex(Some(&data), &mut result, &axes, true, 1.0);
            let result: Vec<_> = result
                .iter()
                .map(|z| Complex::new(z.re.into(), z.im.into()))
                .collect();
            assert!(close(&result, &wanted, 0.02));
        }
    }

    #[test]
    fn real_rows_follow_the_definition() {
        for n in [1, 2, 3, 4, 10, 16, 18, 33, 34, 36, 50, 64] {
            let (rows, width) = (7, n / 2 + 1);
            let numbers: Vec<f32> = wave(rows * n).iter().map(|z| z.re as f32).collect();
            let whole: Vec<_> = numbers
                .iter()
                .map(|&x| Complex::new(x.into(), 0.0))
                .collect();
            let whole = slowly(&whole, Axis { len: n, inner: 1 });
            let wanted: Vec<_> = whole
                .chunks(n)
                .flat_map(|row| &row[..width])
                .copied()
                .collect();
            let mut halves = vec![Complex::default(); rows * width];
            from_real(&numbers, n, &mut halves, 1.0, &[]);
            let found: Vec<_> = halves
                .iter()
                .map(|z| Complex::new(z.re.into(), z.im.into()))
                .collect();
            assert!(close(&found, &wanted, 1e-3), "{n}");
            let mut back = vec![0.0; rows * n];
            to_real(&halves, n, &mut back, 1.0 / n as f32);
            assert!(
                back.iter().zip(&numbers).all(|(x, y)| (x - y).abs() < 1e-4),
                "{n}"
            );
        }
    }
}
