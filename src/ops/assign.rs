//! Writes that no declaration makes: copying into a tensor, and giving it new sizes.

use super::{Value, call_inplace, find_overload};
use crate::tensor::{Layout, Tensor, checked_numel};
use crate::{Result, backend, err};

/// `target.copy_(source)`: broadcasts, converts, counts the write, and is recorded.
pub fn copy_into(target: &Tensor, source: &Tensor) -> Result<()> {
    let entry = find_overload("copy").ok_or_else(|| err!(NotImplemented, "no operator 'copy'"))?;
    call_inplace(entry, &[target.into(), source.into(), Value::from(false)])
}

/// Gives a tensor row-major sizes, growing its storage where they need more room.
pub fn resize(target: &Tensor, shape: &[i64]) -> Result<()> {
    let layout = Layout {
        offset: target.layout().offset,
        ..Layout::contiguous(shape)
    };
    let bytes = checked_numel(shape)?
        .checked_add(layout.offset)
        .and_then(|n| n.checked_mul(target.dtype().size() as i64))
        .ok_or_else(|| {
            err!(
                Runtime,
                "Storage size calculation overflowed with sizes={shape:?}"
            )
        })?;
    // SAFETY: ops are called under the call lock, and no kernel is running on this tensor.
    unsafe {
        if bytes as usize > target.storage().nbytes() {
            backend::resize(target.storage(), bytes as usize)?;
        }
        target.set_layout(layout)
    }
}

/// Sizes as PyTorch writes them in messages: `torch.Size([2, 3])`.
#[must_use]
pub fn size_text(shape: &[i64]) -> String {
    format!("torch.Size({shape:?})")
}
