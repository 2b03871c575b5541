//! Times of the kernels, without Python. The throughput is that of memory read and written, or of multiply-adds;
//! at the end stands what share of the machine's bandwidth or peak some of them reach.

use std::hint::black_box;

mod shares;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rtensor::tensor::Tensor;
use rtensor::{DType, Result, call, call_all};

fn random(shape: &[i64]) -> Result<Tensor> {
    call!("randn", shape.to_vec())
}

/// Elements in the first-level cache, in the second, and in main memory.
const SIZES: [i64; 3] = [1 << 10, 1 << 15, 1 << 22];

fn pointwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("pointwise");
    for size in SIZES {
        let x = random(&[size]).expect("memory");
        let y = random(&[size]).expect("memory");
        group.throughput(Throughput::Bytes(3 * 4 * size as u64));
        group.bench_function(BenchmarkId::new("add", size), |b| {
            b.iter(|| call!("add", black_box(&x), &y).expect("add"));
        });
        group.throughput(Throughput::Bytes(2 * 4 * size as u64));
        for name in ["exp", "tanh", "relu"] {
            let entry = rtensor::ops::find_overload(name).expect("a known op");
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| {
                    entry
                        .call(smallvec::smallvec![black_box(&x).into()])
                        .expect(name)
                });
            });
        }
    }
    group.finish();
}

fn reductions(c: &mut Criterion) {
    let mut group = c.benchmark_group("reductions");
    for size in SIZES {
        let x = random(&[size]).expect("memory");
        let rows = random(&[size / 64, 64]).expect("memory");
        group.throughput(Throughput::Bytes(4 * size as u64));
        group.bench_function(BenchmarkId::new("sum", size), |b| {
            b.iter(|| call!("sum", black_box(&x)).expect("sum"));
        });
        group.bench_function(BenchmarkId::new("softmax", size), |b| {
            b.iter(|| call!("softmax", black_box(&rows), 1i64).expect("softmax"));
        });
        group.bench_function(BenchmarkId::new("cumsum", size), |b| {
            b.iter(|| call!("cumsum", black_box(&x), 0i64).expect("cumsum"));
        });
        group.bench_function(BenchmarkId::new("sort", size), |b| {
            b.iter(|| call_all!("sort", black_box(&x)).expect("sort"));
        });
    }
    group.finish();
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("products");
    for size in [16i64, 128, 512] {
        let x = random(&[size, size]).expect("memory");
        let y = random(&[size, size]).expect("memory");
        group.throughput(Throughput::Elements((size * size * size) as u64));
        group.bench_function(BenchmarkId::new("mm", size), |b| {
            b.iter(|| call!("mm", black_box(&x), &y).expect("mm"));
        });
    }
    let image = random(&[16, 32, 28, 28]).expect("memory");
    let kernel = random(&[64, 32, 3, 3]).expect("memory");
    group.throughput(Throughput::Elements(16 * 64 * 26 * 26 * 32 * 9));
    group.bench_function("conv2d", |b| {
        b.iter(|| call!("conv2d", black_box(&image), &kernel).expect("conv2d"));
    });
    group.finish();
}

fn optimisers(c: &mut Criterion) {
    let mut group = c.benchmark_group("optimisers");
    let list = |_| random(&[256, 256]);
    let params: Vec<Tensor> = (0..4).map(list).collect::<Result<_>>().expect("memory");
    let grads: Vec<Tensor> = (0..4).map(list).collect::<Result<_>>().expect("memory");
    let states: Vec<Tensor> = (0..4).map(list).collect::<Result<_>>().expect("memory");
    let squares: Vec<Tensor> = states
        .iter()
        .map(|s| call!("abs", s))
        .collect::<Result<_>>()
        .expect("memory");
    let steps: Vec<Tensor> = (0..4)
        .map(|_| Tensor::zeros(&[], DType::F32))
        .collect::<Result<_>>()
        .expect("memory");
    let elements = 4 * 256 * 256u64;
    group.throughput(Throughput::Bytes(5 * 4 * elements));
    group.bench_function("sgd with momentum", |b| {
        b.iter(|| {
            let (p, g, m) = (params.clone(), grads.clone(), states.clone());
            call_all!(
                "_fused_sgd_",
                p,
                g,
                m,
                0.0,
                0.9,
                1e-9,
                0.0,
                false,
                false,
                false
            )
            .expect("sgd")
        });
    });
    group.throughput(Throughput::Bytes(7 * 4 * elements));
    group.bench_function("adam", |b| {
        b.iter(|| {
            let (p, g, m, v) = (
                params.clone(),
                grads.clone(),
                states.clone(),
                squares.clone(),
            );
            let none = Vec::<Tensor>::new();
            call_all!(
                "_fused_adam_",
                p,
                g,
                m,
                v,
                none,
                steps.clone(),
                1e-9,
                0.9,
                0.999,
                0.0,
                1e-8,
                false,
                false
            )
            .expect("adam")
        });
    });
    group.finish();
}

criterion_group!(benches, pointwise, reductions, products, optimisers);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    shares::print();
}
