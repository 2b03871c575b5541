//! Bringing any layout to the runs of [`super::pointwise`]: operands that are contiguous in the lane
//! type are read in place, others are gathered and converted in blocks that stay in the first-level
//! cache; short rows go many at a time, transposed operands in tiles.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::convert::{Convert, Rect, converter};
use super::iter::Plan;
use super::pointwise::{Input, Output, Run, STRIP};
use super::pool;
use super::stream::{self, Line};
use crate::dispatch;
use crate::tensor::DType;

/// Where an operand lies, and the lane type that the formula wants of it.
#[derive(Clone, Copy)]
pub struct Operand {
    pub ptr: *mut u8,
    pub dtype: DType,
    pub lane: DType,
}

/// Bytes of a buffer, and of the blocks in it: those of all operands fit the first-level cache.
const BUFFER: usize = 16 << 10;
const BLOCK: usize = BUFFER / 4;
/// Rows of a tile: a cache line of an operand that is dense along them, so that the rows are long.
const TILE: usize = 16;
/// Inner loops shorter than this share a block.
const SHORT: i64 = 128;

type Buffer = MaybeUninit<Line<[u128; BUFFER / 16]>>;
/// Room for a strip of one repeated value.
pub type Splat = MaybeUninit<Line<[u128; STRIP]>>;

/// An operand that stands still: a strip of one value of a lane type.
///
/// # Safety
/// A value of the type lies at `value`.
pub unsafe fn repeated(value: *const u8, lane: DType, splat: &mut Splat) -> Input {
    let strip = splat.as_mut_ptr().cast::<u8>();
    dispatch!(bytes lane, T => {
        // SAFETY: the caller's promise; a strip has room for that many elements of any type.
        unsafe { strip.cast::<[T; STRIP]>().write([value.cast::<T>().read_unaligned(); STRIP]) };
    });
    Input {
        ptr: strip,
        step: 0,
    }
}

/// How the innermost dimension of an operand is read, or the output written.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// In place.
    Direct,
    /// One value all along.
    Still,
    /// By way of a buffer.
    Buffered,
}

/// A call: operand 0 is the output.
struct Job<const K: usize> {
    run: Run,
    operands: [Operand; K],
    /// How to bring operands to their lane type, and the output back.
    converts: [Convert; K],
    access: [Access; K],
    params: *const u8,
    plan: Plan<K>,
    /// Results go around the caches, which they do not fit.
    streams: bool,
    /// Bytes of an element of the widest lane.
    width: usize,
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
    let mut job = Job {
        run,
        operands,
        converts,
        access: [Access::Buffered; K],
        params,
        plan: Plan::new(shape, strides),
        streams: false,
        width: operands.iter().map(|x| x.lane.size()).max().unwrap_or(1),
    };
    job.settle();
    job.start(grain);
}

impl<const K: usize> Job<K> {
    /// Finds out how each operand is accessed.
    fn settle(&mut self) {
        let (_, steps) = self.plan.inner();
        for k in 0..K {
            let same = self.operands[k].dtype == self.operands[k].lane;
            self.access[k] = match steps[k] {
                0 if k > 0 => Access::Still,
                1 if same => Access::Direct,
                _ => Access::Buffered,
            };
        }
        let output = self.operands[0].ptr;
        let bytes = (0..K).map(|k| self.distinct(k) * self.operands[k].dtype.size());
        self.streams = self.access[0] == Access::Direct
            && stream::pays(bytes.sum())
            && (output as usize).is_multiple_of(self.operands[0].dtype.size())
            && self.operands[1..].iter().all(|x| x.ptr != output);
    }

    /// How many elements of operand `k` are read; broadcast ones count once.
    fn distinct(&self, k: usize) -> usize {
        let dims = self.plan.dims.iter().filter(|(_, steps)| steps[k] != 0);
        dims.map(|&(size, _)| size as usize).product()
    }

