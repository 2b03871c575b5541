//! Steps of optimisers: one pass over a parameter, its gradient and its state.

use super::iter::Plan;
use super::multiversion::multiversion;
use super::number::{Number, Real};
use super::pool;
use crate::dispatch;
use crate::tensor::{Element, Tensor};

/// Where the gradient stands among the operands of a rule; it is read only.
const GRAD: usize = 1;

/// The update of one element: of the parameter, the gradient and the state, in this order.
trait Rule<A, const N: usize>: Sync {
    fn apply(&self, values: &mut [A; N]);
}

/// Stochastic gradient descent.
#[derive(Clone, Copy)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub weight_decay: f64,
    pub nesterov: bool,
    pub maximize: bool,
    /// The momentum starts with this gradient.
    pub is_first: bool,
}

/// Adam and its variants.
#[derive(Clone, Copy)]
pub struct Adam {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
    pub eps: f64,
    pub maximize: bool,
    pub decoupled: bool,
}

/// The rule of [`Sgd`] in the type that it computes in.
struct SgdRule<A> {
    minus_lr: A,
    momentum: A,
    undamped: A,
    weight_decay: A,
    flags: Sgd,
}

impl<A: Real> SgdRule<A> {
    fn new(flags: Sgd) -> SgdRule<A> {
        SgdRule {
            minus_lr: A::of_f64(-flags.lr),
            momentum: A::of_f64(flags.momentum),
            undamped: A::of_f64(1.0 - flags.dampening),
            weight_decay: A::of_f64(flags.weight_decay),
            flags,
        }
    }

    #[inline(always)]
    fn gradient(&self, param: A, grad: A) -> A {
        let grad = signed(grad, self.flags.maximize);
        if self.flags.weight_decay == 0.0 {
            grad
        } else {
            grad.add(param.mul(self.weight_decay))
        }
    }
}

#[inline(always)]
fn signed<A: Real>(grad: A, maximize: bool) -> A {
    if maximize { A::ZERO.sub(grad) } else { grad }
}

impl<A: Real> Rule<A, 2> for SgdRule<A> {
    #[inline(always)]
    fn apply(&self, [param, grad]: &mut [A; 2]) {
        *param = param.add(self.gradient(*param, *grad).mul(self.minus_lr));
    }
}

impl<A: Real> Rule<A, 3> for SgdRule<A> {
    #[inline(always)]
    fn apply(&self, [param, grad, buffer]: &mut [A; 3]) {
        let grad = self.gradient(*param, *grad);
        *buffer = if self.flags.is_first {
            grad
        } else {
            buffer.mul(self.momentum).add(grad.mul(self.undamped))
        };
        let step = if self.flags.nesterov {
            grad.add(buffer.mul(self.momentum))
        } else {
            *buffer
        };
        *param = param.add(step.mul(self.minus_lr));
    }
}

/// The rule of [`Adam`] in the type that it computes in, at a given step.
struct AdamRule<A> {
    minus_step: A,
    shrink: A,
    weight_decay: A,
    one_minus_beta1: A,
    beta2: A,
    one_minus_beta2: A,
    /// Root of the bias correction of the mean square.
    root: A,
    eps: A,
    flags: Adam,
}

impl<A: Real> AdamRule<A> {
    fn new(flags: Adam, step: f64) -> AdamRule<A> {
        AdamRule {
            minus_step: A::of_f64(-flags.lr / (1.0 - flags.beta1.powf(step))),
            shrink: A::of_f64(1.0 - flags.lr * flags.weight_decay),
            weight_decay: A::of_f64(flags.weight_decay),
            one_minus_beta1: A::of_f64(1.0 - flags.beta1),
            beta2: A::of_f64(flags.beta2),
            one_minus_beta2: A::of_f64(1.0 - flags.beta2),
            root: A::of_f64((1.0 - flags.beta2.powf(step)).sqrt()),
            eps: A::of_f64(flags.eps),
            flags,
        }
    }

    /// Updates the averages; gives the parameter, shrunk, the mean and the mean square.
    #[inline(always)]
    fn averages(&self, param: A, grad: A, mean: A, square: A) -> (A, A, A) {
        let mut grad = signed(grad, self.flags.maximize);
        let mut param = param;
        if self.flags.decoupled {
            param = param.mul(self.shrink);
        } else if self.flags.weight_decay != 0.0 {
            grad = grad.add(param.mul(self.weight_decay));
        }
        let mean = mean.add(grad.sub(mean).mul(self.one_minus_beta1));
        let square = square
            .mul(self.beta2)
            .add(grad.mul(grad).mul(self.one_minus_beta2));
        (param, mean, square)
    }

