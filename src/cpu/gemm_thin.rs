//! Products with few rows or columns, as dot products: packing would cost more than they do.

use super::gemm::{Mat, Product};
use super::gemm_blocked::spread;
use super::gemm_kernels::{DOTS, Simd};
use super::gemm_tile::{Kernel, Number, Sum};
use super::pool::grain;

/// Is the product thin, with both operands in runs along the summed dimension that repay adding up lanes? Runs of a
/// result of few elements may be gathered first.
pub fn is_thin<T>(p: &Product<T>) -> bool {
    const FEW: usize = 16;
    if p.m > 1 && p.n > 1 && p.m * p.n <= FEW && p.k >= 32 * FEW {
        return true;
    }
    let least = match p.m.min(p.n) {
        0..=4 => 32,
        5..=16 => 256,
        _ => return false,
    };
    p.a.col == 1 && p.b.row == 1 && p.k >= least
}

/// Computes a thin product, with `beta * start` in the place of `beta * c`.
///
/// # Safety
/// As for [`super::gemm_blocked::multiply`]; the elements of the kernel lie in memory as it packs them.
pub unsafe fn multiply<K: Kernel<Unit: Simd>>(
    p: &Product<K::Element>,
    start: Mat<*const K::Element>,
    threads: usize,
) {
    // Columns are split over threads: there should be more of them.
    let (p, start) = if p.m > p.n {
        (p.transposed(), start.transposed())
    } else {
        (*p, start)
    };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut p = p;
    // SAFETY: the caller's promise.
    unsafe {
        p.a = in_runs(p.a, (p.m, p.k), &mut left);
        p.b = in_runs(p.b.transposed(), (p.n, p.k), &mut right).transposed();
    }
    let columns = p.n.div_ceil(DOTS);
    let work = DOTS * p.m * p.k;
    let shared = Shared::<K>(p, start);
    spread(columns, grain::GEMM / work.max(1) + 1, threads, |range| {
        let Shared(p, start) = &shared;
        for j in range {
            for i in 0..p.m.div_ceil(DOTS) {
                // SAFETY: the caller's promise; tasks write columns of their own.
                unsafe { block::<K>(p, *start, i * DOTS, j * DOTS) };
            }
        }
    });
}

/// The matrix, or a copy whose rows are runs.
///
/// # Safety
/// The matrix lies in live memory.
unsafe fn in_runs<T: Copy>(
    m: Mat<*const T>,
    (rows, cols): (usize, usize),
    room: &mut Vec<T>,
) -> Mat<*const T> {
    if m.col == 1 {
        return m;
    }
    for i in 0..rows {
        // SAFETY: the caller's promise.
        room.extend((0..cols).map(|j| unsafe { *m.at(i, j).ptr }));
    }
    Mat::new(room.as_ptr(), cols as isize, 1)
}

struct Shared<K: Kernel>(Product<K::Element>, Mat<*const K::Element>);

// SAFETY: threads write columns of their own.
unsafe impl<K: Kernel> Sync for Shared<K> {}

/// # Safety
/// As for [`multiply`].
unsafe fn block<K: Kernel<Unit: Simd>>(
    p: &Product<K::Element>,
    start: Mat<*const K::Element>,
    i: usize,
    j: usize,
) {
    let size = (DOTS.min(p.m - i), DOTS.min(p.n - j));
    let (a, b, c, start) = (p.a.at(i, 0), p.b.at(0, j), p.c.at(i, j), start.at(i, j));
    let bytes = size_of::<K::Element>() as isize;
    let (pairs, rest) = (p.k / K::STEPS, p.k % K::STEPS);
    let (alpha, beta) = (K::widen(p.alpha), K::widen(p.beta));
    // SAFETY: the caller's promise.
    unsafe {
        let sums = K::Unit::dots(
            size,
            pairs,
            (a.ptr.cast(), a.row * bytes),
            (b.ptr.cast(), b.col * bytes),
        );
        for (i, row) in sums[..size.0].iter().enumerate() {
            for (j, &sum) in row[..size.1].iter().enumerate() {
                let mut sum = sum;
                if rest > 0 {
                    sum = sum + K::widen(*a.at(i, p.k - 1).ptr) * K::widen(*b.at(p.k - 1, j).ptr);
                }
                let mut total = alpha * sum;
                if beta != Sum::<K>::ZERO {
                    total = total + beta * K::widen(*start.at(i, j).ptr);
                }
                *c.at(i, j).ptr = K::narrow(total);
            }
        }
    }
}
