//! The CPU engine: memory, threads and the kernels of each family.

pub mod alloc;
pub mod attention;
mod bits;
pub mod buffer;
pub mod bytes;
pub mod columns;
pub mod complex;
pub mod conv;
mod conv_bands;
mod conv_columns;
mod conv_direct;
mod conv_filters;
mod conv_line_sums;
mod conv_line_weight;
mod conv_lines;
mod conv_plan;
mod conv_weight;
mod conv_winograd;
pub mod convert;
pub mod copy;
mod crew;
mod extremes;
pub mod fft;
mod fft_lines;
pub mod fft_mirror;
mod fft_pairs;
mod fft_real;
pub mod fill;
pub mod frame;
pub mod gemm;
#[cfg(target_arch = "x86_64")]
mod gemm_amx;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod gemm_amx_emulator;
#[cfg(target_arch = "x86_64")]
mod gemm_amx_formats;
#[cfg(target_arch = "x86_64")]
mod gemm_amx_pack;
#[cfg(target_arch = "x86_64")]
mod gemm_amx_parts;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod gemm_amx_tests;
#[cfg(target_arch = "x86_64")]
mod gemm_blocked;
#[cfg(target_arch = "x86_64")]
mod gemm_formats;
mod gemm_half;
#[cfg(target_arch = "x86_64")]
mod gemm_kernels;
#[cfg(target_arch = "x86_64")]
mod gemm_pack;
pub mod gemm_precision;
mod gemm_real;
#[cfg(test)]
mod gemm_tests;
#[cfg(target_arch = "x86_64")]
mod gemm_thin;
#[cfg(target_arch = "x86_64")]
mod gemm_tile;
mod half_bits;
pub mod index;
pub mod iter;
pub mod join;
mod lane_fold;
pub mod lanes;
mod lanes_complex;
pub mod lanes_int;
pub mod lanes_real;
pub mod linalg;
pub mod linalg_batch;
mod linalg_condition;
pub mod linalg_factor;
mod linalg_field;
mod linalg_lanes;
pub mod linalg_ldl;
pub mod linalg_lstsq;
mod linalg_panel;
pub mod linalg_qr;
mod linalg_reflect;
mod linalg_substitute;
pub mod masked;
pub mod math32;
mod math32_normal;
pub mod math64;
pub mod math64_inverse;
pub mod math64_more;
pub mod math_gamma;
mod math_normal;
pub mod math_pow;
#[cfg(test)]
mod math_tests;
pub mod multiversion;
pub mod nll;
pub mod nonzero;
pub mod norm;
pub mod norm_channels;
pub mod number;
pub mod optim;
pub mod pad;
pub mod pointwise;
pub mod pointwise_halves;
pub mod pointwise_walk;
pub mod pool;
pub mod pool_frames;
pub mod pooling;
pub mod random;
pub mod random_choice;
pub mod random_fill;
pub mod random_normal;
pub mod random_reject;
pub mod range;
pub mod recurrent;
pub mod recurrent_gates;
pub mod reduce;
mod reduce_columns;
pub mod reduce_index;
pub mod reduce_kinds;
pub mod reduce_moments;
pub mod reduce_plan;
mod reduce_run;
#[cfg(test)]
mod reduce_tests;
pub mod scan;
pub mod scan_extreme;
pub mod scatter;
pub mod search;
mod select;
pub mod simd;
#[cfg(target_arch = "x86_64")]
mod simd_x86;
pub mod softmax;
pub mod softmax_backward;
pub mod sort;
pub mod sort_keys;
pub mod special;
pub mod special_bessel;
mod special_bessel_tables;
pub mod special_gamma;
mod special_gamma_tables;
pub mod stream;
pub mod taps;
mod tiles;
pub mod transpose;
pub mod triangle;
pub mod unique;
