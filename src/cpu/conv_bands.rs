//! How [`super::conv_lines`] cut planes of outputs: into bands of rows that see the same rows of the input, and these into
//! strips of vectors.

use super::conv_lines::Lines;
use super::conv_plan::Phase;
use super::simd::{self, Float, Simd};
use std::ops::Range;

/// Vectors of neighbouring outputs.
pub struct Strip {
    pub first: usize,
    pub vectors: usize,
    /// The elements that they find, per phase along the width, column of the kernel and vector.
    pub seen: Vec<u32>,
}

/// Some rows of outputs.
pub struct Band {
    /// The first of them, rows to the next, and how many there are.
    pub first: usize,
    pub apart: usize,
    pub count: usize,
    /// The rows of the input that they see: where the first one begins, elements to the next, and a bit for each that
    /// exists.
    pub from: isize,
    pub pitch: isize,
    pub seen: u32,
}

/// The shape of the pieces, and the strips of a row.
pub struct Cut {
    pub lanes: usize,
    /// Rows per band.
    pub rows: usize,
    pub strips: Vec<Strip>,
}

impl Cut {
    pub fn new<T: Float>(lines: &Lines) -> Self {
        let (columns, all) = (&lines.columns, simd::lanes::<T>());
        // The widest level has vectors of half the size, of which short rows leave less unused.
        let narrow = all * size_of::<T>() == 64 && 2 * columns[0].count <= all;
        let alone = lines.target[0] == 1 && lines.rows[0].taps.len() == 1;
        let (vectors, rows) = match columns.len() {
            _ if narrow => (1, 8),
            1 if alone => (4, 1),
            1 => (2, 4),
            _ => (1, 4),
        };
        let lanes = if narrow { all / 2 } else { all };
        let count = columns[0].count.div_ceil(lanes);
        let whole = count / vectors * vectors;
        let strip = |first: usize| {
            let vectors = if first < whole { vectors } else { 1 };
            Strip {
                first: first * lanes,
                vectors,
                seen: seen(lines, lanes, first..first + vectors),
            }
        };
        let starts = (0..whole).step_by(vectors).chain(whole..count);
        Cut {
            lanes,
            rows,
            strips: starts.map(strip).collect(),
        }
    }

    /// The bands of a phase along the height.
    pub fn bands(&self, lines: &Lines, rows: &Phase) -> Vec<Band> {
        let ([height, width], [stride, _]) = (lines.source, lines.stride);
        // The rows of a window, and the outputs that see the same ones as another: a dilation apart, or all.
        let (unit, apart) = match rows.taps[..] {
            [a, b, ..] if stride == 1 => ((b.0 - a.0) as usize, (b.0 - a.0) as usize),
            [_, _, ..] => (1, 1),
            _ => (stride, 1),
        };
        let step = apart * stride / unit;
        let mut bands = Vec::new();
        for start in 0..apart.min(rows.count) {
            let count = (rows.count - start).div_ceil(apart);
            for row in (0..count).step_by(self.rows) {
                let first = start + row * apart;
                let count = (count - row).min(self.rows);
                let from = rows.taps[0].0 + (first * stride) as isize;
                let until = |row: isize| ((row - from).max(0) as usize).div_ceil(unit);
                let last = until(height as isize).min((count - 1) * step + rows.taps.len());
                let bits = |n: usize| (1u32 << n) - 1;
                bands.push(Band {
                    first,
                    apart,
                    count,
                    from: from * width as isize,
                    pitch: (unit * width) as isize,
                    seen: bits(last) & !bits(until(0).min(last)),
                });
            }
        }
        bands
    }
}

/// The elements that vectors of so many lanes find in a row, in the order of [`Strip::seen`].
fn seen(lines: &Lines, lanes: usize, vectors: Range<usize>) -> Vec<u32> {
    let ([_, stride], [_, width]) = (lines.stride, lines.source);
    let mut seen = Vec::new();
    for phase in &lines.columns {
        for &(offset, _) in &phase.taps {
            seen.extend(vectors.clone().map(|vector| {
                let first = vector * lanes;
                let exists = |lane: &usize| {
                    let at = ((first + lane) * stride) as isize + offset;
                    (0..width as isize).contains(&at)
                };
                (0..lanes.min(phase.count.saturating_sub(first)))
                    .filter(exists)
                    .fold(0, |mask, lane| mask | 1 << (lane * stride))
            }));
        }
    }
    seen
}

