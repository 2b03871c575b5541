//! Convolutions of integers and complex numbers: blocks of output positions are gathered into columns and multiplied.

use super::columns::{Sample, gather, scatter};
use super::conv::{Geometry, Window};
use super::frame::Scratch;
use super::gemm::{Mat, Product};
use super::pool::{self, grain};
use super::reduce::Pointer;
use std::ops::Range;

/// Elements of a block of columns: about half of a second-level cache.
const BLOCK: usize = 64 << 10;

impl Geometry {
    /// Output rows (positions along width) per block, and the number of rows.
    fn rows(&self) -> (usize, usize) {
        let rows = self.output[0] * self.output[1];
        let per_block = BLOCK / (self.column() * self.output[2]).max(1);
        (per_block.clamp(1, rows.max(1)), rows)
    }

    /// Whether the columns are the input itself.
    fn is_pointwise(&self) -> bool {
        let Window {
            kernel,
            stride,
            padding,
            ..
        } = self.window;
        kernel == [1; 3] && stride == [1; 3] && padding == [0; 3]
    }

    /// Tasks of `work` multiply-adds each that are worth a thread.
    fn grain(&self, positions: usize) -> usize {
        grain::GEMM / (self.column() * self.filters * positions).max(1) + 1
    }
}

/// `output = convolution(input, weight) + bias`. Returns false if scratch memory cannot be had.
///
/// # Safety
/// The pointers lead to contiguous arrays of the shapes of `g`, `output` to one of its own; `bias` has one element per filter.
pub unsafe fn forward<T: Sample>(
    g: &Geometry,
    input: *const T,
    weight: *const T,
    bias: Option<*const T>,
    output: *mut T,
) -> bool {
    let (per_block, rows) = g.rows();
    let blocks = rows.div_ceil(per_block);
    let (input, weight, output) = (
        Pointer(input.cast_mut()),
        Pointer(weight.cast_mut()),
        Pointer(output),
    );
    let bias = Pointer(bias.map_or(std::ptr::null_mut(), <*const T>::cast_mut));
    let failed = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    pool::parallel_for(
        g.batch * g.groups * blocks,
        g.grain(per_block * g.output[2]),
        |tasks| {
            let size = if g.is_pointwise() {
                0
            } else {
                g.column() * per_block * g.output[2]
            };
            let Some(columns) = Scratch::<T>::new(size) else {
                failed.store(true, relaxed);
                return;
            };
            for task in tasks {
                let (image, block) = (task / blocks, task % blocks);
                let group = image % g.groups;
                let block = block * per_block..rows.min((block + 1) * per_block);
                let (first, count) = (block.start * g.output[2], block.len() * g.output[2]);
                let source = input.at(image * g.image());
                let target = output.at(image * g.filters * g.positions() + first);
                // SAFETY: the caller's promise; every task has its own positions of `output`.
                unsafe {
                    let b = columns_of(g, source, block, count, &columns);
                    let beta = fill_bias(g, bias.at(0), group, target, count);
                    let product = Product {
                        m: g.filters,
                        n: count,
                        k: g.column(),
                        a: Mat::new(
                            weight.at(group * g.filters * g.column()).cast_const(),
                            g.column() as isize,
                            1,
                        ),
                        b,
                        c: Mat::new(target, g.positions() as isize, 1),
                        alpha: T::ONE,
                        beta,
                    };
                    T::gemm(&product, 1);
                }
            }
        },
    );
    !failed.load(relaxed)
}

/// The columns of a block: gathered, or the input where it has that form already.
unsafe fn columns_of<T: Sample>(
    g: &Geometry,
    source: *const T,
    block: Range<usize>,
    count: usize,
    columns: &Scratch<T>,
) -> Mat<*const T> {
    if g.is_pointwise() {
        return Mat::new(
            source.wrapping_add(block.start * g.output[2]),
            g.positions() as isize,
            1,
        );
    }
    // SAFETY: the caller's promise.
    unsafe { gather(g, source, block, columns.ptr()) };
    Mat::new(columns.ptr().cast_const(), count as isize, 1)
}

/// Writes the bias to a block of the output and returns the factor that keeps it.
unsafe fn fill_bias<T: Sample>(
    g: &Geometry,
    bias: *const T,
    group: usize,
    target: *mut T,
    count: usize,
) -> T {
    if bias.is_null() {
        return T::ZERO;
    }
    for filter in 0..g.filters {
        // SAFETY: the caller's promise.
        unsafe {
            let row = target.add(filter * g.positions());
            std::slice::from_raw_parts_mut(row, count).fill(*bias.add(group * g.filters + filter));
        }
    }
    T::ONE
}

