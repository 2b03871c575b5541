//! Whether calls are recorded, per thread: grad mode and inference mode.

use std::cell::Cell;

const GRAD: u8 = 1;
const INFERENCE: u8 = 2;

thread_local! {
    static MODE: Cell<u8> = const { Cell::new(GRAD) };
}

#[inline]
#[must_use]
pub fn grad_enabled() -> bool {
    MODE.get() & GRAD != 0
}

/// Are calls recorded now: grad mode on, inference mode off?
#[inline]
#[must_use]
pub fn recording() -> bool {
    MODE.get() == GRAD
}

#[inline]
#[must_use]
pub fn inference_enabled() -> bool {
    MODE.get() & INFERENCE != 0
}

fn set(flag: u8, on: bool) -> bool {
    let before = MODE.get();
    MODE.set(if on { before | flag } else { before & !flag });
    before & flag != 0
}

/// Switches recording; returns what it was.
pub fn set_grad_enabled(enabled: bool) -> bool {
    set(GRAD, enabled)
}

/// Switches inference mode (grad mode is the caller's business); returns what it was.
pub fn set_inference_enabled(enabled: bool) -> bool {
    set(INFERENCE, enabled)
}

/// A grad mode that ends with this value.
pub struct GradMode {
    before: u8,
}

impl GradMode {
    #[must_use]
    pub fn enter(enabled: bool) -> GradMode {
        let before = MODE.get();
        set(GRAD, enabled);
        GradMode { before }
    }

    /// Recording on whatever the modes are; for history that is made after the fact.
    #[must_use]
    pub fn recording() -> GradMode {
        GradMode {
            before: MODE.replace(GRAD),
        }
    }
}

impl Drop for GradMode {
    fn drop(&mut self) {
        MODE.set(self.before);
    }
}

/// Nothing is recorded while this lives.
pub struct NoGrad(#[allow(dead_code)] GradMode); // held only for its drop

impl NoGrad {
    #[must_use]
    pub fn enter() -> NoGrad {
        NoGrad(GradMode::enter(false))
    }
}