    #[inline(always)]
    fn moved(&self, param: A, mean: A, square: A) -> A {
        let scale = square.sqrt().div(self.root).add(self.eps);
        param.add(mean.mul(self.minus_step).div(scale))
    }
}

impl<A: Real> Rule<A, 4> for AdamRule<A> {
    #[inline(always)]
    fn apply(&self, [param, grad, mean, square]: &mut [A; 4]) {
        let shrunk;
        (shrunk, *mean, *square) = self.averages(*param, *grad, *mean, *square);
        *param = self.moved(shrunk, *mean, *square);
    }
}

impl<A: Real> Rule<A, 5> for AdamRule<A> {
    #[inline(always)]
    fn apply(&self, [param, grad, mean, square, largest]: &mut [A; 5]) {
        let shrunk;
        (shrunk, *mean, *square) = self.averages(*param, *grad, *mean, *square);
        *largest = if *square > *largest {
            *square
        } else {
            *largest
        };
        *param = self.moved(shrunk, *mean, *largest);
    }
}

/// One step of a parameter; `buffer` holds the momentum, if there is one. Sizes and dtypes are equal.
pub fn sgd(param: &Tensor, grad: &Tensor, buffer: Option<&Tensor>, flags: Sgd) {
    dispatch!(float param.dtype(), T => {
        let rule = SgdRule::<<T as Number>::Acc>::new(flags);
        match buffer {
            None => update::<T, _, 2>([param, grad], &rule),
            Some(buffer) => update::<T, _, 3>([param, grad, buffer], &rule),
        }
    }, else ());
}

/// One step of a parameter with the averages of gradient and square, the `step`th from 1.
pub fn adam(
    param: &Tensor,
    grad: &Tensor,
    averages: [&Tensor; 2],
    largest: Option<&Tensor>,
    flags: Adam,
    step: f64,
) {
    let [mean, square] = averages;
    dispatch!(float param.dtype(), T => {
        let rule = AdamRule::<<T as Number>::Acc>::new(flags, step);
        match largest {
            None => update::<T, _, 4>([param, grad, mean, square], &rule),
            Some(largest) => update::<T, _, 5>([param, grad, mean, square, largest], &rule),
        }
    }, else ());
}

struct Pointers<T, const N: usize>([*mut T; N]);
// SAFETY: tasks write disjoint elements through them.
unsafe impl<T, const N: usize> Sync for Pointers<T, N> {}

fn update<T, R, const N: usize>(operands: [&Tensor; N], rule: &R)
where
    T: Element + Number<Acc: Real>,
    R: Rule<T::Acc, N>,
{
    let plan = Plan::new(operands[0].shape(), operands.map(Tensor::strides));
    let (size, steps) = plan.inner();
    let pointers = &Pointers(operands.map(Tensor::ptr::<T>));
    let run = |offsets: [i64; N], from: usize, to: usize| {
        let at = std::array::from_fn(|k| {
            let offset = offsets[k] + from as i64 * steps[k];
            pointers.0[k].wrapping_offset(offset as isize)
        });
        // SAFETY: the plan walks the layouts of the operands, which have equal sizes and lie within their storages.
        unsafe { row(at, steps, to - from, rule) };
    };
    let rows = plan.outer_count();
    if rows == 1 {
        pool::parallel_for(size as usize, pool::grain::MATH, |range| {
            run([0; N], range.start, range.end);
        });
        return;
    }
    let grain = (pool::grain::MATH / (size as usize).max(1)).max(1);
    pool::parallel_for(rows as usize, grain, |range| {
        plan.for_each_outer(range.start as i64..range.end as i64, |offsets| {
            run(offsets, 0, size as usize);
        });
    });
}

multiversion! {
    /// Applies a rule to `n` elements that lie `steps` apart.
    unsafe fn row[T: Number<Acc: Real>, R: Rule<T::Acc, N>, const N: usize](
        operands: [*mut T; N], steps: [i64; N], n: usize, rule: &R,
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            if steps == [1; N] {
                // A constant step lets the compiler use vectors.
                (0..n).for_each(|i| element(operands.map(|p| p.add(i)), rule));
            } else {
                (0..n as i64).for_each(|i| {
                    element(std::array::from_fn(|k| operands[k].offset((i * steps[k]) as isize)), rule);
                });
            }
        }
    }
}

#[inline(always)]
unsafe fn element<T: Number<Acc: Real>, R: Rule<T::Acc, N>, const N: usize>(
    at: [*mut T; N],
    rule: &R,
) {
    // SAFETY: the caller's pointers lie within the operands.
    unsafe {
        let mut values = at.map(|p| (*p).widen());
        rule.apply(&mut values);
        for k in (0..N).filter(|&k| k != GRAD) {
            *at[k] = T::narrow(values[k]);
        }
    }
}
