#include "block.cuh"
#include "order.cuh"
// The first elements of long rows in the order of sorting, without sorting them. A block for each row. Settings: T,
// DESCENDING.

typedef Unsigned<sizeof(T)>::type Key;

INLINE u32 add_u32(u32 a, u32 b) { return a + b; }

// The key of rank `*rank`, from 0: digit by digit from the highest, among the keys that agree so far. `*rank` becomes
// the rank among equal ones.
INLINE Key key_of_rank(const T* row, i64 size, u32* rank) {
    __shared__ u32 counts[256], found[2];
    Key key = 0, known = 0;
    for (int shift = 8 * sizeof(T) - 8; shift >= 0; shift -= 8) {
        if (threadIdx.x < 256) counts[threadIdx.x] = 0;
        __syncthreads();
        for (i64 i = threadIdx.x; i < size; i += blockDim.x) {
            const Key other = sort_key(row[i]);
            if ((other & known) == key) atomicAdd(&counts[(other >> shift) & 255], 1u);
        }
        __syncthreads();
        const u32 mine = threadIdx.x < 256 ? counts[threadIdx.x] : 0;
        u32 total;
        const u32 before = block_scan(mine, add_u32, 0u, &total);
        if (before <= *rank && *rank < before + mine) found[0] = threadIdx.x, found[1] = before;
        __syncthreads();
        key |= (Key)((Key)found[0] << shift);
        known |= (Key)((Key)255 << shift);
        *rank -= found[1];
    }
    return key;
}

// The first `kept` of each row, in the order of their positions; of equal ones at the end, those that come first.
extern "C" __global__ void select_first(const T* source, i64 size, i64 kept, T* values, i64* indices) {
    const T* row = source + blockIdx.x * size;
    u32 equal = (u32)(kept - 1);
    const Key last = key_of_rank(row, size, &equal);
    u64 before = 0;
    // Both counts share a word: how many come before the last key, and how many equal it.
    for (i64 first = 0; first < size; first += blockDim.x) {
        const i64 i = first + threadIdx.x;
        const Key key = i < size ? sort_key(row[i]) : last;
        const u64 mine = i >= size ? 0 : key < last ? 1 : key == last ? 1ull << 32 : 0;
        u64 total;
        const u64 here = before + block_scan(mine, [](u64 a, u64 b) { return a + b; }, (u64)0, &total);
        const u32 below = (u32)here, alike = (u32)(here >> 32);
        if (mine == 1 || (mine && alike <= equal)) {
            const i64 to = blockIdx.x * kept + below + (alike <= equal ? alike : equal + 1);
            values[to] = row[i];
            indices[to] = i;
        }
        before += total;
    }
}
