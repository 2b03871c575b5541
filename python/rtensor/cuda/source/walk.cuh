// Walks over several strided operands at once, as `_walk.py` writes them down.

#define WORDS 128

struct Words { i64 w[WORDS]; };

#define PER_THREAD 4

// Takes one dimension off a place: `rest` becomes the place in the outer ones.
template <int N, typename Index> INLINE void step_out(const i64* dim, bool is_last, Index* rest, i64* at) {
    const Index size = (Index)dim[0], next = is_last ? 0 : *rest / size, here = *rest - next * size;
    #pragma unroll
    for (int k = 0; k < N; ++k) at[k] += (i64)here * dim[1 + k];
    *rest = next;
}

template <int N, typename Index> INLINE void locate_as(const i64* walk, Index rest, i64* at) {
    #pragma unroll
    for (int k = 0; k < N; ++k) at[k] = 0;
    const int dims = (int)walk[1];
    // Unrolled, these read the parameters' constant memory at fixed places.
    #pragma unroll
    for (int d = 0; d < 4; ++d) {
        if (d < dims) step_out<N>(walk + 2 + d * (1 + N), d == dims - 1, &rest, at);
    }
    for (int d = 4; d < dims; ++d) step_out<N>(walk + 2 + d * (1 + N), d == dims - 1, &rest, at);
}

// The offsets of N operands at place `i`. The walk: the number of places, that of dimensions, and for each of them,
// innermost first, its size and the operands' strides.
template <int N> INLINE void locate(const i64* walk, i64 i, i64* at) {
    if (walk[0] <= 0xffffffffll) locate_as<N>(walk, (u32)i, at);
    else locate_as<N>(walk, (u64)i, at);
}

// Calls `body` for the places of a walk that fall to this thread: those of a block are neighbours.
template <typename F> INLINE void each_place(const i64* walk, F body) {
    const i64 first = (i64)blockIdx.x * blockDim.x * PER_THREAD + threadIdx.x;
    #pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        const i64 i = first + (i64)k * blockDim.x;
        if (i < walk[0]) body(i);
    }
}
