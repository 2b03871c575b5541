//! Whether calls are recorded, per thread.

use std::cell::Cell;

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

#[inline]
#[must_use]
pub fn grad_enabled() -> bool {
    ENABLED.get()
}

/// Switches recording; returns what it was.
pub fn set_grad_enabled(enabled: bool) -> bool {
    ENABLED.replace(enabled)
}

/// Nothing is recorded while this lives.
pub struct NoGrad {
    before: bool,
}

impl NoGrad {
    #[must_use]
    pub fn enter() -> NoGrad {
        NoGrad {
            before: set_grad_enabled(false),
        }
    }
}

impl Drop for NoGrad {
    fn drop(&mut self) {
        set_grad_enabled(self.before);
    }
}
