//! Permutations and draws from a discrete distribution.

use super::random::Generator;

/// From this length on a permutation is drawn from 64-bit words.
const LONG: usize = u32::MAX as usize / 20;

/// Why weights are no distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadWeights {
    Negative,
    NotFinite,
    ZeroSum,
}

/// A random permutation of `0..out.len()` (Fisher-Yates).
pub fn permutation(generator: &mut Generator, out: &mut [i64]) {
    let n = out.len();
    if n < LONG {
        for (i, o) in out.iter_mut().enumerate() {
            *o = i as i64;
        }
        for i in 0..n.saturating_sub(1) {
            let other = i + generator.next_u32() as usize % (n - i);
            out.swap(i, other);
        }
        return;
    }
    for i in 0..n {
        let other = (generator.next_u64() % (i as u64 + 1)) as usize;
        out[i] = out[other];
        out[other] = i as i64;
    }
}

macro_rules! with_replacement {
    ($name:ident, $t:ty) => {
        /// Indices drawn with probabilities proportional to `weights`; `sums` is scratch of the same length.
        pub fn $name(
            generator: &mut Generator,
            out: &mut [i64],
            weights: &[$t],
            sums: &mut [$t],
        ) -> Result<(), BadWeights> {
            let mut sum = 0.0;
            for (s, &w) in sums.iter_mut().zip(weights) {
                if !(w >= 0.0) {
                    return Err(BadWeights::Negative);
                }
                if w.is_infinite() {
                    return Err(BadWeights::NotFinite);
                }
                sum += w;
                *s = sum;
            }
            if !(sum > 0.0) {
                return Err(BadWeights::ZeroSum);
            }
            sums.iter_mut().for_each(|s| *s /= sum);
            if let Some(last) = sums.last_mut() {
                *last = 1.0;
            }
            for o in out {
                let sample = generator.uniform_f64();
                *o = sums.partition_point(|&s| f64::from(s) < sample) as i64;
            }
            Ok(())
        }
    };
}

with_replacement!(multinomial_f32, f32);
with_replacement!(multinomial_f64, f64);
