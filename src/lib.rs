//! rtensor: PyTorch's tensors and autograd on a small Rust core.
