//! Pooling of floats over windows that move evenly, by vectors of outputs.

use super::conv::{Geometry, Window};
use super::conv_direct;
use super::conv_plan::cut;
use super::frame::{Axis, Frame, SLACK, Scratch, Source, Spot};
use super::number::Accumulator;
use super::pool::{self, grain};
use super::pooling::{Pooling, Span, divisor};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Vectors of outputs that are computed together.
const TOGETHER: usize = 4;

/// The windows over every plane.
struct Plan {
    axes: [Axis; 3],
    frame: Frame,
    taps: Vec<usize>,
    spots: Vec<Spot>,
    /// Bands of outputs along an axis: where they begin, and the outputs per step.
    axis: usize,
    bands: Vec<usize>,
    step: usize,
    /// Elements of a plane of the input and of the output.
    input: usize,
    output: usize,
}

impl Plan {
    fn new<T: Float>(axes: &[Axis; 3]) -> Plan {
        let mut part = *axes;
        let (axis, bands) = cut(&mut part, 1, size_of::<T>());
        let frame = Frame::new(&part);
        Plan {
            axes: *axes,
            taps: frame.taps(),
            spots: frame.spots(part.map(|a| a.output), simd::lanes::<T>()),
            frame,
            axis,
            bands,
            step: axes[axis + 1..].iter().map(|a| a.output).product(),
            input: axes.iter().map(|a| a.input).product(),
            output: axes.iter().map(|a| a.output).product(),
        }
    }

    fn origin(&self, band: usize) -> [usize; 3] {
        let mut origin = [0; 3];
        origin[self.axis] = self.bands[band];
        origin
    }

    /// Calls `body` for parts of the planes. Returns false if one of them failed.
    fn run(&self, planes: usize, body: impl Fn(Range<usize>) -> bool + Sync) -> bool {
        let failed = AtomicBool::new(false);
        let work = self.input.max(self.output).max(1);
        pool::parallel_for(planes, grain::REDUCE / work + 1, |range| {
            if !body(range) {
                failed.store(true, Relaxed);
            }
        });
        !failed.load(Relaxed)
    }

    /// Computes every band of some planes. Returns false if scratch memory cannot be had.
    #[inline(always)]
    unsafe fn each_band<V: Simd>(
        &self,
        planes: Range<usize>,
        input: *const V::T,
        padding: V::T,
        kernel: &impl Kernel<V::T>,
    ) -> bool {
        let direct = self.frame.is_input(V::LANES);
        let size = if direct {
            0
        } else {
            self.frame.volume() + SLACK
        };
        let Some(scratch) = Scratch::<V::T>::new(size) else {
            return false;
        };
        let sources: Vec<Source> = (0..self.bands.len())
            .map(|band| self.frame.source(self.origin(band)))
            .collect();
        for plane in planes {
            let input = input.wrapping_add(plane * self.input);
            for (band, source) in sources.iter().enumerate() {
                let mut cells = input;
                if !direct {
                    // SAFETY: the caller's promise; the scratch has room for a plane.
                    unsafe { source.fill::<V>(input, 1, padding, scratch.ptr()) };
                    cells = scratch.ptr();
                }
                let place = Place {
                    band,
                    plane: plane * self.output,
                    start: self.bands[band] * self.step,
                };
                for spots in self.spots.chunks(TOGETHER) {
                    // SAFETY: the caller's promise.
                    unsafe { kernel.compute::<V>(cells, spots, place) };
                }
            }
        }
        true
    }
}

/// A band, the first output of its plane, and its own first output from there.
#[derive(Clone, Copy)]
struct Place {
    band: usize,
    plane: usize,
    start: usize,
}

/// What is computed for up to `TOGETHER` vectors of outputs. Not a closure: closures are not compiled per level.
trait Kernel<T: Float> {
    unsafe fn compute<V: Simd<T = T>>(&self, cells: *const T, spots: &[Spot], place: Place);
}

/// Maxima and, unless `positions` is null, their positions in the plane, as [`super::pooling::max`] gives them. Returns `None` where positions are too
/// far apart for the lanes, else whether scratch memory could be had.
///
/// # Safety
/// `input` has the planes of the axes, `values` and `positions` those of the outputs.
pub unsafe fn max<T: Float>(
    planes: usize,
    axes: &[Axis; 3],
    input: *const T,
    values: *mut T,
    positions: *mut i64,
) -> Option<bool> {
    let plan = Plan::new::<T>(axes);
    let places = Places::<T>::new(&plan)?;
    let (input, values) = (Pointer(input.cast_mut()), Pointer(values));
    let positions = Pointer(positions);
    Some(plan.run(planes, |planes| {
        let mut done = true;
        simd::run::<T>(Max {
            plan: &plan,
            places: &places,
            planes,
            input: input.at(0),
            values: values.at(0),
            positions: positions.at(0),
            done: &mut done,
        });
        done
    }))
}

