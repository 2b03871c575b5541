//! Advanced indexing: what the tensors in `x[i, :, mask]` select, as offsets into the storage.

use smallvec::SmallVec;

use super::view::on_cpu;
use crate::cpu::buffer::Buffer;
use crate::cpu::index::{self, Operand};
use crate::cpu::nonzero;
use crate::cpu::scatter::{Combine, Scatter, scatter};
use crate::tensor::{DType, Dims, Layout, Tensor, broadcast_shapes, contiguous_strides};
use crate::{Result, dispatch, ensure, err, fail};

/// One index tensor, for one dimension; a mask stands for several dimensions at once.
enum Part {
    /// Indices (int64), for a dimension of this size and stride.
    Numbers {
        index: Tensor,
        size: i64,
        stride: i64,
        dim: usize,
    },
    /// Offsets that a mask selects.
    Offsets(Buffer<i64>),
}

impl Part {
    fn shape(&self) -> Dims {
        match self {
            Part::Numbers { index, .. } => Dims::from_slice(index.shape()),
            Part::Offsets(list) => smallvec::smallvec![list.len() as i64],
        }
    }
}

/// Where the selected elements lie. The indexed dimensions become one block, in the place of the first
/// where they are neighbours, else in front.
pub struct Selection {
    /// Sizes of the result.
    pub shape: Dims,
    /// The result's sizes with the block as one dimension, and the source's strides (0 for the block).
    flat: Dims,
    strides: Dims,
    block: usize,
    /// Offsets of the block's elements, in units of `step`.
    offsets: Offsets,
    step: i64,
}

enum Offsets {
    Own(Buffer<i64>),
    /// The index tensor itself.
    Index(Tensor),
}

impl Offsets {
    fn ptr(&self) -> *mut i64 {
        match self {
            Offsets::Own(list) => list.as_ptr().cast_mut(),
            Offsets::Index(index) => index.ptr(),
        }
    }
}

/// Indices in int64, on the CPU.
pub fn long(index: &Tensor) -> Result<Tensor> {
    let index = on_cpu(index)?;
    if index.dtype() == DType::I64 {
        return Ok(index);
    }
    let wide = Tensor::empty(index.shape(), DType::I64)?;
    crate::backend::copy(&wide, &index)?;
    Ok(wide)
}

/// An index that writes to `x` do not change: itself, or a copy.
pub fn apart(index: Tensor, x: &Tensor) -> Result<Tensor> {
    if index.shares_storage(x) {
        super::resolve_lazy(&index)
    } else {
        Ok(index)
    }
}

/// A row-major tensor with the same elements: itself, or a copy without history.
pub fn row_major(x: &Tensor) -> Result<Tensor> {
    if x.is_contiguous() && !x.lazy().any() {
        Ok(x.clone())
    } else {
        super::resolve_lazy(x)
    }
}

fn part(x: &Tensor, index: &Tensor, dim: usize) -> Result<(Part, usize)> {
    if matches!(index.dtype(), DType::Bool | DType::U8) {
        let covered = x.shape().get(dim..dim + index.ndim());
        ensure!(
            covered.is_some_and(|shape| shape == index.shape()),
            Index,
            "The shape of the mask {:?} at index {} does not match the shape of the indexed tensor {:?} at index {}",
            index.shape(),
            mismatch(x, index, dim),
            x.shape(),
            dim + mismatch(x, index, dim)
        );
        let positions = nonzero::positions(&row_major(&on_cpu(index)?)?)?;
        if index.ndim() == 1 {
            let part = Part::Numbers {
                index: positions,
                size: x.shape()[dim],
                stride: x.strides()[dim],
                dim,
            };
            return Ok((part, 1));
        }
        let strides = &x.strides()[dim..dim + index.ndim()];
        let offsets = nonzero::offsets(positions.as_slice()?, index.shape(), strides);
        return Ok((Part::Offsets(offsets), index.ndim()));
    }
    ensure!(
        matches!(index.dtype(), DType::I64 | DType::I32),
        Index,
        "tensors used as indices must be long, int, byte or bool tensors"
    );
    let size = *x.shape().get(dim).ok_or_else(|| too_many(x))?;
    let part = Part::Numbers {
        index: apart(long(index)?, x)?,
        size,
        stride: x.strides()[dim],
        dim,
    };
    Ok((part, 1))
}

