//! Strides of results by memory format: row-major, channels last, or as the source has them.

use smallvec::smallvec;

use super::MemoryFormat;
use crate::tensor::{DType, Device, Dims, Layout, Tensor, contiguous_strides};
use crate::{Result, backend, ensure};

/// Strides of a result that keeps its source's order of dimensions (`torch.preserve_format`).
#[must_use]
pub fn preserved_strides(source: &Layout) -> Dims {
    if source.is_dense() && source.strides.iter().all(|&s| s >= 0) {
        return source.strides.clone();
    }
    let mut order: Vec<usize> = (0..source.ndim()).rev().collect();
    // Insertion sort by stride: a stride of 0 compares with nothing, so the relation is not transitive.
    for i in 1..order.len() {
        let mut at = i;
        for j in (0..i).rev() {
            match compare_steps(source, order[j], order[at]) {
                std::cmp::Ordering::Greater => {
                    order.swap(j, at);
                    at = j;
                }
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Equal => {}
            }
        }
    }
    let (mut strides, mut step): (Dims, i64) = (smallvec![0; source.ndim()], 1);
    for d in order {
        strides[d] = step;
        step *= source.shape[d].max(1);
    }
    strides
}

fn compare_steps(source: &Layout, a: usize, b: usize) -> std::cmp::Ordering {
    let (x, y) = (source.strides[a].abs(), source.strides[b].abs());
    if x == 0 || y == 0 {
        return std::cmp::Ordering::Equal;
    }
    let larger = x == y && source.shape[a] > source.shape[b];
    x.cmp(&y).then(if larger {
        std::cmp::Ordering::Greater
    } else {
        std::cmp::Ordering::Equal
    })
}

/// Row-major strides of the sizes with channels moved last.
pub(super) fn channels_last_strides(shape: &[i64], spatial: usize) -> Result<Dims> {
    ensure!(
        shape.len() == spatial + 2,
        Runtime,
        "required rank {} tensor to use {} format",
        spatial + 2,
        if spatial == 2 {
            "channels_last"
        } else {
            "channels_last_3d"
        }
    );
    let mut moved: Dims = shape.iter().copied().collect();
    let channels = moved.remove(1);
    moved.push(channels);
    let mut strides = contiguous_strides(&moved);
    if let Some(step) = strides.pop() {
        strides.insert(1, step);
    }
    Ok(strides)
}

/// Strides that a memory format gives to a copy of `source`.
pub(super) fn format_strides(
    source: &Layout,
    format: Option<MemoryFormat>,
) -> Result<Option<Dims>> {
    Ok(match format {
        None | Some(MemoryFormat::Preserve) if source.is_contiguous() => None,
        None | Some(MemoryFormat::Preserve) => Some(preserved_strides(source)),
        Some(MemoryFormat::Contiguous) => None,
        Some(MemoryFormat::ChannelsLast) => Some(channels_last_strides(&source.shape, 2)?),
        Some(MemoryFormat::ChannelsLast3d) => Some(channels_last_strides(&source.shape, 3)?),
    })
}

/// A tensor of the given sizes and dense strides, not initialised.
pub(super) fn empty_laid_out(
    device: Device,
    shape: &[i64],
    strides: Option<Dims>,
    dtype: DType,
) -> Result<Tensor> {
    let plain = backend::empty(device, shape, dtype)?;
    match strides {
        None => Ok(plain),
        Some(strides) => plain.alias(Layout {
            shape: Dims::from_slice(shape),
            strides,
            offset: 0,
        }),
    }
}
