#include "block.cuh"
#include "order.cuh"
// Stable sorting of rows, with the positions where elements came from. Settings: T, DESCENDING.

typedef Unsigned<sizeof(T)>::type Key;

// ---- short rows: several of them in the shared memory of a block, by a bitonic network ----

// A row has `length` places, a power of two; what lies behind its `size` elements comes last.
extern "C" __global__ void sort_short(
    const T* __restrict__ source, i64 rows, i64 size, i64 length, i64 per_block, T* values, i64* indices, i64 kept) {
    extern __shared__ u64 room[];
    const int all = (int)(per_block * length), mask = (int)length - 1;
    Key* keys = (Key*)room;
    u16* places = (u16*)(keys + all);
    const i64 first = (i64)blockIdx.x * per_block;
    for (int i = threadIdx.x; i < all; i += blockDim.x) {
        const i64 row = first + i / length;
        const int place = i & mask;
        keys[i] = row < rows && place < size ? sort_key(source[row * size + place]) : (Key)~(Key)0;
        places[i] = (u16)place;
    }
    for (int run = 2; run <= length; run *= 2) {
        for (int step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int pair = threadIdx.x; pair < all / 2; pair += blockDim.x) {
                const int low = 2 * pair - (pair & (step - 1)), high = low + step;
                const Key a = keys[low], b = keys[high];
                const u16 at_a = places[low], at_b = places[high];
                const bool upwards = (low & mask & run) == 0;
                if ((a > b || (a == b && at_a > at_b)) == upwards) {
                    keys[low] = b, keys[high] = a;
                    places[low] = at_b, places[high] = at_a;
                }
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < all; i += blockDim.x) {
        const i64 row = first + i / length;
        const int place = i & mask;
        if (row < rows && place < kept) {
            values[row * kept + place] = source[row * size + places[i]];
            indices[row * kept + place] = places[i];
        }
    }
}

// ---- long rows: by digits, the least first ----

#define DIGITS 256
#define WARPS 8
#define THREADS (32 * WARPS)
#define ITEMS (sizeof(T) == 8 ? 8 : 16)
#define TILE (THREADS * ITEMS)

INLINE u32 digit_of(T x, int shift) { return (u32)(sort_key(x) >> shift) & (DIGITS - 1); }

INLINE u32 add_u32(u32 a, u32 b) { return a + b; }

// The tile of a block: its row, its number in the row, and this thread's first place; a warp's places are neighbours.
struct Tile {
    i64 row, number, first;
    INLINE Tile(i64 tiles) {
        row = blockIdx.x / tiles;
        number = blockIdx.x - row * tiles;
        first = number * TILE + threadIdx.x / 32 * (32 * ITEMS) + threadIdx.x % 32;
    }
};

// Ranks of a warp's elements among those of their digit; `found` counts the digits. A digit beyond all is skipped.
INLINE u32 rank_in_warp(u32* found, u32 digit) {
    const u32 lane = threadIdx.x % 32, alike = __match_any_sync(ALL_LANES, digit);
    const u32 before = digit < DIGITS ? found[digit] : 0;
    __syncwarp();
    if (digit < DIGITS && lane == __ffs(alike) - 1) found[digit] = before + __popc(alike);
    __syncwarp();
    return before + __popc(alike & ((1u << lane) - 1));
}

INLINE void clear(u32* found) {
    for (int i = threadIdx.x; i < WARPS * DIGITS; i += THREADS) found[i] = 0;
    __syncthreads();
}

// How often each digit occurs in each tile: rows of digits of tiles.
extern "C" __global__ void count_digits(const T* __restrict__ source, i64 size, i64 tiles, i64 shift, u32* counts) {
    __shared__ u32 found[WARPS * DIGITS];
    const Tile tile(tiles);
    clear(found);
    for (int k = 0; k < ITEMS; ++k) {
        const i64 i = tile.first + 32 * k;
        rank_in_warp(found + threadIdx.x / 32 * DIGITS, i < size ? digit_of(source[tile.row * size + i], shift) : DIGITS);
    }
    __syncthreads();
    u32 total = 0;
    for (int w = 0; w < WARPS; ++w) total += found[w * DIGITS + threadIdx.x];
    counts[(tile.row * DIGITS + threadIdx.x) * tiles + tile.number] = total;
}

// A block for each digit of a row: tiles get the counts of those before them, the digit its total.
extern "C" __global__ void scan_digits(u32* counts, i64 tiles, u32* totals) {
    u32* mine = counts + (i64)blockIdx.x * tiles;
    u32 before = 0;
    for (i64 first = 0; first < tiles; first += blockDim.x) {
        const i64 i = first + threadIdx.x;
        u32 total;
        const u32 here = block_scan(i < tiles ? mine[i] : 0u, add_u32, 0u, &total);
        if (i < tiles) mine[i] = before + here;
        before += total;
    }
    if (threadIdx.x == 0) totals[blockIdx.x] = before;
}

// Moves the elements of a tile to their places by way of shared memory, so that neighbours are written together.
// The first pass has no positions yet, the last one writes `indices` instead.
extern "C" __global__ void move_digits(
    const T* __restrict__ source, const u32* __restrict__ positions, i64 size, i64 tiles, i64 shift, const u32* counts,
    const u32* totals, T* values, u32* next_positions, i64* indices) {
    __shared__ u32 found[WARPS * DIGITS], jumps[DIGITS], staged_positions[TILE];
    __shared__ u64 staged[(TILE * sizeof(T) + 7) / 8];
    T* staged_values = (T*)staged;
    const Tile tile(tiles);
    const i64 base = tile.row * size;
    u32* mine = found + threadIdx.x / 32 * DIGITS;
    clear(found);
    T items[ITEMS];
    u32 ranks[ITEMS];
    for (int k = 0; k < ITEMS; ++k) {
        const i64 i = tile.first + 32 * k;
        items[k] = i < size ? source[base + i] : T();
        ranks[k] = rank_in_warp(mine, i < size ? digit_of(items[k], shift) : DIGITS);
    }
    __syncthreads();
    // Thread d serves digit d: where its elements start in the tile, for each warp, and in the row.
    u32 here = 0, total;
    for (int w = 0; w < WARPS; ++w) here += found[w * DIGITS + threadIdx.x];
    const u32 start = block_scan(here, add_u32, 0u, &total);
    const u32 row_start = block_scan(totals[tile.row * DIGITS + threadIdx.x], add_u32, 0u, &total);
    jumps[threadIdx.x] = row_start + counts[(tile.row * DIGITS + threadIdx.x) * tiles + tile.number] - start;
    for (u32 w = 0, at = start; w < WARPS; ++w) {
        const u32 many = found[w * DIGITS + threadIdx.x];
        found[w * DIGITS + threadIdx.x] = at;
        at += many;
    }
    __syncthreads();
    for (int k = 0; k < ITEMS; ++k) {
        const i64 i = tile.first + 32 * k;
        if (i >= size) continue;
        const u32 place = mine[digit_of(items[k], shift)] + ranks[k];
        staged_values[place] = items[k];
        staged_positions[place] = positions ? positions[base + i] : (u32)i;
    }
    __syncthreads();
    const i64 left = size - tile.number * TILE;
    for (i64 i = threadIdx.x; i < TILE && i < left; i += THREADS) {
        const T value = staged_values[i];
        const i64 place = base + (u32)(i + jumps[digit_of(value, shift)]);
        values[place] = value;
        if (indices) indices[place] = staged_positions[i];
        else next_positions[place] = staged_positions[i];
    }
}
