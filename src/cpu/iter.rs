//! Walking strided operands together: dimensions that step alike are merged, the innermost one is a loop.

use smallvec::SmallVec;

/// Strides of the operands for one dimension, in elements of each.
pub type Steps<const N: usize> = [i64; N];

/// Loops over N operands of a common shape, innermost dimension last.
pub struct Plan<const N: usize> {
    /// (size, strides), outermost first; never empty.
    pub dims: SmallVec<[(i64, Steps<N>); 6]>,
}

impl<const N: usize> Plan<N> {
    /// Merges dimensions. Operand 0 (the output) decides their order: its smallest stride goes innermost.
    #[must_use]
    pub fn new(shape: &[i64], strides: [&[i64]; N]) -> Plan<N> {
        let mut dims: SmallVec<[(i64, Steps<N>); 6]> = SmallVec::new();
        for (d, &size) in shape.iter().enumerate() {
            if size != 1 {
                dims.push((size, std::array::from_fn(|k| strides[k][d])));
            }
        }
        if dims.len() > 1 {
            sort_dims(&mut dims);
            merge(&mut dims);
        }
        if dims.is_empty() {
            dims.push((1, [0; N]));
        }
        Plan { dims }
    }

    /// Sizes and strides of the innermost dimension.
    #[must_use]
    pub fn inner(&self) -> (i64, Steps<N>) {
        self.dims[self.dims.len() - 1]
    }

    /// How many inner loops there are.
    #[must_use]
    pub fn outer_count(&self) -> i64 {
        self.dims[..self.dims.len() - 1]
            .iter()
            .map(|&(size, _)| size)
            .product()
    }

    /// The outer dimension of the largest size; the plan must have one.
    #[must_use]
    pub fn longest_outer(&self) -> usize {
        let outer = 0..self.dims.len() - 1;
        outer.max_by_key(|&d| self.dims[d].0).unwrap_or(0)
    }

    /// Moves an outer dimension next to the innermost one.
    pub fn group(&mut self, d: usize) {
        let last = self.dims.len() - 2;
        self.dims[d..=last].rotate_left(1);
    }

    /// The outer dimension along which operand `k`, of elements of so many bytes, is denser than along
    /// the innermost one, if it jumps there from cache line to cache line.
    #[must_use]
    pub fn crossing(&self, k: usize, bytes: usize) -> Option<usize> {
        const LEAST: i64 = 8;
        let (cols, steps) = self.inner();
        if cols < LEAST || steps[k].unsigned_abs() as usize * bytes < 64 {
            return None;
        }
        let outer = self.dims[..self.dims.len() - 1].iter().enumerate();
        let denser = outer
            .filter(|(_, (size, at))| *size >= LEAST && at[k] != 0 && at[k].abs() < steps[k].abs());
        denser
            .min_by_key(|(_, (_, at))| at[k].abs())
            .map(|(d, _)| d)
    }

    /// Calls `body` with stretches of a range of inner loops: the operands' offsets at the start, and
    /// how many loops follow each other along the last outer dimension, at most `most`.
    pub fn for_each_stretch(
        &self,
        range: std::ops::Range<usize>,
        most: usize,
        mut body: impl FnMut([i64; N], usize),
    ) {
        let (group, row_steps) = self.dims[self.dims.len() - 2];
        let outer = Plan {
            dims: self.dims[..self.dims.len() - 1].into(),
        };
        let mut row = range.start as i64;
        while row < range.end as i64 {
            let (index, first) = (row / group, row % group);
            let end = group.min(first + range.end as i64 - row);
            outer.for_each_outer(index..index + 1, |offsets| {
                for start in (first..end).step_by(most) {
                    let rows = (end - start).min(most as i64) as usize;
                    let at = std::array::from_fn(|k| offsets[k] + start * row_steps[k]);
                    body(at, rows);
                }
            });
            row += end - first;
        }
    }

