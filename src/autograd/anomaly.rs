//! Anomaly mode: nodes remember where they were recorded, and bad gradients are reported there.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use super::{NoGrad, Node};
use crate::error::{Error, warn};
use crate::tensor::Tensor;
use crate::{Result, call, fail};

const ENABLED: u8 = 1;
const CHECK_NAN: u8 = 2;
static MODE: AtomicU8 = AtomicU8::new(CHECK_NAN);

/// Where a node was recorded, and the node that was running then.
pub struct Trace {
    text: String,
    parent: Option<(String, Arc<Trace>)>,
}

type Traceback = fn() -> String;
static TRACEBACK: OnceLock<Traceback> = OnceLock::new();

thread_local! {
    static RUNNING: RefCell<Vec<(String, Arc<Trace>)>> = const { RefCell::new(Vec::new()) };
}

/// The host language's current stack as text; set once.
pub fn set_traceback(provider: Traceback) {
    let _ = TRACEBACK.set(provider);
}

#[inline]
#[must_use]
pub fn enabled() -> bool {
    MODE.load(Ordering::Relaxed) & ENABLED != 0
}

#[must_use]
pub fn checks_nan() -> bool {
    MODE.load(Ordering::Relaxed) & CHECK_NAN != 0
}

pub fn set_enabled(enabled: bool, check_nan: bool) {
    let mode = u8::from(enabled) * ENABLED + u8::from(check_nan) * CHECK_NAN;
    MODE.store(mode, Ordering::Relaxed);
}

/// Remembers the stack of a node that is being recorded.
#[cold]
pub(super) fn note(node: &Node) {
    let trace = Arc::new(Trace {
        text: TRACEBACK
            .get()
            .map(|provider| provider())
            .unwrap_or_default(),
        parent: RUNNING.with_borrow(|stack| stack.last().cloned()),
    });
    let _ = node.extras().trace.set(trace);
}

/// Runs a node's rule under watch.
#[cold]
pub(super) fn watch<R: AsRef<[Option<Tensor>]>>(
    node: &Node,
    run: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let trace = node.rare().and_then(|extras| extras.trace.get()).cloned();
    let entered = trace.map(|trace| {
        RUNNING.with_borrow_mut(|stack| stack.push((node.name.to_string(), trace)));
    });
    let result = run();
    if entered.is_some() {
        RUNNING.with_borrow_mut(Vec::pop);
    }
    let checked = result.and_then(|grads| {
        check(node, grads.as_ref())?;
        Ok(grads)
    });
    checked.or_else(|error| report(node, error))
}

fn check(node: &Node, grads: &[Option<Tensor>]) -> Result<()> {
    if !checks_nan() {
        return Ok(());
    }
    let _guard = NoGrad::enter();
    for (i, grad) in grads.iter().enumerate() {
        let Some(grad) = grad else { continue };
        if call!("any", call!("ne", grad, grad)?)?.item()?.to_bool() {
            fail!(
                Runtime,
                "Function '{}' returned nan values in its {i}th output.",
                node.name
            );
        }
    }
    Ok(())
}

fn report<R>(node: &Node, error: Error) -> Result<R> {
    match node.rare().and_then(|extras| extras.trace.get()) {
        None => warn(&format!(
            "Error detected in {}. No forward pass information available. Enable detect anomaly during forward pass for more information.",
            node.name
        ))?,
        Some(trace) => {
            warn(&format!(
                "Error detected in {}. Traceback of forward call that caused the error:\n{}",
                node.name, trace.text
            ))?;
            report_parents(trace)?;
        }
    }
    Err(error)
}

fn report_parents(trace: &Trace) -> Result<()> {
    let mut next = trace.parent.as_ref();
    while let Some((name, parent)) = next {
        warn(&format!(
            "\n\nPrevious calculation was induced by {name}. Traceback of forward call that induced the previous calculation:\n{}",
            parent.text
        ))?;
        next = parent.parent.as_ref();
    }
    Ok(())
}
