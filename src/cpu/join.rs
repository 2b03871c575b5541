//! Concatenation: rows of every part are copied next to each other.

use crate::Result;
use crate::cpu::bytes;
use crate::cpu::pool::{self, grain};
use crate::cpu::reduce::Pointer;
use crate::tensor::Tensor;

/// Fills `out` with the parts, one behind the other: part `i` goes to the rows of `lengths[i]`
/// elements in each of `outer` blocks.
pub fn join(out: &Tensor, parts: &[Tensor], dim: usize, lengths: &[i64]) -> Result<()> {
    let plain = out.is_contiguous()
        && parts
            .iter()
            .all(|p| p.dtype() == out.dtype() && p.is_contiguous());
    if plain {
        join_plain(out, parts, dim, lengths);
        return Ok(());
    }
    let mut start = 0;
    for (part, &length) in parts.iter().zip(lengths) {
        let place = out.layout().narrow(dim, start, length, 1);
        crate::cpu::copy::copy(&out.alias(place)?, part)?;
        start += length;
    }
    Ok(())
}

fn join_plain(out: &Tensor, parts: &[Tensor], dim: usize, lengths: &[i64]) {
    let shape = out.shape();
    let outer = shape[..dim].iter().product::<i64>() as usize;
    let unit = shape[dim + 1..].iter().product::<i64>() as usize * out.dtype().size();
    let row = shape[dim] as usize * unit;
    let mut start = 0;
    for (part, &length) in parts.iter().zip(lengths) {
        let bytes = length as usize * unit;
        let (to, from) = (Pointer(out.data_ptr()), Pointer(part.data_ptr()));
        let at = start;
        if outer > 1 && matches!(bytes, 1 | 2 | 4 | 8 | 16) {
            join_elements(
                out.data_ptr().wrapping_add(at),
                part.data_ptr(),
                bytes,
                row,
                outer,
            );
            start += bytes;
            continue;
        }
        // SAFETY: block `i` of the part is the bytes `at..at + bytes` of block `i` of the output.
        let copy = |i: usize, range: std::ops::Range<usize>| unsafe {
            let (to, from) = (&to, &from);
            bytes::copy(
                from.0.add(i * bytes + range.start),
                to.0.add(i * row + at + range.start),
                range.len(),
            );
        };
        let grain = grain::COPY * 4;
        if outer == 1 {
            pool::parallel_for(bytes, grain, |range| copy(0, range));
        } else if let Some(rows) = grain.checked_div(bytes) {
            pool::parallel_for(outer, rows.max(1), |range| {
                for i in range {
                    copy(i, 0..bytes);
                }
            });
        }
        start += bytes;
    }
}

/// Pieces of a few bytes, each as one element.
fn join_elements(to: *mut u8, from: *const u8, bytes: usize, row: usize, outer: usize) {
    let (to, from) = (Pointer(to), Pointer(from.cast_mut()));
    macro_rules! copy {
        ($T:ty) => {
            pool::parallel_for(outer, grain::COPY, |range| {
                let (to, from) = (&to, &from);
                for i in range {
                    // SAFETY: piece `i` of the part goes to its place in row `i` of the output.
                    unsafe {
                        let piece = from.0.cast::<$T>().add(i).read_unaligned();
                        to.0.add(i * row).cast::<$T>().write_unaligned(piece);
                    }
                }
            })
        };
    }
    match bytes {
        1 => copy!(u8),
        2 => copy!(u16),
        4 => copy!(u32),
        8 => copy!(u64),
        _ => copy!(u128),
    }
}