/// Where the elements of windows lie in the input.
struct Places<T> {
    /// From the first element of the window, per element; floats hold these numbers without loss.
    shifts: Vec<T>,
    /// The shift of the first element inside the input, per cell, for the outputs of each band; empty if it is always 0.
    starts: Vec<Vec<T>>,
    /// The first element of each window, which may lie outside.
    windows: Vec<i64>,
}

impl<T: Float> Places<T> {
    fn new(plan: &Plan) -> Option<Self> {
        let axes = &plan.axes;
        let place =
            |at: [i64; 3]| (at[0] * axes[1].input as i64 + at[1]) * axes[2].input as i64 + at[2];
        let shift =
            |k: [usize; 3]| place(std::array::from_fn(|i| (k[i] * axes[i].dilation) as i64));
        if shift(axes.map(|a| a.kernel - 1)) >= 1 << 24 {
            return None;
        }
        let exact = |shift: i64| T::of_f64(shift as f64);
        let kernel = axes.map(|a| a.kernel);
        let output = axes.map(|a| a.output);
        let mut windows = Vec::with_capacity(plan.output);
        each(output, |o| {
            windows.push(place(std::array::from_fn(|i| {
                (o[i] * axes[i].stride) as i64 - axes[i].padding as i64
            })));
        });
        let mut shifts = Vec::new();
        each(kernel, |k| shifts.push(exact(shift(k))));
        // The first element of a window inside the input.
        let first = |i: usize, o: usize| {
            let outside = axes[i].padding - (o * axes[i].stride) as isize;
            (outside.max(0) as usize).div_ceil(axes[i].dilation)
        };
        let padded = axes.iter().any(|a| a.padding > 0);
        let starts = (0..if padded { plan.bands.len() } else { 0 }).map(|band| {
            let origin = plan.origin(band);
            let mut starts = vec![T::ZERO; plan.frame.volume() + 16];
            let mut part = output;
            part[plan.axis] = output[plan.axis] - origin[plan.axis];
            each(part, |o| {
                let cell = plan.frame.cell(o);
                if cell < starts.len() {
                    starts[cell] =
                        exact(shift(std::array::from_fn(|i| first(i, o[i] + origin[i]))));
                }
            });
            starts
        });
        let starts = starts.collect();
        Some(Places {
            shifts,
            starts,
            windows,
        })
    }
}

/// Calls `visit` with every index below `size`, the last axis running fastest.
fn each(size: [usize; 3], mut visit: impl FnMut([usize; 3])) {
    for d in 0..size[0] {
        for h in 0..size[1] {
            (0..size[2]).for_each(|w| visit([d, h, w]));
        }
    }
}

struct Max<'a, T> {
    plan: &'a Plan,
    places: &'a Places<T>,
    planes: Range<usize>,
    input: *const T,
    values: *mut T,
    positions: *mut i64,
    done: &'a mut bool,
}

impl<T: Float> simd::Task<T> for Max<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let lowest = T::ZERO.sub(T::INFINITY);
        // SAFETY: the caller's promise.
        *self.done = unsafe {
            self.plan
                .each_band::<V>(self.planes.clone(), self.input, lowest, &self)
        };
    }
}

impl<T: Float> Kernel<T> for Max<'_, T> {
    #[inline(always)]
    unsafe fn compute<V: Simd<T = T>>(&self, cells: *const T, spots: &[Spot], place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.positions.is_null() {
                self.maxima::<V, false>(cells, spots, place);
            } else {
                self.maxima::<V, true>(cells, spots, place);
            }
        }
    }
}

