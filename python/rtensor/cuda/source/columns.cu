// Windows of images as columns, and columns added up to images. Settings: T, INDEX.
//
// Columns have a row for each tap of each channel, in it the images, with positions side by side.
#include "windows.cuh"

typedef typename Accumulate<T>::type A;

// Each thread writes all taps of one channel at one position.
extern "C" __global__ void im2col(
    const T* __restrict__ x, T* __restrict__ columns, const Windows w, i64 images, i64 channels, i64 row, i64 image
) {
    const INDEX area = product(w.output), planes = images * channels, total = planes * area;
    const INDEX taps = product(w.kernel), step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX rest = i / area, at = i - rest * area, c = rest / (INDEX)images, n = rest - c * (INDEX)images;
        const Place first = first_of(at, w);
        const T* from = x + ((i64)n * channels + c) * product(w.input);
        T* to = columns + (i64)c * taps * row + (i64)n * image + at;
        for (int kd = 0, d = first.d; kd < w.kernel[0]; ++kd, d += w.dilation[0]) {
            for (int kh = 0, h = first.h; kh < w.kernel[1]; ++kh, h += w.dilation[1]) {
                const bool in_line = inside(d, w.input[0]) && inside(h, w.input[1]);
                const T* line = from + ((i64)d * w.input[1] + h) * w.input[2];
                for (int kw = 0, v = first.w; kw < w.kernel[2]; ++kw, v += w.dilation[2], to += row) {
                    *to = in_line && inside(v, w.input[2]) ? line[v] : T(0);
                }
            }
        }
    }
}

// Each thread gathers what the columns hold of one element; `bias`, if any, has one element per channel.
extern "C" __global__ void col2im(
    const T* __restrict__ columns, const T* __restrict__ bias, T* __restrict__ x, const Windows w, i64 images,
    i64 channels, i64 row, i64 image
) {
    const INDEX area = product(w.input), total = images * channels * area;
    const INDEX taps = product(w.kernel), step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX rest = i / area, n = rest / (INDEX)channels, c = rest - n * (INDEX)channels;
        const Place p = place_of(i - rest * area, w.input);
        const T* from = columns + (i64)c * taps * row + (i64)n * image;
        A sum = bias ? A(bias[c]) : A(0);
        for (int kd = 0; kd < w.kernel[0]; ++kd) {
            const int od = seen_by(w, 0, p.d, kd);
            for (int kh = 0; od >= 0 && kh < w.kernel[1]; ++kh) {
                const int oh = seen_by(w, 1, p.h, kh);
                const T* tap = from + ((i64)kd * w.kernel[1] + kh) * w.kernel[2] * row;
                const i64 line = ((i64)od * w.output[1] + oh) * w.output[2];
                for (int kw = 0; oh >= 0 && kw < w.kernel[2]; ++kw, tap += row) {
                    const int ow = seen_by(w, 2, p.w, kw);
                    if (ow >= 0) sum += A(tap[line + ow]);
                }
            }
        }
        x[i] = to<T>(sum);
    }
}
