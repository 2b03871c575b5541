//! Negative log-likelihood of target classes: picking elements from rows of classes, and putting gradients back.

use super::pool::{self, grain};

/// Scores [batch, classes, inner], row-major; targets [batch, inner]. Targets equal to `ignore` do not count.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    pub batch: usize,
    pub classes: usize,
    pub inner: usize,
    pub ignore: i64,
}

impl Rows {
    /// Where the score of target `i` lies, unless it is ignored.
    fn place(&self, i: usize, target: i64) -> Option<usize> {
        let class = usize::try_from(target)
            .ok()
            .filter(|&c| c < self.classes && target != self.ignore)?;
        Some((i / self.inner * self.classes + class) * self.inner + i % self.inner)
    }

    /// The first target that is neither a class nor ignored.
    pub fn bad_target(&self, targets: &[i64]) -> Option<i64> {
        let classes = 0..self.classes as i64;
        targets
            .iter()
            .copied()
            .find(|t| *t != self.ignore && !classes.contains(t))
    }
}

/// A float in which losses are computed.
pub trait Score: num_traits::Float + std::ops::AddAssign + Send + Sync {}
impl Score for f32 {}
impl Score for f64 {}

fn weight_of<T: Score>(weights: Option<&[T]>, target: i64) -> T {
    weights.map_or_else(T::one, |w| w[target as usize])
}

/// Writes the loss of each target; returns the sums of losses and of weights. Targets were checked.
pub fn forward<T: Score>(
    rows: &Rows,
    scores: &[T],
    targets: &[i64],
    weights: Option<&[T]>,
    losses: &mut [T],
) -> (T, T) {
    let (mut sum, mut total) = (T::zero(), T::zero());
    for (i, (&target, loss)) in targets.iter().zip(losses).enumerate() {
        *loss = match rows.place(i, target) {
            Some(place) => {
                let weight = weight_of(weights, target);
                total += weight;
                // A weight of zero leaves even an infinite loss out.
                if weight == T::zero() {
                    T::zero()
                } else {
                    -weight * scores[place]
                }
            }
            None => T::zero(),
        };
        sum += *loss;
    }
    (sum, total)
}

/// Writes the gradient of the scores, zero but at the targets; `slope` is the gradient of each loss, or of all.
pub fn backward<T: Score>(
    rows: &Rows,
    targets: &[i64],
    weights: Option<&[T]>,
    slopes: &[T],
    grad: &mut [T],
) {
    let (row, start) = (rows.classes * rows.inner, grad.as_mut_ptr() as usize);
    pool::parallel_for(rows.batch, grain::POINTWISE / row.max(1) + 1, |range| {
        let first = (start as *mut T).wrapping_add(range.start * row);
        // SAFETY: every task has rows of its own, inside `grad`.
        unsafe { std::slice::from_raw_parts_mut(first, range.len() * row) }.fill(T::zero());
    });
    for (i, &target) in targets.iter().enumerate() {
        if let Some(place) = rows.place(i, target) {
            grad[place] =
                -weight_of(weights, target) * slopes[if slopes.len() == 1 { 0 } else { i }];
        }
    }
}
