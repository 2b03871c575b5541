//! Box-Muller in blocks of sixteen: the values that PyTorch's `normal_` gives for sixteen or more elements.

use super::multiversion::multiversion;
use super::random::{Generator, unit_f32, unit_f64};

/// Elements per block: eight radii, then eight angles.
pub const BLOCK: usize = 16;

/// Blocks that are computed together, so that the loop over their elements vectorises.
const BATCH: usize = 16;
const HALF: usize = BLOCK / 2;

/// A type in which normal samples are computed.
pub trait NormalBlock: Copy + Default {
    /// Fills `out` with uniform samples on [0, 1).
    fn uniform(generator: &mut Generator, out: &mut [Self]);
    /// Turns two uniform samples into two normal ones.
    fn pair(u1: Self, u2: Self, mean: Self, std: Self) -> (Self, Self);
}

impl NormalBlock for f32 {
    fn uniform(generator: &mut Generator, out: &mut [f32]) {
        generator.map_u32(out, unit_f32);
    }

    #[inline(always)]
    fn pair(u1: f32, u2: f32, mean: f32, std: f32) -> (f32, f32) {
        let radius = (-2.0 * log(1.0 - u1)).sqrt();
        let (sin, cos) = sin_cos(std::f32::consts::TAU * u2);
        (
            (radius * cos).mul_add(std, mean),
            (radius * sin).mul_add(std, mean),
        )
    }
}

impl NormalBlock for f64 {
    fn uniform(generator: &mut Generator, out: &mut [f64]) {
        generator.map_u64(out, unit_f64);
    }

    #[inline(always)]
    fn pair(u1: f64, u2: f64, mean: f64, std: f64) -> (f64, f64) {
        let radius = (-2.0 * (1.0 - u1).ln()).sqrt();
        let theta = std::f64::consts::TAU * u2;
        (
            (radius * theta.cos()).mul_add(std, mean),
            (radius * theta.sin()).mul_add(std, mean),
        )
    }
}

/// Fills sixteen or more elements. Where the last block is not whole, the last sixteen are drawn again.
pub fn fill<T: NormalBlock>(generator: &mut Generator, out: &mut [T], mean: T, std: T) {
    T::uniform(generator, out);
    for batch in out.as_chunks_mut::<BLOCK>().0.chunks_mut(BATCH) {
        // SAFETY: the pointer and the count are those of a slice.
        unsafe { transform(batch.as_mut_ptr(), batch.len(), mean, std) };
    }
    let whole = out.len().is_multiple_of(BLOCK);
    if let (false, Some(last)) = (whole, out.last_chunk_mut::<BLOCK>()) {
        T::uniform(generator, last);
        // SAFETY: as above.
        unsafe { transform(last, 1, mean, std) };
    }
}

multiversion! {
    /// Turns up to `BATCH` blocks of uniform samples into normal ones.
    unsafe fn transform[T: NormalBlock](blocks: *mut [T; BLOCK], count: usize, mean: T, std: T) {
        // SAFETY: the caller passes `count` blocks.
        let blocks = unsafe { std::slice::from_raw_parts_mut(blocks, count.min(BATCH)) };
        let mut first = [T::default(); BATCH * HALF];
        let mut second = [T::default(); BATCH * HALF];
        for (i, block) in blocks.iter().enumerate() {
            first[i * HALF..][..HALF].copy_from_slice(&block[..HALF]);
            second[i * HALF..][..HALF].copy_from_slice(&block[HALF..]);
        }
        let used = blocks.len() * HALF;
        for (a, b) in first[..used].iter_mut().zip(&mut second[..used]) {
            (*a, *b) = T::pair(*a, *b, mean, std);
        }
        for (i, block) in blocks.iter_mut().enumerate() {
            block[..HALF].copy_from_slice(&first[i * HALF..][..HALF]);
            block[HALF..].copy_from_slice(&second[i * HALF..][..HALF]);
        }
    }
}

/// Natural logarithm on (0, 1] with the operations and roundings of the Cephes routine that PyTorch's kernel vectorises.
#[inline(always)]
fn log(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let bits = x.to_bits();
    let mut e = (bits >> 23) as i32 - 126;
    let mut x = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let low = x < std::f32::consts::FRAC_1_SQRT_2;
    e -= i32::from(low);
    x = x - 1.0 + if low { x } else { 0.0 };
    let e = e as f32;
    let z = x * x;
    let mut y = P[0];
    for p in &P[1..] {
        y = y.mul_add(x, *p);
    }
    y *= x;
    y = y.mul_add(z, e * -2.121_944_4e-4);
    y = (-0.5_f32).mul_add(z, y);
    e.mul_add(0.693_359_375, x + y)
}

/// Sine and cosine on [0, 2 pi], after the Cephes routine likewise.
#[inline(always)]
fn sin_cos(x: f32) -> (f32, f32) {
    let octant = ((x * 1.273_239_5) as i32 + 1) & !1;
    let y = octant as f32;
    let x = y.mul_add(-0.785_156_25, x);
    let x = y.mul_add(-2.418_756_5e-4, x);
    let x = y.mul_add(-3.774_895e-8, x);
    let z = x * x;
    let c = 2.443_315_7e-5_f32
        .mul_add(z, -1.388_731_6e-3)
        .mul_add(z, 4.166_664_6e-2);
    let c = (c * z).mul_add(z, -0.5 * z) + 1.0;
    let s = (-1.951_529_6e-4_f32)
        .mul_add(z, 8.332_161e-3)
        .mul_add(z, -1.666_665_5e-1);
    let s = (s * z).mul_add(x, x);
    let (sin, cos) = if octant & 2 == 0 { (s, c) } else { (c, s) };
    let sin_sign = (octant as u32 & 4) << 29;
    let cos_sign = (!(octant - 2) as u32 & 4) << 29;
    (
        f32::from_bits(sin.to_bits() ^ sin_sign),
        f32::from_bits(cos.to_bits() ^ cos_sign),
    )
}