fn mismatch(x: &Tensor, mask: &Tensor, dim: usize) -> usize {
    (0..mask.ndim())
        .find(|&d| x.shape().get(dim + d) != Some(&mask.shape()[d]))
        .unwrap_or(0)
}

fn too_many(x: &Tensor) -> crate::Error {
    err!(
        Index,
        "too many indices for tensor of dimension {}",
        x.ndim()
    )
}

fn range_error(index: i64, dim: usize, size: i64) -> crate::Error {
    err!(
        Index,
        "index {index} is out of bounds for dimension {dim} with size {size}"
    )
}

/// Resolves index tensors against the tensor that they index.
pub fn select(x: &Tensor, indices: &[Option<Tensor>]) -> Result<Selection> {
    let (mut parts, mut free): (SmallVec<[Part; 2]>, SmallVec<[usize; 6]>) =
        (SmallVec::new(), SmallVec::new());
    let (mut dim, mut first, mut last) = (0, None, 0);
    for index in indices {
        match index {
            None => {
                ensure!(dim < x.ndim(), Index, "{}", too_many(x).message());
                free.push(dim);
                dim += 1;
            }
            Some(index) => {
                ensure!(
                    dim + usize::from(index.dtype() != DType::Bool) <= x.ndim(),
                    Index,
                    "{}",
                    too_many(x).message()
                );
                let (part, covered) = part(x, index, dim)?;
                parts.push(part);
                first.get_or_insert(dim);
                dim += covered;
                last = dim;
            }
        }
    }
    free.extend(dim..x.ndim());
    let first = first.unwrap_or(0);
    let adjacent = !free.iter().any(|&d| d >= first && d < last);
    let block = if adjacent {
        free.iter().filter(|&&d| d < first).count()
    } else {
        0
    };
    assemble(x, parts, &free, block)
}

fn assemble(
    x: &Tensor,
    mut parts: SmallVec<[Part; 2]>,
    free: &[usize],
    block: usize,
) -> Result<Selection> {
    let mut inner = Dims::new();
    for part in &parts {
        inner = broadcast_shapes(&inner, &part.shape()).map_err(|_| {
            let shapes: Vec<String> = parts
                .iter()
                .map(|p| format!("{:?}", &p.shape()[..]))
                .collect();
            err!(
                Index,
                "shape mismatch: indexing tensors could not be broadcast together with shapes {}",
                shapes.join(", ")
            )
        })?;
    }
    let count: i64 = inner.iter().product();
    let (offsets, step) = combined(&mut parts, &inner, count)?;
    let (mut shape, mut flat, mut strides) = (Dims::new(), Dims::new(), Dims::new());
    for i in 0..=free.len() {
        if i == block {
            shape.extend_from_slice(&inner);
            flat.push(count);
            strides.push(0);
        }
        if let Some(&d) = free.get(i) {
            shape.push(x.shape()[d]);
            flat.push(x.shape()[d]);
            strides.push(x.strides()[d]);
        }
    }
    Ok(Selection {
        shape,
        flat,
        strides,
        block,
        offsets,
        step,
    })
}

