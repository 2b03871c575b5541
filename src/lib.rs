//! rtensor: PyTorch's tensors and autograd on a small Rust core.
//!
//! Arrows point down: `python -> autograd -> ops -> tensor -> cpu`.

pub mod autograd;
pub mod backend;
pub mod cpu;
pub mod error;
pub mod ops;
#[cfg(feature = "python")]
mod python;
pub mod tensor;

pub use error::{Error, ErrorKind, Result};
pub use tensor::{DType, Device, Layout, Scalar, Tensor};
