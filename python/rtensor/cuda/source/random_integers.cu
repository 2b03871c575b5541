// Whole random numbers: each thread draws four neighbouring elements.
#include "philox.cuh"

// Whole numbers from `first` to `first + range - 1`; a range of 0 means all 64 bits.
template <bool WIDE> INLINE void whole(T* out, i64 count, const Draws& draws, i64 first, u64 range) {
    const i64 group = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * group >= count) return;
    Stream stream(draws, group);
    Pack<T, 4> values;
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
        u64 value;
        if (WIDE) value = range ? __umul64hi(stream.wide_bits(), range) : stream.wide_bits();
        else value = __umulhi(stream.bits(), (u32)range);
        values.at[i] = to<T>((i64)(value + (u64)first));
    }
    store(out, 4 * group, count, values);
}
extern "C" __global__ void integers(T* out, i64 count, const Draws draws, i64 first, i64 range) {
    whole<false>(out, count, draws, first, (u64)range);
}
extern "C" __global__ void wide_integers(T* out, i64 count, const Draws draws, i64 first, i64 range) {
    whole<true>(out, count, draws, first, (u64)range);
}
