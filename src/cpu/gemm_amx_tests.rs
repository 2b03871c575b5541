//! Products on the matrix unit, or on the emulated one, against those of f64.

use super::gemm::{Gemm, Mat, Product};
use super::gemm_amx::available;
use super::gemm_amx_emulator as emulator;
use super::gemm_amx_formats::{Bf16Amx, F32High, F32Medium};
use super::gemm_amx_parts::in_parts;
use super::gemm_blocked::multiply;
use super::gemm_precision::Precision;
use super::gemm_tile::Kernel;
use half::bf16;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, MutexGuard};

/// The unit, for one test at a time, so that the emulator's counts are that test's; `None` where the machine cannot
/// even pack for it.
fn unit() -> Option<MutexGuard<'static, ()>> {
    static ONE: Mutex<()> = Mutex::new(());
    if !is_x86_feature_detected!("avx512bf16") || !is_x86_feature_detected!("avx512vl") {
        return None;
    }
    if !available() {
        emulator::install();
    }
    Some(ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Numbers between -1 and 1 of a generator by Marsaglia (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    fn float(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// A matrix whose rows, or columns, lie a little apart.
struct Data<T> {
    values: Vec<T>,
    row: isize,
    col: isize,
}

impl<T: Copy> Data<T> {
    fn new(numbers: &mut Numbers, (rows, cols): (usize, usize), from: impl Fn(f64) -> T) -> Self {
        let (gap, step) = (numbers.below(3), 1 + numbers.below(8) / 7);
        let (row, col) = if numbers.below(2) == 0 {
            (step * cols + gap, step)
        } else {
            (step, step * rows + gap)
        };
        let n = rows * row + cols * col + 1;
        let values = (0..n).map(|_| from(numbers.float())).collect();
        Data {
            values,
            row: row as isize,
            col: col as isize,
        }
    }

    fn mat(&self) -> Mat<*const T> {
        Mat::new(self.values.as_ptr(), self.row, self.col)
    }

    fn mat_mut(&mut self) -> Mat<*mut T> {
        Mat::new(self.values.as_mut_ptr(), self.row, self.col)
    }

    fn at(&self, i: usize, j: usize) -> usize {
        (i as isize * self.row + j as isize * self.col) as usize
    }
}

type Run<T> = unsafe fn(&Product<T>, Mat<*const T>, usize);

/// Computes a product of random layout, and returns the largest error as a share of the sum of the magnitudes of what is
/// added up. Half a unit in the last of the result's `digits` is no error.
fn error<T: Gemm + Into<f64>>(
    numbers: &mut Numbers,
    (m, n, k): (usize, usize, usize),
    from: impl Fn(f64) -> T + Copy,
    run: Run<T>,
    digits: i32,
) -> f64 {
    let a = Data::new(numbers, (m, k), from);
    let b = Data::new(numbers, (k, n), from);
    let mut c = Data::new(numbers, (m, n), from);
    let other = Data::new(numbers, (m, n), from);
    let scale = |kind: usize| from([0.0, 1.0, -0.75][kind]);
    let product = Product {
        m,
        n,
        k,
        a: a.mat(),
        b: b.mat(),
        c: c.mat_mut(),
        alpha: scale(1 + numbers.below(2)),
        beta: scale(numbers.below(3)),
    };
    let before = c.values.clone();
    // What is added may be the result itself, another matrix, or one row for all.
    let start = match numbers.below(3) {
        0 => product.c.into(),
        1 => other.mat(),
        _ => Mat::new(other.values.as_ptr(), 0, 1),
    };
    let added: Vec<T> = (0..m * n)
        // SAFETY: the vectors hold the matrices.
        .map(|at| unsafe { *start.at(at / n, at % n).ptr })
        .collect();
    // SAFETY: the vectors hold the matrices; the unit is there or emulated.
    unsafe { run(&product, start, 1 + numbers.below(3)) };
    let (alpha, beta): (f64, f64) = (product.alpha.into(), product.beta.into());
    let (mut untouched, mut worst) = (before.clone(), 0.0f64);
    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let at = c.at(i, j);
        let old: f64 = added[i * n + j].into();
        let (mut sum, mut size) = (beta * old, (beta * old).abs());
        for q in 0..k {
            let term = alpha * a.values[a.at(i, q)].into() * b.values[b.at(q, j)].into();
            sum += term;
            size += term.abs();
        }
        let wrong = (c.values[at].into() - sum).abs() - sum.abs() / f64::from(digits).exp2();
        if wrong > 0.0 {
            worst = worst.max(wrong / size);
        }
        untouched[at] = c.values[at];
    }
    assert!(untouched == c.values, "{m}x{n}x{k} wrote between the rows");
    worst
}

fn shapes(numbers: &mut Numbers, count: usize) -> Vec<(usize, usize, usize)> {
    let mut side = || 1 + numbers.below(100);
    let random = (0..count).map(|_| (side(), side(), side()));
    let chosen = [
        (1, 1, 1),
        (16, 16, 32),
        (32, 32, 32),
        (64, 33, 64),
        (33, 64, 0),
        // Several blocks of steps.
        (20, 40, 2500),
    ];
    random.chain(chosen).collect()
}

fn run<K: Kernel>(p: &Product<K::Element>, start: Mat<*const K::Element>, threads: usize) {
    // SAFETY: `error` vouches for the matrices and the unit.
    unsafe { multiply::<K>(p, start, threads) }
}

/// Error of sums of up to 2500 products of either sign in f32.
const SUMS: f64 = 1e-6;
/// Products of numbers that are rounded to eight bits each.
const MEDIUM: f64 = 1.0 / 128.0;

#[test]
fn bfloat16_in_every_shape() {
    let Some(_unit) = unit() else { return };
    let mut numbers = Numbers(1);
    for shape in shapes(&mut numbers, 60) {
        let error = error(&mut numbers, shape, bf16::from_f64, run::<Bf16Amx>, 8);
        assert!(error < SUMS, "{shape:?}: {error:e}");
    }
    assert_eq!(
        emulator::CONFIGURED.load(SeqCst),
        0,
        "tiles were not released"
    );
    assert!(
        available() || emulator::PRODUCTS.load(SeqCst) > 0,
        "nothing was emulated"
    );
}

#[test]
fn several_threads_at_once() {
    let Some(_unit) = unit() else { return };
    std::thread::scope(|scope| {
        for seed in 11..15 {
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                let shape = (100, 130, 70);
                let error = error(&mut numbers, shape, bf16::from_f64, run::<Bf16Amx>, 8);
                assert!(error < SUMS, "{error:e}");
            });
        }
    });
    assert_eq!(
        emulator::CONFIGURED.load(SeqCst),
        0,
        "tiles were not released"
    );
}

