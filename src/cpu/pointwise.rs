//! Pointwise loops: one vectorised loop per formula and lane type over contiguous runs, in which an
//! operand may stand still. [`super::pointwise_walk`] brings every other layout to such runs.

use std::hint::black_box;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::multiversion::{Isa, multiversion};
use super::stream::{self, Line};

/// A formula at a lane type: N operands and P scalar parameters to one result.
pub trait Map<E, const N: usize, const P: usize> {
    type Out: Copy;
    /// Is the formula so short that moving its operands takes longer?
    const SHORT: bool = false;
    fn at(x: [E; N], p: [E; P]) -> Self::Out;
    /// Is an argument outside what `at` computes well?
    #[inline(always)]
    fn is_wild(_: [E; N]) -> bool {
        false
    }
    /// The result for such arguments.
    #[inline(always)]
    fn at_wild(x: [E; N], p: [E; P]) -> Self::Out {
        Self::at(x, p)
    }
}

/// An operand of a run: contiguous elements, or with step 0 a strip of one repeated value.
#[derive(Clone, Copy)]
pub struct Input {
    pub ptr: *const u8,
    pub step: usize,
}

/// Where contiguous results go, and whether they go around the caches: the place then starts at a cache line.
#[derive(Clone, Copy)]
pub struct Output {
    pub ptr: *mut u8,
    pub around: bool,
}

impl Output {
    /// Through the caches.
    #[must_use]
    pub fn plain(ptr: *mut u8) -> Output {
        Output { ptr, around: false }
    }
}

/// Computes `n` contiguous results. The output may be one of the operands.
pub type Run = unsafe fn(inputs: *const Input, output: Output, n: usize, params: *const u8);

/// Results computed at a time: they are stored after all their operands were read, so that the loop
/// vectorises without asking whether output and operands overlap. Fewer would be unrolled away before the
/// compiler finds the loop to vectorise.
pub const STRIP: usize = 64;

/// [`Input`] at its lane type.
type Lane<E> = (*const E, usize);

multiversion! {
    unsafe fn run_typed[F: Map<E, N, P>, E: Copy + Default, const N: usize, const P: usize](
        formula: PhantomData<F>, inputs: [Lane<E>; N], output: Output, n: usize, params: [E; P],
    ) {
        // SAFETY: passed on.
        unsafe { strips(formula, inputs, output, n, params, LEVEL) }
    }
}

/// Strip after strip; the last one is filled up with zeros.
#[inline(always)]
unsafe fn strips<F: Map<E, N, P>, E: Copy + Default, const N: usize, const P: usize>(
    _: PhantomData<F>,
    inputs: [Lane<E>; N],
    Output { ptr, around }: Output,
    n: usize,
    params: [E; P],
    level: Isa,
) {
    // Long formulas keep one copy of their loop: theirs go around by way of `aside`.
    let around = if F::SHORT { around } else { black_box(around) };
    let mut pad = [[MaybeUninit::<E>::uninit(); STRIP]; N];
    let mut aside = Line([MaybeUninit::<F::Out>::uninit(); STRIP]);
    let output = ptr.cast::<F::Out>();
    let mut done = 0;
    // SAFETY: the caller's operands have `n` elements each or a strip, the paddings a strip.
    unsafe {
        while done < n {
            let full = done + STRIP <= n;
            let mut at = [std::ptr::null(); N];
            for k in 0..N {
                let (ptr, step) = inputs[k];
                at[k] = ptr.add(done * step);
                if !full && step != 0 {
                    let bytes = (n - done) * size_of::<E>();
                    pad[k] = [MaybeUninit::new(E::default()); STRIP];
                    std::ptr::copy_nonoverlapping(
                        at[k].cast::<u8>(),
                        pad[k].as_mut_ptr().cast(),
                        bytes,
                    );
                    at[k] = pad[k].as_ptr().cast();
                }
            }
            let to = if full && (F::SHORT || !around) {
                output.add(done)
            } else {
                aside.0.as_mut_ptr().cast()
            };
            let stream = (full && around).then_some(level);
            strip::<F, E, N, P>(at, to, params, stream.filter(|_| F::SHORT));
            if !F::SHORT && stream.is_some() {
                let bytes = STRIP * size_of::<F::Out>();
                stream::store()(aside.0.as_ptr().cast(), output.add(done).cast(), bytes);
            }
            done += STRIP;
        }
        let rest = n % STRIP;
        if rest > 0 {
            let bytes = rest * size_of::<F::Out>();
            std::ptr::copy_nonoverlapping(
                aside.0.as_ptr().cast::<u8>(),
                output.add(n - rest).cast(),
                bytes,
            );
        }
    }
}

