#include "chosen.cuh"
// Reading where indices point. Settings: T, I, INDICES. The words: the indices, the walk.

extern "C" __global__ void gather(
    const __grid_constant__ Words p, T* __restrict__ out, const T* __restrict__ source, i64 failures) {
    const i64* walk = p.w + 4 * INDICES;
    each_place(walk, [&](i64 i) {
        i64 at[2 + INDICES];
        locate<2 + INDICES>(walk, i, at);
        const bool inside = chosen(p.w, at + 2, failures, at + 1);
        out[at[0]] = inside ? source[at[1]] : T();
    });
}