/// The block's offsets: the only index itself where nothing has to be wrapped or broadcast.
fn combined(parts: &mut [Part], inner: &[i64], count: i64) -> Result<(Offsets, i64)> {
    if let [
        Part::Numbers {
            index,
            size,
            stride,
            dim,
        },
    ] = &*parts
        && index.is_contiguous()
    {
        match index::out_of_range(index, 0, *size) {
            None => return Ok((Offsets::Index(index.clone()), *stride)),
            Some(_) => {
                if let Some(bad) = index::out_of_range(index, -size, *size) {
                    return Err(range_error(bad, *dim, *size));
                }
            }
        }
    }
    if let [Part::Offsets(list)] = parts {
        return Ok((Offsets::Own(std::mem::take(list)), 1));
    }
    let mut offsets = Buffer::new();
    offsets.fill_with(count as usize, |_| 0i64);
    for part in parts {
        match part {
            Part::Numbers {
                index,
                size,
                stride,
                dim,
            } => {
                let layout = index.layout().expand(inner)?;
                index::add_offsets(&mut offsets, index, &layout, *size, *stride)
                    .map_err(|bad| range_error(bad, *dim, *size))?;
            }
            Part::Offsets(list) => {
                let own = Layout::contiguous(&[list.len() as i64]).expand(inner)?;
                let mut n = 0;
                crate::cpu::iter::for_each_offset(&own.shape, &own.strides, |o| {
                    offsets[n] += list[o as usize];
                    n += 1;
                });
            }
        }
    }
    Ok((Offsets::Own(offsets), 1))
}

impl Selection {
    /// Strides of the offsets under the flat shape.
    fn index_strides(&self) -> Dims {
        let mut strides: Dims = smallvec::smallvec![0; self.flat.len()];
        strides[self.block] = 1;
        strides
    }

    /// What the selection reads.
    pub fn read(&self, x: &Tensor) -> Result<Tensor> {
        let out = Tensor::empty(&self.shape, x.dtype())?;
        dispatch!(bytes x.dtype(), T => {
            // SAFETY: the offsets were checked against the sizes, and the output is fresh.
            unsafe {
                index::gather::<T>(
                    &self.flat,
                    Operand { ptr: out.data_ptr().cast(), strides: &contiguous_strides(&self.flat) },
                    Operand { ptr: self.offsets.ptr(), strides: &self.index_strides() },
                    Operand { ptr: x.data_ptr().cast(), strides: &self.strides },
                    self.step,
                    None,
                );
            }
        });
        Ok(out)
    }

    /// Writes values, broadcast to the selection's sizes, into `target`, which is laid out as the indexed tensor is.
    pub fn write(&self, target: &Tensor, values: &Tensor, combine: Combine) -> Result<()> {
        let expanded = values.layout().expand(&self.shape).map_err(|_| {
            err!(
                Runtime,
                "shape mismatch: value tensor of shape {:?} cannot be broadcast to indexing result of shape {:?}",
                values.shape(),
                &self.shape[..]
            )
        })?;
        let values = if values.shares_storage(target) {
            super::resolve_lazy(&values.alias(expanded)?)?
        } else {
            values.alias(expanded)?
        };
        let (values, layout) = match values.layout().view(&self.flat) {
            Some(layout) => (values, layout),
            None => (
                super::resolve_lazy(&values)?,
                Layout::contiguous(&self.flat),
            ),
        };
        if self.flat.contains(&0) {
            return Ok(());
        }
        // SAFETY: the offsets were checked against the sizes of `target`.
        unsafe {
            scatter(
                &Scatter {
                    shape: &self.flat,
                    dim: self.block,
                    step: self.step,
                    target: Operand {
                        ptr: target.data_ptr(),
                        strides: &self.strides,
                    },
                    index: Operand {
                        ptr: self.offsets.ptr(),
                        strides: &self.index_strides(),
                    },
                    source: Operand {
                        ptr: values.data_ptr(),
                        strides: &layout.strides,
                    },
                },
                target.dtype(),
                combine,
            );
        }
        Ok(())
    }
}

/// One mask over all dimensions, which has kernels of its own.
#[must_use]
pub fn whole_mask<'a>(x: &Tensor, indices: &'a [Option<Tensor>]) -> Option<&'a Tensor> {
    match indices {
        [Some(mask)] if mask.dtype() == DType::Bool && mask.shape() == x.shape() => Some(mask),
        _ => None,
    }
}

/// No index at all is an error of the caller.
pub fn check_given(indices: &[Option<Tensor>]) -> Result<()> {
    if indices.iter().all(Option::is_none) {
        fail!(Index, "at least one index must be provided");
    }
    Ok(())
}
