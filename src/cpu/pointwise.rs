//! Pointwise loops: one vectorised loop per formula and lane type over contiguous runs; strides,
//! broadcasting and conversions are met by gathering blocks that stay in the first-level cache.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::convert::{Convert, converter};
use super::iter::Plan;
use super::multiversion::multiversion;
use super::pool;
use crate::tensor::DType;

/// A formula at a lane type: N operands and P scalar parameters to one result.
pub trait Map<E, const N: usize, const P: usize> {
    type Out: Copy;
    fn at(x: [E; N], p: [E; P]) -> Self::Out;
    /// Is an argument outside what `at` computes well?
    #[inline(always)]
    fn is_wild(_: [E; N]) -> bool {
        false
    }
    /// The result for such arguments.
    #[inline(always)]
    fn at_wild(x: [E; N], p: [E; P]) -> Self::Out {
        Self::at(x, p)
    }
}

/// Computes `n` contiguous results from contiguous operands. The output may be one of the operands.
pub type Run = unsafe fn(inputs: *const *const u8, output: *mut u8, n: usize, params: *const u8);

/// Results computed at a time: they are stored after all their operands were read, so that the loop
/// vectorises without asking whether output and operands overlap.
const STRIP: usize = 32;

multiversion! {
    unsafe fn run_typed[F: Map<E, N, P>, E: Copy + Default, const N: usize, const P: usize](
        formula: PhantomData<F>, inputs: [*const E; N], output: *mut F::Out, n: usize, params: [E; P],
    ) {
        // SAFETY: passed on.
        unsafe { strips(formula, inputs, output, n, params) }
    }
}

/// Strip after strip; the last one is filled up with zeros.
#[inline(always)]
unsafe fn strips<F: Map<E, N, P>, E: Copy + Default, const N: usize, const P: usize>(
    _: PhantomData<F>,
    inputs: [*const E; N],
    output: *mut F::Out,
    n: usize,
    params: [E; P],
) {
    let mut pad = [[E::default(); STRIP]; N];
    let mut last = [MaybeUninit::<F::Out>::uninit(); STRIP];
    let mut done = 0;
    // SAFETY: the caller's operands have `n` elements each, the paddings a strip.
    unsafe {
        while done < n {
            let full = done + STRIP <= n;
            let mut at = [std::ptr::null(); N];
            for k in 0..N {
                at[k] = inputs[k].add(done);
                if !full {
                    let bytes = (n - done) * size_of::<E>();
                    std::ptr::copy_nonoverlapping(
                        at[k].cast::<u8>(),
                        pad[k].as_mut_ptr().cast(),
                        bytes,
                    );
                    at[k] = pad[k].as_ptr();
                }
            }
            let to = if full {
                output.add(done)
            } else {
                last.as_mut_ptr().cast()
            };
            strip::<F, E, N, P>(at, to, params);
            done += STRIP;
        }
        let rest = n % STRIP;
        let bytes = rest * size_of::<F::Out>();
        std::ptr::copy_nonoverlapping(
            last.as_ptr().cast::<u8>(),
            output.add(n - rest).cast(),
            bytes,
        );
    }
}

/// Computes one strip. Its size is known, so that results stay in registers on their way out.
#[inline(always)]
unsafe fn strip<F: Map<E, N, P>, E: Copy, const N: usize, const P: usize>(
    inputs: [*const E; N],
    output: *mut F::Out,
    params: [E; P],
) {
    let mut results = [MaybeUninit::<F::Out>::uninit(); STRIP];
    let mut wild = false;
    // SAFETY: operands and output have a strip of elements.
    unsafe {
        for (i, result) in results.iter_mut().enumerate() {
            let x = inputs.map(|p| p.add(i).read_unaligned());
            wild |= F::is_wild(x);
            result.write(F::at(x, params));
        }
        if wild {
            for (i, result) in results.iter_mut().enumerate() {
                let x = inputs.map(|p| p.add(i).read_unaligned());
                if F::is_wild(x) {
                    result.write(F::at_wild(x, params));
                }
            }
        }
        let to = output.cast::<[MaybeUninit<F::Out>; STRIP]>();
        to.write_unaligned(results);
    }
}

