//! Writes that read nothing: one value everywhere, or values in the order of memory.

use super::convert::repeat;
use super::iter::Plan;
use super::pool;
use crate::dispatch;
use crate::tensor::{Element, FromScalar, Scalar, Tensor, c128};

/// Writes a value to every element of a CPU tensor.
pub fn fill(target: &Tensor, value: Scalar) {
    let mut bytes = [0_u8; size_of::<c128>()];
    dispatch!(all target.dtype(), T => {
        let element = T::from_scalar(value);
        bytes[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(&element));
    });
    // One loop for each size of element, whatever the dtype.
    dispatch!(bytes target.dtype(), T => {
        fill_with(target, bytemuck::pod_read_unaligned::<T>(&bytes[..size_of::<T>()]));
    });
}

struct Target<T>(*mut T);
// SAFETY: tasks write disjoint elements through it.
unsafe impl<T> Sync for Target<T> {}

fn fill_with<T: Copy + Send + Sync>(target: &Tensor, value: T) {
    let plan = Plan::new(target.shape(), [target.strides()]);
    let (size, [step]) = plan.inner();
    let pointer = &Target(target.data_ptr().cast::<T>());
    let row = |offset: i64, from: usize, to: usize| {
        // SAFETY: the plan walks the tensor's own layout, which lies within its storage.
        unsafe {
            let start = pointer.0.offset(offset as isize);
            if step == 1 {
                repeat(value, start.add(from), to - from);
            } else {
                (from..to).for_each(|i| *start.offset(i as isize * step as isize) = value);
            }
        }
    };
    let rows = plan.outer_count();
    if rows == 1 {
        pool::parallel_for(size as usize, pool::grain::COPY, |range| {
            row(0, range.start, range.end);
        });
        return;
    }
    let grain = (pool::grain::COPY / (size as usize).max(1)).max(1);
    pool::parallel_for(rows as usize, grain, |range| {
        plan.for_each_outer(range.start as i64..range.end as i64, |[offset]| {
            row(offset, 0, size as usize);
        });
    });
}

/// Lets `draw` fill the elements in the order in which they lie in memory.
pub fn in_memory_order<T: Element>(target: &Tensor, draw: &mut dyn FnMut(&mut [T])) {
    let count = target.numel() as usize;
    if count == 0 {
        return;
    }
    let plan = Plan::new(target.shape(), [target.strides()]);
    let (size, [step]) = plan.inner();
    if plan.outer_count() == 1 && (step == 1 || size == 1) {
        // SAFETY: the plan says that the elements are these, and nothing else uses the target meanwhile.
        return draw(unsafe { std::slice::from_raw_parts_mut(target.ptr::<T>(), count) });
    }
    let mut values = vec![T::zeroed(); count];
    draw(&mut values);
    let mut rest = values.as_slice();
    plan.for_each_outer(0..plan.outer_count(), |[offset]| {
        let (row, tail) = rest.split_at(size as usize);
        rest = tail;
        for (i, &value) in row.iter().enumerate() {
            // SAFETY: the plan walks the tensor's own layout.
            unsafe {
                *target
                    .ptr::<T>()
                    .offset((offset + i as i64 * step) as isize) = value;
            };
        }
    });
}
