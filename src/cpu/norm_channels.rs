//! Normalisation of channels by given statistics, forward and backward: batch, group and instance norm.

use std::ops::Range;

use super::lane_fold::sum;
use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;

/// Samples whose sums are taken together where a channel has one element in each.
const PART_ROWS: usize = 64;
const MAX_PARTS: usize = 64;

/// Row-major [batch, channels, inner] with one mean and inverse deviation per channel, or per sample and
/// group of channels.
#[derive(Clone, Copy)]
pub struct Channels<'a, A> {
    pub batch: usize,
    pub channels: usize,
    pub inner: usize,
    /// 0: the statistics of a channel are those of the whole batch.
    pub groups: usize,
    pub mean: &'a [A],
    pub rstd: &'a [A],
    pub weight: Option<&'a [A]>,
    pub bias: Option<&'a [A]>,
}

/// What the backward pass writes.
pub struct Gradients<'a, T, A> {
    pub dx: &'a mut [T],
    pub dw: &'a mut [A],
    pub db: &'a mut [A],
}

/// `gain * g - slope * (x - mean) - level` is the gradient of an element.
#[derive(Clone, Copy)]
struct Line<A> {
    mean: A,
    gain: A,
    slope: A,
    level: A,
}

impl<A: Real> Channels<'_, A> {
    #[inline(always)]
    fn statistic(&self, sample: usize, channel: usize) -> usize {
        if self.groups == 0 {
            channel
        } else {
            sample * self.groups + channel / (self.channels / self.groups)
        }
    }

    #[inline(always)]
    fn weight_of(&self, channel: usize) -> A {
        self.weight.map_or(A::ONE, |weight| weight[channel])
    }

    /// Mean, factor and summand of a channel of a sample.
    #[inline(always)]
    fn affine(&self, sample: usize, channel: usize) -> (A, A, A) {
        let i = self.statistic(sample, channel);
        let scale = self.rstd[i].mul(self.weight_of(channel));
        let bias = self.bias.map_or(A::ZERO, |bias| bias[channel]);
        (self.mean[i], scale, bias)
    }

    /// Writes the normalised elements, weighted.
    pub fn apply<T: Number<Acc = A>>(&self, x: &[T], y: &mut [T]) {
        let target = Pointer(y.as_mut_ptr());
        let (count, size) = self.runs();
        parallel_for(count, (grain::REDUCE / size.max(1)).max(1), |range| {
            let target = target;
            // SAFETY: runs do not overlap, and each belongs to one task.
            unsafe {
                if self.inner == 1 {
                    apply_rows(self, x, range, target.0);
                } else {
                    apply_planes(self, x, range, target.0);
                }
            }
        });
    }

    /// What is walked at once: samples where channels are single elements, else planes; and their size.
    fn runs(&self) -> (usize, usize) {
        if self.inner == 1 {
            (self.batch, self.channels)
        } else {
            (self.batch * self.channels, self.inner)
        }
    }

    /// The gradients; `frozen` statistics do not depend on the input.
    pub fn backward<T: Number<Acc = A>>(
        &self,
        x: &[T],
        grad: &[T],
        frozen: bool,
        out: Gradients<'_, T, A>,
    ) {
        let sums = self.channel_sums(x, grad);
        let blocks = sums.len() / self.channels.max(1);
        for (i, &(along, level)) in sums.iter().enumerate() {
            let (block, channel) = (i / self.channels, i % self.channels);
            let rstd = self.rstd[self.statistic(block, channel)];
            out.dw[channel] = out.dw[channel].add(along.mul(rstd));
            out.db[channel] = out.db[channel].add(level);
        }
        let lines = self.lines(&sums, blocks, frozen);
        let target = Pointer(out.dx.as_mut_ptr());
        let (count, size) = self.runs();
        parallel_for(count, (grain::REDUCE / size.max(1)).max(1), |range| {
            let target = target;
            // SAFETY: runs do not overlap, and each belongs to one task.
            unsafe { write_gradient(self, x, grad, &lines, range, target.0) };
        });
    }

    /// Sums of `g * (x - mean)` and of `g` per channel of each sample, or of parts of the batch where
    /// channels are single elements and share their statistics.
    fn channel_sums<T: Number<Acc = A>>(&self, x: &[T], grad: &[T]) -> Vec<(A, A)> {
        let part = match (self.inner, self.groups) {
            (1, 0) => PART_ROWS.max(self.batch.div_ceil(MAX_PARTS)),
            _ => 1,
        };
        let parts = self.batch.div_ceil(part);
        let mut sums = vec![(A::ZERO, A::ZERO); parts * self.channels];
        let target = Pointer(sums.as_mut_ptr());
        let each = part * self.channels * self.inner;
        parallel_for(parts, (grain::REDUCE / each.max(1)).max(1), |range| {
            let target = target;
            for i in range {
                let samples = i * part..((i + 1) * part).min(self.batch);
                // SAFETY: every part has sums of its own.
                unsafe {
                    let own = target.0.add(i * self.channels);
                    let own = std::slice::from_raw_parts_mut(own, self.channels);
                    sum_channels(self, x, grad, samples, own);
                }
            }
        });
        sums
    }

    /// How each channel's gradient is made, per statistic and channel.
    fn lines(&self, sums: &[(A, A)], blocks: usize, frozen: bool) -> Vec<Line<A>> {
        let channels = self.channels;
        let sets = if self.groups == 0 { 1 } else { self.batch };
        let mut totals = vec![(A::ZERO, A::ZERO); self.mean.len()];
        if !frozen {
            for i in 0..blocks * channels {
                let total = &mut totals[self.statistic(i / channels, i % channels)];
                let weight = self.weight_of(i % channels);
                *total = (
                    total.0.add(sums[i].0.mul(weight)),
                    total.1.add(sums[i].1.mul(weight)),
                );
            }
        }
        let count = self.batch * channels * self.inner / self.mean.len().max(1);
        let line = |i: usize| {
            let (channel, at) = (i % channels, self.statistic(i / channels, i % channels));
            let rstd = self.rstd[at];
            let (along, level) = totals[at];
            Line {
                mean: self.mean[at],
                gain: rstd.mul(self.weight_of(channel)),
                slope: along.over(count as f64).mul(rstd).mul(rstd).mul(rstd),
                level: level.over(count as f64).mul(rstd),
            }
        };
        (0..sets * channels).map(line).collect()
    }
}