/// [`run_typed`] behind untyped pointers.
///
/// # Safety
/// As [`Run`] says: N operands and P parameters of type `E`, `n` elements everywhere.
pub unsafe fn run<F: Map<E, N, P>, E: Copy + Default, const N: usize, const P: usize>(
    inputs: *const *const u8,
    output: *mut u8,
    n: usize,
    params: *const u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inputs: [*const E; N] = std::array::from_fn(|k| (*inputs.add(k)).cast());
        let params: [E; P] = std::array::from_fn(|k| params.cast::<E>().add(k).read_unaligned());
        run_typed(PhantomData::<F>, inputs, output.cast(), n, params);
    }
}

/// [`run`] for formulas that do not vectorise: one version, whatever the CPU offers.
///
/// # Safety
/// As [`run`].
pub unsafe fn run_plain<F: Map<E, N, P>, E: Copy, const N: usize, const P: usize>(
    inputs: *const *const u8,
    output: *mut u8,
    n: usize,
    params: *const u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inputs: [*const E; N] = std::array::from_fn(|k| (*inputs.add(k)).cast());
        let params: [E; P] = std::array::from_fn(|k| params.cast::<E>().add(k).read_unaligned());
        for i in 0..n {
            let x = inputs.map(|p| p.add(i).read_unaligned());
            let result = if F::is_wild(x) {
                F::at_wild(x, params)
            } else {
                F::at(x, params)
            };
            output.cast::<F::Out>().add(i).write_unaligned(result);
        }
    }
}

/// Where an operand lies, and the lane type that the formula wants of it.
#[derive(Clone, Copy)]
pub struct Operand {
    pub ptr: *mut u8,
    pub dtype: DType,
    pub lane: DType,
}

/// Elements of a block that is gathered or converted.
const BLOCK: usize = 256;

type Buffer = MaybeUninit<[u128; BLOCK]>;

/// A call: operand 0 is the output.
struct Job<const K: usize> {
    run: Run,
    operands: [Operand; K],
    /// How to bring operands to their lane type, and the output back.
    converts: [Convert; K],
    params: *const u8,
    plan: Plan<K>,
}

// SAFETY: tasks write disjoint parts of the output and read the operands.
unsafe impl<const K: usize> Sync for Job<K> {}

/// Applies a formula to K - 1 operands, the output being operand 0. Strides are in elements of each.
///
/// # Safety
/// The operands lie within their storages, `params` holds what `run` expects, and the output is
/// exactly one of the operands or disjoint from them.
pub unsafe fn apply<const K: usize>(
    run: Run,
    shape: &[i64],
    strides: [&[i64]; K],
    operands: [Operand; K],
    params: *const u8,
    grain: usize,
) {
    if shape.contains(&0) {
        return;
    }
    let mut converts = [converter(operands[0].lane, operands[0].dtype); K];
    for k in 1..K {
        converts[k] = converter(operands[k].dtype, operands[k].lane);
    }
    let job = Job {
        run,
        operands,
        converts,
        params,
        plan: Plan::new(shape, strides),
    };
    let (size, _) = job.plan.inner();
    let rows = job.plan.outer_count();
    if rows == 1 {
        pool::parallel_for(size as usize, grain, |range| {
            job.row([0; K], range.start, range.end);
        });
    } else if size < (BLOCK / 4) as i64 {
        let grain = (grain / size as usize).max(1);
        pool::parallel_for(rows as usize, grain, |range| job.short_rows(range));
    } else {
        let grain = (grain / size as usize).max(1);
        pool::parallel_for(rows as usize, grain, |range| {
            let range = range.start as i64..range.end as i64;
            job.plan
                .for_each_outer(range, |offsets| job.row(offsets, 0, size as usize));
        });
    }
}

