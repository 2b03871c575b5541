// What the threads of a warp or of a block compute together: folds and running folds of values of any plain type.
// A combine is a function of two values that does not mind how its operands are grouped.

#define ALL_LANES 0xffffffffu

// Applies a function to the 32-bit words of a value, which are what warps exchange; all of them stay in registers.
template <typename T, typename F> INLINE T exchange(T value, F one_word) {
    const int count = (sizeof(T) + 3) / 4;
    u32 words[count] = {};
    memcpy(words, &value, sizeof(T));
    #pragma unroll
    for (int k = 0; k < count; ++k) words[k] = one_word(words[k]);
    memcpy(&value, words, sizeof(T));
    return value;
}
template <typename T> INLINE T shuffle(T value, int lane) {
    return exchange(value, [=](u32 word) { return __shfl_sync(ALL_LANES, word, lane); });
}
template <typename T> INLINE T shuffle_xor(T value, int bits) {
    return exchange(value, [=](u32 word) { return __shfl_xor_sync(ALL_LANES, word, bits); });
}
template <typename T> INLINE T shuffle_up(T value, int steps) {
    return exchange(value, [=](u32 word) { return __shfl_up_sync(ALL_LANES, word, (u32)steps); });
}

// ---- folds; every thread gets the result ----

// Over groups of neighbouring lanes, 2, 4, 8, 16 or 32 of them.
template <typename T, typename F> INLINE T warp_reduce(T value, F combine, int lanes = 32) {
    for (int bits = lanes / 2; bits > 0; bits /= 2) {
        const T other = shuffle_xor(value, bits);
        // Lower lanes stand first, so that all lanes of a group compute the same.
        value = threadIdx.x & bits ? combine(other, value) : combine(value, other);
    }
    return value;
}

// Over a block of whole warps; `identity` changes nothing.
template <typename T, typename F> INLINE T block_reduce(T value, F combine, T identity) {
    __shared__ T slots[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    value = warp_reduce(value, combine);
    __syncthreads();
    if (lane == 0) slots[warp] = value;
    __syncthreads();
    value = lane < (int)blockDim.x / 32 ? slots[lane] : identity;
    return warp_reduce(value, combine);
}

// ---- running folds: each thread gets the fold of all threads up to itself ----

template <typename T, typename F> INLINE T warp_scan(T value, F combine) {
    const int lane = threadIdx.x % 32;
    #pragma unroll
    for (int steps = 1; steps < 32; steps *= 2) {
        const T before = shuffle_up(value, steps);
        if (lane >= steps) value = combine(before, value);
    }
    return value;
}

// The fold of all threads before this one; `total` becomes that of the block.
template <typename T, typename F> INLINE T block_scan(T value, F combine, T identity, T* total) {
    __shared__ T slots[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const T here = warp_scan(value, combine);
    __syncthreads();
    if (lane == 31) slots[warp] = here;
    __syncthreads();
    const T warps = warp_scan(lane < (int)blockDim.x / 32 ? slots[lane] : identity, combine);
    *total = shuffle(warps, 31);
    const T before = shuffle(warps, warp > 0 ? warp - 1 : 0), left = shuffle_up(here, 1);
    if (warp == 0) return lane == 0 ? identity : left;
    return lane == 0 ? before : combine(before, left);
}
