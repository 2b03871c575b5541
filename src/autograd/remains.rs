//! Dropping long chains of nodes in a loop, so that they do not recurse.

use std::cell::RefCell;

use super::node::Edges;
use super::saved::Saved;

/// What a dying node leaves to be dropped: it may own the only handles of earlier nodes.
struct Remains {
    #[allow(dead_code)] // held only to be dropped
    edges: Edges,
    #[allow(dead_code)] // held only to be dropped
    saved: Option<Box<Saved>>,
}

thread_local! {
    /// What waits to be dropped while some node's remains are being dropped.
    static QUEUE: RefCell<Option<Vec<Remains>>> = const { RefCell::new(None) };
}

/// Drops a node's remains now, or soon if this happens inside another such drop.
pub(super) fn drop_later(edges: Edges, saved: Option<Box<Saved>>) {
    let mut mine = Some(Remains { edges, saved });
    let outermost = QUEUE.try_with(|queue| {
        let mut queue = queue.borrow_mut();
        if let Some(list) = queue.as_mut() {
            list.extend(mine.take());
            return false;
        }
        *queue = Some(Vec::new());
        true
    });
    if outermost != Ok(true) {
        return;
    }
    while let Some(one) = mine {
        drop(one);
        mine = QUEUE.with(|queue| queue.borrow_mut().as_mut().and_then(Vec::pop));
    }
    QUEUE.with(|queue| *queue.borrow_mut() = None);
}
