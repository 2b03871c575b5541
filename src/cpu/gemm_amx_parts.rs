//! Products of f32 on the matrix unit, as products of their parts in bfloat16.

use super::gemm::{Mat, Product, row_major, useful_threads};
use super::gemm_amx_formats::{F32High, F32Medium};
use super::gemm_amx_pack::STEPS;
use super::gemm_blocked::{multiply, spread};
use super::gemm_precision::Precision;
use super::pool::grain;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Computes the product on the matrix unit if that pays and its parts can be had.
///
/// # Safety
/// As for [`super::gemm::Gemm::gemm_from`], and the unit is there.
pub unsafe fn in_parts(
    precision: Precision,
    p: &Product<f32>,
    start: Mat<*const f32>,
    threads: usize,
) -> bool {
    let (p, start) = row_major(*p, start);
    let threads = useful_threads(&p, threads);
    // SAFETY: the caller's promise.
    unsafe {
        match precision {
            Precision::Medium if pays(&p, 1) => {
                multiply::<F32Medium>(&p, start, threads);
            }
            Precision::High
                if pays(&p, 3)
                    && left_has_parts(&p, threads)
                    && left_has_parts(&p.transposed(), threads) =>
            {
                multiply::<F32High>(&p, start, threads);
            }
            _ => return false,
        }
    }
    true
}

/// Does the product of f32 in `parts` parts repay their making? That takes half a cycle for each part of an element, in
/// which vectors multiply and add 16 times; more than half of what they would do then is saved.
fn pays(p: &Product<f32>, parts: usize) -> bool {
    p.k >= STEPS && p.m.saturating_mul(p.n) / (p.m + p.n).max(1) >= 24 * parts
}

/// Are all elements of the left operand finite, products of them too, and the smallest parts of the largest well
/// above what the unit takes for zero? Infinity, times a part that is zero, would be NaN.
///
/// # Safety
/// As for [`in_parts`].
unsafe fn left_has_parts(p: &Product<f32>, threads: usize) -> bool {
    const LEAST: f32 = 1.0 / (1u64 << 46) as f32;
    const MOST: f32 = (1u64 << 62) as f32;
    let by_columns = p.a.col.abs() > p.a.row.abs();
    let (runs, length) = if by_columns { (p.k, p.m) } else { (p.m, p.k) };
    let largest = AtomicU32::new(0);
    spread(runs, grain::REDUCE / length.max(1) + 1, threads, |range| {
        let a = if by_columns { p.a.transposed() } else { p.a };
        // SAFETY: the caller's promise.
        let most = range
            .map(|i| unsafe { largest_of(a.at(i, 0), length) })
            .max();
        largest.fetch_max(most.unwrap_or(0), Relaxed);
    });
    // Magnitudes compare as their bits do, NaN above all.
    (LEAST.to_bits()..=MOST.to_bits()).contains(&largest.into_inner())
}

/// The bits of the largest magnitude of a row.
///
/// # Safety
/// The row lies in live memory, and AVX-512 is there.
#[target_feature(enable = "avx512f")]
unsafe fn largest_of(row: Mat<*const f32>, cols: usize) -> u32 {
    let mut most = 0;
    for j in 0..cols {
        // SAFETY: the caller's promise.
        let x = unsafe { *row.at(0, j).ptr };
        most = most.max(x.to_bits() & 0x7fff_ffff);
    }
    most
}