multiversion! {
unsafe fn apply_planes[T: Number<Acc: Real>](norm: &Channels<'_, T::Acc>, x: &[T], planes: Range<usize>, y: *mut T) {
    let n = norm.inner;
    for plane in planes {
        let (mean, scale, bias) = norm.affine(plane / norm.channels, plane % norm.channels);
        let x = &x[plane * n..][..n];
        for (i, x) in x.iter().enumerate() {
            // SAFETY: the plane lies in the output.
            unsafe { *y.add(plane * n + i) = T::narrow(x.widen().sub(mean).mul(scale).add(bias)) };
        }
    }
}
}

multiversion! {
unsafe fn apply_rows[T: Number<Acc: Real>](norm: &Channels<'_, T::Acc>, x: &[T], rows: Range<usize>, y: *mut T) {
    let n = norm.channels;
    let mut affine = Vec::new();
    for row in rows {
        if affine.is_empty() || norm.groups > 0 {
            affine.clear();
            affine.extend((0..n).map(|c| norm.affine(row, c)));
        }
        let x = &x[row * n..][..n];
        for (i, (x, &(mean, scale, bias))) in x.iter().zip(&affine).enumerate() {
            // SAFETY: the row lies in the output.
            unsafe { *y.add(row * n + i) = T::narrow(x.widen().sub(mean).mul(scale).add(bias)) };
        }
    }
}
}

multiversion! {
unsafe fn sum_channels[T: Number<Acc: Real>](
    norm: &Channels<'_, T::Acc>, x: &[T], grad: &[T], samples: Range<usize>, sums: &mut [(T::Acc, T::Acc)],
) {
    let n = norm.inner;
    for sample in samples {
        if n == 1 && norm.groups == 0 {
            let at = sample * norm.channels;
            let (x, g) = (&x[at..][..norm.channels], &grad[at..][..norm.channels]);
            for ((sums, mean), (x, g)) in sums.iter_mut().zip(norm.mean).zip(x.iter().zip(g)) {
                let g = g.widen();
                *sums = (sums.0.add(g.mul(x.widen().sub(*mean))), sums.1.add(g));
            }
            continue;
        }
        for (channel, sums) in sums.iter_mut().enumerate() {
            let at = (sample * norm.channels + channel) * n;
            let mean = norm.mean[norm.statistic(sample, channel)];
            let (x, g) = (x[at..][..n].as_ptr(), grad[at..][..n].as_ptr());
            // SAFETY: `sum` asks for the n elements of the channel.
            let (x, g) = unsafe { (|i: usize| (*x.add(i)).widen(), |i: usize| (*g.add(i)).widen()) };
            sums.0 = sums.0.add(sum(n, |i| g(i).mul(x(i).sub(mean))));
            sums.1 = sums.1.add(sum(n, g));
        }
    }
}
}

multiversion! {
unsafe fn write_gradient[T: Number<Acc: Real>](
    norm: &Channels<'_, T::Acc>, x: &[T], grad: &[T], lines: &[Line<T::Acc>], runs: Range<usize>, dx: *mut T,
) {
    let single = norm.inner == 1;
    let n = if single { norm.channels } else { norm.inner };
    let value = |line: &Line<T::Acc>, x: &T, g: &T| {
        let centered = x.widen().sub(line.mean);
        T::narrow(g.widen().mul(line.gain).sub(centered.mul(line.slope)).sub(line.level))
    };
    for run in runs {
        let (x, g) = (&x[run * n..][..n], &grad[run * n..][..n]);
        let set = match (norm.groups, single) {
            (0, true) => 0..norm.channels,
            (0, false) => run % norm.channels..run % norm.channels + 1,
            (_, true) => run * norm.channels..(run + 1) * norm.channels,
            (_, false) => run..run + 1,
        };
        // SAFETY: the run lies in the output.
        let dx = unsafe { std::slice::from_raw_parts_mut(dx.add(run * n), n) };
        if let [line] = &lines[set.clone()] {
            dx.iter_mut().zip(x).zip(g).for_each(|((dx, x), g)| *dx = value(line, x, g));
        } else {
            let elements = dx.iter_mut().zip(x).zip(g).zip(&lines[set]);
            elements.for_each(|(((dx, x), g), line)| *dx = value(line, x, g));
        }
    }
}
}
