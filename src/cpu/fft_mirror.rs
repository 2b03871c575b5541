//! Whole spectra of real signals from their halves, which are the other halves mirrored and conjugated.

use num_complex::Complex;

use super::fft::Transform;
use super::pool::{self, grain};
use super::reduce::Pointer;

/// A dimension in front of the rows: its size, and whether it was transformed, too.
pub type Lead = (usize, bool);

/// Completes rows of `n / 2 + 1` numbers to rows of `n`; all are conjugated unless `forward`.
pub fn mirror<T: Transform>(
    halves: &[Complex<T>],
    whole: &mut [Complex<T>],
    n: usize,
    leads: &[Lead],
    forward: bool,
) {
    let (width, count) = (n / 2 + 1, whole.len() / n);
    assert!(halves.len() == count * width && leads.iter().map(|l| l.0).product::<usize>() == count);
    let to = Pointer(whole.as_mut_ptr());
    pool::parallel_for(count, grain::COPY / n + 1, |range| {
        let to = to;
        for row in range {
            // SAFETY: every task has rows of its own.
            let out = unsafe { std::slice::from_raw_parts_mut(to.at(row * n), n) };
            let (own, rest) = out.split_at_mut(width);
            let other = &halves[opposite(row, leads) * width..][1..];
            let mirrored = rest.iter_mut().rev().zip(other);
            if forward {
                own.copy_from_slice(&halves[row * width..][..width]);
                mirrored.for_each(|(x, y)| *x = y.conj());
            } else {
                let pairs = own.iter_mut().zip(&halves[row * width..]);
                pairs.for_each(|(x, y)| *x = y.conj());
                mirrored.for_each(|(x, y)| *x = *y);
            }
        }
    });
}

/// The row at the negative frequencies of a row.
fn opposite(row: usize, leads: &[Lead]) -> usize {
    let (mut rest, mut step, mut index) = (row, 1, 0);
    for &(size, transformed) in leads.iter().rev() {
        let at = rest % size;
        let at = if transformed && at > 0 { size - at } else { at };
        index += at * step;
        (rest, step) = (rest / size, step * size);
    }
    index
}