#[test]
fn medium_rounds_each_operand() {
    let Some(_unit) = unit() else { return };
    let mut numbers = Numbers(2);
    for shape in shapes(&mut numbers, 30) {
        let error = error(&mut numbers, shape, |x| x as f32, run::<F32Medium>, 24);
        assert!(error < MEDIUM, "{shape:?}: {error:e}");
    }
}

#[test]
fn high_is_as_precise_as_f32() {
    let Some(_unit) = unit() else { return };
    let mut numbers = Numbers(3);
    for (m, n, k) in shapes(&mut numbers, 20) {
        let shape = (m, n, k + 31);
        let seed = numbers.next();
        let [high, plain] = [run::<F32High>, f32::gemm_from]
            .map(|run: Run<f32>| error(&mut Numbers(seed), shape, |x| x as f32, run, 24));
        // Products of few steps may be exact.
        assert!(
            high < 2.0 * plain.max(1e-8),
            "{shape:?}: {high:e} after {plain:e}"
        );
        assert!(high < SUMS, "{shape:?}: {high:e}");
    }
}

/// A product of two square matrices, the first of which is not all numbers.
fn special<T: Gemm + Into<f64>>(from: impl Fn(f64) -> T + Copy, run: Run<T>) {
    const N: usize = 40;
    let mut numbers = Numbers(4);
    let mut square = || {
        (0..N * N)
            .map(|_| from(numbers.float()))
            .collect::<Vec<_>>()
    };
    let (mut a, mut b, mut c) = (square(), square(), square());
    (a[3], a[N + 5], a[2 * N], a[2 * N + 1]) = (
        from(f64::INFINITY),
        from(f64::NAN),
        from(f64::INFINITY),
        from(f64::INFINITY),
    );
    (b[3 * N + 7], b[0], b[N]) = (T::ZERO, from(1.0), from(-1.0));
    let row = N as isize;
    let product = Product {
        m: N,
        n: N,
        k: N,
        a: Mat::new(a.as_ptr(), row, 1),
        b: Mat::new(b.as_ptr(), row, 1),
        c: Mat::new(c.as_mut_ptr(), row, 1),
        alpha: T::ONE,
        beta: T::ZERO,
    };
    // SAFETY: the vectors hold the matrices; the unit is there or emulated.
    unsafe { run(&product, product.c.into(), 1) };
    let get = |x: &[T], i: usize, j: usize| -> f64 { x[i * N + j].into() };
    for (i, j) in (0..N).flat_map(|i| (0..N).map(move |j| (i, j))) {
        let expected: f64 = (0..N).map(|q| get(&a, i, q) * get(&b, q, j)).sum();
        let found = get(&c, i, j);
        assert_eq!(
            found.is_nan(),
            expected.is_nan(),
            "at {i},{j}: {found} for {expected}"
        );
        if expected.is_infinite() || found.is_infinite() {
            assert_eq!(found, expected, "at {i},{j}");
        }
    }
}

