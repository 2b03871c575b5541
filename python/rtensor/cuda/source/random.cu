// Samples of one distribution: each thread draws four neighbouring elements of type T, computed in type A by FILL.
#include "philox.cuh"

// The value, or `from` where rounding reached the open end.
INLINE void uniform(Stream& stream, T* out, A from, A end) {
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
        const T value = to<T>(unit<A>(stream) * (end - from) + from);
        out[i] = (A)value == (A)to<T>(end) ? to<T>(from) : value;
    }
}

template <typename F> INLINE void each_normal(Stream& stream, T* out, F f) {
    #pragma unroll
    for (int i = 0; i < 4; i += 2) {
        A pair[2];
        normal_pair(stream, pair);
        out[i] = to<T>(f(pair[0])), out[i + 1] = to<T>(f(pair[1]));
    }
}
INLINE void normal(Stream& stream, T* out, A mean, A std) {
    each_normal(stream, out, [=](A x) { return x * std + mean; });
}
INLINE void log_normal(Stream& stream, T* out, A mean, A std) {
    each_normal(stream, out, [=](A x) { return exp(x * std + mean); });
}

template <typename F> INLINE void each_unit(Stream& stream, T* out, F f) {
    #pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = to<T>(f(positive_unit<A>(stream)));
}
// Never 0, so that one can divide by it.
INLINE void exponential(Stream& stream, T* out, A lambda, A) {
    each_unit(stream, out, [=](A u) { return max(-log(u), Limits<A>::epsilon() / 2) / lambda; });
}
INLINE void geometric(Stream& stream, T* out, A log_failure, A) {
    each_unit(stream, out, [=](A u) { return max(ceil(log(u) / log_failure), A(1)); });
}
INLINE void cauchy(Stream& stream, T* out, A median, A sigma) {
    each_unit(stream, out, [=](A u) { return median + sigma * tan(A(3.14159265358979323846) * (u - A(0.5))); });
}
// The probability comes multiplied by 2^32.
INLINE void bernoulli(Stream& stream, T* out, double p, double) {
    #pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = to<T>((int)(stream.bits() < (u64)p));
}

extern "C" __global__ void draw(T* out, i64 count, const Draws draws, double a, double b) {
    const i64 group = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * group >= count) return;
    Stream stream(draws, group);
    Pack<T, 4> values;
    FILL(stream, values.at, a, b);
    store(out, 4 * group, count, values);
}
