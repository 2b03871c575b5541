//! Windows over images, for kernels whose lanes are neighbouring output positions.
//!
//! A [`Frame`] is a padded copy of an image whose rows, columns and slices are sorted by their remainder modulo the
//! stride. There every window moves by one cell at a time: its element `k` for output position `o` is the cell
//! `tap[k] + o`, so that vectors of outputs see vectors of cells. [`Spot`]s are these vectors.

use super::simd::Simd;
use smallvec::SmallVec;

/// Windows along one axis: element `k` of window `o` is the input `o * stride + k * dilation - padding`.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub padding: isize,
}

impl Axis {
    /// One window of one element.
    pub const NONE: Axis = Axis {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        dilation: 1,
        padding: 0,
    };
}

/// One axis of a frame.
#[derive(Debug)]
struct Side {
    input: usize,
    stride: usize,
    padding: isize,
    /// The remainders that windows see.
    phases: SmallVec<[usize; 4]>,
    /// Cells of each.
    cells: usize,
}

impl Side {
    fn new(axis: &Axis) -> Side {
        let mut phases = SmallVec::new();
        for k in 0..axis.kernel {
            let phase = k * axis.dilation % axis.stride;
            if !phases.contains(&phase) {
                phases.push(phase);
            }
        }
        Side {
            input: axis.input,
            stride: axis.stride,
            padding: axis.padding,
            phases,
            cells: axis.output + (axis.kernel - 1) * axis.dilation / axis.stride,
        }
    }

    /// The first cell of element `k` of the windows.
    fn tap(&self, k: usize, dilation: usize) -> usize {
        let phase = k * dilation % self.stride;
        let slot = self.phases.iter().position(|&p| p == phase).unwrap_or(0);
        slot * self.cells + k * dilation / self.stride
    }

    /// The cells of a phase that hold elements of the input, and the first of these.
    fn seen(&self, phase: usize, origin: usize) -> (usize, usize, usize) {
        let first = (origin * self.stride + phase) as isize - self.padding;
        let reach = |to: isize| {
            ((to - first).max(0) as usize)
                .div_ceil(self.stride)
                .min(self.cells)
        };
        let (low, high) = (reach(0), reach(self.input as isize));
        (
            low,
            high.max(low),
            (first + (low * self.stride) as isize).max(0) as usize,
        )
    }

    fn len(&self) -> usize {
        self.phases.len() * self.cells
    }
}

/// Cells behind the frames of an image that may be read and written: a vector of the widest kind.
pub const SLACK: usize = 16;

/// A vector of output positions: where its cells begin, where its results go, and which lanes are results.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    pub from: usize,
    pub to: usize,
    pub lanes: u32,
}

/// The copy of an image, for outputs from some origin on.
#[derive(Debug)]
pub struct Frame {
    sides: [Side; 3],
    dilation: [usize; 3],
    kernel: [usize; 3],
    output: [usize; 3],
}

impl Frame {
    pub fn new(axes: &[Axis; 3]) -> Frame {
        Frame {
            sides: std::array::from_fn(|i| Side::new(&axes[i])),
            dilation: axes.map(|a| a.dilation),
            kernel: axes.map(|a| a.kernel),
            output: axes.map(|a| a.output),
        }
    }

    /// Cells of a channel.
    pub fn volume(&self) -> usize {
        self.sides.iter().map(Side::len).product()
    }

    /// Cells from one row to the next.
    pub fn pitch(&self) -> usize {
        self.sides[2].len()
    }

    /// The cell behind the last output.
    fn end(&self) -> usize {
        self.cell(self.output.map(|n| n.saturating_sub(1))) + 1
    }

    /// Can the input be its own frame, for vectors of so many lanes?
    pub fn is_input(&self, lanes: usize) -> bool {
        let same = |s: &Side| s.stride == 1 && s.padding == 0 && s.cells == s.input;
        self.sides.iter().all(same) && self.end() >= lanes
    }

