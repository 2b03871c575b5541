//! The CPU engine: memory, threads and the kernels of each family.

pub mod alloc;
pub mod copy;
pub mod fill;
pub mod iter;
pub mod convert;
pub mod lanes;
mod lanes_complex;
pub mod lanes_int;
pub mod lanes_real;
pub mod math32;
pub mod math64;
pub mod math64_more;
#[cfg(test)]
mod math_tests;
pub mod pointwise;
pub mod special;
pub mod special_bessel;
mod special_bessel_tables;
pub mod special_gamma;
mod special_gamma_tables;
pub mod multiversion;
pub mod norm;
pub mod number;
pub mod pool;
pub mod conv;
pub mod gemm;
pub mod linalg;
pub mod linalg_factor;
pub mod pooling;
pub mod random;
pub mod random_choice;
pub mod random_fill;
pub mod random_normal;
pub mod random_reject;
pub mod reduce;
pub mod reduce_index;
pub mod reduce_kinds;
pub mod reduce_moments;
pub mod reduce_plan;
#[cfg(test)]
mod reduce_tests;
mod tiles;
pub mod scan;
pub mod search;
pub mod softmax;
pub mod sort;
pub mod sort_keys;
