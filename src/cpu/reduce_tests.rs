//! Reductions against plain loops, over layouts on each side of every threshold.

use super::number::{Accumulator, Number};
use super::reduce::Pointer;
use super::reduce::{Reduction, reduce};
use super::reduce_index::{Found, extreme};
use super::reduce_kinds::{Any, Max, Mean, Norm2, Sum};
use super::reduce_moments::moments;
use super::reduce_plan::Plan;
use crate::tensor::Bool;

/// Contiguous strides of a shape.
fn contiguous(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for i in (0..shape.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * shape[i + 1];
    }
    strides
}

fn data(n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| ((i * 7919 + 13) % 1009) as f64 / 97.0 - 5.0)
        .collect()
}

/// Every layout: shape, input strides, reduced dimensions.
fn layouts() -> Vec<(Vec<i64>, Vec<i64>, Vec<usize>)> {
    let mut all = vec![(vec![], vec![], vec![])];
    for shape in [
        vec![7],
        vec![70_000],
        vec![3, 5],
        vec![300, 400],
        vec![5, 33, 21],
        vec![2, 3000, 17],
        vec![40_000, 3],
    ] {
        let strides = contiguous(&shape);
        let flipped: Vec<i64> = shape.iter().rev().copied().collect();
        let transposed: Vec<i64> = strides.iter().rev().copied().collect();
        for mask in 1..1 << shape.len() {
            let dims: Vec<usize> = (0..shape.len()).filter(|i| mask >> i & 1 == 1).collect();
            all.push((shape.clone(), strides.clone(), dims.clone()));
            all.push((flipped.clone(), transposed.clone(), dims));
        }
    }
    all.push((vec![50, 4], vec![1, 0], vec![0]));
    all.push((vec![50, 4], vec![0, 1], vec![0]));
    all
}

fn each_layout(check: impl Fn(&Plan, &[f64], &dyn Fn(usize) -> Vec<f64>, usize)) {
    for (shape, strides, dims) in layouts() {
        let reduced = |i: usize| dims.contains(&i);
        let kept: Vec<usize> = (0..shape.len()).filter(|&i| !reduced(i)).collect();
        let kept_strides = contiguous(&kept.iter().map(|&i| shape[i]).collect::<Vec<_>>());
        let mut out = vec![0i64; shape.len()];
        kept.iter()
            .zip(&kept_strides)
            .for_each(|(&i, &s)| out[i] = s);
        let total = shape.iter().product::<i64>() as usize;
        let values = data(total);
        let mut groups = vec![Vec::new(); kept.iter().map(|&i| shape[i] as usize).product()];
        for linear in 0..total {
            let (mut rest, mut input, mut output) = (linear, 0, 0);
            for i in (0..shape.len()).rev() {
                let index = (rest % shape[i] as usize) as i64;
                rest /= shape[i] as usize;
                input += index * strides[i];
                output += index * if reduced(i) { 0 } else { out[i] };
            }
            groups[output as usize].push(values[input as usize]);
        }
        let plan = Plan::new(&shape, &strides, &out, reduced);
        check(&plan, &values, &|o| groups[o].clone(), groups.len());
    }
}

fn run<T: Copy + Send + Sync, R: Reduction<T>>(
    r: R,
    src: &[T],
    plan: &Plan,
    outputs: usize,
) -> Vec<R::Out> {
    let mut out = Vec::with_capacity(outputs);
    // SAFETY: the plan was made for these buffers.
    unsafe {
        reduce(r, src.as_ptr(), plan, out.as_mut_ptr());
        out.set_len(outputs);
    }
    out
}

#[test]
fn sums_and_maxima_agree_with_loops() {
    each_layout(|plan, values, group, outputs| {
        let sums = run(Sum, values, plan, outputs);
        let maxima = run(Max, values, plan, outputs);
        let norms = run(Norm2, values, plan, outputs);
        for o in 0..outputs {
            let group = group(o);
            let sum: f64 = group.iter().sum();
            assert!(
                (sums[o] - sum).abs() <= 1e-9 * group.len() as f64,
                "{plan:?}"
            );
            assert_eq!(
                maxima[o],
                group.iter().copied().fold(f64::MIN, f64::max),
                "{plan:?}"
            );
            let norm = group.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((norms[o] - norm).abs() <= 1e-9 * norm, "{plan:?}");
        }
    });
}

#[test]
fn moments_agree_with_two_passes() {
    each_layout(|plan, values, group, outputs| {
        let mut found = vec![(0.0, 0.0); outputs];
        let out = Pointer(found.as_mut_ptr());
        // SAFETY: each output is written once.
        unsafe {
            moments(values.as_ptr(), plan, |offset, m| {
                let out = out;
                *out.0.offset(offset) = (m.mean, m.m2);
            });
        }
        for (o, (mean, m2)) in found.into_iter().enumerate() {
            let group = group(o);
            let want = group.iter().sum::<f64>() / group.len() as f64;
            let spread: f64 = group.iter().map(|x| (x - want).powi(2)).sum();
            assert!(
                (mean - want).abs() < 1e-9 && (m2 - spread).abs() <= 1e-9 * (1.0 + spread),
                "{plan:?}"
            );
        }
    });
}

#[test]
fn the_first_of_equal_maxima_is_found() {
    for (n, stride) in [(1, 1), (5, 1), (100, 1), (5000, 1), (100, 3)] {
        for at in [0, n / 2, n - 1] {
            let mut values = vec![1.0f32; n * stride];
            values[at * stride] = 2.0;
            values[(n - 1) * stride] = 2.0;
            let plan = Plan::new(&[n as i64], &[stride as i64], &[0], |_| true);
            let (mut value, mut index) = (0.0, -1);
            let found = Found {
                values: Some(Pointer(&raw mut value)),
                indices: Some(Pointer(&raw mut index)),
            };
            // SAFETY: one output each.
            unsafe { extreme(Max, values.as_ptr(), &plan, found) };
            assert_eq!((value, index), (2.0, at as i64));
            values[at * stride] = f32::NAN;
            // SAFETY: one output each.
            unsafe { extreme(Max, values.as_ptr(), &plan, found) };
            assert!(value.is_nan() && index == at as i64);
        }
    }
}

#[test]
fn large_sums_are_accurate() {
    let values = vec![0.1f32; 1 << 22];
    let plan = Plan::new(&[values.len() as i64], &[1], &[0], |_| true);
    let mean = run(Mean(values.len() as f64), &values, &plan, 1)[0];
    assert!((mean - 0.1).abs() <= 2.0 * f32::EPSILON * 0.1, "{mean}");
    let ones = vec![Bool::from(true); 100_000];
    let plan = Plan::new(&[ones.len() as i64], &[1], &[0], |_| true);
    assert!(run(Any, &ones, &plan, 1)[0].get());
    assert!(Bool::narrow(i64::ONE).get());
}
