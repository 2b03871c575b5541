// Pooling over windows: maxima with their positions, averages and their adjoint.
// Settings: T, INDEX, and MODE, which says where windows lie: 0 evenly, 1 as shares of the input, 2 as samples say.
#include "windows.cuh"

typedef typename Accumulate<T>::type A;

// What an output sees along one axis: `start, start + step, ..` below `end`; `count` is its share of a divisor.
struct Span { int start, end, step, count; };

INLINE Span even_span(const Windows& w, int axis, int o, bool count_padding) {
    const int size = (int)w.input[axis], k = (int)w.kernel[axis], p = (int)w.padding[axis], d = (int)w.dilation[axis];
    const int first = o * (int)w.stride[axis] - p, last = min(first + k, size + p), end = first + (k - 1) * d + 1;
    Span span = {first < 0 ? first + (-first + d - 1) / d * d : first, min(end, size), d, 0};
    span.count = max(count_padding ? last - first : span.end - span.start, 1);
    return span;
}

INLINE Span share(const Windows& w, int axis, int o) {
    const i64 size = w.input[axis], outputs = w.output[axis];
    const int start = (int)(o * size / outputs), end = (int)(((o + 1) * size + outputs - 1) / outputs);
    return {start, end, 1, end - start};
}

// `samples` has for each plane a number per axis: width before height in two dimensions.
INLINE Span sampled(const Windows& w, int axis, int o, const double* samples, int spatial) {
    const i64 room = w.input[axis] - w.kernel[axis], outputs = w.output[axis];
    i64 start = room;
    if (o < outputs - 1) {
        const double u = samples[spatial == 2 ? 2 - axis : axis], alpha = (double)room / (double)(outputs - 1);
        start = (i64)((o + u) * alpha) - (i64)(u * alpha);
    }
    start = start < 0 ? 0 : start > room ? room : start;
    return {(int)start, (int)(start + w.kernel[axis]), 1, 1};
}

INLINE Span span_of(const Windows& w, int axis, int o, bool count_padding) {
    return MODE == 0 ? even_span(w, axis, o, count_padding) : share(w, axis, o);
}

// A NaN is larger than everything; of equal elements the first one counts.
extern "C" __global__ void max_pool(
    const T* __restrict__ x, const double* __restrict__ samples, T* __restrict__ values, i64* __restrict__ positions,
    const Windows w, i64 planes, i64 spatial
) {
    const INDEX area = product(w.output), total = planes * area, step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX plane = i / area;
        const Place p = place_of(i - plane * area, w.output);
        const int outputs[3] = {p.d, p.h, p.w};
        Span spans[3];
        #pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            spans[axis] = MODE == 2 ? sampled(w, axis, outputs[axis], samples + (i64)plane * spatial, (int)spatial)
                                    : span_of(w, axis, outputs[axis], false);
        }
        const T* from = x + (i64)plane * product(w.input);
        i64 best = ((i64)spans[0].start * w.input[1] + spans[1].start) * w.input[2] + spans[2].start;
        A top = A(from[best]);
        for (int d = spans[0].start; d < spans[0].end; d += spans[0].step) {
            for (int h = spans[1].start; h < spans[1].end; h += spans[1].step) {
                const i64 line = ((i64)d * w.input[1] + h) * w.input[2];
                for (int v = spans[2].start; v < spans[2].end; v += spans[2].step) {
                    const A value = A(from[line + v]);
                    if (value > top || value != value) {
                        best = line + v;
                        top = value;
                    }
                }
            }
        }
        values[i] = to<T>(top);
        if (positions) positions[i] = best;
    }
}

// `divisor` replaces the number of elements unless it is 0.
INLINE A divided(A sum, const Span* spans, i64 divisor) {
    const i64 count = divisor ? divisor : (i64)spans[0].count * spans[1].count * spans[2].count;
    return sum / A(count);
}

extern "C" __global__ void average_pool(
    const T* __restrict__ x, T* __restrict__ y, const Windows w, i64 planes, i64 count_padding, i64 divisor
) {
    const INDEX area = product(w.output), total = planes * area, step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX plane = i / area;
        const Place p = place_of(i - plane * area, w.output);
        const Span spans[3] = {
            span_of(w, 0, p.d, count_padding), span_of(w, 1, p.h, count_padding), span_of(w, 2, p.w, count_padding)
        };
        const T* from = x + (i64)plane * product(w.input);
        A sum = A(0);
        for (int d = spans[0].start; d < spans[0].end; ++d) {
            for (int h = spans[1].start; h < spans[1].end; ++h) {
                const T* line = from + ((i64)d * w.input[1] + h) * w.input[2];
                for (int v = spans[2].start; v < spans[2].end; ++v) sum += A(line[v]);
            }
        }
        y[i] = to<T>(divided(sum, spans, divisor));
    }
}

// The outputs along an axis whose windows may hold an input: from `start` below `end`.
INLINE Span outputs_of(const Windows& w, int axis, int at) {
    const i64 size = w.input[axis], outputs = w.output[axis];
    if (MODE == 1) return {(int)(at * outputs / size), (int)(((at + 1) * outputs + size - 1) / size), 1, 0};
    const int moved = at + (int)w.padding[axis], before = moved - (int)w.kernel[axis], stride = (int)w.stride[axis];
    return {before < 0 ? 0 : before / stride + 1, (int)min((i64)(moved / stride + 1), outputs), 1, 0};
}

extern "C" __global__ void average_pool_adjoint(
    const T* __restrict__ y, T* __restrict__ x, const Windows w, i64 planes, i64 count_padding, i64 divisor
) {
    const INDEX area = product(w.input), total = planes * area, step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX plane = i / area;
        const Place p = place_of(i - plane * area, w.input);
        const Span depth = outputs_of(w, 0, p.d), height = outputs_of(w, 1, p.h), width = outputs_of(w, 2, p.w);
        const T* from = y + (i64)plane * product(w.output);
        A sum = A(0);
        for (int d = depth.start; d < depth.end; ++d) {
            for (int h = height.start; h < height.end; ++h) {
                for (int v = width.start; v < width.end; ++v) {
                    const Span spans[3] = {
                        span_of(w, 0, d, count_padding), span_of(w, 1, h, count_padding),
                        span_of(w, 2, v, count_padding)
                    };
                    sum += divided(A(from[((i64)d * w.output[1] + h) * w.output[2] + v]), spans, divisor);
                }
            }
        }
        x[i] = to<T>(sum);
    }
}