    /// Calls `body` with the operands' offsets at the start of each inner loop in a range of them.
    pub fn for_each_outer(&self, range: std::ops::Range<i64>, mut body: impl FnMut([i64; N])) {
        let outer = &self.dims[..self.dims.len() - 1];
        let mut index: SmallVec<[i64; 6]> = smallvec::smallvec![0; outer.len()];
        let mut offsets = [0i64; N];
        let mut rest = range.start;
        for d in (0..outer.len()).rev() {
            let (size, steps) = outer[d];
            index[d] = rest % size;
            rest /= size;
            for k in 0..N {
                offsets[k] += index[d] * steps[k];
            }
        }
        for _ in range {
            body(offsets);
            for d in (0..outer.len()).rev() {
                let (size, steps) = outer[d];
                index[d] += 1;
                for k in 0..N {
                    offsets[k] += steps[k];
                }
                if index[d] < size {
                    break;
                }
                index[d] = 0;
                for k in 0..N {
                    offsets[k] -= size * steps[k];
                }
            }
        }
    }
}

/// Orders dimensions by the strides of the operands, the first that tells them apart deciding.
fn sort_dims<const N: usize>(dims: &mut [(i64, Steps<N>)]) {
    // Insertion sort: stable, and the relation need not be transitive where strides are 0.
    for i in 1..dims.len() {
        let mut j = i;
        while j > 0 && should_swap(&dims[j - 1], &dims[j]) {
            dims.swap(j - 1, j);
            j -= 1;
        }
    }
}

fn should_swap<const N: usize>(outer: &(i64, Steps<N>), inner: &(i64, Steps<N>)) -> bool {
    for k in 0..N {
        let (a, b) = (outer.1[k].abs(), inner.1[k].abs());
        if a != 0 && b != 0 && a != b {
            return a < b;
        }
    }
    false
}

/// Joins neighbours that all operands step through as one.
fn merge<const N: usize>(dims: &mut SmallVec<[(i64, Steps<N>); 6]>) {
    let mut kept = 0;
    for d in 1..dims.len() {
        let (size, steps) = dims[d];
        let (outer_size, outer_steps) = dims[kept];
        if (0..N).all(|k| outer_steps[k] == size * steps[k]) {
            dims[kept] = (outer_size * size, steps);
        } else {
            kept += 1;
            dims[kept] = (size, steps);
        }
    }
    dims.truncate(kept + 1);
}

/// Calls `body` with the offset of every element, in row-major order.
pub fn for_each_offset(shape: &[i64], strides: &[i64], mut body: impl FnMut(i64)) {
    if shape.contains(&0) {
        return;
    }
    let mut index: SmallVec<[i64; 6]> = smallvec::smallvec![0; shape.len()];
    let mut offset = 0;
    loop {
        body(offset);
        let mut d = shape.len();
        loop {
            if d == 0 {
                return;
            }
            d -= 1;
            index[d] += 1;
            offset += strides[d];
            if index[d] < shape[d] {
                break;
            }
            offset -= shape[d] * strides[d];
            index[d] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_operands_merge_into_one_loop() {
        let plan = Plan::new(&[2, 3, 4], [&[12, 4, 1], &[12, 4, 1]]);
        assert_eq!(plan.dims.len(), 1);
        assert_eq!(plan.inner(), (24, [1, 1]));
    }

    #[test]
    fn broadcasts_and_transposes_keep_their_strides() {
        let plan = Plan::new(&[3, 4], [&[4, 1], &[0, 1]]);
        assert_eq!((plan.outer_count(), plan.inner()), (3, (4, [1, 1])));
        let plan = Plan::new(&[3, 4], [&[1, 3], &[1, 3]]);
        assert_eq!((plan.outer_count(), plan.inner()), (1, (12, [1, 1])));
    }

    #[test]
    fn outer_offsets_cover_every_element_once() {
        let plan = Plan::new(&[2, 3, 4], [&[12, 4, 1], &[1, 2, 6]]);
        let (size, steps) = plan.inner();
        let mut seen = [0; 24];
        let mut other = [0; 24];
        plan.for_each_outer(0..plan.outer_count(), |[a, b]| {
            for i in 0..size {
                seen[(a + i * steps[0]) as usize] += 1;
                other[(b + i * steps[1]) as usize] += 1;
            }
        });
        assert!(seen.iter().all(|&n| n == 1) && other.iter().all(|&n| n == 1));
    }
}
