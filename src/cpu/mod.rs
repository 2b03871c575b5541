//! The CPU engine: memory, threads and the kernels of each family.

pub mod alloc;
pub mod copy;
pub mod iter;
pub mod pool;
