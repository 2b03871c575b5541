//! Plans of convolutions of floats: which cells every output sees, and how images are cut.
//!
//! The forward pass sees the input through windows with a stride; the adjoint in the input sees the output through
//! windows without one, different ones for each remainder of the input's positions modulo the stride.

use super::conv::Geometry;
use super::frame::{Axis, Frame, Spot};
use super::simd::{self, Float};

/// Bytes of a frame: larger images are cut into bands of rows.
const BAND: usize = 384 << 10;

/// Outputs that see the same elements of the kernel.
pub struct Part {
    /// The cell of each element, and its place in the kernel.
    pub taps: Vec<usize>,
    pub elements: Vec<usize>,
    pub spots: Vec<Spot>,
    /// The cell of every output, where lanes are filters.
    pub cells: Vec<usize>,
    /// Where the results go, if not side by side.
    pub places: Option<Vec<usize>>,
}

/// Sums over windows: `output[f, o] = bias[f] + sum of weight[f, c, k] * cells[c, tap[k] + o]`.
pub struct Plan {
    pub frame: Frame,
    pub parts: Vec<Part>,
    /// The axis along which images are cut, the first output of every band, and the outputs per step.
    pub axis: usize,
    pub bands: Vec<usize>,
    pub step: usize,
    pub images: usize,
    pub groups: usize,
    pub channels: usize,
    pub filters: usize,
    /// Are lanes filters? And the filters with those that fill the last vector.
    pub by_filters: bool,
    pub width: usize,
    /// Elements of a channel of the input and of the output.
    pub input: usize,
    pub output: usize,
    /// Distances in the weight between filters and between channels, and its elements per group.
    pub by_filter: usize,
    pub by_channel: usize,
    pub by_group: usize,
}

/// The largest block of filters at the level of this machine.
pub fn largest<T: Float>() -> usize {
    if simd::lanes::<T>() * size_of::<T>() == 64 {
        8
    } else {
        4
    }
}

/// The blocks of filters in `0..filters`.
pub fn blocks(filters: usize, largest: usize) -> Vec<(usize, usize)> {
    let (mut blocks, mut first) = (Vec::new(), 0);
    while first < filters {
        let mut size = largest;
        while size > filters - first {
            size /= 2;
        }
        blocks.push((first, size));
        first += size;
    }
    blocks
}

/// The first output of every band: as few bands as fit, all of one length.
pub fn bands(output: usize, most: usize) -> (usize, Vec<usize>) {
    let count = output.div_ceil(most.clamp(1, output.max(1))).max(1);
    let len = output.div_ceil(count);
    let starts = (0..count).map(|i| (i * len).min(output - len)).collect();
    (len, starts)
}

/// The axes of the windows of a geometry.
pub fn axes(g: &Geometry) -> [Axis; 3] {
    let w = &g.window;
    std::array::from_fn(|i| Axis {
        input: g.input[i],
        output: g.output[i],
        kernel: w.kernel[i],
        stride: w.stride[i],
        dilation: w.dilation[i],
        padding: w.padding[i] as isize,
    })
}

/// Outputs per band along the first axis that has more than one, so that a frame of the channels fits `BAND`.
pub fn cut(axes: &mut [Axis; 3], channels: usize, element: usize) -> (usize, Vec<usize>) {
    let axis = axes.iter().position(|a| a.output > 1).unwrap_or(2);
    let size = |axes: &[Axis; 3]| Frame::new(axes).volume() * channels * element;
    let (all, whole) = (size(axes), axes[axis].output);
    axes[axis].output = 1;
    let one = size(axes);
    let per_output = ((all - one.min(all)) / whole.max(2).saturating_sub(1)).max(1);
    let most = 1 + BAND.saturating_sub(one) / per_output;
    let (len, starts) = bands(whole, most);
    axes[axis].output = len;
    (axis, starts)
}

pub fn forward_plan<T: Float>(g: &Geometry) -> Plan {
    let mut axes = axes(g);
    let (axis, bands) = cut(&mut axes, g.channels, size_of::<T>());
    let frame = Frame::new(&axes);
    let taps = frame.taps();
    let count = axes.map(|a| a.output);
    let kernel = g.window.kernel.iter().product::<usize>();
    Plan {
        parts: vec![Part {
            elements: (0..taps.len()).collect(),
            taps,
            spots: frame.spots(count, simd::lanes::<T>()),
            cells: frame.cells(count),
            places: None,
        }],
        frame,
        axis,
        bands,
        step: g.output[axis + 1..].iter().product(),
        images: g.batch,
        groups: g.groups,
        channels: g.channels,
        filters: g.filters,
        by_filters: false,
        width: g.filters,
        input: g.input.iter().product(),
        output: g.positions(),
        by_filter: g.channels * kernel,
        by_channel: kernel,
        by_group: g.filters * g.channels * kernel,
    }
    .with_lanes::<T>()
}

/// Along one axis: the inputs with some remainder modulo the stride, and the outputs that saw them.
pub struct Phase {
    pub first: usize,
    pub count: usize,
    /// Pairs of the distance to the output and the element of the kernel.
    pub taps: Vec<(isize, usize)>,
}

pub fn phases(axis: &Axis) -> Vec<Phase> {
    let s = axis.stride as isize;
    let of = |r: usize| {
        let reach = |k: usize| r as isize + axis.padding - (k * axis.dilation) as isize;
        Phase {
            first: r,
            count: axis.input.saturating_sub(r).div_ceil(axis.stride),
            taps: (0..axis.kernel)
                .filter(|&k| reach(k).rem_euclid(s) == 0)
                .map(|k| (reach(k) / s, k))
                .collect(),
        }
    };
    (0..axis.stride.min(axis.input)).map(of).collect()
}