    fn start(&mut self, grain: usize) {
        let (size, _) = self.plan.inner();
        let rows = self.plan.outer_count();
        if rows == 1 {
            return pool::parallel_for(size as usize, grain, |range| {
                self.row([0; K], range);
                self.finish();
            });
        }
        if let Some(d) = self.crossing() {
            self.plan.group(d);
            return self.tiles(grain);
        }
        if size < SHORT {
            self.plan.group(self.plan.longest_outer());
            let rows_grain = (grain / size as usize).max(1);
            return pool::parallel_for(rows as usize, rows_grain, |range| self.short_rows(range));
        }
        // Few long rows are divided, so that every thread gets its share.
        let pieces = (size as usize / grain).max(1);
        let units = rows as usize * pieces;
        let unit_grain = (grain * pieces / size as usize).max(1);
        pool::parallel_for(units, unit_grain, |range| {
            if pieces == 1 {
                let range = range.start as i64..range.end as i64;
                let row = |at| self.row(at, 0..size as usize);
                self.plan.for_each_outer(range, row);
            } else {
                for unit in range {
                    let (row, piece) = ((unit / pieces) as i64, unit % pieces);
                    let bound = |i: usize| size as usize * i / pieces;
                    self.plan.for_each_outer(row..row + 1, |at| {
                        self.row(at, bound(piece)..bound(piece + 1));
                    });
                }
            }
            self.finish();
        });
    }

    /// At the end of a task, whose results other threads are to see.
    fn finish(&self) {
        if self.streams {
            stream::finish();
        }
    }

    /// How many results lie before the next cache line, if they go around the caches line by line.
    fn head(&self, target: *const u8) -> usize {
        if !self.streams {
            return 0;
        }
        stream::to_line(target) / self.operands[0].dtype.size()
    }

    fn at(&self, k: usize, offset: i64) -> *mut u8 {
        let bytes = offset as isize * self.operands[k].dtype.size() as isize;
        self.operands[k].ptr.wrapping_offset(bytes)
    }

    /// Repeats one value of operand `k` in a strip of its own.
    fn hold(&self, k: usize, offset: i64, splat: &mut Splat) -> Input {
        let mut value = 0u128;
        let at = (&raw mut value).cast::<u8>();
        // SAFETY: a lane is at most as wide as the value; the source is an element of the layout.
        unsafe {
            (self.converts[k])(&Rect::line(self.at(k, offset), 1, at, 1, 1));
            repeated(at, self.operands[k].lane, splat)
        }
    }

    /// Elements of one inner loop.
    fn row(&self, offsets: [i64; K], range: Range<usize>) {
        let (_, steps) = self.plan.inner();
        let mut splats = [Splat::uninit(); K];
        let mut inputs = [Input {
            ptr: std::ptr::null(),
            step: 1,
        }; K];
        for k in 1..K {
            let offset = offsets[k] + range.start as i64 * steps[k];
            if self.access[k] == Access::Still {
                inputs[k] = self.hold(k, offset, &mut splats[k]);
            } else {
                inputs[k].ptr = self.at(k, offset);
            }
        }
        let target = self.at(0, offsets[0] + range.start as i64 * steps[0]);
        if self.access.contains(&Access::Buffered) {
            return self.blocks(&mut inputs, target, range.len());
        }
        let head = self.head(target).min(range.len());
        let output = Output {
            ptr: target.wrapping_add(head * self.operands[0].dtype.size()),
            around: self.streams,
        };
        // SAFETY: as many elements of each operand are contiguous at these addresses.
        unsafe {
            if head > 0 {
                (self.run)(
                    inputs[1..].as_ptr(),
                    Output::plain(target),
                    head,
                    self.params,
                );
                for k in 1..K {
                    let bytes = head * inputs[k].step * self.operands[k].lane.size();
                    inputs[k].ptr = inputs[k].ptr.wrapping_add(bytes);
                }
            }
            (self.run)(
                inputs[1..].as_ptr(),
                output,
                range.len() - head,
                self.params,
            );
        }
    }

