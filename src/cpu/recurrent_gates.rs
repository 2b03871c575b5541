//! The pointwise part of recurrent cells and its gradients, for the `n` features of one sequence at one step.
//!
//! Each loop writes one run of memory, so that the compiler needs few checks to make vectors of it.

use super::multiversion::multiversion;
use super::number::Real;
use super::{math32, math64_more};

/// A number with the functions of gates.
pub trait Gate: Real {
    fn sigmoid(self) -> Self;
    fn tanh(self) -> Self;
}

impl Gate for f32 {
    #[inline(always)]
    fn sigmoid(self) -> f32 {
        math32::sigmoid(self)
    }
    #[inline(always)]
    fn tanh(self) -> f32 {
        math32::tanh(self)
    }
}

impl Gate for f64 {
    #[inline(always)]
    fn sigmoid(self) -> f64 {
        math64_more::sigmoid(self)
    }
    #[inline(always)]
    fn tanh(self) -> f64 {
        math64_more::tanh(self)
    }
}

#[inline(always)]
unsafe fn fill<T>(n: usize, out: *mut T, f: impl Fn(usize) -> T) {
    for i in 0..n {
        // SAFETY: the caller's promise, as in this whole file: runs of `n` elements, or as many per gate.
        unsafe { *out.add(i) = f(i) };
    }
}

/// `at!(p, i)`: an element; the index is below the number of features.
macro_rules! at {
    ($p:expr, $i:expr) => {
        *$p.add($i)
    };
}

/// `1 - x`.
#[inline(always)]
fn rest<T: Real>(x: T) -> T {
    T::ONE.sub(x)
}

/// The derivative of tanh where it is `y`.
#[inline(always)]
fn slope<T: Real>(y: T) -> T {
    rest(y.mul(y))
}

multiversion! {
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn tanh[T: Gate](n: usize, gates: *const T, output: *mut T) {
    // SAFETY: as the caller's.
    unsafe { fill(n, output, |i| at!(gates, i).tanh()) }
}
}

multiversion! {
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn relu[T: Gate](n: usize, gates: *const T, output: *mut T) {
    // SAFETY: as the caller's.
    unsafe { fill(n, output, |i| { let x = at!(gates, i); if x <= T::ZERO { T::ZERO } else { x } }) }
}
}

multiversion! {
/// Gates in the order input, forget, candidate, output, which come in raw and leave as they act.
///
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn lstm[T: Gate](n: usize, gates: *mut T, before: *const T, memory: *mut T, output: *mut T) {
    let [enter, forget, candidate, out] = [0, 1, 2, 3].map(|gate| gates.wrapping_add(gate * n));
    // SAFETY: as the caller's.
    unsafe {
        fill(2 * n, enter, |i| at!(enter, i).sigmoid());
        fill(n, candidate, |i| at!(candidate, i).tanh());
        fill(n, out, |i| at!(out, i).sigmoid());
        fill(n, memory, |i| {
            at!(forget, i).mul(at!(before, i)).add(at!(enter, i).mul(at!(candidate, i)))
        });
        fill(n, output, |i| at!(out, i).mul(at!(memory, i).tanh()));
    }
}
}

multiversion! {
/// Gates in the order reset, update, new: `gates` has the state's part, to which `x` is added; `kept` keeps the
/// state's part of the new values.
///
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn gru[T: Gate](n: usize, x: *const T, gates: *mut T, before: *const T, kept: *mut T, output: *mut T) {
    let [reset, update, new] = [0, 1, 2].map(|gate| gates.wrapping_add(gate * n));
    let from_input = x.wrapping_add(2 * n);
    // SAFETY: as the caller's.
    unsafe {
        fill(2 * n, reset, |i| at!(x, i).add(at!(reset, i)).sigmoid());
        fill(n, kept, |i| at!(new, i));
        fill(n, new, |i| at!(from_input, i).add(at!(reset, i).mul(at!(kept, i))).tanh());
        fill(n, output, |i| {
            let new = at!(new, i);
            new.add(at!(update, i).mul(at!(before, i).sub(new)))
        });
    }
}
}