/// Element `i` of each operand; in a loop, because the library's `map` is inlined only across units.
///
/// # Safety
/// All operands have that element.
#[inline(always)]
unsafe fn operands_at<E: Copy, const N: usize>(inputs: &[*const E; N], i: usize) -> [E; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut x = [inputs[0].add(i).read_unaligned(); N];
        for k in 1..N {
            x[k] = inputs[k].add(i).read_unaligned();
        }
        x
    }
}

/// Computes one strip. Its size is known, so that results stay in registers on their way out, which leads around the
/// caches where a level is given for that.
#[inline(always)]
unsafe fn strip<F: Map<E, N, P>, E: Copy, const N: usize, const P: usize>(
    inputs: [*const E; N],
    output: *mut F::Out,
    params: [E; P],
    around: Option<Isa>,
) {
    let mut results = [MaybeUninit::<F::Out>::uninit(); STRIP];
    let mut wild = false;
    // SAFETY: operands and output have a strip of elements.
    unsafe {
        for (i, result) in results.iter_mut().enumerate() {
            let x = operands_at(&inputs, i);
            wild |= F::is_wild(x);
            result.write(F::at(x, params));
        }
        if wild {
            for (i, result) in results.iter_mut().enumerate() {
                let x = operands_at(&inputs, i);
                if F::is_wild(x) {
                    result.write(F::at_wild(x, params));
                }
            }
        }
        match around {
            Some(level) => stream::put(&results, output, level),
            None => output
                .cast::<[MaybeUninit<F::Out>; STRIP]>()
                .write_unaligned(results),
        }
    }
}

/// [`run_typed`] behind untyped pointers.
///
/// # Safety
/// As [`Run`] says: N operands and P parameters of type `E`, `n` elements everywhere.
pub unsafe fn run<F: Map<E, N, P>, E: Copy + Default, const N: usize, const P: usize>(
    inputs: *const Input,
    output: Output,
    n: usize,
    params: *const u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inputs: [Lane<E>; N] = std::array::from_fn(|k| typed(&*inputs.add(k)));
        let params: [E; P] = std::array::from_fn(|k| params.cast::<E>().add(k).read_unaligned());
        run_typed(PhantomData::<F>, inputs, output, n, params);
    }
}

#[inline(always)]
fn typed<E>(input: &Input) -> Lane<E> {
    (input.ptr.cast(), input.step)
}

/// [`run`] for formulas that do not vectorise: one version, whatever the CPU offers.
///
/// # Safety
/// As [`run`].
pub unsafe fn run_plain<F: Map<E, N, P>, E: Copy, const N: usize, const P: usize>(
    inputs: *const Input,
    output: Output,
    n: usize,
    params: *const u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inputs: [Lane<E>; N] = std::array::from_fn(|k| typed(&*inputs.add(k)));
        let params: [E; P] = std::array::from_fn(|k| params.cast::<E>().add(k).read_unaligned());
        for i in 0..n {
            let mut x = [inputs[0].0.add(i * inputs[0].1).read_unaligned(); N];
            for k in 1..N {
                x[k] = inputs[k].0.add(i * inputs[k].1).read_unaligned();
            }
            let result = if F::is_wild(x) {
                F::at_wild(x, params)
            } else {
                F::at(x, params)
            };
            output.ptr.cast::<F::Out>().add(i).write_unaligned(result);
        }
    }
}
