//! Extremes of floats in a row, NaN before everything else. Comparisons pass NaN over; whether there was one is seen
//! from the greatest magnitude, which costs an instruction a vector beside the comparison, in integers.

/// Lanes that are compared apart.
const LANES: usize = 64;
/// Rows from here on are worth the meeting of so many lanes.
pub const LONG: usize = 4 * LANES;

macro_rules! extreme {
    ($name:ident $bits:ident) => {
        /// # Safety
        /// `n` elements lie at `src`.
        #[inline(always)]
        pub unsafe fn $name(
            src: *const $name,
            n: usize,
            start: $name,
            better: impl Fn($name, $name) -> $name,
        ) -> $name {
            /// Twice the bits of a number: its magnitude, above which only those of NaN lie.
            const INFINITE: $bits = $name::INFINITY.to_bits() << 1;
            let mut best = [start; LANES];
            let mut magnitude: [$bits; LANES] = [0; LANES];
            let whole = n / LANES * LANES;
            for row in (0..whole).step_by(LANES) {
                for lane in 0..LANES {
                    // SAFETY: the caller's promise.
                    let x = unsafe { *src.add(row + lane) };
                    best[lane] = better(best[lane], x);
                    magnitude[lane] = magnitude[lane].max(x.to_bits() << 1);
                }
            }
            let (mut best, mut magnitude) = (
                best.into_iter().fold(start, &better),
                magnitude.into_iter().fold(0, $bits::max),
            );
            for i in whole..n {
                // SAFETY: the caller's promise.
                let x = unsafe { *src.add(i) };
                best = better(best, x);
                magnitude = magnitude.max(x.to_bits() << 1);
            }
            if magnitude > INFINITE {
                $name::NAN
            } else {
                best
            }
        }
    };
}

extreme!(f32 u32);
extreme!(f64 u64);
