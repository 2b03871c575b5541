// Reductions over any dimensions, by three kernels: `rows` gives neighbouring threads neighbouring elements of one
// result, `columns` neighbouring results; where results are few, both leave parts of them to `finish`.
// KIND is a reduction of reduce_kinds.cuh, T the input's type, O that of the first result.
#include "block.cuh"
#include "reduce_kinds.cuh"

typedef KIND<T, O> Kind;
typedef typename Kind::Value Value;
const int WIDTH = 16 / sizeof(T);

// Kept dimensions are innermost first; reduced ones are at most two, `inner` elements and rows of them.
struct Layout {
    i64 outputs, count, parts, chunk, group, packed;
    i64 inner, inner_step, outer_step;
    i64 dims, sizes[4], from[4], onto[4];
};

INLINE void find(const Layout& l, i64 output, i64* from, i64* onto) {
    *from = *onto = 0;
    for (int d = 0; d < l.dims; ++d) {
        const i64 rest = d + 1 < l.dims ? output / l.sizes[d] : 0, here = output - rest * l.sizes[d];
        *from += here * l.from[d];
        *onto += here * l.onto[d];
        output = rest;
    }
}

INLINE void put(const Layout& l, Value value, i64 output, i64 onto, O* out, void* second, Value* partial, double p) {
    if (l.parts == 1) Kind::store(value, onto, out, second, (double)l.count, p);
    else partial[blockIdx.y * l.outputs + output] = value;
}

// Walks the reduced elements begin, begin + step, ... in units of so many.
struct Walk {
    i64 at, inner, outer, row, inner_step, row_step, step, size;
    INLINE Walk(const Layout& l, i64 begin, i64 step, int unit) : at(begin), step(step), size(l.inner / unit) {
        const bool single = l.inner == l.count;
        outer = single ? 0 : begin / size;
        inner = begin - outer * size;
        row_step = single ? 0 : step / size;
        inner_step = step - row_step * size;
    }
    INLINE i64 offset(const Layout& l, int unit) const { return outer * l.outer_step + inner * l.inner_step * unit; }
    INLINE void next(const Layout& l) {
        at += step;
        inner += inner_step;
        outer += row_step;
        if (inner >= size && l.inner != l.count) {
            inner -= size;
            ++outer;
        }
    }
};

// The fold of elements begin to end of one result, of which a thread takes every `threads`th unit.
template <int UNIT> INLINE Value fold_row(
    const T* x, const Layout& l, i64 begin, i64 end, int rank, int threads, double p
) {
    Value sums[UNIT];
    #pragma unroll
    for (Value& sum : sums) sum = Kind::identity();
    Walk walk(l, begin / UNIT + rank, threads, UNIT);
    #pragma unroll 4
    for (; walk.at < end / UNIT; walk.next(l)) {
        const auto here = *(const Pack<T, UNIT>*)(x + walk.offset(l, UNIT));
        #pragma unroll
        for (int k = 0; k < UNIT; ++k) sums[k] = Kind::step(sums[k], here.at[k], walk.at * UNIT + k, p);
    }
    if (UNIT > 1) {
        for (i64 i = end / UNIT * UNIT + rank; i < end; i += threads) sums[0] = Kind::step(sums[0], x[i], i, p);
    }
    #pragma unroll
    for (int k = 1; k < UNIT; ++k) sums[0] = Kind::combine(sums[0], sums[k]);
    return sums[0];
}

extern "C" __global__ void __launch_bounds__(512) rows(
    const T* x, O* out, void* second, void* partial, const Layout l, double p
) {
    const auto combine = [](Value a, Value b) { return Kind::combine(a, b); };
    const int group = (int)l.group, rank = threadIdx.x % group, groups = blockDim.x / group;
    const i64 begin = blockIdx.y * l.chunk, end = min(begin + l.chunk, l.count);
    for (i64 base = (i64)blockIdx.x * groups; base < l.outputs; base += (i64)gridDim.x * groups) {
        const i64 output = base + threadIdx.x / group;
        const bool inside = output < l.outputs;
        i64 from = 0, onto = 0;
        Value value = Kind::identity();
        if (inside) {
            find(l, output, &from, &onto);
            value = l.packed ? fold_row<WIDTH>(x + from, l, begin, end, rank, group, p)
                             : fold_row<1>(x + from, l, begin, end, rank, group, p);
        }
        value = group > 32 ? block_reduce(value, combine, Kind::identity()) : warp_reduce(value, combine, group);
        if (inside && rank == 0) put(l, value, output, onto, out, second, (Value*)partial, p);
    }
}