#[test]
fn infinity_and_nan() {
    let Some(_unit) = unit() else { return };
    special(bf16::from_f64, run::<Bf16Amx>);
    special(|x| x as f32, run::<F32Medium>);
    special(
        |x| x as f32,
        |p, start, threads| {
            // SAFETY: `special` vouches for the matrices and the unit.
            unsafe {
                if !in_parts(Precision::High, p, start, threads) {
                    f32::gemm_from(p, start, threads);
                }
            }
        },
    );
}

/// The product of a square matrix full of `x` with one full of `y`, if the unit takes it.
fn in_parts_of(precision: Precision, n: usize, x: f32, y: f32) -> Option<f32> {
    let (a, b, mut c) = (vec![x; n * n], vec![y; n * n], vec![0.0; n * n]);
    let row = n as isize;
    let product = Product {
        m: n,
        n,
        k: n,
        a: Mat::new(a.as_ptr(), row, 1),
        b: Mat::new(b.as_ptr(), row, 1),
        c: Mat::new(c.as_mut_ptr(), row, 1),
        alpha: 1.0,
        beta: 0.0,
    };
    // SAFETY: the vectors hold the matrices; the unit is there or emulated.
    let done = unsafe { in_parts(precision, &product, product.c.into(), 1) };
    let same = c.iter().all(|&value| value == c[0]);
    assert!(same && (done || c[0] == 0.0));
    done.then_some(c[0])
}

#[test]
fn parts_are_taken_where_they_keep_their_promise() {
    let Some(_unit) = unit() else { return };
    let third = 1.0f32 / 3.0;
    let exact = 160.0 * f64::from(third) * f64::from(third);
    let high = in_parts_of(Precision::High, 160, third, third).expect("a large product");
    assert!((f64::from(high) / exact - 1.0).abs() < 1e-6);
    let medium = in_parts_of(Precision::Medium, 160, third, third).expect("a large product");
    let error = (f64::from(medium) / exact - 1.0).abs();
    assert!((1e-6..MEDIUM).contains(&error));
    // Too large, too small, infinite, not a number, and a small product.
    for x in [f32::MAX, 1e-20, f32::INFINITY, f32::NAN] {
        assert_eq!(in_parts_of(Precision::High, 160, x, 1.0), None);
        assert_eq!(in_parts_of(Precision::High, 160, 1.0, x), None);
    }
    assert_eq!(in_parts_of(Precision::High, 32, 1.0, 1.0), None);
    assert_eq!(in_parts_of(Precision::Medium, 16, 1.0, 1.0), None);
    // The largest float is nearest to infinity in bfloat16.
    let largest = in_parts_of(Precision::Medium, 160, f32::MAX, 1.0 / 1024.0).expect("rounding");
    assert!(largest.is_finite());
}
