//! Compiles a loop once per level of the instruction set and picks one at run time.

#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What the CPU offers, from the plainest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    Plain,
    Avx2,
    Avx512,
}

#[cfg(target_arch = "x86_64")]
#[inline]
pub fn isa() -> Isa {
    match LEVEL.load(Relaxed) {
        1 => Isa::Plain,
        2 => Isa::Avx2,
        3 => Isa::Avx512,
        _ => detect(),
    }
}

/// What `detect` found, plus one; 0 before the first question.
#[cfg(target_arch = "x86_64")]
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// Builds for development have the plain version only, which shortens them. `RTENSOR_SIMD=avx2` or `none`
/// lowers the level so that tests reach every version of a loop on one machine.
#[cfg(target_arch = "x86_64")]
#[cold]
fn detect() -> Isa {
    let wide = ["avx512f", "avx512bw", "avx512dq", "avx512vl"];
    let has = |name: &str| match name {
        "avx512f" => is_x86_feature_detected!("avx512f"),
        "avx512bw" => is_x86_feature_detected!("avx512bw"),
        "avx512dq" => is_x86_feature_detected!("avx512dq"),
        _ => is_x86_feature_detected!("avx512vl"),
    };
    let best = if wide.into_iter().all(has) {
        Isa::Avx512
    } else if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
    {
        Isa::Avx2
    } else {
        Isa::Plain
    };
    let limit = match std::env::var("RTENSOR_SIMD").as_deref() {
        Ok("none") => Isa::Plain,
        Ok("avx2") => Isa::Avx2,
        _ => Isa::Avx512,
    };
    let level = best.min(limit);
    LEVEL.store(level as u8 + 1, Relaxed);
    level
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn isa() -> Isa {
    Isa::Plain
}

/// `multiversion! { unsafe fn name[T: Copy](x: *const T) -> T { body } }`: the body must call
/// `#[inline(always)]` functions only, else what they do stays plain. In it, `LEVEL` is the level it is compiled for.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident[$($generics:tt)*](
        $($arg:ident: $ty:ty),* $(,)?
    ) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name<$($generics)*>($($arg: $ty),*) $(-> $ret)? {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            unsafe fn plain<$($generics)*>($($arg: $ty),*) $(-> $ret)? {
                #[allow(dead_code)]
                const LEVEL: $crate::cpu::multiversion::Isa = $crate::cpu::multiversion::Isa::Plain;
                $body
            }

            #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2<$($generics)*>($($arg: $ty),*) $(-> $ret)? {
                #[allow(dead_code)]
                const LEVEL: $crate::cpu::multiversion::Isa = $crate::cpu::multiversion::Isa::Avx2;
                $body
            }

            #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            unsafe fn avx512<$($generics)*>($($arg: $ty),*) $(-> $ret)? {
                #[allow(dead_code)]
                const LEVEL: $crate::cpu::multiversion::Isa = $crate::cpu::multiversion::Isa::Avx512;
                $body
            }

            // SAFETY: the caller's contract, and the features were detected.
            unsafe {
                match $crate::cpu::multiversion::isa() {
                    #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
                    $crate::cpu::multiversion::Isa::Avx512 => avx512($($arg),*),
                    #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
                    $crate::cpu::multiversion::Isa::Avx2 => avx2($($arg),*),
                    _ => plain($($arg),*),
                }
            }
        }
    };
}
pub(crate) use multiversion;