// A thread folds so many neighbouring results; `group` lanes stand side by side, the others split the rows.
template <int UNIT> INLINE void fold_columns(
    const T* x, O* out, void* second, Value* partial, const Layout& l, i64 block, Value* slots, double p
) {
    const int group = (int)l.group, lane = threadIdx.x % group, rank = threadIdx.x / group, ranks = blockDim.x / group;
    const i64 tiles = (l.sizes[0] + group * UNIT - 1) / (group * UNIT), line = block / tiles;
    const i64 column = (block % tiles * group + lane) * UNIT, first = line * l.sizes[0] + column;
    const bool inside = column < l.sizes[0];
    i64 from = 0, onto = 0;
    Value sums[UNIT];
    #pragma unroll
    for (Value& sum : sums) sum = Kind::identity();
    if (inside) {
        find(l, first, &from, &onto);
        const i64 begin = blockIdx.y * l.chunk, end = min(begin + l.chunk, l.count);
        Walk walk(l, begin + rank, ranks, 1);
        #pragma unroll 4
        for (; walk.at < end; walk.next(l)) {
            const auto here = *(const Pack<T, UNIT>*)(x + from + walk.offset(l, 1));
            #pragma unroll
            for (int k = 0; k < UNIT; ++k) sums[k] = Kind::step(sums[k], here.at[k], walk.at, p);
        }
    }
    #pragma unroll
    for (int k = 0; k < UNIT; ++k) {
        Value* const own = slots + threadIdx.x;
        *own = sums[k];
        __syncthreads();
        for (int half = ranks / 2; half > 0; half /= 2) {
            if (rank < half) *own = Kind::combine(*own, own[half * group]);
            __syncthreads();
        }
        if (inside && rank == 0) put(l, *own, first + k, onto + k * l.onto[0], out, second, partial, p);
    }
}

extern "C" __global__ void __launch_bounds__(256) columns(
    const T* x, O* out, void* second, void* partial, const Layout l, double p
) {
    __shared__ Value slots[256];
    const int unit = l.packed ? WIDTH : 1;
    const i64 tile = l.group * unit, tiles = (l.sizes[0] + tile - 1) / tile * (l.outputs / l.sizes[0]);
    for (i64 block = blockIdx.x; block < tiles; block += gridDim.x) {
        if (l.packed) fold_columns<WIDTH>(x, out, second, (Value*)partial, l, block, slots, p);
        else fold_columns<1>(x, out, second, (Value*)partial, l, block, slots, p);
    }
}

// Combines the parts of each result, by groups of lanes.
extern "C" __global__ void __launch_bounds__(256) finish(
    O* out, void* second, const void* partial, const Layout l, i64 group, double p
) {
    const auto combine = [](Value a, Value b) { return Kind::combine(a, b); };
    const int groups = blockDim.x / (int)group, rank = threadIdx.x % (int)group;
    const i64 output = (i64)blockIdx.x * groups + threadIdx.x / (int)group;
    Value value = Kind::identity();
    if (output < l.outputs) {
        for (i64 part = rank; part < l.parts; part += group) {
            value = Kind::combine(value, ((const Value*)partial)[part * l.outputs + output]);
        }
    }
    value = warp_reduce(value, combine, (int)group);
    if (output >= l.outputs || rank != 0) return;
    i64 from, onto;
    find(l, output, &from, &onto);
    Kind::store(value, onto, out, second, (double)l.count, p);
}
