//! Fourier transforms of rows, by `rustfft`; one plan per length and direction is kept.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use num_complex::Complex;
use parking_lot::Mutex;
use rustfft::{Fft, FftDirection, FftNum, FftPlanner};

use super::pool::{self, grain};

type Plan<T> = Arc<dyn Fft<T>>;
type Plans<T> = Mutex<(Option<FftPlanner<T>>, HashMap<(usize, bool), Plan<T>>)>;

/// A real type with transforms.
pub trait Transform: FftNum {
    fn plans() -> &'static Plans<Self>;
}

macro_rules! transform {
    ($($T:ty),*) => {$(
        impl Transform for $T {
            fn plans() -> &'static Plans<$T> {
                static PLANS: OnceLock<Plans<$T>> = OnceLock::new();
                PLANS.get_or_init(|| Mutex::new((None, HashMap::new())))
            }
        }
    )*};
}

transform!(f32, f64);

fn plan<T: Transform>(len: usize, forward: bool) -> Plan<T> {
    let mut plans = T::plans().lock();
    let (planner, known) = &mut *plans;
    let direction = if forward {
        FftDirection::Forward
    } else {
        FftDirection::Inverse
    };
    let planner = planner.get_or_insert_with(FftPlanner::new);
    known
        .entry((len, forward))
        .or_insert_with(|| planner.plan_fft(len, direction))
        .clone()
}

/// Transforms each row of `len` numbers in place and multiplies it by `scale`.
pub fn rows<T: Transform>(data: &mut [Complex<T>], len: usize, forward: bool, scale: T) {
    if len == 0 || data.is_empty() {
        return;
    }
    let plan = plan::<T>(len, forward);
    let count = data.len() / len;
    let start = data.as_mut_ptr() as usize;
    let per_task = grain::MATH / len + 1;
    pool::parallel_for(count, per_task, |range| {
        let mut scratch = vec![Complex::new(T::zero(), T::zero()); plan.get_inplace_scratch_len()];
        let first = (start as *mut Complex<T>).wrapping_add(range.start * len);
        // SAFETY: every task has rows of its own, inside `data`.
        let rows = unsafe { std::slice::from_raw_parts_mut(first, range.len() * len) };
        plan.process_with_scratch(rows, &mut scratch);
        if scale != T::one() {
            rows.iter_mut().for_each(|x| *x = x.scale(scale));
        }
    });
}
