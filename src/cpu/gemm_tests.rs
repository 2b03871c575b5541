//! Products of every type in every layout, against sums of products.

use super::gemm::{Gemm, Mat, Product};
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