pub fn adjoint_plan<T: Float>(g: &Geometry) -> Plan {
    let forward = axes(g);
    let phases = [0, 1, 2].map(|i| phases(&forward[i]));
    let ends = [0, 1, 2].map(|i| {
        let reach = || phases[i].iter().flat_map(|p| p.taps.iter().map(|t| t.0));
        (reach().min().unwrap_or(0), reach().max().unwrap_or(0))
    });
    let mut axes: [Axis; 3] = std::array::from_fn(|i| Axis {
        input: g.output[i],
        output: phases[i].first().map_or(0, |p| p.count),
        kernel: (ends[i].1 - ends[i].0 + 1) as usize,
        stride: 1,
        dilation: 1,
        padding: -ends[i].0,
    });
    let (axis, bands) = if g.window.stride == [1; 3] {
        cut(&mut axes, g.filters, size_of::<T>())
    } else {
        (2, vec![0])
    };
    let frame = Frame::new(&axes);
    let mut parts = Vec::new();
    for d in &phases[0] {
        for h in &phases[1] {
            for w in &phases[2] {
                let parts_of = Triple([d, h, w]);
                parts.push(parts_of.part::<T>(g, &frame, &axes, ends.map(|e| e.0)));
            }
        }
    }
    let kernel = g.window.kernel.iter().product::<usize>();
    Plan {
        parts,
        frame,
        axis,
        bands,
        step: g.input[axis + 1..].iter().product(),
        images: g.batch,
        groups: g.groups,
        channels: g.filters,
        filters: g.channels,
        by_filters: false,
        width: g.channels,
        input: g.positions(),
        output: g.input.iter().product(),
        by_filter: kernel,
        by_channel: g.channels * kernel,
        by_group: g.filters * g.channels * kernel,
    }
    .with_lanes::<T>()
}

/// One remainder along each axis.
struct Triple<'a>([&'a Phase; 3]);

impl Triple<'_> {
    fn part<T: Float>(
        &self,
        g: &Geometry,
        frame: &Frame,
        axes: &[Axis; 3],
        nearest: [isize; 3],
    ) -> Part {
        let [d, h, w] = self.0;
        let (kernel, stride) = (g.window.kernel, g.window.stride);
        let (mut taps, mut elements) = (Vec::new(), Vec::new());
        for &(at_d, k_d) in &d.taps {
            for &(at_h, k_h) in &h.taps {
                for &(at_w, k_w) in &w.taps {
                    let at = [at_d - nearest[0], at_h - nearest[1], at_w - nearest[2]];
                    taps.push(frame.cell(at.map(|i| i as usize)));
                    elements.push((k_d * kernel[1] + k_h) * kernel[2] + k_w);
                }
            }
        }
        let one = stride == [1; 3];
        let count = std::array::from_fn(|i| if one { axes[i].output } else { self.0[i].count });
        let place = |i: usize, j: usize| self.0[i].first + j * stride[i];
        let places = || {
            let mut places = Vec::with_capacity(count.iter().product());
            for i in 0..count[0] {
                for j in 0..count[1] {
                    let row = (place(0, i) * g.input[1] + place(1, j)) * g.input[2];
                    places.extend((0..count[2]).map(|k| row + place(2, k)));
                }
            }
            places
        };
        Part {
            taps,
            elements,
            spots: frame.spots(count, simd::lanes::<T>()),
            cells: frame.cells(count),
            places: (!one).then(places),
        }
    }
}

impl Plan {
    /// Chooses what lanes are: neighbouring outputs, of which rows may leave some over, or filters.
    fn with_lanes<T: Float>(mut self) -> Self {
        let lanes = simd::lanes::<T>();
        let width = self.filters.next_multiple_of(lanes);
        let sum = |of: fn(&Part) -> usize| self.parts.iter().map(of).sum::<usize>();
        let by_outputs = sum(|part| part.spots.len()) * lanes * self.filters;
        let by_filters = sum(|part| part.cells.len()) * width;
        let large = self.parts.iter().any(|part| part.taps.len() > 1);
        // The outputs of filters must be transposed.
        if large && self.filters >= lanes && 26 * by_filters < 25 * by_outputs {
            (self.by_filters, self.width) = (true, width);
        }
        self
    }

    /// The blocks of filters that are computed together.
    pub fn blocks<T: Float>(&self) -> Vec<(usize, usize)> {
        let lanes = simd::lanes::<T>();
        if !self.by_filters {
            return blocks(self.filters, largest::<T>());
        }
        let block = |first: usize| (first, (self.width - first).min(2 * lanes));
        (0..self.width).step_by(2 * lanes).map(block).collect()
    }

    pub fn work(&self) -> usize {
        let taps = |p: &Part| p.taps.len() * p.spots.len();
        let vectors = self.parts.iter().map(taps).sum::<usize>();
        self.filters * self.channels * vectors * 16
    }

    /// The weights of a group in the order of their use: blocks of filters, channels, elements, filters of the block.
    ///
    /// # Safety
    /// `weight` has the size of the plan, and `packed` room for the weights of the part.
    pub unsafe fn pack<T: Float>(
        &self,
        part: &Part,
        blocks: &[(usize, usize)],
        weight: *const T,
        packed: *mut T,
    ) {
        let mut to = packed;
        for &(first, size) in blocks {
            for c in 0..self.channels {
                for &k in &part.elements {
                    for f in first..first + size {
                        // SAFETY: the caller's promise.
                        unsafe {
                            *to = if f < self.filters {
                                *weight.add(f * self.by_filter + c * self.by_channel + k)
                            } else {
                                T::ZERO
                            };
                            to = to.add(1);
                        }
                    }
                }
            }
        }
    }
}
