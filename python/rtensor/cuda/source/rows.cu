#define DESCENDING 0
#include "order.cuh"
// Rows of a matrix in lexicographic order, and runs of equal ones. Settings: T.

INLINE bool comes_before(const T* a, const T* b, i64 width) {
    for (i64 k = 0; k < width; ++k) {
        const auto x = order_key(a[k]), y = order_key(b[k]);
        if (x != y) return x < y;
    }
    return false;
}

// Merges neighbouring runs of `run` rows each: every row looks for its place in the other run.
extern "C" __global__ void merge_runs(
    const T* rows, i64 count, i64 width, i64 run, const i64* order, i64* merged) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const i64 start = i / (2 * run) * (2 * run), middle = start + run < count ? start + run : count;
    const i64 end = start + 2 * run < count ? start + 2 * run : count;
    const bool is_left = i < middle;
    const T* mine = rows + order[i] * width;
    i64 low = is_left ? middle : start, high = is_left ? end : middle;
    const i64 from = low;
    while (low < high) {
        const i64 between = (low + high) / 2;
        const T* other = rows + order[between] * width;
        // Equal rows of the left run stay in front.
        const bool is_behind = is_left ? comes_before(other, mine, width) : !comes_before(mine, other, width);
        if (is_behind) low = between + 1;
        else high = between;
    }
    merged[i + (low - from) - (is_left ? 0 : middle - start)] = order[i];
}

// Whether a row differs from the one before; NaN differs from itself.
extern "C" __global__ void starts(const T* rows, i64 count, i64 width, const i64* order, bool* out) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    bool differs = i == 0;
    for (i64 k = 0; !differs && k < width; ++k) {
        differs = !(rows[order[i] * width + k] == rows[order[i - 1] * width + k]);
    }
    out[i] = differs;
}
