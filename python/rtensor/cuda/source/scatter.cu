#include "chosen.cuh"
#include "atomics.cuh"
// Writing where indices point. Settings: T, I, INDICES, and COMBINE(place, value); VALUE where there is no source but
// a number. The words: the number, the indices, the walk.

template <typename T> INLINE void assign(T* at, T x) { *at = x; }

extern "C" __global__ void scatter(const __grid_constant__ Words p, T* target, const T* source, i64 failures) {
    const i64 *indices = p.w + 2, *walk = indices + 4 * INDICES;
    each_place(walk, [&](i64 i) {
        i64 at[2 + INDICES];
        locate<2 + INDICES>(walk, i, at);
        if (!chosen(indices, at + 2, failures, at)) return;
#ifdef VALUE
        COMBINE(target + at[0], number<T>(p.w));
#else
        COMBINE(target + at[0], source[at[1]]);
#endif
    });
}