/// What a strip of a band sees in one column of its windows.
pub struct Column<T, const N: usize> {
    pub from: *const T,
    pub pitch: isize,
    pub rows: u32,
    pub seen: [u32; N],
}

impl<T: Float, const N: usize> Column<T, N> {
    /// Row `i`, if it exists: vectors of elements, or of every other one if `EVEN`.
    ///
    /// # Safety
    /// The elements with a bit can be read.
    #[inline(always)]
    pub unsafe fn row<V: Simd<T = T>, const EVEN: bool>(&self, i: usize) -> Option<[V; N]> {
        if self.rows >> i & 1 == 0 {
            return None;
        }
        let from = self.from.wrapping_offset(i as isize * self.pitch);
        let mut cells = [V::splat(T::ZERO); N];
        for n in 0..N {
            // SAFETY: the caller's promise.
            cells[n] = unsafe {
                if EVEN {
                    V::load_even(from.wrapping_add(2 * n * V::LANES), self.seen[n])
                } else {
                    V::load_lanes(from.wrapping_add(n * V::LANES), self.seen[n])
                }
            };
        }
        Some(cells)
    }
}

/// Calls a method for the shape that [`Cut::new`] gave the pieces: rows, and vectors of a row.
macro_rules! by_shape {
    ($cut:expr, $K:ident, $this:ident.$method:ident::<$V:ident>) => {
        if $cut.lanes < $V::LANES {
            $this.$method::<$V::Half, 8, 1>()
        } else if $K == 1 && $cut.rows == 1 {
            $this.$method::<$V, 1, 4>()
        } else {
            $this.$method::<$V, 4, 2>()
        }
    };
}
pub(super) use by_shape;

/// Runs `$Windows<T, K, S, EVEN>($of)`, whose windows have `K` rows and move by `S`, and along the width by two if `EVEN`.
macro_rules! by_window {
    ($lines:expr, $rows:expr, $Windows:ident<$T:ident>($of:expr)) => {
        match ($lines.stride[1], $rows.taps.len()) {
            (1, 1) => simd::run::<$T>($Windows::<$T, 1, 1, false>($of)),
            (1, 2) => simd::run::<$T>($Windows::<$T, 2, 1, false>($of)),
            (1, 3) => simd::run::<$T>($Windows::<$T, 3, 1, false>($of)),
            (1, 4) => simd::run::<$T>($Windows::<$T, 4, 1, false>($of)),
            (1, 5) => simd::run::<$T>($Windows::<$T, 5, 1, false>($of)),
            (1, _) => simd::run::<$T>($Windows::<$T, 7, 1, false>($of)),
            (_, 3) => simd::run::<$T>($Windows::<$T, 3, 2, true>($of)),
            (_, 4) => simd::run::<$T>($Windows::<$T, 4, 2, true>($of)),
            (_, _) => simd::run::<$T>($Windows::<$T, 5, 2, true>($of)),
        }
    };
}
pub(super) use by_window;

/// Calls `$call` for each of the rows that a band may see: up to eight windows of seven rows that move by one, or of five
/// rows that move by two.
macro_rules! each_row {
    ($self:ident.$add:ident::<$($of:ident),*>($($arg:expr),*)) => {
        each_row!(@ $self $add [$($of),*] ($($arg),*) 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18)
    };
    (@ $self:ident $add:ident $of:tt $args:tt $($i:literal)*) => {
        {
            $(each_row!(# $self $add $of $args $i);)*
        }
    };
    (# $self:ident $add:ident [$($of:ident),*] ($($arg:expr),*) $i:literal) => {
        $self.$add::<$($of,)* $i>($($arg),*)
    };
}
pub(super) use each_row;
