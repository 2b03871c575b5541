// Rows of elements, each computed by a GROUP of threads (a Warp, or a Block of THREADS) that reads UNIT neighbours at
// once and keeps HELD such units per thread in registers; rows too long for that (HELD 0) are read again in each walk.
#include "block.cuh"
#include "math.cuh"

struct Warp {
    static INLINE int rank() { return threadIdx.x % 32; }
    static INLINE int size() { return 32; }
    static INLINE i64 first() { return ((i64)blockIdx.x * THREADS + threadIdx.x) / 32; }
    static INLINE i64 count() { return (i64)gridDim.x * (THREADS / 32); }
    template <typename V, typename F> static INLINE V reduce(V value, F combine, V) {
        return warp_reduce(value, combine);
    }
};
struct Block {
    static INLINE int rank() { return threadIdx.x; }
    static INLINE int size() { return THREADS; }
    static INLINE i64 first() { return blockIdx.x; }
    static INLINE i64 count() { return gridDim.x; }
    template <typename V, typename F> static INLINE V reduce(V value, F combine, V identity) {
        return block_reduce(value, combine, identity);
    }
};
typedef GROUP Group;

template <typename V> INLINE V group_sum(V value) {
    return Group::reduce(value, [](V a, V b) { return a + b; }, V(0));
}
template <typename V> INLINE V group_max(V value) {
    return Group::reduce(value, [](V a, V b) { return op::maximum(a, b); }, Limits<V>::lowest());
}

#define FOR_ROWS(row, rows) for (i64 row = Group::first(); row < rows; row += Group::count())

// Calls body(i, k) for each unit of this thread: the place of its first element, and its slot in registers.
template <typename F> INLINE void walk(i64 size, F body) {
    if (HELD > 0) {
        #pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const i64 i = ((i64)k * Group::size() + Group::rank()) * UNIT;
            if (i < size) body(i, k);
        }
    } else {
        for (i64 i = (i64)Group::rank() * UNIT; i < size; i += (i64)Group::size() * UNIT) body(i, 0);
    }
}

// The elements of a thread, in the accumulator's type.
template <typename S> struct Held {
    typedef typename Accumulate<S>::type A;
    A at[HELD > 0 ? HELD : 1][UNIT];
    const S* from;
    INLINE Held(const S* from) : from(from) {}
    INLINE void read(i64 i, int k) {
        const auto unit = *(const Pack<S, UNIT>*)(from + i);
        #pragma unroll
        for (int u = 0; u < UNIT; ++u) at[k][u] = to<A>(unit.at[u]);
    }
    // In all walks but the first.
    INLINE void again(i64 i, int k) {
        if (HELD == 0) read(i, k);
    }
};

// Writes a unit of elements, given by their position in it.
template <typename S, typename F> INLINE void write(S* onto, F value) {
    Pack<S, UNIT> unit;
    #pragma unroll
    for (int u = 0; u < UNIT; ++u) unit.at[u] = to<S>(value(u));
    *(Pack<S, UNIT>*)onto = unit;
}

#define EACH_IN_UNIT(u) _Pragma("unroll") for (int u = 0; u < UNIT; ++u)