    /// The first cell of every element of a window, in the order of the kernel.
    pub fn taps(&self) -> Vec<usize> {
        let at = |axis: usize, k: usize| self.sides[axis].tap(k, self.dilation[axis]);
        let mut taps = Vec::with_capacity(self.kernel.iter().product());
        for d in 0..self.kernel[0] {
            for h in 0..self.kernel[1] {
                let row = (at(0, d) * self.sides[1].len() + at(1, h)) * self.pitch();
                taps.extend((0..self.kernel[2]).map(|w| row + at(2, w)));
            }
        }
        taps
    }

    /// The cell of an output position.
    pub fn cell(&self, [d, h, w]: [usize; 3]) -> usize {
        (d * self.sides[1].len() + h) * self.pitch() + w
    }

    /// The cells of the first `output` positions along the axes.
    pub fn cells(&self, output: [usize; 3]) -> Vec<usize> {
        let mut cells = Vec::with_capacity(output.iter().product());
        for row in 0..output[0] * output[1] {
            let first = self.cell([row / output[1], row % output[1], 0]);
            cells.extend(first..first + output[2]);
        }
        cells
    }

    /// Vectors of so many lanes that cover the first `output` positions along the axes. They end where the positions end, so
    /// that nothing behind a frame is read that has as many cells as a vector.
    pub fn spots(&self, [depth, height, width]: [usize; 3], lanes: usize) -> Vec<Spot> {
        let mut spots: Vec<Spot> = Vec::new();
        if depth * height * width == 0 {
            return spots;
        }
        let (end, mut free) = (self.cell([depth - 1, height - 1, width - 1]) + 1, 0);
        for row in 0..depth * height {
            let first = self.cell([row / height, row % height, 0]);
            if let Some(last) = spots.last_mut() {
                join(last, first, width, lanes);
            }
            let mut w = free.max(first) - first;
            while w < width {
                let from = (first + w).min(end.saturating_sub(lanes));
                let skipped = first + w - from;
                let count = (lanes - skipped).min(width - w);
                spots.push(Spot {
                    from,
                    to: row * width + w,
                    lanes: (u32::MAX >> (32 - count)) << skipped,
                });
                free = from + lanes;
                w += count;
            }
        }
        spots
    }

    /// Where the cells for outputs from `origin` on come from.
    pub fn source(&self, origin: [usize; 3]) -> Source {
        let [depth, height, width] = &self.sides;
        let lines = |side: &Side, origin: usize| -> Vec<Option<usize>> {
            let of_phase = |&phase: &usize| {
                let (low, high, from) = side.seen(phase, origin);
                let step = side.stride;
                (0..side.cells).map(move |cell| {
                    (low..high)
                        .contains(&cell)
                        .then(|| from + (cell - low) * step)
                })
            };
            side.phases.iter().flat_map(of_phase).collect()
        };
        let rows = lines(height, origin[1]);
        let row =
            |d: Option<usize>, h: &Option<usize>| Some((d? * height.input + (*h)?) * width.input);
        let depths = lines(depth, origin[0]);
        Source {
            rows: depths
                .iter()
                .flat_map(|&d| rows.iter().map(move |h| row(d, h)))
                .collect(),
            along: width
                .phases
                .iter()
                .map(|&phase| width.seen(phase, origin[2]))
                .collect(),
            step: width.stride,
            cells: width.cells,
            pitch: self.pitch(),
            input: self.sides.iter().map(|s| s.input).product(),
            len: self.volume(),
        }
    }
}

/// Where the cells of a frame come from.
pub struct Source {
    /// The input row of every row of cells.
    rows: Vec<Option<usize>>,
    /// Per phase along the width: the cells that hold elements, and the first of these.
    along: SmallVec<[(usize, usize, usize); 4]>,
    step: usize,
    cells: usize,
    pitch: usize,
    /// Elements and cells of a channel.
    input: usize,
    len: usize,
}