multiversion! {
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn add[T: Gate](n: usize, from: *const T, to: *mut T) {
    // SAFETY: as the caller's.
    unsafe { fill(n, to, |i| at!(to, i).add(at!(from, i))) }
}
}

multiversion! {
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn tanh_backward[T: Gate](n: usize, grad: *const T, output: *const T, gate: *mut T) {
    // SAFETY: as the caller's.
    unsafe { fill(n, gate, |i| at!(grad, i).mul(slope(at!(output, i)))) }
}
}

multiversion! {
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn relu_backward[T: Gate](n: usize, grad: *const T, output: *const T, gate: *mut T) {
    // SAFETY: as the caller's.
    unsafe { fill(n, gate, |i| if at!(output, i) > T::ZERO { at!(grad, i) } else { T::ZERO }) }
}
}

multiversion! {
/// `memories` after and before the step; `grads` of state and memory, the latter of which leaves as that of the
/// memory before. Writes the gradients of the raw gates.
///
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn lstm_backward[T: Gate](
    n: usize, gates: *const T, memories: [*const T; 2], grads: [*mut T; 2], raw: *mut T, scratch: *mut T,
) {
    let [enter, forget, candidate, out] = [0, 1, 2, 3].map(|gate| gates.wrapping_add(gate * n));
    let [to_enter, to_forget, to_candidate, to_out] = [0, 1, 2, 3].map(|gate| raw.wrapping_add(gate * n));
    let ([memory, before], [grad, memory_grad]) = (memories, grads);
    let bend = |x: T| x.mul(rest(x));
    // SAFETY: as the caller's.
    unsafe {
        fill(n, scratch, |i| at!(memory, i).tanh());
        fill(n, to_out, |i| at!(grad, i).mul(at!(scratch, i)).mul(bend(at!(out, i))));
        fill(n, memory_grad, |i| {
            at!(memory_grad, i).add(at!(grad, i).mul(at!(out, i)).mul(slope(at!(scratch, i))))
        });
        fill(n, to_enter, |i| at!(memory_grad, i).mul(at!(candidate, i)).mul(bend(at!(enter, i))));
        fill(n, to_forget, |i| at!(memory_grad, i).mul(at!(before, i)).mul(bend(at!(forget, i))));
        fill(n, to_candidate, |i| at!(memory_grad, i).mul(at!(enter, i)).mul(slope(at!(candidate, i))));
        fill(n, memory_grad, |i| at!(memory_grad, i).mul(at!(forget, i)));
    }
}
}

multiversion! {
/// Writes the gradients of the raw gates from the input and from the state; the gradient of the state leaves as the
/// part of that before the step that does not go through the gates.
///
/// # Safety
/// As the file says: runs of `n` elements, or as many per gate.
pub unsafe fn gru_backward[T: Gate](
    n: usize, gates: *const T, kept: *const T, before: *const T, grad: *mut T, raw: [*mut T; 2],
) {
    let [reset, update, new] = [0, 1, 2].map(|gate| gates.wrapping_add(gate * n));
    let [to_reset, to_update, to_new] = [0, 1, 2].map(|gate| raw[0].wrapping_add(gate * n));
    let (states, to_kept) = (raw[1], raw[1].wrapping_add(2 * n));
    let bend = |x: T| x.mul(rest(x));
    // SAFETY: as the caller's.
    unsafe {
        fill(n, to_update, |i| {
            at!(grad, i).mul(at!(before, i).sub(at!(new, i))).mul(bend(at!(update, i)))
        });
        fill(n, to_new, |i| at!(grad, i).mul(rest(at!(update, i))).mul(slope(at!(new, i))));
        fill(n, to_reset, |i| at!(to_new, i).mul(at!(kept, i)).mul(bend(at!(reset, i))));
        fill(2 * n, states, |i| at!(to_reset, i));
        fill(n, to_kept, |i| at!(to_new, i).mul(at!(reset, i)));
        fill(n, grad, |i| at!(grad, i).mul(at!(update, i)));
    }
}
}
