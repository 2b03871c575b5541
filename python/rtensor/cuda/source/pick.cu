#include "block.cuh"
#define DESCENDING 0
#include "order.cuh"
// One element of each sorted row: the k-th, the median, the most frequent. A block for each row. Settings: T.

// The first place from `low` on whose element comes after `x`.
template <typename E> INLINE i64 end_of_run(const E* row, i64 low, i64 size, E x) {
    const auto key = order_key(x);
    i64 high = size;
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (order_key(row[middle]) > key) high = middle;
        else low = middle + 1;
    }
    return low;
}

// How many elements are no NaN.
template <typename E> INLINE i64 count_numbers(const E* row, i64 size) {
    if constexpr (IsFloat<E>::value) return end_of_run(row, 0, size, E(Limits<E>::infinity()));
    return size;
}

INLINE void write(const T* row, const i64* from, i64 place, T* values, i64* indices) {
    values[blockIdx.x] = row[place];
    indices[blockIdx.x] = from[place];
}

extern "C" __global__ void kth(const T* sorted, const i64* from, i64 size, i64 k, T* values, i64* indices) {
    write(sorted + blockIdx.x * size, from + blockIdx.x * size, k, values, indices);
}

// The lower median; the first NaN wins, unless they are left out.
extern "C" __global__ void median(const T* sorted, const i64* from, i64 size, i64 ignore_nan, T* values, i64* indices) {
    const T* row = sorted + blockIdx.x * size;
    const i64 numbers = count_numbers(row, size), half = numbers > 0 ? (numbers - 1) / 2 : 0;
    write(row, from + blockIdx.x * size, numbers < size && !ignore_nan ? numbers : half, values, indices);
}

struct Run { i64 length, start; };

INLINE Run longer(Run a, Run b) {
    return a.length > b.length || (a.length == b.length && a.start < b.start) ? a : b;
}

// The last of the most frequent elements, the least ones of equally frequent ones.
extern "C" __global__ void mode(const T* sorted, const i64* from, i64 size, i64, T* values, i64* indices) {
    const T* row = sorted + blockIdx.x * size;
    Run best = {0, 0};
    for (i64 i = threadIdx.x; i < size; i += blockDim.x) {
        if (i > 0 && order_key(row[i - 1]) == order_key(row[i])) continue;
        best = longer(best, {end_of_run(row, i, size, row[i]) - i, i});
    }
    best = block_reduce(best, longer, Run{0, 0});
    if (threadIdx.x == 0) write(row, from + blockIdx.x * size, best.start + best.length - 1, values, indices);
}