impl<T: Float> Max<'_, T> {
    /// The maxima, `WITH` their positions or without.
    #[inline(always)]
    unsafe fn maxima<V: Simd<T = T>, const WITH: bool>(
        &self,
        cells: *const T,
        spots: &[Spot],
        place: Place,
    ) {
        // The last vector is computed again to fill a block.
        let spot = |n: usize| &spots[n.min(spots.len() - 1)];
        let mut top = [V::splat(T::ZERO.sub(T::INFINITY)); TOGETHER];
        let mut at = [V::splat(T::ZERO); TOGETHER];
        // SAFETY: the caller's promise; a spot's cells lie in the frame.
        unsafe {
            if let (true, Some(starts)) = (WITH, self.places.starts.get(place.band)) {
                for n in 0..TOGETHER {
                    at[n] = V::load(starts.as_ptr().add(spot(n).from));
                }
            }
            let mut from = [cells; TOGETHER];
            for n in 0..TOGETHER {
                from[n] = cells.add(spot(n).from);
            }
            for (&tap, &shift) in self.plan.taps.iter().zip(&self.places.shifts) {
                let shift = V::splat(shift);
                for n in 0..TOGETHER {
                    let value = V::load(from[n].add(tap));
                    let better = value.above(top[n]);
                    top[n] = V::select(better, value, top[n]);
                    if WITH {
                        at[n] = V::select(better, shift, at[n]);
                    }
                }
            }
            // What is indexed by a variable lies in memory: copies, so that the values above do not.
            let mut done = [(top[0], at[0]); TOGETHER];
            for n in 0..TOGETHER {
                done[n] = (top[n], at[n]);
            }
            for ((top, at), spot) in done.iter().zip(spots) {
                let to = place.plane + place.start + spot.to;
                top.store_lanes(self.values.add(to), spot.lanes);
                if !WITH {
                    continue;
                }
                let mut shifts = [T::ZERO; 16];
                at.store_lanes(shifts.as_mut_ptr(), spot.lanes);
                let windows = self.places.windows.as_ptr().add(place.start + spot.to);
                let positions = self.positions.add(to);
                // Shifts are small and whole.
                let write = |i: usize| {
                    *positions.add(i) =
                        *windows.add(i) + shifts[i].to_f64().to_int_unchecked::<i64>();
                };
                if spot.lanes == V::ALL {
                    (0..V::LANES).for_each(write);
                } else {
                    (0..spot.lanes.count_ones() as usize).for_each(write);
                }
            }
        }
    }
}

/// By how much sums are divided.
pub enum Divisor<T> {
    One(T),
    PerOutput(Vec<T>),
}

/// Averages. Returns false if scratch memory cannot be had.
///
/// # Safety
/// `input` has the planes of the axes, `output` those of the outputs.
pub unsafe fn average<T: Float>(
    planes: usize,
    axes: &[Axis; 3],
    divisor: &Divisor<T>,
    input: *const T,
    output: *mut T,
) -> bool {
    let plan = Plan::new::<T>(axes);
    let (input, output) = (Pointer(input.cast_mut()), Pointer(output));
    plan.run(planes, |planes| {
        let mut done = true;
        simd::run::<T>(Average {
            plan: &plan,
            divisor,
            planes,
            input: input.at(0),
            output: output.at(0),
            done: &mut done,
        });
        done
    })
}

struct Average<'a, T> {
    plan: &'a Plan,
    divisor: &'a Divisor<T>,
    planes: Range<usize>,
    input: *const T,
    output: *mut T,
    done: &'a mut bool,
}

impl<T: Float> simd::Task<T> for Average<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let (planes, input) = (self.planes.clone(), self.input);
            *self.done = self.plan.each_band::<V>(planes, input, T::ZERO, &self);
            let size = self.plan.output;
            if let Divisor::PerOutput(divisors) = self.divisor {
                for plane in self.planes {
                    divide::<V>(
                        self.output.add(plane * size),
                        divisors,
                        self.output.add(plane * size),
                    );
                }
            }
        }
    }
}

impl<T: Float> Kernel<T> for Average<'_, T> {
    #[inline(always)]
    unsafe fn compute<V: Simd<T = T>>(&self, cells: *const T, spots: &[Spot], place: Place) {
        let spot = |n: usize| &spots[n.min(spots.len() - 1)];
        let mut sums = [V::splat(T::ZERO); TOGETHER];
        // SAFETY: the caller's promise; a spot's cells lie in the frame.
        unsafe {
            let mut from = [cells; TOGETHER];
            for n in 0..TOGETHER {
                from[n] = cells.add(spot(n).from);
            }
            for &tap in &self.plan.taps {
                for n in 0..TOGETHER {
                    sums[n] = sums[n].add(V::load(from[n].add(tap)));
                }
            }
            if let Divisor::One(divisor) = self.divisor {
                for n in 0..TOGETHER {
                    sums[n] = sums[n].div(V::splat(*divisor));
                }
            }
            for (sum, spot) in sums.iter().zip(spots) {
                sum.store_lanes(
                    self.output.add(place.plane + place.start + spot.to),
                    spot.lanes,
                );
            }
        }
    }
}

/// Averages over windows that may differ, of which each is summed along its rows.
///
/// # Safety
/// `input` has the planes of `p`, `output` those of the outputs.
pub unsafe fn row_average<T: Float>(
    p: &Pooling,
    fixed: Option<i64>,
    input: *const T,
    output: *mut T,
) {
    let (input, output) = (Pointer(input.cast_mut()), Pointer(output));
    p.for_planes(|planes| {
        simd::run::<T>(RowAverage {
            p,
            fixed,
            planes,
            input: input.at(0),
            output: output.at(0),
        });
    });
}

