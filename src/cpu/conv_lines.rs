//! Convolutions of floats with few channels and filters per group, depthwise ones above all. Images are read where they
//! lie, with masks at their ends: several rows of outputs are summed at once, so that every vector of elements is loaded
//! once for all rows that see it.

use super::conv::Geometry;
use super::conv_bands::{Band, Cut};
use super::conv_line_sums::Rows;
use super::conv_plan::{Phase, axes, phases};
use super::frame::Axis;
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::Float;
use std::ops::Range;

/// Channels and filters of a group: with more of them, vectors are better shared by filters than by rows.
const FEW: usize = 4;

/// Sums over windows of planes, one plane of outputs at a time.
pub struct Lines {
    pub images: usize,
    pub groups: usize,
    /// Planes that are read and written per group.
    pub channels: usize,
    pub filters: usize,
    /// Heights and widths of these, and the elements from one output's window to the next one's.
    pub source: [usize; 2],
    pub target: [usize; 2],
    pub stride: [usize; 2],
    pub rows: Vec<Phase>,
    pub columns: Vec<Phase>,
    /// Width of the kernel, and distances in the weight.
    pub kernel: usize,
    pub by_filter: usize,
    pub by_channel: usize,
    pub by_group: usize,
}

impl Lines {
    /// The forward pass of a geometry, if lines serve it.
    pub fn forward(g: &Geometry) -> Option<Lines> {
        let [_, height, width] = axes(g);
        let stride = [height.stride, width.stride];
        let taps = |axis: &Axis| {
            let offset = |k: usize| (k * axis.dilation) as isize - axis.padding;
            vec![Phase {
                first: 0,
                count: axis.output,
                taps: (0..axis.kernel).map(|k| (offset(k), k)).collect(),
            }]
        };
        let even = match stride {
            _ if height.kernel == 1 => true,
            [1, 1] => true,
            [2, 2] => height.dilation == 1,
            _ => false,
        };
        let area = height.kernel * width.kernel;
        let lines = Lines {
            images: g.batch,
            groups: g.groups,
            channels: g.channels,
            filters: g.filters,
            source: [g.input[1], g.input[2]],
            target: [g.output[1], g.output[2]],
            stride,
            rows: taps(&height),
            columns: taps(&width),
            kernel: width.kernel,
            by_filter: g.channels * area,
            by_channel: area,
            by_group: g.filters * g.channels * area,
        };
        (even && lines.serves(g)).then_some(lines)
    }

    /// The adjoint in the input, if lines serve it.
    pub fn adjoint(g: &Geometry) -> Option<Lines> {
        let [_, height, width] = axes(g);
        let turned = |axis: &Axis| {
            let mut phases = phases(axis);
            phases.iter_mut().for_each(|phase| phase.taps.reverse());
            phases
        };
        let area = height.kernel * width.kernel;
        let lines = Lines {
            images: g.batch,
            groups: g.groups,
            channels: g.filters,
            filters: g.channels,
            source: [g.output[1], g.output[2]],
            target: [g.input[1], g.input[2]],
            stride: [1; 2],
            rows: turned(&height),
            columns: turned(&width),
            kernel: width.kernel,
            by_filter: area,
            by_channel: g.channels * area,
            by_group: g.filters * g.channels * area,
        };
        lines.serves(g).then_some(lines)
    }

    fn serves(&self, g: &Geometry) -> bool {
        let w = &g.window;
        let flat = w.kernel[0] == 1 && w.padding[0] == 0 && g.input[0] == 1;
        if self.rows.is_empty() || self.columns.is_empty() {
            return false;
        }
        let mut heights = self.rows.iter().map(|phase| phase.taps.len());
        let served = heights.all(|height| match self.stride[1] {
            1 => matches!(height, 1..=5 | 7),
            _ => matches!(height, 3..=5),
        });
        let few = self.filters < FEW && self.channels <= FEW;
        // A product with a single element is better left to the loops over filters.
        flat && few && served && w.stride[2] <= 2 && w.kernel != [1; 3]
    }

    /// # Safety
    /// The pointers lead to contiguous arrays of the geometry's sizes.
    pub unsafe fn convolve<T: Float>(
        &self,
        input: *const T,
        weight: *const T,
        bias: Option<*const T>,
        output: *mut T,
    ) {
        let taps = |phases: &[Phase]| phases.iter().map(|p| p.count * p.taps.len()).sum::<usize>();
        let work = self.channels * taps(&self.rows) * taps(&self.columns);
        let cut = Cut::new::<T>(self);
        let bands = self.rows.iter().map(|phase| cut.bands(self, phase));
        let planes = self.images * self.groups * self.filters;
        let job = Job {
            lines: self,
            bands: bands.collect(),
            cut,
            // Few planes are cut, so that every thread has some.
            pieces: match pool::threads() {
                1 => 1,
                threads => (4 * threads).div_ceil(planes.max(1)),
            },
            input: Pointer(input.cast_mut()),
            weight: Pointer(weight.cast_mut()),
            bias: bias.map(|b| Pointer(b.cast_mut())),
            output: Pointer(output),
        };
        let grain = grain::GEMM * job.pieces / work.max(1) + 1;
        pool::parallel_for(planes * job.pieces, grain, |range| job.run(range));
    }
}

/// The operands of a convolution, and how its planes are cut.
struct Job<'a, T> {
    lines: &'a Lines,
    cut: Cut,
    /// The bands of every phase along the height.
    bands: Vec<Vec<Band>>,
    pieces: usize,
    input: Pointer<T>,
    weight: Pointer<T>,
    bias: Option<Pointer<T>>,
    output: Pointer<T>,
}

impl<T: Float> Job<'_, T> {
    /// Some pieces of planes.
    fn run(&self, range: Range<usize>) {
        let pieces = self.pieces;
        // The phases of a plane lie between each other: they share its lines of the cache.
        let alone = self.bands.len() > 1 || pieces > 1;
        let together = if alone { 1 } else { range.len().max(1) };
        for first in range.step_by(together) {
            let (plane, piece) = (first / pieces, first % pieces);
            for (phase, bands) in self.lines.rows.iter().zip(&self.bands) {
                let bound = |piece: usize| bands.len() * piece / pieces;
                let rows = Rows {
                    lines: self.lines,
                    cut: &self.cut,
                    phase,
                    bands: &bands[bound(piece)..bound(piece + 1)],
                    input: self.input.at(0),
                    weight: self.weight.at(0),
                    bias: self.bias.map(|b| b.at(0).cast_const()),
                    output: self.output.at(0),
                    planes: plane..plane + together,
                };
                rows.run();
            }
        }
    }
}
