//! Stride algebra: layouts that read part of another one, or read it in another order.

use super::{Dims, Layout};

/// Clamps a slice as Python does: negative bounds count from the end. Gives start and length.
#[must_use]
pub fn slice_bounds(size: i64, start: Option<i64>, stop: Option<i64>, step: i64) -> (i64, i64) {
    let wrap = |bound: i64| if bound < 0 { bound + size } else { bound }.clamp(0, size);
    let start = wrap(start.unwrap_or(0));
    let stop = wrap(stop.unwrap_or(i64::MAX)).max(start);
    (start, (stop - start + step - 1) / step)
}

/// A layout over given dimensions.
fn from_dims(dims: impl Iterator<Item = (i64, i64)>, offset: i64) -> Layout {
    let (shape, strides) = dims.unzip();
    Layout {
        shape,
        strides,
        offset,
    }
}

impl Layout {
    /// (size, stride) of each dimension.
    fn dims(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.shape.iter().copied().zip(self.strides.iter().copied())
    }

    /// Two dimensions exchanged.
    #[must_use]
    pub fn transposed(&self, a: usize, b: usize) -> Layout {
        let mut out = self.clone();
        if a != b {
            out.shape.swap(a, b);
            out.strides.swap(a, b);
        }
        out
    }

    /// Dimension `d` of the result is dimension `order[d]` of this.
    #[must_use]
    pub fn permuted(&self, order: &[usize]) -> Layout {
        let dims = order.iter().map(|&d| (self.shape[d], self.strides[d]));
        from_dims(dims, self.offset)
    }

    /// One index of a dimension, which goes away.
    #[must_use]
    pub fn select(&self, dim: usize, index: i64) -> Layout {
        let mut out = self.without(dim);
        out.offset += index * self.strides[dim];
        out
    }

    /// Without a dimension (its first index where it has several).
    #[must_use]
    pub fn without(&self, dim: usize) -> Layout {
        let mut out = self.clone();
        out.shape.remove(dim);
        out.strides.remove(dim);
        out
    }

    /// `length` indices of a dimension from `start` on, `step` apart.
    #[must_use]
    pub fn narrow(&self, dim: usize, start: i64, length: i64, step: i64) -> Layout {
        let mut out = self.clone();
        out.offset += start * self.strides[dim];
        out.shape[dim] = length;
        out.strides[dim] *= step;
        out
    }

    /// A new dimension of size 1, with the stride that PyTorch gives it.
    #[must_use]
    pub fn unsqueezed(&self, dim: usize) -> Layout {
        let mut out = self.clone();
        let stride = if dim < self.ndim() {
            self.shape[dim] * self.strides[dim]
        } else {
            1
        };
        out.shape.insert(dim, 1);
        out.strides.insert(dim, stride);
        out
    }

    /// Without those dimensions of size 1 that the predicate picks.
    #[must_use]
    pub fn squeezed(&self, pick: impl Fn(usize) -> bool) -> Layout {
        let dims = self.dims().enumerate();
        let kept = dims.filter(|&(d, (size, _))| size != 1 || !pick(d));
        from_dims(kept.map(|(_, dim)| dim), self.offset)
    }

    /// A diagonal of two dimensions, as a new last dimension.
    #[must_use]
    pub fn diagonal(&self, offset: i64, dim1: usize, dim2: usize) -> Layout {
        let (rows, cols) = (self.shape[dim1], self.shape[dim2]);
        let (length, start) = if offset >= 0 {
            (
                rows.min(cols - offset),
                offset.saturating_mul(self.strides[dim2]),
            )
        } else {
            (
                (rows + offset).min(cols),
                (-offset).saturating_mul(self.strides[dim1]),
            )
        };
        let dims = self.dims().enumerate();
        let kept = dims
            .filter(|&(d, _)| d != dim1 && d != dim2)
            .map(|(_, dim)| dim);
        let line = (length.max(0), self.strides[dim1] + self.strides[dim2]);
        let start = if length > 0 { start } else { 0 };
        from_dims(kept.chain(std::iter::once(line)), self.offset + start)
    }

    /// Windows of `size` indices, `step` apart; the window is a new last dimension.
    #[must_use]
    pub fn unfolded(&self, dim: usize, size: i64, step: i64) -> Layout {
        let mut out = self.clone();
        let (extent, stride) = if self.ndim() == 0 {
            (1, 1)
        } else {
            (self.shape[dim], self.strides[dim])
        };
        if self.ndim() > 0 {
            out.shape[dim] = (extent - size) / step + 1;
            out.strides[dim] = stride * step;
        }
        out.shape.push(size);
        out.strides.push(stride);
        out
    }

    /// Dimensions read backwards.
    #[must_use]
    pub fn flipped(&self, pick: impl Fn(usize) -> bool) -> Layout {
        let mut out = self.clone();
        for d in (0..self.ndim()).filter(|&d| pick(d) && self.shape[d] > 1) {
            out.offset += (self.shape[d] - 1) * self.strides[d];
            out.strides[d] = -self.strides[d];
        }
        out
    }

    /// The same place in the storage, counted in elements of another size.
    #[must_use]
    pub fn rescaled(&self, scale: impl Fn(i64) -> i64) -> Layout {
        Layout {
            shape: self.shape.clone(),
            strides: self.strides.iter().map(|&s| scale(s)).collect::<Dims>(),
            offset: scale(self.offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_clamp_as_in_python() {
        assert_eq!(slice_bounds(5, None, None, 1), (0, 5));
        assert_eq!(slice_bounds(5, Some(-2), None, 1), (3, 2));
        assert_eq!(slice_bounds(5, Some(4), Some(1), 1), (4, 0));
        assert_eq!(slice_bounds(5, Some(-9), Some(9), 2), (0, 3));
        assert_eq!(slice_bounds(0, None, None, 3), (0, 0));
    }

    #[test]
    fn diagonals_stay_inside() {
        let layout = Layout::contiguous(&[3, 4]);
        let line = layout.diagonal(1, 0, 1);
        assert_eq!((line.shape[0], line.strides[0], line.offset), (3, 5, 1));
        let below = layout.diagonal(-2, 0, 1);
        assert_eq!((below.shape[0], below.offset), (1, 8));
        assert_eq!(layout.diagonal(9, 0, 1).shape[0], 0);
    }

    #[test]
    fn flips_read_backwards() {
        let layout = Layout::contiguous(&[2, 3]).flipped(|d| d == 1);
        assert_eq!((layout.offset, layout.strides[1]), (2, -1));
    }
}
