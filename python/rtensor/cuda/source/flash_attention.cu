// Attention of 16-bit floats in one pass over keys and values, whose scores stay in registers. Settings: T, and SIZE, to
// which queries, keys and values are filled up by zeros.
#include "tensor_cores.cuh"

#define WARPS 4
#define ROWS (16 * WARPS)
#define KEYS 64
// Rows in shared memory start at different banks.
#define PITCH (SIZE + 8)
#define MASKED (-3.4e38f)

struct Heads {
    i64 heads, shared, queries, keys, size, value_size, causal;
    i64 q[3], k[3], v[3];
};

struct alignas(16) Eight { u32 words[4]; };

// Rows of a matrix, with zeros behind its sizes.
INLINE void load_rows(T* to, const T* from, i64 step, i64 first, i64 rows, i64 size, int count) {
    const int chunks = SIZE / 8;
    for (int i = threadIdx.x; i < count * chunks; i += WARPS * 32) {
        const int row = i / chunks, column = i % chunks * 8;
        Eight value = {{0, 0, 0, 0}};
        if (first + row < rows && column < size) value = *(const Eight*)(from + (first + row) * step + column);
        *(Eight*)(to + row * PITCH + column) = value;
    }
}

// The largest or the sum over the four lanes that hold a row.
INLINE float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
INLINE float row_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// The scores of a warp's queries, scaled for powers of two.
INLINE void score(float scores[KEYS / 8][4], const u32 queries[SIZE / 16][4], const T* keys, float scale) {
    const int lane = threadIdx.x % 32;
    #pragma unroll
    for (int n = 0; n < KEYS / 8; ++n) {
        for (int i = 0; i < 4; ++i) scores[n][i] = 0.0f;
        #pragma unroll
        for (int k = 0; k < SIZE / 32; ++k) {
            u32 part[4];
            load_matrices(part, keys + (8 * n + lane % 8) * PITCH + 32 * k + lane / 8 * 8);
            multiply_add(scores[n], queries[2 * k], part, T());
            multiply_add(scores[n], queries[2 * k + 1], part + 2, T());
        }
        for (int i = 0; i < 4; ++i) scores[n][i] *= scale;
    }
}

// Hides the keys that are not there, and those behind a causal query.
INLINE void hide(float scores[KEYS / 8][4], i64 first_key, i64 query, const Heads& h) {
    const int t = threadIdx.x % 4;
    #pragma unroll
    for (int n = 0; n < KEYS / 8; ++n) {
        #pragma unroll
        for (int i = 0; i < 4; ++i) {
            const i64 key = first_key + 8 * n + 2 * t + i % 2;
            if (key >= h.keys || (h.causal && key > query + i / 2 * 8)) scores[n][i] = MASKED;
        }
    }
}

// Scores become powers of two relative to the largest so far; what was summed before shrinks accordingly.
INLINE void weigh(float scores[KEYS / 8][4], float sums[SIZE / 8][4], float* top, float* total) {
    #pragma unroll
    for (int row = 0; row < 2; ++row) {
        float highest = top[row];
        #pragma unroll
        for (int n = 0; n < KEYS / 8; ++n) {
            highest = fmaxf(highest, fmaxf(scores[n][2 * row], scores[n][2 * row + 1]));
        }
        highest = row_max(highest);
        const float shrink = exp2f(top[row] - highest);
        top[row] = highest;
        float sum = 0.0f;
        #pragma unroll
        for (int n = 0; n < KEYS / 8; ++n) {
            #pragma unroll
            for (int i = 2 * row; i < 2 * row + 2; ++i) {
                scores[n][i] = exp2f(scores[n][i] - highest);
                sum += scores[n][i];
            }
        }
        total[row] = total[row] * shrink + row_sum(sum);
        #pragma unroll
        for (int n = 0; n < SIZE / 8; ++n) {
            sums[n][2 * row] *= shrink;
            sums[n][2 * row + 1] *= shrink;
        }
    }
}

// Adds the values by their weights.
INLINE void average(float sums[SIZE / 8][4], const float weights[KEYS / 8][4], const T* values) {
    const int lane = threadIdx.x % 32;
    #pragma unroll
    for (int k = 0; k < KEYS / 16; ++k) {
        u32 left[4];
        #pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float* from = weights[2 * k + i / 2] + i % 2 * 2;
            left[i] = pair(from[0], from[1], T());
        }
        #pragma unroll
        for (int n = 0; n < SIZE / 16; ++n) {
            u32 part[4];
            load_transposed(part, values + (16 * k + lane % 16) * PITCH + 16 * n + lane / 16 * 8);
            multiply_add(sums[2 * n], left, part, T());
            multiply_add(sums[2 * n + 1], left, part + 2, T());
        }
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * 32) flash_attention(
    const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, T* __restrict__ out, const Heads h,
    double scale
) {
    __shared__ __align__(16) T keys[KEYS * PITCH];
    __shared__ __align__(16) T values[KEYS * PITCH];
    const i64 tiles = (h.queries + ROWS - 1) / ROWS, head = blockIdx.x / tiles;
    // The last queries see the most keys.
    const i64 first = (tiles - 1 - blockIdx.x % tiles) * ROWS, batch = head / h.heads, own = head % h.heads;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const i64 query = first + 16 * warp + lane / 4;
    k += batch * h.k[0] + own / h.shared * h.k[1];
    v += batch * h.v[0] + own / h.shared * h.v[1];
    load_rows(keys, q + batch * h.q[0] + own * h.q[1], h.q[2], first, h.queries, h.size, ROWS);
    __syncthreads();
    u32 queries[SIZE / 16][4];
    #pragma unroll
    for (int i = 0; i < SIZE / 16; ++i) {
        load_matrices(queries[i], keys + (16 * warp + lane % 16) * PITCH + 16 * i + lane / 16 * 8);
    }
    float sums[SIZE / 8][4] = {}, top[2] = {MASKED, MASKED}, total[2] = {0.0f, 0.0f};
    const i64 end = h.causal ? min(h.keys, first + ROWS) : h.keys;
    for (i64 at = 0; at < end; at += KEYS) {
        __syncthreads();
        load_rows(keys, k, h.k[2], at, h.keys, h.size, KEYS);
        load_rows(values, v, h.v[2], at, h.keys, h.value_size, KEYS);
        __syncthreads();
        float scores[KEYS / 8][4];
        score(scores, queries, keys, (float)(scale * 1.4426950408889634));
        if (at + KEYS > h.keys || (h.causal && at + KEYS > first)) hide(scores, at, query, h);
        weigh(scores, sums, top, total);
        average(sums, scores, values);
    }
    #pragma unroll
    for (int row = 0; row < 2; ++row) {
        if (query + 8 * row >= h.queries) continue;
        T* to = out + (head * h.queries + query + 8 * row) * h.value_size;
        #pragma unroll
        for (int n = 0; n < SIZE / 8; ++n) {
            const int column = 8 * n + 2 * (lane % 4);
            const float* from = sums[n] + 2 * row;
            if (column < h.value_size) *(u32*)(to + column) = pair(from[0] / total[row], from[1] / total[row], T());
        }
    }
}
