//! Hooks on gradients: lists in order of registration, and the handles that remove from them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::Result;
use crate::tensor::Tensor;

/// A hook on gradients: of a tensor, or of all inputs or outputs of a node.
pub trait Hook: Send + Sync {
    /// May replace gradients in place of the list.
    fn call(
        &self,
        grads: &mut Vec<Option<Tensor>>,
        outputs: Option<&[Option<Tensor>]>,
    ) -> Result<()>;
}

#[derive(Clone)]
struct Item {
    key: u64,
    slot: u32,
    hook: Arc<dyn Hook>,
}

type Items = Mutex<Vec<Item>>;

/// Hooks in the order of registration; each may belong to one output of a node, its slot.
#[derive(Default)]
pub struct HookList(Arc<Items>);

/// Removes one hook; does nothing once the list is gone.
#[derive(Clone)]
pub struct HookHandle {
    list: Weak<Items>,
    key: u64,
}

static KEYS: AtomicU64 = AtomicU64::new(0);

impl HookList {
    pub fn add(&self, slot: u32, hook: Arc<dyn Hook>) -> HookHandle {
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        self.0.lock().push(Item { key, slot, hook });
        HookHandle {
            list: Arc::downgrade(&self.0),
            key,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// The hooks as they are now: running them may add and remove some.
    pub(super) fn snapshot(&self) -> Hooks {
        Hooks(self.0.lock().clone())
    }

    /// Calls each with all gradients of a node.
    pub(super) fn run_all(
        &self,
        grads: &mut Vec<Option<Tensor>>,
        outputs: Option<&[Option<Tensor>]>,
    ) -> Result<()> {
        self.snapshot().run_all(grads, outputs)
    }
}

pub(super) struct Hooks(Vec<Item>);

impl Hooks {
    /// Calls each with the gradient in its slot, which it may replace.
    pub fn run_each(&self, grads: &mut [Option<Tensor>]) -> Result<()> {
        for Item { slot, hook, .. } in &self.0 {
            if let Some(Some(grad)) = grads.get_mut(*slot as usize) {
                let mut one = vec![Some(grad.clone())];
                hook.call(&mut one, None)?;
                if let Some(Some(replaced)) = one.into_iter().next() {
                    *grad = replaced;
                }
            }
        }
        Ok(())
    }

    pub fn run_all(
        &self,
        grads: &mut Vec<Option<Tensor>>,
        outputs: Option<&[Option<Tensor>]>,
    ) -> Result<()> {
        for Item { hook, .. } in &self.0 {
            hook.call(grads, outputs)?;
        }
        Ok(())
    }
}

impl HookHandle {
    /// A number that no other hook has.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    pub fn remove(&self) {
        let removed = self.list.upgrade().and_then(|list| {
            let mut items = list.lock();
            let at = items.iter().position(|item| item.key == self.key)?;
            Some(items.remove(at))
        });
        drop(removed);
    }
}
