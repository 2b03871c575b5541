// Draws of categories by running sums of their weights, row by row.
#include "philox.cuh"

extern "C" __global__ void pick(
    i64* out, const double* sums, i64 categories, i64 samples, i64 count, const Draws draws
) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    Stream stream(draws, i);
    const double* row = sums + i / samples * categories;
    const double total = row[categories - 1], below = nextafter(total, 0.0);
    const double at = min(unit<double>(stream) * total, below);
    // The first sum above: a category of weight 0 is never drawn.
    i64 low = 0, high = categories - 1;
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (row[middle] > at) high = middle;
        else low = middle + 1;
    }
    out[i] = low;
}
