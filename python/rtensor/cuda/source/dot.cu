// Dot products: each block sums a part, one block the parts.
#include "block.cuh"

typedef typename Accumulate<T>::type A;

template <typename R> INLINE Complex<R> conjugate_if(Complex<R> x, bool wanted) {
    return wanted ? Complex<R>(x.re, -x.im) : x;
}
template <typename R> INLINE R conjugate_if(R x, bool) { return x; }

INLINE A block_sum(A value) {
    return block_reduce(value, [](A a, A b) { return a + b; }, A(0));
}

extern "C" __global__ void dot_parts(
    const T* __restrict__ x, const T* __restrict__ y, A* __restrict__ sums, i64 size, i64 step_x, i64 step_y,
    i64 conjugated
) {
    A sum = A(0);
    const i64 stride = (i64)gridDim.x * blockDim.x;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += stride) {
        sum += conjugate_if(A(x[i * step_x]), conjugated) * A(y[i * step_y]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void dot_sum(const A* __restrict__ sums, T* __restrict__ out, i64 count) {
    A sum = A(0);
    for (i64 i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] = to<T>(sum);
}
