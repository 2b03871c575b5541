// Counting by bins, in the shared memory of blocks where it has room. Settings: T for the elements, C for what is
// counted; EQUAL_BINS where the bins divide a range, else elements are bins; SHARED bins at most, 0 for none.
#include "atomics.cuh"

INLINE i64 bin_of(T x, i64 bins, double low, double high) {
#ifdef EQUAL_BINS
    const double value = to<double>(x);
    if (!(value >= low && value <= high)) return -1;
    const i64 bin = (i64)((value - low) * bins / (high - low));
    return bin < bins ? bin : bins - 1;
#else
    return (i64)x;
#endif
}

extern "C" __global__ void histogram(
    const T* x, i64 count, i64 bins, double low, double high, const C* weights, C* out) {
#if SHARED
    __shared__ C mine[SHARED];
    for (int b = threadIdx.x; b < bins; b += blockDim.x) mine[b] = C(0);
    __syncthreads();
#else
    C* mine = out;
#endif
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x) {
        const i64 bin = bin_of(x[i], bins, low, high);
        if (bin >= 0) atomic_add(mine + bin, weights ? weights[i] : C(1));
    }
#if SHARED
    __syncthreads();
    for (int b = threadIdx.x; b < bins; b += blockDim.x) {
        if (mine[b] != C(0)) atomic_add(out + b, mine[b]);
    }
#endif
}
