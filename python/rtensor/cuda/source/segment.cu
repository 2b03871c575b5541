// Reductions of segments: data (outer, size, inner), a thread for each result. Settings: T, KIND (0 sum, 1 mean,
// 2 product, 3 greatest, 4 least).

typedef Accumulate<T>::type A;

INLINE A combine(A a, A b) {
    if (KIND <= 1) return a + b;
    if (KIND == 2) return a * b;
    if (a != a || b != b) return Limits<A>::nan();
    return (KIND == 3) == (a > b) ? a : b;
}

extern "C" __global__ void segment(
    const T* data, const i64* bounds, i64 outer, i64 size, i64 inner, i64 segments, i64 has_start, double start, T* out) {
    const i64 n = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= outer * segments * inner) return;
    const i64 i = n % inner, s = n / inner % segments, o = n / inner / segments;
    const i64* ends = bounds + o * (segments + 1) + s;
    A total = (A)start;
    for (i64 k = ends[0]; k < ends[1]; ++k) total = combine(total, (A)data[(o * size + k) * inner + i]);
    const bool divides = KIND == 1 && (ends[1] > ends[0] || !has_start);
    out[n] = T(divides ? total / (A)(ends[1] - ends[0]) : total);
}
