// Convolutions with one input channel per group, each seen by `filters` filters. Settings: T, INDEX.
#include "block.cuh"
#include "windows.cuh"

typedef typename Accumulate<T>::type A;

extern "C" __global__ void depthwise(
    const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y,
    const Windows w, i64 images, i64 channels, i64 filters
) {
    const INDEX area = product(w.output), all = channels * filters, total = images * all * area;
    const INDEX taps = product(w.kernel), step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX plane = i / area, f = plane % all;
        const Place first = first_of(i - plane * area, w);
        const T* from = x + (i64)(plane / (INDEX)filters) * product(w.input);
        const T* tap = weight + (i64)f * taps;
        A sum = bias ? A(bias[f]) : A(0);
        for (int kd = 0, d = first.d; kd < w.kernel[0]; ++kd, d += w.dilation[0]) {
            for (int kh = 0, h = first.h; kh < w.kernel[1]; ++kh, h += w.dilation[1]) {
                const bool in_line = inside(d, w.input[0]) && inside(h, w.input[1]);
                const T* line = from + ((i64)d * w.input[1] + h) * w.input[2];
                for (int kw = 0, v = first.w; kw < w.kernel[2]; ++kw, v += w.dilation[2], ++tap) {
                    if (in_line && inside(v, w.input[2])) sum += A(line[v]) * A(*tap);
                }
            }
        }
        y[i] = to<T>(sum);
    }
}

// The adjoint in the input: each thread gathers one element.
extern "C" __global__ void depthwise_input(
    const T* __restrict__ y, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ x,
    const Windows w, i64 images, i64 channels, i64 filters
) {
    const INDEX area = product(w.input), total = images * channels * area;
    const INDEX taps = product(w.kernel), step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX plane = i / area, c = plane % (INDEX)channels;
        const Place p = place_of(i - plane * area, w.input);
        const T* from = y + (i64)plane * filters * product(w.output);
        const T* tap = weight + (i64)c * filters * taps;
        A sum = bias ? A(bias[c]) : A(0);
        for (int f = 0; f < filters; ++f, from += product(w.output)) {
            for (int kd = 0; kd < w.kernel[0]; ++kd) {
                const int od = seen_by(w, 0, p.d, kd);
                for (int kh = 0; kh < w.kernel[1]; ++kh) {
                    const int oh = seen_by(w, 1, p.h, kh);
                    const T* line = from + ((i64)od * w.output[1] + oh) * w.output[2];
                    for (int kw = 0; kw < w.kernel[2]; ++kw, ++tap) {
                        const int ow = seen_by(w, 2, p.w, kw);
                        if (od >= 0 && oh >= 0 && ow >= 0) sum += A(line[ow]) * A(*tap);
                    }
                }
            }
        }
        x[i] = to<T>(sum);
    }
}

// The adjoint in the weight: each block sums one tap of one filter over images and positions.
extern "C" __global__ void depthwise_weight(
    const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ weight, const Windows w, i64 images,
    i64 channels, i64 filters
) {
    const INDEX area = product(w.output), taps = product(w.kernel), total = images * area;
    const INDEX f = blockIdx.x / taps;
    const Place tap = place_of(blockIdx.x - f * taps, w.kernel);
    A sum = A(0);
    for (INDEX i = threadIdx.x; i < total; i += blockDim.x) {
        const INDEX n = i / area, at = i - n * area;
        const Place first = first_of(at, w);
        const int d = first.d + tap.d * (int)w.dilation[0], h = first.h + tap.h * (int)w.dilation[1];
        const int v = first.w + tap.w * (int)w.dilation[2];
        if (inside(d, w.input[0]) && inside(h, w.input[1]) && inside(v, w.input[2])) {
            const T* from = x + ((i64)n * channels + f / (INDEX)filters) * product(w.input);
            const T g = y[((i64)n * channels * filters + f) * area + at];
            sum += A(from[((i64)d * w.input[1] + h) * w.input[2] + v]) * A(g);
        }
    }
    sum = block_reduce(sum, [](A a, A b) { return a + b; }, A(0));
    if (threadIdx.x == 0) weight[blockIdx.x] = to<T>(sum);
}
