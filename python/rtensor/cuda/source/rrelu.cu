// The leaky ReLU with a slope drawn for each element, and the slopes; values are computed in type A.
#include "philox.cuh"

extern "C" __global__ void rrelu(
    const T* x, T* out, T* slopes, i64 count, const Draws draws, double lower, double upper
) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    Stream stream(draws, i);
    const A value = (A)x[i], drawn = unit<A>(stream) * ((A)upper - (A)lower) + (A)lower;
    const A slope = value <= A(0) ? (A)to<T>(drawn) : A(1);
    slopes[i] = to<T>(slope);
    out[i] = to<T>(value * slope);
}
