#include "walk.cuh"
// Triangles of matrices. The words: the outermost diagonal that is kept, whether those below it are, and a walk over
// output, input and the number of the diagonal. Settings: T.

extern "C" __global__ void triangle(const __grid_constant__ Words p, T* out, const T* source) {
    const i64* walk = p.w + 2;
    each_place(walk, [&](i64 i) {
        i64 at[3];
        locate<3>(walk, i, at);
        const bool kept = p.w[1] ? at[2] <= p.w[0] : at[2] >= p.w[0];
        out[at[0]] = kept ? source[at[1]] : T();
    });
}
