//! The gradient tape: grad mode, nodes, what they save, and the engine that walks them.

mod ctx;
mod engine;
mod inplace;
mod meta;
mod mode;
mod node;
mod record;

pub use ctx::Ctx;
pub use engine::{backward, grad};
pub use inplace::{InPlace, check_inplace, check_out};
pub use meta::{Meta, ViewInfo};
pub use mode::{NoGrad, grad_enabled, set_grad_enabled};
pub use node::{Edge, Function, Node, NodeBody, Saved, SavedTensor, TensorInfo};
pub use record::{record, record_view};