/// The adjoint of [`forward`] in the input, with a bias per channel of it: `input = bias + sum of the windows that each output
/// touched`. Returns false if scratch memory cannot be had.
///
/// # Safety
/// As for [`forward`]; here `input` is written.
pub unsafe fn grad_input<T: Sample>(
    g: &Geometry,
    output: *const T,
    weight: *const T,
    bias: Option<*const T>,
    input: *mut T,
) -> bool {
    let (per_block, rows) = g.rows();
    let bias = Pointer(bias.map_or(std::ptr::null_mut(), <*const T>::cast_mut));
    let (input, weight, output) = (
        Pointer(input),
        Pointer(weight.cast_mut()),
        Pointer(output.cast_mut()),
    );
    let images = g.batch * g.groups;
    let inner_threads = if images < pool::threads() {
        pool::threads()
    } else {
        1
    };
    let failed = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let image = |image: usize, columns: &Scratch<T>, threads: usize| {
        let group = image % g.groups;
        let target = input.at(image * g.image());
        // SAFETY: the caller's promise; every image is written by one task.
        unsafe {
            let pixels = g.image() / g.channels;
            for channel in 0..g.channels {
                let start = if bias.at(0).is_null() {
                    T::ZERO
                } else {
                    *bias.at(group * g.channels + channel)
                };
                std::slice::from_raw_parts_mut(target.add(channel * pixels), pixels).fill(start);
            }
            for start in (0..rows).step_by(per_block) {
                let block = start..rows.min(start + per_block);
                let count = block.len() * g.output[2];
                let from = output.at(image * g.filters * g.positions() + start * g.output[2]);
                let product = Product {
                    m: g.column(),
                    n: count,
                    k: g.filters,
                    a: Mat::new(
                        weight.at(group * g.filters * g.column()).cast_const(),
                        1,
                        g.column() as isize,
                    ),
                    b: Mat::new(from.cast_const(), g.positions() as isize, 1),
                    c: Mat::new(columns.ptr(), count as isize, 1),
                    alpha: T::ONE,
                    beta: T::ZERO,
                };
                T::gemm(&product, threads);
                scatter(g, columns.ptr(), block, target);
            }
        }
    };
    let work = |tasks: Range<usize>, threads: usize| {
        let Some(columns) = Scratch::<T>::new(g.column() * per_block * g.output[2]) else {
            failed.store(true, relaxed);
            return;
        };
        tasks.for_each(|task| image(task, &columns, threads));
    };
    if inner_threads > 1 {
        work(0..images, inner_threads);
    } else {
        pool::parallel_for(images, g.grain(g.positions()), |tasks| work(tasks, 1));
    }
    !failed.load(relaxed)
}

/// The adjoint of [`forward`] in the weight. Returns false if scratch memory cannot be had.
///
/// # Safety
/// As for [`forward`]; here `weight` is written.
pub unsafe fn grad_weight<T: Sample>(
    g: &Geometry,
    input: *const T,
    output: *const T,
    weight: *mut T,
) -> bool {
    let size = g.groups * g.filters * g.column();
    let workers = pool::threads()
        .min(g.batch.div_ceil(g.grain(g.positions() * g.groups)))
        .max(1);
    let Some(partial) = Scratch::<T>::new(size * (workers - 1)) else {
        return false;
    };
    let part = |worker: usize| {
        if worker == 0 {
            weight
        } else {
            partial.ptr().wrapping_add(size * (worker - 1))
        }
    };
    let parts: Vec<_> = (0..workers).map(|worker| Pointer(part(worker))).collect();
    let (input, output) = (Pointer(input.cast_mut()), Pointer(output.cast_mut()));
    let failed = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    pool::parallel_for(workers, 1, |range| {
        for worker in range {
            let images = g.batch * worker / workers..g.batch * (worker + 1) / workers;
            // SAFETY: the caller's promise; every worker writes its own part.
            let done =
                unsafe { add_weight(g, input.at(0), output.at(0), parts[worker].at(0), images) };
            if !done {
                failed.store(true, relaxed);
            }
        }
    });
    for other in &parts[1..] {
        for i in 0..size {
            // SAFETY: parts have `size` elements, all written.
            unsafe { *weight.add(i) += *other.at(i) };
        }
    }
    !failed.load(relaxed)
}

/// The weight's gradient from some of the images.
unsafe fn add_weight<T: Sample>(
    g: &Geometry,
    input: *const T,
    output: *const T,
    weight: *mut T,
    images: Range<usize>,
) -> bool {
    let (per_block, rows) = g.rows();
    let size = g.filters * g.column();
    let scratch = if g.is_pointwise() {
        0
    } else {
        g.column() * per_block * g.output[2]
    };
    let Some(columns) = Scratch::<T>::new(scratch) else {
        return false;
    };
    // SAFETY: the caller's promise.
    unsafe {
        std::slice::from_raw_parts_mut(weight, size * g.groups).fill(T::ZERO);
        for image in images.start * g.groups..images.end * g.groups {
            for start in (0..rows).step_by(per_block) {
                let block = start..rows.min(start + per_block);
                let count = block.len() * g.output[2];
                let from = output.add(image * g.filters * g.positions() + start * g.output[2]);
                let b = columns_of(g, input.add(image * g.image()), block, count, &columns);
                let product = Product {
                    m: g.filters,
                    n: g.column(),
                    k: count,
                    a: Mat::new(from, g.positions() as isize, 1),
                    b: b.transposed(),
                    c: Mat::new(weight.add(image % g.groups * size), g.column() as isize, 1),
                    alpha: T::ONE,
                    beta: T::ONE,
                };
                T::gemm(&product, 1);
            }
        }
    }
    true
}
