#include "block.cuh"
#include "failures.cuh"
#include "walk.cuh"
// Keeping elements that are set, in order: tiles are counted, their counts added up, and ranks follow from both.
// Settings: M is the dtype of what is set or not, T what is moved.

#define ROUNDS 16

INLINE i64 add_counts(i64 a, i64 b) { return a + b; }

// A warp covers ROUNDS times 32 elements. Lane r gets which of those of round r are set, lane 0 how many are in all.
INLINE i64 look(const M* mask, i64 count, i64 first, u32* round) {
    const int lane = threadIdx.x % 32;
    *round = 0;
    #pragma unroll
    for (int r = 0; r < ROUNDS; ++r) {
        const i64 i = first + r * 32;
        const u32 set = __ballot_sync(ALL_LANES, i < count && to<bool>(mask[i]));
        if (lane == r) *round = set;
    }
    const i64 found = warp_reduce((i64)__popc(*round), add_counts);
    return lane == 0 ? found : 0;
}

INLINE i64 first_of_thread() {
    const i64 warp = (i64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    return warp * 32 * ROUNDS + threadIdx.x % 32;
}

extern "C" __global__ void count_tiles(const M* mask, i64 count, i64* tiles) {
    u32 round;
    const i64 found = block_reduce(look(mask, count, first_of_thread(), &round), add_counts, (i64)0);
    if (threadIdx.x == 0) tiles[blockIdx.x] = found;
}

// One block. Each tile gets the count of those before it; the total stands behind the last.
extern "C" __global__ void scan_tiles(i64* tiles, i64 count) {
    i64 before = 0;
    for (i64 first = 0; first < count; first += blockDim.x) {
        const i64 i = first + threadIdx.x;
        i64 total;
        const i64 here = block_scan(i < count ? tiles[i] : 0, add_counts, (i64)0, &total);
        if (i < count) tiles[i] = before + here;
        before += total;
    }
    if (threadIdx.x == 0) tiles[count] = before;
}

// Calls `body` with the position of each element, whether it is set, and how many are set before it.
template <typename F> INLINE void each_rank(const M* mask, i64 count, const i64* tiles, F body) {
    u32 round;
    const i64 first = first_of_thread();
    const u32 lane = threadIdx.x % 32;
    i64 total;
    const i64 before = block_scan(look(mask, count, first, &round), add_counts, (i64)0, &total);
    i64 rank = tiles[blockIdx.x] + shuffle(before, 0);
    for (int r = 0; r < ROUNDS; ++r) {
        const i64 i = first + r * 32;
        const u32 set = shuffle(round, r);
        if (i < count) body(i, set >> lane & 1, rank + __popc(set & ((1u << lane) - 1)));
        rank += __popc(set);
    }
}

// The indices of what is set, a row each. The words: how many dimensions, and their sizes.
extern "C" __global__ void positions(
    const __grid_constant__ Words p, const M* mask, i64 count, const i64* tiles, i64* out) {
    const i64 dims = p.w[0];
    each_rank(mask, count, tiles, [&](i64 i, bool set, i64 rank) {
        if (!set) return;
        for (i64 d = dims - 1; d >= 0; --d) {
            const i64 size = p.w[1 + d], next = d > 0 ? i / size : 0;
            out[rank * dims + d] = i - next * size;
            i = next;
        }
    });
}

extern "C" __global__ void keep(const M* mask, i64 count, const i64* tiles, const T* source, T* out) {
    each_rank(mask, count, tiles, [&](i64 i, bool set, i64 rank) {
        if (set) out[rank] = source[i];
    });
}

// The converse: the elements of the source go, in order, where the mask is set.
extern "C" __global__ void spread(
    const M* mask, i64 count, const i64* tiles, const T* source, i64 size, T* out, i64 failures) {
    each_rank(mask, count, tiles, [&](i64 i, bool set, i64 rank) {
        if (!set) return;
        if (rank < size) out[i] = source[rank];
        else report(failures, rank, size);
    });
}

// To which run each element belongs, where the mask is set at the starts of runs; elements are named by `order`.
extern "C" __global__ void runs(const M* mask, i64 count, const i64* tiles, const i64* order, i64* out) {
    each_rank(mask, count, tiles, [&](i64 i, bool set, i64 rank) { out[order[i]] = set ? rank : rank - 1; });
}
