//! Panels for the tiles: strips of a matrix, side by side in the order in which the innermost loop reads them.

use std::arch::x86_64::*;
use std::num::Wrapping;

/// `lanes` rows (or columns) of a matrix with `steps` elements each.
#[derive(Clone, Copy)]
pub struct Strip<T> {
    pub ptr: *const T,
    /// Distance between lanes.
    pub lane: isize,
    /// Distance between the elements of a lane.
    pub step: isize,
    pub lanes: usize,
    pub steps: usize,
}

impl<T> Strip<T> {
    #[inline(always)]
    pub(super) fn at(&self, lane: usize, step: usize) -> *const T {
        self.ptr
            .wrapping_offset(lane as isize * self.lane + step as isize * self.step)
    }
}

/// Elements of a panel that registers transpose in squares.
pub trait Square: Copy + 'static {
    type Register: Copy;
    const SIZE: usize;
    const ZERO: Self;
    /// # Safety
    /// AVX2 is there, as for the others.
    unsafe fn zeros() -> Self::Register;
    /// # Safety
    /// A register can be read.
    unsafe fn load(from: *const Self) -> Self::Register;
    /// Element `i` of register `j` is that `j` of register `i` before. There are `SIZE` registers.
    unsafe fn transpose(square: &mut [Self::Register]);
    unsafe fn store(to: *mut Self, register: Self::Register);
}

/// What panels are made of.
pub trait Pack {
    type Element: Copy + Send + Sync;
    type Packed: Copy;
    /// Elements of a lane in one of a panel.
    const STEPS: usize;
}

/// How elements of a matrix become those of panels in which a step of all lanes lies together.
pub trait PackSteps: Pack<Packed: Square> {
    /// The first `steps` elements, `step` apart, as one of a panel.
    ///
    /// # Safety
    /// The elements are in live memory.
    unsafe fn one(from: *const Self::Element, step: isize, steps: usize) -> Self::Packed;
    /// A register of elements that lie one after the other.
    ///
    /// # Safety
    /// As above, and AVX2 is there.
    unsafe fn several(from: *const Self::Element) -> <Self::Packed as Square>::Register;
}

/// Room behind a panel for whole registers of its last step.
pub const SLACK: usize = 16;

/// Packs a strip to `width` lanes, zeros where it has fewer.
///
/// # Safety
/// The strip lies in live memory; `out` has room for its steps times `width`, and `SLACK` more.
#[inline(always)]
pub unsafe fn pack<P: PackSteps>(strip: &Strip<P::Element>, width: usize, out: *mut P::Packed) {
    let mut done = 0;
    // SAFETY: the caller's promise.
    unsafe {
        if strip.lane == 1 && strip.lanes > 1 {
            let (mut from, mut to, lanes) = (strip.ptr, out, strip.lanes);
            while done + P::STEPS <= strip.steps {
                let mut l = 0;
                l = pack_side_by_side::<P, 16>(from, strip.step, l, lanes, to);
                l = pack_side_by_side::<P, 4>(from, strip.step, l, lanes, to);
                l = pack_side_by_side::<P, 1>(from, strip.step, l, lanes, to);
                (l..width).for_each(|l| *to.add(l) = P::Packed::ZERO);
                from = from.wrapping_offset(strip.step * P::STEPS as isize);
                to = to.add(width);
                done += P::STEPS;
            }
        } else if strip.step == 1 && strip.lanes > 1 {
            let chunk = P::Packed::SIZE * P::STEPS;
            while done + chunk <= strip.steps {
                pack_square::<P>(strip, done, width, out.add(done / P::STEPS * width));
                done += chunk;
            }
        }
        while done < strip.steps {
            let steps = P::STEPS.min(strip.steps - done);
            pack_step::<P>(strip, done, steps, width, out.add(done / P::STEPS * width));
            done += steps;
        }
    }
}

/// Packs lanes `start .. end`, `N` at once as far as possible; returns the first that is left.
///
/// # Safety
/// As for [`pack`], with neighbouring lanes.
#[inline(always)]
unsafe fn pack_side_by_side<P: PackSteps, const N: usize>(
    from: *const P::Element,
    step: isize,
    start: usize,
    end: usize,
    to: *mut P::Packed,
) -> usize {
    let mut l = start;
    while l + N <= end {
        // Read as a whole before any is written: the compiler does not know that the two are apart.
        let mut lanes = [P::Packed::ZERO; N];
        // SAFETY: the caller's promise.
        unsafe {
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane = P::one(from.add(l + i), step, P::STEPS);
            }
            *to.add(l).cast::<[P::Packed; N]>() = lanes;
        }
        l += N;
    }
    l
}

/// # Safety
/// As for [`pack`].
#[inline(always)]
unsafe fn pack_step<P: PackSteps>(
    strip: &Strip<P::Element>,
    at: usize,
    steps: usize,
    width: usize,
    out: *mut P::Packed,
) {
    for l in 0..width {
        // SAFETY: the caller's promise.
        unsafe {
            *out.add(l) = if l < strip.lanes {
                P::one(strip.at(l, at), strip.step, steps)
            } else {
                P::Packed::ZERO
            };
        }
    }
}