    /// `n` elements by way of buffers; the inputs say where they start.
    #[inline(never)]
    fn blocks(&self, inputs: &mut [Input; K], target: *mut u8, n: usize) {
        let (_, steps) = self.plan.inner();
        let mut buffers = [Buffer::uninit(); K];
        let (mut done, head) = (0, self.head(target));
        let sources = inputs.map(|input| input.ptr);
        while done < n {
            // A short first block, so that the others start at a cache line.
            let most = if done < head {
                head
            } else {
                BLOCK / self.width
            };
            let count = most.min(n - done);
            let at = |k: usize, start: *const u8| {
                let step = steps[k] as isize * self.operands[k].dtype.size() as isize;
                start.wrapping_offset(done as isize * step)
            };
            for k in 1..K {
                match self.access[k] {
                    Access::Still => {}
                    Access::Direct => inputs[k].ptr = at(k, sources[k]),
                    Access::Buffered => {
                        let buffer = buffers[k].as_mut_ptr().cast::<u8>();
                        let source = at(k, sources[k]);
                        let rect = Rect::line(source, steps[k] as isize, buffer, 1, count);
                        // SAFETY: a block fits the buffer; the source lies in the layout.
                        unsafe { (self.converts[k])(&rect) };
                        inputs[k].ptr = buffer;
                    }
                }
            }
            let to = at(0, target).cast_mut();
            let buffer = buffers[0].as_mut_ptr().cast::<u8>();
            // SAFETY: `count` elements of each operand are contiguous at these addresses.
            unsafe {
                if self.access[0] == Access::Direct {
                    let around = self.streams && done >= head;
                    let output = Output { ptr: to, around };
                    (self.run)(inputs[1..].as_ptr(), output, count, self.params);
                } else {
                    (self.run)(
                        inputs[1..].as_ptr(),
                        Output::plain(buffer),
                        count,
                        self.params,
                    );
                    (self.converts[0])(&Rect::line(buffer, 1, to, steps[0] as isize, count));
                }
            }
            done += count;
        }
    }

    /// Rows of the grouped dimension that is outside the innermost one: the steps of both.
    fn group_steps(&self, k: usize) -> [isize; 2] {
        let n = self.plan.dims.len();
        [
            self.plan.dims[n - 2].1[k] as isize,
            self.plan.dims[n - 1].1[k] as isize,
        ]
    }

    /// Inner loops too short to pay for themselves: a block holds several.
    fn short_rows(&self, range: Range<usize>) {
        let cols = self.plan.inner().0 as usize;
        let mut buffers = [Buffer::uninit(); K];
        let mut held: [Option<(i64, usize)>; K] = [None; K];
        self.plan
            .for_each_stretch(range, BLOCK / self.width / cols, |offsets, rows| {
                let mut inputs = [Input {
                    ptr: std::ptr::null(),
                    step: 1,
                }; K];
                for k in 1..K {
                    let steps = self.group_steps(k);
                    let source = self.at(k, offsets[k]);
                    let same = self.operands[k].dtype == self.operands[k].lane;
                    if same && steps == [cols as isize, 1] {
                        inputs[k].ptr = source;
                        continue;
                    }
                    let buffer = buffers[k].as_mut_ptr().cast::<u8>();
                    // Rows that are all the same are gathered once.
                    let kept = held[k].is_some_and(|(at, n)| at == offsets[k] && n >= rows);
                    if steps[0] != 0 || !kept {
                        let rect = Rect {
                            rows,
                            cols,
                            source,
                            source_steps: steps,
                            target: buffer,
                            target_steps: [cols as isize, 1],
                        };
                        // SAFETY: the rows fit the buffer; the source lies in the layout.
                        unsafe { (self.converts[k])(&rect) };
                        held[k] = Some((offsets[k], rows));
                    }
                    inputs[k].ptr = buffer;
                }
                let target = self.at(0, offsets[0]);
                let direct = self.operands[0].dtype == self.operands[0].lane
                    && self.group_steps(0) == [cols as isize, 1];
                let buffer = buffers[0].as_mut_ptr().cast::<u8>();
                // SAFETY: operands and output hold that many rows.
                unsafe {
                    let to = if direct { target } else { buffer };
                    (self.run)(
                        inputs[1..].as_ptr(),
                        Output::plain(to),
                        rows * cols,
                        self.params,
                    );
                    if !direct {
                        (self.converts[0])(&Rect {
                            rows,
                            cols,
                            source: buffer,
                            source_steps: [cols as isize, 1],
                            target,
                            target_steps: self.group_steps(0),
                        });
                    }
                }
            });
    }