impl Source {
    /// Fills the cells of so many channels.
    ///
    /// # Safety
    /// The input has the size that the frame was made for, and `cells` room for as many frames and [`SLACK`].
    #[inline(always)]
    pub unsafe fn fill<V: Simd>(
        &self,
        input: *const V::T,
        channels: usize,
        padding: V::T,
        cells: *mut V::T,
    ) {
        for channel in 0..channels {
            let input = input.wrapping_add(channel * self.input);
            let mut to = cells.wrapping_add(channel * self.len);
            for row in &self.rows {
                // SAFETY: the caller's promise; the rows lie inside the input.
                unsafe {
                    match row {
                        Some(row) => self.fill_row::<V>(input.add(*row), padding, to),
                        None => repeat::<V>(to, self.pitch, padding),
                    }
                }
                to = to.wrapping_add(self.pitch);
            }
        }
    }

    /// The cells of one row of the input.
    #[inline(always)]
    unsafe fn fill_row<V: Simd>(&self, input: *const V::T, padding: V::T, cells: *mut V::T) {
        let mut cells = cells;
        for &(low, high, from) in &self.along {
            // SAFETY: the caller's promise; `seen` stays inside the input.
            unsafe {
                repeat::<V>(cells, low, padding);
                take::<V>(
                    input.wrapping_add(from),
                    self.step,
                    cells.add(low),
                    high - low,
                );
                repeat::<V>(cells.add(high), self.cells - high, padding);
                cells = cells.add(self.cells);
            }
        }
    }
}

/// Gives `last` the lanes that reach into the row of `width` outputs at cell `first`.
fn join(last: &mut Spot, first: usize, width: usize, lanes: usize) {
    let end = last.from + lanes;
    if first < end {
        let (skipped, count) = (first - last.from, (end - first).min(width));
        last.lanes |= (u32::MAX >> (32 - count)) << skipped;
    }
}

/// Whole vectors of a value for `count` cells.
///
/// # Safety
/// These and another vector can be written.
#[inline(always)]
unsafe fn repeat<V: Simd>(to: *mut V::T, count: usize, value: V::T) {
    for i in (0..count).step_by(V::LANES) {
        // SAFETY: the caller's promise.
        unsafe { V::splat(value).store(to.add(i)) };
    }
}

/// Copies `count` elements that lie `step` apart, as whole vectors: loads of what a masked store wrote would wait for it.
///
/// # Safety
/// The elements can be read; `to` and another vector can be written.
#[inline(always)]
unsafe fn take<V: Simd>(from: *const V::T, step: usize, to: *mut V::T, count: usize) {
    let mut i = 0;
    while i < count {
        let n = V::LANES.min(count - i);
        // SAFETY: the caller's promise.
        unsafe {
            match step {
                1 if n == V::LANES => V::load(from.add(i)).store(to.add(i)),
                1 => V::load_part(from.add(i), n).store(to.add(i)),
                2 => V::load_even(from.add(2 * i), u32::MAX >> (33 - 2 * n)).store(to.add(i)),
                _ => (i..i + n).for_each(|i| *to.add(i) = *from.add(i * step)),
            }
        }
        i += n;
    }
}

/// Scratch memory from the caching allocator.
pub struct Scratch<T> {
    start: std::ptr::NonNull<u8>,
    nbytes: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: Copy> Scratch<T> {
    pub fn new(len: usize) -> Option<Self> {
        let nbytes = len.checked_mul(size_of::<T>())?;
        Some(Scratch {
            start: super::alloc::alloc(nbytes)?,
            nbytes,
            of: std::marker::PhantomData,
        })
    }

    pub fn ptr(&self) -> *mut T {
        self.start.as_ptr().cast()
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        // SAFETY: `new` got the block with this size.
        unsafe { super::alloc::dealloc(self.start, self.nbytes) };
    }
}
