//! The gradient tape: grad mode, nodes, what they save, and the engine that walks them.

mod accumulate;
pub mod anomaly;
mod copy_slices;
mod ctx;
mod engine;
mod hooks;
mod inplace;
mod members;
mod meta;
mod mode;
mod node;
mod record;
mod remains;
mod run;
mod saved;
mod view;

pub use ctx::Ctx;
pub use engine::{Wanted, backward, backward_edges, grad, input_edge, start};
pub use hooks::{Hook, HookHandle, HookList};
pub use inplace::{InPlace, check_inplace, check_out, rebase};
pub use meta::{Meta, leaf_flag_error};
pub use mode::{
    GradMode, NoGrad, grad_enabled, inference_enabled, recording, set_grad_enabled,
    set_inference_enabled,
};
pub use node::{Edge, Edges, Extras, Function, Node, NodeBody, TensorInfo};
pub use record::{edge_of, record};
pub use run::{current_run, takes_part};
pub use saved::{
    PackedTensor, Saved, SavedHooks, SavedTensor, forbid_saved_hooks, freed_error, pop_saved_hooks,
    push_saved_hooks, tensor_type,
};
pub use view::{Creation, ViewInfo, mark_views};