    /// The outer dimension along which an operand that lies across the output is dense.
    fn crossing(&self) -> Option<usize> {
        (1..K).find_map(|k| self.plan.crossing(k, self.operands[k].dtype.size()))
    }

    fn tiles(&self, grain: usize) {
        let n = self.plan.dims.len();
        let cols = self.plan.inner().0 as usize;
        let (height, width) = (TILE, BUFFER / TILE / self.width);
        let bands = (self.plan.dims[n - 2].0 as usize).div_ceil(height);
        let outer = self.plan.dims[..n - 2]
            .iter()
            .map(|&(size, _)| size as usize);
        let units = outer.product::<usize>() * bands;
        let group = self.plan.dims[n - 2].0 as usize;
        pool::parallel_for(units, (grain / (height * cols)).max(1), |range| {
            let start = range.start / bands * group + range.start % bands * height;
            let last = range.end - 1;
            let end = last / bands * group + (last % bands * height + height).min(group);
            self.plan
                .for_each_stretch(start..end, height, |offsets, rows| {
                    for start in (0..cols).step_by(width) {
                        self.tile(offsets, rows, start, (cols - start).min(width));
                    }
                });
            self.finish();
        });
    }

    /// `rows` rows of `cols` columns from `start` on.
    fn tile(&self, offsets: [i64; K], rows: usize, start: usize, cols: usize) {
        let mut buffers = [Buffer::uninit(); K];
        let mut splats = [Splat::uninit(); K];
        let steps: [[isize; 2]; K] = std::array::from_fn(|k| self.group_steps(k));
        let first = |k: usize| offsets[k] + start as i64 * steps[k][1] as i64;
        let rect = |k: usize, buffer: *mut u8| Rect {
            rows,
            cols,
            source: self.at(k, first(k)),
            source_steps: steps[k],
            target: buffer,
            target_steps: [cols as isize, 1],
        };
        for k in 1..K {
            if self.access[k] == Access::Buffered {
                // SAFETY: a tile fits the buffer; the source lies in the layout.
                unsafe { (self.converts[k])(&rect(k, buffers[k].as_mut_ptr().cast())) };
            }
        }
        for row in 0..rows {
            let offset = |k: usize| first(k) + row as i64 * steps[k][0] as i64;
            let in_buffer = |k: usize, buffer: &mut Buffer| {
                let bytes = row * cols * self.operands[k].lane.size();
                buffer.as_mut_ptr().cast::<u8>().wrapping_add(bytes)
            };
            let inputs: [Input; K] = std::array::from_fn(|k| match self.access[k] {
                _ if k == 0 => Input {
                    ptr: std::ptr::null(),
                    step: 1,
                },
                Access::Still => self.hold(k, offset(k), &mut splats[k]),
                Access::Direct => Input {
                    ptr: self.at(k, offset(k)),
                    step: 1,
                },
                Access::Buffered => Input {
                    ptr: in_buffer(k, &mut buffers[k]),
                    step: 1,
                },
            });
            let target = match self.access[0] {
                Access::Direct => self.at(0, offset(0)),
                _ => in_buffer(0, &mut buffers[0]),
            };
            let output = Output {
                ptr: target,
                around: self.streams && self.head(target) == 0,
            };
            // SAFETY: `cols` elements of each operand are contiguous at these addresses.
            unsafe { (self.run)(inputs[1..].as_ptr(), output, cols, self.params) };
        }
        if self.access[0] == Access::Buffered {
            // SAFETY: the tile of results lies in the buffer, the target in the layout.
            unsafe {
                (self.converts[0])(&Rect {
                    rows,
                    cols,
                    source: buffers[0].as_ptr().cast(),
                    source_steps: [cols as isize, 1],
                    target: self.at(0, first(0)),
                    target_steps: steps[0],
                });
            }
        }
    }
}