struct RowAverage<'a, T> {
    p: &'a Pooling,
    fixed: Option<i64>,
    planes: Range<usize>,
    input: *const T,
    output: *mut T,
}

impl<T: Float> simd::Task<T> for RowAverage<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let (p, size) = (self.p, self.p.output.iter().product::<usize>());
        let pixels: usize = p.input.iter().product();
        for plane in self.planes {
            let input = self.input.wrapping_add(plane * pixels);
            for o in 0..size {
                let window = p.window(plane, o);
                let divisor = T::of_f64(divisor(window, self.fixed) as f64);
                // SAFETY: the maker's promise: windows lie in the plane.
                unsafe {
                    let sum = window_sum::<V>(p.input, window, input);
                    *self.output.add(plane * size + o) = sum.div(divisor);
                }
            }
        }
    }
}

/// The sum over a window; rows that follow each other are one.
#[inline(always)]
unsafe fn window_sum<V: Simd>(input: [usize; 3], [d, h, w]: [Span; 3], from: *const V::T) -> V::T {
    let whole = w.end - w.start == input[2] && h.step == 1;
    let mut sum = V::splat(V::T::ZERO);
    for i in (d.start..d.end).step_by(d.step) {
        let mut j = h.start;
        while j < h.end {
            let rows = if whole { h.end - j } else { 1 };
            let count = rows * input[2] - (input[2] - (w.end - w.start));
            let row = from.wrapping_add((i * input[1] + j) * input[2] + w.start);
            for at in (0..count).step_by(V::LANES) {
                // SAFETY: the caller's promise.
                sum = sum.add(unsafe { V::load_part(row.add(at), V::LANES.min(count - at)) });
            }
            j += rows * h.step;
        }
    }
    sum.total()
}

/// The adjoint of [`average`]. Returns false if scratch memory cannot be had.
///
/// # Safety
/// As for [`average`]; here `input` is written.
pub unsafe fn spread<T: Float>(
    planes: usize,
    axes: &[Axis; 3],
    divisor: &Divisor<T>,
    output: *const T,
    input: *mut T,
) -> bool {
    let g = Geometry {
        batch: planes,
        groups: 1,
        channels: 1,
        filters: 1,
        input: axes.map(|a| a.input),
        output: axes.map(|a| a.output),
        window: Window {
            kernel: axes.map(|a| a.kernel),
            stride: axes.map(|a| a.stride),
            padding: axes.map(|a| a.padding as usize),
            dilation: axes.map(|a| a.dilation),
        },
    };
    let factor = match divisor {
        Divisor::One(divisor) => T::ONE.div(*divisor),
        Divisor::PerOutput(_) => T::ONE,
    };
    let weight = vec![factor; g.window.kernel.iter().product()];
    let shares = match divisor {
        Divisor::One(_) => None,
        Divisor::PerOutput(divisors) => {
            let Some(shares) = Scratch::<T>::new(planes * divisors.len()) else {
                return false;
            };
            let (from, to) = (Pointer(output.cast_mut()), Pointer(shares.ptr()));
            let grain = grain::POINTWISE / divisors.len().max(1) + 1;
            pool::parallel_for(planes, grain, |planes| {
                let (from, to) = (from.at(0), to.at(0));
                simd::run::<T>(Shares {
                    planes,
                    divisors,
                    from,
                    to,
                });
            });
            Some(shares)
        }
    };
    let output = shares
        .as_ref()
        .map_or(output, |shares| shares.ptr().cast_const());
    // SAFETY: the caller's promise.
    unsafe { conv_direct::grad_input(&g, output, weight.as_ptr(), None, input) }
}

/// Planes of outputs divided element by element.
struct Shares<'a, T> {
    planes: Range<usize>,
    divisors: &'a [T],
    from: *const T,
    to: *mut T,
}

impl<T: Float> simd::Task<T> for Shares<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let size = self.divisors.len();
        for plane in self.planes {
            // SAFETY: the maker's promise: there are as many elements as divisors per plane.
            unsafe {
                divide::<V>(
                    self.from.add(plane * size),
                    self.divisors,
                    self.to.add(plane * size),
                );
            };
        }
    }
}

/// `to = from / divisors`
///
/// # Safety
/// There are as many elements as divisors.
#[inline(always)]
unsafe fn divide<V: Simd>(from: *const V::T, divisors: &[V::T], to: *mut V::T) {
    let mut i = 0;
    while i < divisors.len() {
        let n = V::LANES.min(divisors.len() - i);
        // SAFETY: the caller's promise.
        unsafe {
            let by = V::load_part(divisors.as_ptr().add(i), n);
            V::load_part(from.add(i), n)
                .div(by)
                .store_part(to.add(i), n);
        }
        i += n;
    }
}
