//! Shapes, signed strides and offsets, in elements.

use smallvec::SmallVec;

use crate::{Result, ensure, err, fail};

/// Sizes or strides of up to six dimensions without an allocation.
pub type Dims = SmallVec<[i64; 6]>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub shape: Dims,
    pub strides: Dims,
    pub offset: i64,
}

/// Row-major strides of a shape; sizes of 0 count as 1, as in PyTorch.
#[must_use]
pub fn contiguous_strides(shape: &[i64]) -> Dims {
    let mut strides: Dims = smallvec::smallvec![1; shape.len()];
    let mut step = 1i64;
    for d in (0..shape.len()).rev() {
        strides[d] = step;
        step = step.saturating_mul(shape[d].max(1));
    }
    strides
}

/// Number of elements, or the error of a shape whose count or byte size overflows.
pub fn checked_numel(shape: &[i64]) -> Result<i64> {
    let mut n = 1i64;
    for &s in shape {
        ensure!(
            s >= 0,
            Runtime,
            "Trying to create tensor with negative dimension {s}: {shape:?}"
        );
        n = n
            .checked_mul(s)
            .ok_or_else(|| err!(Runtime, "numel: integer multiplication overflow"))?;
    }
    Ok(n)
}

/// PyTorch's rule for `dim` arguments; a 0-dim tensor takes -1 and 0.
pub fn wrap_dim(dim: i64, ndim: usize) -> Result<usize> {
    let n = ndim.max(1) as i64;
    if dim < -n || dim >= n {
        fail!(
            Index,
            "Dimension out of range (expected to be in range of [{}, {}], but got {dim})",
            -n,
            n - 1
        );
    }
    Ok((if dim < 0 { dim + n } else { dim }) as usize)
}

/// The common shape of operands, or PyTorch's error.
pub fn broadcast_shapes(a: &[i64], b: &[i64]) -> Result<Dims> {
    let n = a.len().max(b.len());
    let mut out: Dims = smallvec::smallvec![1; n];
    for d in (0..n).rev() {
        let x = if d + a.len() >= n {
            a[d + a.len() - n]
        } else {
            1
        };
        let y = if d + b.len() >= n {
            b[d + b.len() - n]
        } else {
            1
        };
        out[d] = match (x, y) {
            _ if x == y => x,
            (1, _) => y,
            (_, 1) => x,
            _ => fail!(
                Runtime,
                "The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {d}"
            ),
        };
    }
    Ok(out)
}

impl Layout {
    #[must_use]
    pub fn contiguous(shape: &[i64]) -> Layout {
        Layout {
            shape: Dims::from_slice(shape),
            strides: contiguous_strides(shape),
            offset: 0,
        }
    }

    #[inline]
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    #[inline]
    #[must_use]
    pub fn numel(&self) -> i64 {
        self.shape
            .iter()
            .fold(1, |n: i64, &size| n.saturating_mul(size))
    }

    /// Row-major and dense; strides of dimensions of size 1 do not count.
    #[inline]
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size == 0 {
                return true;
            }
            if size != 1 {
                if stride != step {
                    return false;
                }
                step = step.saturating_mul(size);
            }
        }
        true
    }

    /// Does every element have a place of its own, without holes, in some order of dimensions?
    #[must_use]
    pub fn is_dense(&self) -> bool {
        let mut dims: Dims = (0..self.ndim() as i64)
            .filter(|&d| self.shape[d as usize] != 1)
            .collect();
        dims.sort_by_key(|&d| self.strides[d as usize]);
        let mut step = 1;
        for &d in &dims {
            if self.shape[d as usize] == 0 {
                return true;
            }
            if self.strides[d as usize] != step {
                return false;
            }
            step = step.saturating_mul(self.shape[d as usize]);
        }
        true
    }

    /// Can two indices reach one element? Conservative where strides interleave.
    #[must_use]
    pub fn may_overlap_itself(&self) -> bool {
        let mut dims: SmallVec<[(i64, i64); 6]> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|&(&size, _)| size > 1)
            .map(|(&size, &stride)| (stride.saturating_abs(), size))
            .collect();
        if self.numel() < 2 {
            return false;
        }
        dims.sort_unstable();
        let mut reach = 0;
        for (stride, size) in dims {
            if stride <= reach {
                return true;
            }
            reach = stride.saturating_mul(size - 1).saturating_add(reach);
        }
        false
    }

    /// The lowest and highest element offset that an index can reach, or None when there is none.
    #[must_use]
    pub fn extent(&self) -> Option<(i64, i64)> {
        let (mut low, mut high) = (self.offset, self.offset);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            if size == 0 {
                return None;
            }
            let reach = stride.checked_mul(size - 1)?;
            if reach < 0 {
                low = low.checked_add(reach)?;
            } else {
                high = high.checked_add(reach)?;
            }
        }
        Some((low, high))
    }

    /// The same elements read under a broadcast shape: new and size-1 dimensions get stride 0.
    pub fn expand(&self, shape: &[i64]) -> Result<Layout> {
        let lead = shape.len().checked_sub(self.ndim()).ok_or_else(|| {
            err!(
                Runtime,
                "expand: the requested shape has too few dimensions ({} for a tensor of {})",
                shape.len(),
                self.ndim()
            )
        })?;
        let mut strides: Dims = smallvec::smallvec![0; shape.len()];
        for d in (lead..shape.len()).rev() {
            let (have, want) = (self.shape[d - lead], shape[d]);
            if have == want {
                strides[d] = self.strides[d - lead];
            } else if have != 1 {
                fail!(
                    Runtime,
                    "The expanded size of the tensor ({want}) must match the existing size ({have}) at non-singleton dimension {d}.  Target sizes: {shape:?}.  Tensor sizes: {:?}",
                    &self.shape[..]
                );
            }
        }
        Ok(Layout {
            shape: Dims::from_slice(shape),
            strides,
            offset: self.offset,
        })
    }

    /// The layout under new sizes without a copy, if there is one (PyTorch's `computeStride`).
    #[must_use]
    pub fn view(&self, shape: &[i64]) -> Option<Layout> {
        if self.numel() == 0 {
            return Some(Layout {
                offset: self.offset,
                ..Layout::contiguous(shape)
            });
        }
        let mut strides: Dims = smallvec::smallvec![0; shape.len()];
        let mut d = shape.len();
        let mut base = self.strides.last().copied().unwrap_or(1);
        let (mut chunk, mut filled) = (1i64, 1i64);
        for old in (0..self.ndim()).rev() {
            chunk *= self.shape[old];
            let ends =
                old == 0 || (self.shape[old - 1] != 1 && self.strides[old - 1] != chunk * base);
            if !ends {
                continue;
            }
            while d > 0 && (filled < chunk || shape[d - 1] == 1) {
                d -= 1;
                strides[d] = filled * base;
                filled *= shape[d];
            }
            if filled != chunk {
                return None;
            }
            if old > 0 {
                base = self.strides[old - 1];
                (chunk, filled) = (1, 1);
            }
        }
        // What is left are sizes of 1 in front (or all of them, for a 0-dim source).
        while d > 0 {
            d -= 1;
            strides[d] = filled * base;
        }
        Some(Layout {
            shape: Dims::from_slice(shape),
            strides,
            offset: self.offset,
        })
    }
}
