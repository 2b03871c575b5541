#include "failures.cuh"
#include "walk.cuh"
// Places that index tensors choose. Settings: I is their dtype, INDICES how many there are. What an index out of range
// chooses is skipped.

// Adds what the indices choose to an offset; false where one is out of range. For each of them there are its address,
// its least value, how many places it chooses among, and their distance; `at` are the offsets of the index elements.
INLINE bool chosen(const i64* indices, const i64* at, i64 failures, i64* offset) {
    bool inside = true;
    #pragma unroll
    for (int k = 0; k < INDICES; ++k) {
        const i64* about = indices + 4 * k;
        const i64 index = (i64)((const I*)about[0])[at[k]], size = about[2];
        if (index < about[1] || index >= size) {
            report(failures, index, size);
            inside = false;
        }
        *offset += (index < 0 ? index + size : index) * about[3];
    }
    return inside;
}
