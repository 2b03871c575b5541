//! Products of every type in every layout, against sums of products.

use super::gemm::{BatchSteps, Gemm, Mat, Product, batched};
use half::{bf16, f16};
use num_complex::Complex;

/// Small integers, so that every type is exact.
fn filled<T>(n: usize, from: impl Fn(i32) -> T) -> Vec<T> {
    (0..n).map(|i| from((i * 7 % 5) as i32 - 2)).collect()
}

fn check<T: Gemm + PartialEq + std::fmt::Debug>(from: impl Fn(i32) -> T + Copy) {
    for (m, n, k) in [
        (1, 1, 1),
        (1, 1, 300),
        (3, 5, 7),
        (16, 16, 16),
        (17, 1, 33),
        (1, 19, 40),
        (40, 33, 65),
        (9, 70, 0),
        // Thin, odd, and with more steps than are multiplied at once.
        (3, 9, 101),
        (11, 6, 301),
        (13, 50, 1101),
    ] {
        for turned in 0..8 {
            let strides = |on: usize, rows: usize, cols: usize| {
                if turned & on == 0 {
                    (cols as isize, 1)
                } else {
                    (1, rows as isize)
                }
            };
            let (a, b, mut c) = (
                filled(m * k, from),
                filled(k * n, from),
                filled(m * n, from),
            );
            let before = c.clone();
            let ((ar, ac), (br, bc), (cr, cc)) =
                (strides(1, m, k), strides(2, k, n), strides(4, m, n));
            let product = Product {
                m,
                n,
                k,
                a: Mat::new(a.as_ptr(), ar, ac),
                b: Mat::new(b.as_ptr(), br, bc),
                c: Mat::new(c.as_mut_ptr(), cr, cc),
                alpha: from(1),
                beta: from(2),
            };
            // SAFETY: the vectors have the sizes of the matrices.
            unsafe { T::gemm(&product, 2) };
            let value = |v: isize| v * 7 % 5 - 2;
            for i in 0..m as isize {
                for j in 0..n as isize {
                    let sum: isize = (0..k as isize)
                        .map(|q| value(i * ar + q * ac) * value(q * br + j * bc))
                        .sum();
                    let at = i * cr + j * cc;
                    let expected = from((sum + 2 * value(at)) as i32);
                    assert_eq!(
                        c[at as usize], expected,
                        "{m}x{n}x{k} layout {turned} at {i},{j}, was {:?}",
                        before[at as usize]
                    );
                }
            }
        }
    }
}

#[test]
fn every_type_and_layout() {
    check(|v| v as f32);
    check(f64::from);
    check(i64::from);
    check(|v| v as i8);
    check(|v| v as u8);
    check(|v| v as i16);
    check(|v| bf16::from_f32(v as f32));
    check(|v| f16::from_f32(v as f32));
    check(|v| Complex::new(v as f32, 0.0));
    check(|v| Complex::new(f64::from(v), 0.0));
}

/// Batches of small products, with something added to each.
fn check_batch<T: Gemm + PartialEq + std::fmt::Debug>(from: impl Fn(i32) -> T + Copy) {
    for (m, n, k) in [
        (1, 1, 5),
        (3, 3, 3),
        (4, 1, 4),
        (1, 3, 40),
        (5, 6, 7),
        (2, 20, 3),
    ] {
        for turned in 0..4 {
            let count = 5;
            let (a, b) = (filled(count * m * k, from), filled(count * k * n, from));
            let mut c = vec![from(0); count * m * n];
            let (rows, columns) = ((m as isize, n as isize), k as isize);
            let of_a = if turned & 1 == 0 {
                (columns, 1)
            } else {
                (1, rows.0)
            };
            let of_b = if turned & 2 == 0 {
                (rows.1, 1)
            } else {
                (1, columns)
            };
            let product = Product {
                m,
                n,
                k,
                a: Mat::new(a.as_ptr(), of_a.0, of_a.1),
                b: Mat::new(b.as_ptr(), of_b.0, of_b.1),
                c: Mat::new(c.as_mut_ptr(), rows.1, 1),
                alpha: from(1),
                beta: from(1),
            };
            let steps = BatchSteps {
                a: (m * k) as isize,
                b: (k * n) as isize,
                c: (m * n) as isize,
                start: 0,
            };
            // One row for all rows of all results.
            let start: Vec<T> = (0..n).map(|j| from(j as i32)).collect();
            // SAFETY: the vectors have the sizes of the matrices.
            unsafe { batched(count, &product, Mat::new(start.as_ptr(), 0, 1), steps) };
            let value = |v: usize| (v * 7 % 5) as i32 - 2;
            for (at, &found) in c.iter().enumerate() {
                let (index, i, j) = (at / (m * n), at / n % m, at % n);
                let sum: i32 = (0..k)
                    .map(|q| {
                        let (x, y) = (
                            i as isize * of_a.0 + q as isize * of_a.1,
                            q as isize * of_b.0 + j as isize * of_b.1,
                        );
                        value(index * m * k + x as usize) * value(index * k * n + y as usize)
                    })
                    .sum();
                assert_eq!(found, from(sum + j as i32), "{m}x{n}x{k} layout {turned}");
            }
        }
    }
}

#[test]
fn batches_of_small_products() {
    check_batch(|v| v as f32);
    check_batch(f64::from);
    check_batch(i64::from);
    check_batch(|v| v as i8);
    check_batch(|v| v as u16);
    check_batch(|v| bf16::from_f32(v as f32));
    check_batch(|v| Complex::new(v as f32, 0.0));
}

#[test]
fn long_integers_wrap() {
    let number = |i: usize| (i as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    for (m, n, k) in [(1, 1, 70), (1, 9, 70), (20, 30, 40)] {
        let a: Vec<i64> = (0..m * k).map(number).collect();
        let b: Vec<i64> = (0..k * n).map(|i| number(i + 99)).collect();
        let mut c = vec![0; m * n];
        let product = Product {
            m,
            n,
            k,
            a: Mat::new(a.as_ptr(), k as isize, 1),
            b: Mat::new(b.as_ptr(), 1, k as isize),
            c: Mat::new(c.as_mut_ptr(), n as isize, 1),
            alpha: 1,
            beta: 0,
        };
        // SAFETY: the vectors have the sizes of the matrices.
        unsafe { i64::gemm(&product, 1) };
        for (at, &found) in c.iter().enumerate() {
            let (i, j) = (at / n, at % n);
            let terms = (0..k).map(|q| a[i * k + q].wrapping_mul(b[j * k + q]));
            assert_eq!(found, terms.fold(0, i64::wrapping_add), "{m}x{n}x{k}");
        }
    }
}
