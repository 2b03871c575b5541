//! Pointwise loops over bfloat16 that widen, compute in float32 and round strip by strip, in registers and the stack:
//! for formulas so short that conversions of whole blocks would take longer than they do.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::half_bits::{narrow_bf16, widen_bf16};
use super::multiversion::{Isa, multiversion};
use super::pointwise::{Input, Map, Output, STRIP};
use super::stream;

multiversion! {
    unsafe fn strips[F: Map<f32, N, P, Out = f32>, const N: usize, const P: usize](
        formula: PhantomData<F>, inputs: [Input; N], output: Output, n: usize, params: [f32; P],
    ) {
        let moving = inputs.iter().all(|input| input.step == 1);
        let target = output.ptr.cast::<u16>();
        for done in (0..n).step_by(STRIP) {
            let count = STRIP.min(n - done);
            // SAFETY: the caller's promise of `n` elements.
            unsafe {
                let values = if moving && count == STRIP {
                    // Read in place, so that they need not leave the registers.
                    let mut places = [inputs[0].ptr.cast::<u16>(); N];
                    for k in 0..N {
                        places[k] = inputs[k].ptr.cast::<u16>().add(done);
                    }
                    compute(formula, |k, i| widen_bf16(places[k].add(i).read_unaligned()), params)
                } else {
                    let lanes = widened(&inputs, done, count);
                    compute(formula, |k, i| lanes[k][i], params)
                };
                let results = narrow(&values, LEVEL);
                if count < STRIP {
                    let bytes = count * size_of::<u16>();
                    let from = results.as_ptr().cast::<u8>();
                    std::ptr::copy_nonoverlapping(from, target.add(done).cast(), bytes);
                } else if output.around {
                    stream::put(&results, target.add(done), LEVEL);
                } else {
                    target.add(done).cast::<[MaybeUninit<u16>; STRIP]>().write_unaligned(results);
                }
            }
        }
    }
}

/// Elements `done..done + count` of the operands, filled up with zeros.
///
/// # Safety
/// They are there; with a step of 0, a strip of float32.
#[inline(always)]
unsafe fn widened<const N: usize>(
    inputs: &[Input; N],
    done: usize,
    count: usize,
) -> [[f32; STRIP]; N] {
    let mut lanes = [[0.0; STRIP]; N];
    for (lane, input) in lanes.iter_mut().zip(inputs) {
        // SAFETY: the caller's promise.
        unsafe {
            if input.step == 0 {
                *lane = input.ptr.cast::<[f32; STRIP]>().read_unaligned();
                continue;
            }
            let mut source = input.ptr.cast::<u16>().add(done);
            let mut end = [0u16; STRIP];
            if count < STRIP {
                let bytes = count * size_of::<u16>();
                let from = source.cast::<u8>();
                std::ptr::copy_nonoverlapping(from, end.as_mut_ptr().cast(), bytes);
                source = end.as_ptr();
            }
            for (i, x) in lane.iter_mut().enumerate() {
                *x = widen_bf16(source.add(i).read_unaligned());
            }
        }
    }
    lanes
}

/// The formula of the elements that `read` gives of operands and positions.
#[inline(always)]
fn compute<F: Map<f32, N, P, Out = f32>, const N: usize, const P: usize>(
    _: PhantomData<F>,
    read: impl Fn(usize, usize) -> f32,
    params: [f32; P],
) -> [f32; STRIP] {
    let at = |i: usize| {
        let mut x = [read(0, i); N];
        for k in 1..N {
            x[k] = read(k, i);
        }
        x
    };
    let mut values = [0.0f32; STRIP];
    let mut wild = false;
    for (i, value) in values.iter_mut().enumerate() {
        wild |= F::is_wild(at(i));
        *value = F::at(at(i), params);
    }
    if wild {
        for (i, value) in values.iter_mut().enumerate() {
            if F::is_wild(at(i)) {
                *value = F::at_wild(at(i), params);
            }
        }
    }
    values
}

/// Compilers find a slower way to do this, at the highest level.
#[inline(always)]
fn narrow(values: &[f32; STRIP], level: Isa) -> [MaybeUninit<u16>; STRIP] {
    let mut results = [MaybeUninit::uninit(); STRIP];
    #[cfg(target_arch = "x86_64")]
    if level == Isa::Avx512 {
        for i in (0..STRIP).step_by(16) {
            // SAFETY: the level was detected; sixteen elements from `i` on are in both strips.
            unsafe { narrow_sixteen(values.as_ptr().add(i), results.as_mut_ptr().add(i).cast()) };
        }
        return results;
    }
    for (result, &value) in results.iter_mut().zip(values) {
        result.write(narrow_bf16(value));
    }
    results
}

/// As [`narrow_bf16`].
///
/// # Safety
/// AVX-512 is there, and both sides have sixteen elements.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn narrow_sixteen(from: *const f32, to: *mut u16) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's promise.
    unsafe {
        let value = _mm512_loadu_ps(from);
        let bits = _mm512_castps_si512(value);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        let rounded = _mm512_add_epi32(bits, half);
        let sign = _mm512_and_si512(bits, _mm512_set1_epi32(i32::MIN));
        let nan = _mm512_or_si512(sign, _mm512_set1_epi32(0x7fc0_0000));
        let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
        let result = _mm512_mask_blend_epi32(is_nan, rounded, nan);
        let high = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(result));
        _mm256_storeu_si256(to.cast(), high);
    }
}

/// The loop behind untyped pointers.
///
/// # Safety
/// As [`super::pointwise::Run`] says, with `n` bfloat16 elements everywhere, but strips of float32 where the step
/// is 0, and parameters of float32.
pub unsafe fn run<F: Map<f32, N, P, Out = f32>, const N: usize, const P: usize>(
    inputs: *const Input,
    output: Output,
    n: usize,
    params: *const u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inputs: [Input; N] = std::array::from_fn(|k| *inputs.add(k));
        let params: [f32; P] =
            std::array::from_fn(|k| params.cast::<f32>().add(k).read_unaligned());
        strips(PhantomData::<F>, inputs, output, n, params);
    }
}
