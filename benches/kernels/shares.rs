//! Shares of what the machine can do: large element-wise work against the bandwidth of a plain copy, products against
//! the peak of its multiply-add units, both measured here and on one thread. Convolutions are counted as direct ones,
//! of which Winograd's tiles take a part.

use std::hint::black_box;
use std::time::Instant;

use rtensor::cpu::pool::set_num_threads;
use rtensor::tensor::Tensor;
use rtensor::{DType, Result, call};

/// Elements of a tensor that no cache holds.
const LARGE: i64 = 1 << 24;
const ROUNDS: usize = 7;

/// Seconds of the fastest of some rounds.
fn fastest(mut work: impl FnMut()) -> f64 {
    work();
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Bytes per second of a large copy, read and written ones counted.
fn copy_bandwidth() -> f64 {
    let source = vec![1u8; 4 * LARGE as usize];
    let mut target = vec![0u8; source.len()];
    let seconds = fastest(|| {
        target.copy_from_slice(black_box(&source));
        black_box(&mut target);
    });
    2.0 * source.len() as f64 / seconds
}

/// Operations per second of independent f32 multiply-adds in the widest registers, where this machine is known.
fn peak() -> Option<f64> {
    const STEPS: usize = 20_000_000;
    let (lanes, run): (usize, unsafe fn(usize)) = widest()?;
    // SAFETY: `widest` asked whether the machine has the instructions.
    let seconds = fastest(|| unsafe { run(STEPS) });
    Some((2 * CHAINS * lanes * STEPS) as f64 / seconds)
}

/// Multiply-adds in flight: more than latency times units of any current core.
const CHAINS: usize = 12;

#[cfg(target_arch = "x86_64")]
fn widest() -> Option<(usize, unsafe fn(usize))> {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};

    macro_rules! chains {
        ($name:ident $feature:literal $set:ident $fma:ident) => {
            #[target_feature(enable = $feature)]
            fn $name(steps: usize) {
                let factor = black_box($set(0.999));
                let mut sums = [$set(1.0); CHAINS];
                for _ in 0..steps {
                    for sum in &mut sums {
                        *sum = $fma(*sum, factor, factor);
                    }
                }
                black_box(sums);
            }
        };
    }
    chains!(avx512 "avx512f" _mm512_set1_ps _mm512_fmadd_ps);
    chains!(avx2 "avx,fma" _mm256_set1_ps _mm256_fmadd_ps);
    if is_x86_feature_detected!("avx512f") {
        Some((16, avx512))
    } else if is_x86_feature_detected!("fma") {
        Some((8, avx2))
    } else {
        None
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn widest() -> Option<(usize, unsafe fn(usize))> {
    None
}

fn row(name: &str, amount: f64, unit: &str, limit: f64, work: impl FnMut()) {
    let rate = amount / fastest(work);
    println!(
        "{name:24} {:8.1} {unit}/s {:6.0} %",
        rate / 1e9,
        100.0 * rate / limit
    );
}

fn memory_rows() -> Result<()> {
    let bandwidth = copy_bandwidth();
    println!(
        "\nlarge f32 tensors, share of a copy's {:.1} GB/s",
        bandwidth / 1e9
    );
    let (x, y) = (call!("randn", vec![LARGE])?, call!("randn", vec![LARGE])?);
    let out = Tensor::empty(&[LARGE], DType::F32)?;
    let matrix = x.alias(rtensor::tensor::Layout::contiguous(&[1 << 12, 1 << 12]))?;
    let bytes = 4.0 * LARGE as f64;
    let unit = "GB";
    row("add", 3.0 * bytes, unit, bandwidth, || {
        drop(black_box(call!("add", &x, &y)));
    });
    row("exp", 2.0 * bytes, unit, bandwidth, || {
        drop(black_box(call!("exp", &x)));
    });
    row("copy", 2.0 * bytes, unit, bandwidth, || {
        drop(black_box(rtensor::ops::copy_into(&out, &x)));
    });
    row("sum", bytes, unit, bandwidth, || {
        drop(black_box(call!("sum", &x)));
    });
    row("sum of columns", bytes, unit, bandwidth, || {
        drop(black_box(call!("sum", &matrix, vec![0])));
    });
    row("softmax of rows", 2.0 * bytes, unit, bandwidth, || {
        drop(black_box(call!("softmax", &matrix, 1i64)));
    });
    Ok(())
}

fn product_rows() -> Result<()> {
    let Some(peak) = peak() else {
        println!("\nproducts: the peak of this machine is not known here");
        return Ok(());
    };
    println!(
        "\nf32 products, share of a core's {:.1} GFLOP/s",
        peak / 1e9
    );
    for n in [64i64, 256, 1024] {
        let (x, y) = (call!("randn", vec![n, n])?, call!("randn", vec![n, n])?);
        let flops = 2.0 * (n * n * n) as f64;
        row(&format!("mm {n}"), flops, "GFLOP", peak, || {
            drop(black_box(call!("mm", &x, &y)));
        });
    }
    let image = call!("randn", vec![16, 32, 28, 28])?;
    let kernel = call!("randn", vec![64, 32, 3, 3])?;
    let flops = 2.0 * (16 * 64 * 26 * 26 * 32 * 9) as f64;
    row("conv2d 3x3, direct", flops, "GFLOP", peak, || {
        drop(black_box(call!("conv2d", &image, &kernel)));
    });
    Ok(())
}

/// Prints the table, on one thread.
pub fn print() {
    set_num_threads(1);
    if let Err(error) = memory_rows().and_then(|()| product_rows()) {
        println!("not measured: {error}");
    }
}