/// Packs `SIZE * STEPS` steps that lie one after the other. Registers of one step may reach into the next, which is
/// written later.
///
/// # Safety
/// As for [`pack`].
#[inline(always)]
unsafe fn pack_square<P: PackSteps>(
    strip: &Strip<P::Element>,
    at: usize,
    width: usize,
    out: *mut P::Packed,
) {
    const SQUARES: usize = 4;
    let size = P::Packed::SIZE;
    // SAFETY: the caller's promise.
    unsafe {
        let mut squares = [[P::Packed::zeros(); 8]; SQUARES];
        let count = width.div_ceil(size);
        for (s, square) in squares[..count].iter_mut().enumerate() {
            let lanes = strip.lanes.saturating_sub(s * size).min(size);
            for l in 0..lanes {
                square[l] = P::several(strip.at(s * size + l, at));
            }
            P::Packed::transpose(&mut square[..size]);
        }
        for q in 0..size {
            for (s, square) in squares[..count].iter().enumerate() {
                P::Packed::store(out.add(q * width + s * size), square[q]);
            }
        }
    }
}

macro_rules! square_of_eight {
    ($($T:ty, $zero:expr;)*) => {$(
        impl Square for $T {
            type Register = __m256;
            const SIZE: usize = 8;
            const ZERO: Self = $zero;

            #[inline(always)]
            unsafe fn zeros() -> __m256 {
                // SAFETY: the caller's promise.
                unsafe { _mm256_setzero_ps() }
            }
            #[inline(always)]
            unsafe fn load(from: *const Self) -> __m256 {
                // SAFETY: the caller's promise.
                unsafe { _mm256_loadu_ps(from.cast()) }
            }
            #[inline(always)]
            unsafe fn transpose(square: &mut [__m256]) {
                // SAFETY: the caller's promise.
                unsafe { transpose_eight(square) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut Self, register: __m256) {
                // SAFETY: the caller's promise.
                unsafe { _mm256_storeu_ps(to.cast(), register) }
            }
        }
    )*};
}

square_of_eight! {
    f32, 0.0;
    u32, 0;
    Wrapping<i32>, Wrapping(0);
}

macro_rules! square_of_four {
    ($($T:ty, $zero:expr;)*) => {$(
        impl Square for $T {
            type Register = __m256d;
            const SIZE: usize = 4;
            const ZERO: Self = $zero;

            #[inline(always)]
            unsafe fn zeros() -> __m256d {
                // SAFETY: the caller's promise.
                unsafe { _mm256_setzero_pd() }
            }
            #[inline(always)]
            unsafe fn load(from: *const Self) -> __m256d {
                // SAFETY: the caller's promise.
                unsafe { _mm256_loadu_pd(from.cast()) }
            }
            #[inline(always)]
            unsafe fn transpose(square: &mut [__m256d]) {
                // SAFETY: the caller's promise.
                unsafe { transpose_four(square) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut Self, register: __m256d) {
                // SAFETY: the caller's promise.
                unsafe { _mm256_storeu_pd(to.cast(), register) }
            }
        }
    )*};
}

square_of_four! {
    f64, 0.0;
    Wrapping<i64>, Wrapping(0);
}

/// # Safety
/// AVX is there.
#[inline(always)]
unsafe fn transpose_four(square: &mut [__m256d]) {
    let &mut [a, b, c, d] = square else { return };
    // SAFETY: the caller's promise.
    unsafe {
        let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        let (low2, high2) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
        square[0] = _mm256_permute2f128_pd::<0x20>(low, low2);
        square[1] = _mm256_permute2f128_pd::<0x20>(high, high2);
        square[2] = _mm256_permute2f128_pd::<0x31>(low, low2);
        square[3] = _mm256_permute2f128_pd::<0x31>(high, high2);
    }
}

/// # Safety
/// AVX is there.
#[inline(always)]
unsafe fn transpose_eight(square: &mut [__m256]) {
    let &mut [r0, r1, r2, r3, r4, r5, r6, r7] = square else {
        return;
    };
    // SAFETY: the caller's promise.
    unsafe {
        // Columns of four rows each, in both halves of a register.
        let four = |a, b, c, d| {
            let (ab, ab2) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd, cd2) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab, cd),
                _mm256_shuffle_ps::<0xee>(ab, cd),
                _mm256_shuffle_ps::<0x44>(ab2, cd2),
                _mm256_shuffle_ps::<0xee>(ab2, cd2),
            ]
        };
        let (top, bottom) = (four(r0, r1, r2, r3), four(r4, r5, r6, r7));
        for i in 0..4 {
            square[i] = _mm256_permute2f128_ps::<0x20>(top[i], bottom[i]);
            square[i + 4] = _mm256_permute2f128_ps::<0x31>(top[i], bottom[i]);
        }
    }
}