impl<const K: usize> Job<K> {
    fn at(&self, k: usize, offset: i64) -> *mut u8 {
        let bytes = offset as isize * self.operands[k].dtype.size() as isize;
        self.operands[k].ptr.wrapping_offset(bytes)
    }

    fn is_direct(&self, k: usize, step: i64) -> bool {
        step == 1 && self.operands[k].dtype == self.operands[k].lane
    }

    /// Elements `from..to` of one inner loop.
    fn row(&self, offsets: [i64; K], from: usize, to: usize) {
        let (_, steps) = self.plan.inner();
        let direct: [bool; K] = std::array::from_fn(|k| self.is_direct(k, steps[k]));
        let all_direct = direct.iter().all(|&d| d);
        let mut buffers: [Buffer; K] = [Buffer::uninit(); K];
        let mut start = from;
        while start < to {
            let n = if all_direct {
                to - start
            } else {
                BLOCK.min(to - start)
            };
            let mut inputs = [std::ptr::null(); K];
            for k in 1..K {
                let source = self.at(k, offsets[k] + start as i64 * steps[k]);
                inputs[k - 1] = if direct[k] {
                    source.cast_const()
                } else {
                    let buffer = buffers[k].as_mut_ptr().cast::<u8>();
                    // A broadcast value fills its buffer once.
                    if steps[k] != 0 || start == from {
                        // SAFETY: a block fits the buffer; the source lies in the layout.
                        unsafe { (self.converts[k])(source, steps[k] as isize, buffer, 1, n) }
                    }
                    buffer.cast_const()
                };
            }
            let target = self.at(0, offsets[0] + start as i64 * steps[0]);
            // SAFETY: `n` elements of each operand are contiguous at these addresses.
            unsafe {
                if direct[0] {
                    (self.run)(inputs.as_ptr(), target, n, self.params);
                } else {
                    let buffer = buffers[0].as_mut_ptr().cast::<u8>();
                    (self.run)(inputs.as_ptr(), buffer, n, self.params);
                    (self.converts[0])(buffer, 1, target, steps[0] as isize, n);
                }
            }
            start += n;
        }
    }

    /// Inner loops too short to pay for themselves: several share a block.
    fn short_rows(&self, range: std::ops::Range<usize>) {
        let (size, steps) = self.plan.inner();
        let size = size as usize;
        let mut buffers: [Buffer; K] = [Buffer::uninit(); K];
        let mut targets = [0i64; BLOCK];
        let mut rows = 0;
        let flush = |buffers: &mut [Buffer; K], targets: &[i64]| {
            let mut inputs = [std::ptr::null(); K];
            for k in 1..K {
                inputs[k - 1] = buffers[k].as_ptr().cast::<u8>();
            }
            let buffer = buffers[0].as_mut_ptr().cast::<u8>();
            // SAFETY: the buffers hold this many rows; the targets lie in the output's layout.
            unsafe {
                (self.run)(inputs.as_ptr(), buffer, targets.len() * size, self.params);
                let row_bytes = size * self.operands[0].lane.size();
                for (i, &target) in targets.iter().enumerate() {
                    let source = buffer.add(i * row_bytes);
                    (self.converts[0])(source, 1, self.at(0, target), steps[0] as isize, size);
                }
            }
        };
        self.plan
            .for_each_outer(range.start as i64..range.end as i64, |offsets| {
                for k in 1..K {
                    let at = rows * size * self.operands[k].lane.size();
                    // SAFETY: `rows` rows and one more fit the buffer.
                    unsafe {
                        let buffer = buffers[k].as_mut_ptr().cast::<u8>().add(at);
                        (self.converts[k])(
                            self.at(k, offsets[k]),
                            steps[k] as isize,
                            buffer,
                            1,
                            size,
                        );
                    }
                }
                targets[rows] = offsets[0];
                rows += 1;
                if (rows + 1) * size > BLOCK {
                    flush(&mut buffers, &targets[..rows]);
                    rows = 0;
                }
            });
        if rows > 0 {
            flush(&mut buffers, &targets[..rows]);
        }
    }
}
