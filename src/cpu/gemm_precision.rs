//! How precisely matrix products of f32 are asked for, and those that may be less than highest.
//!
//! Where there is a matrix unit, `High` takes operands as three numbers of bfloat16 each, whose products keep f32's
//! precision, and `Medium` rounds them to one. Without the unit, and for small products, all are those of f32.

use super::gemm::{Mat, Product};
#[cfg(target_arch = "x86_64")]
use super::{gemm_amx as amx, gemm_amx_parts::in_parts};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Highest,
    High,
    Medium,
}

impl Precision {
    const ALL: [Self; 3] = [Self::Highest, Self::High, Self::Medium];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Precision::Highest => "highest",
            Precision::High => "high",
            Precision::Medium => "medium",
        }
    }
}

static PRECISION: AtomicU8 = AtomicU8::new(Precision::Highest as u8);

/// What was asked for.
#[inline]
pub fn precision() -> Precision {
    Precision::ALL[usize::from(PRECISION.load(Relaxed))]
}

/// Asks for a precision of all products from now on.
pub fn set_precision(precision: Precision) {
    PRECISION.store(precision as u8, Relaxed);
}

/// Computes the product if there is a faster way that is as precise as was asked for.
///
/// # Safety
/// As for [`super::gemm::Gemm::gemm_from`].
#[inline]
pub unsafe fn multiply(p: &Product<f32>, start: Mat<*const f32>, threads: usize) -> bool {
    match precision() {
        Precision::Highest => false,
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise; the unit is there.
        precision => amx::available() && unsafe { in_parts(precision, p, start, threads) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => {
            let _ = (p, start, threads);
            false
        }
    }
}
