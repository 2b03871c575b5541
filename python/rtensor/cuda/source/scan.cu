// Scans along a dimension; KIND is one of scan_kinds.cuh. `scan_rows` gives a block a chunk of a row; chunks start from
// the folds of all before them, which `fold_chunks` and `scan_folds` find. `scan_columns` gives a thread a column of a
// [size, inner] matrix. Where rows are PACKED, their elements are read and written by units.
#include "block.cuh"
#include "scan_kinds.cuh"

typedef KIND<T, O> Kind;
typedef typename Kind::Value Value;

INLINE Value combined(Value a, Value b) { return Kind::combine(a, b); }

// Neighbouring elements of a row that a thread scans by itself.
const int OWN = sizeof(T) > 4 ? 4 : sizeof(T) < 2 ? 8 : 16 / sizeof(T);

INLINE void read(const T* x, i64 first, i64 end, Value* own) {
    if (PACKED && first < end) {
        const auto unit = *(const Pack<T, OWN>*)(x + first);
        #pragma unroll
        for (int k = 0; k < OWN; ++k) own[k] = Kind::map(unit.at[k], first + k);
    } else {
        #pragma unroll
        for (int k = 0; k < OWN; ++k) own[k] = first + k < end ? Kind::map(x[first + k], first + k) : Kind::identity();
    }
}

INLINE void write(const Value* own, i64 first, i64 end, O* out, i64* positions) {
    if (PACKED && first < end) {
        Pack<O, OWN> unit;
        Pack<i64, OWN> places;
        #pragma unroll
        for (int k = 0; k < OWN; ++k) Kind::store(own[k], k, unit.at, places.at);
        *(Pack<O, OWN>*)(out + first) = unit;
        if (positions) *(Pack<i64, OWN>*)(positions + first) = places;
    } else {
        #pragma unroll
        for (int k = 0; k < OWN; ++k) {
            if (first + k < end) Kind::store(own[k], first + k, out, positions);
        }
    }
}

// Scans elements begin to end of a row, from `carry` on, and gives the fold of all; without `out` it gives that alone.
INLINE Value scan_chunk(const T* x, i64 begin, i64 end, Value carry, O* out, i64* positions) {
    const auto combine = [](Value a, Value b) { return combined(a, b); };
    for (i64 start = begin; start < end; start += (i64)blockDim.x * OWN) {
        const i64 first = start + (i64)threadIdx.x * OWN;
        Value own[OWN], total;
        read(x, first, end, own);
        #pragma unroll
        for (int k = 1; k < OWN; ++k) own[k] = combined(own[k - 1], own[k]);
        const Value before = combined(carry, block_scan(own[OWN - 1], combine, Kind::identity(), &total));
        #pragma unroll
        for (int k = 0; k < OWN; ++k) own[k] = combined(before, own[k]);
        if (out) write(own, first, end, out, positions);
        carry = combined(carry, total);
    }
    return carry;
}

extern "C" __global__ void __launch_bounds__(256) scan_rows(
    const T* x, O* out, i64* positions, const void* folds, i64 rows, i64 size, i64 chunk, i64 chunks
) {
    for (i64 block = blockIdx.x; block < rows * chunks; block += gridDim.x) {
        const i64 row = block / chunks, begin = block % chunks * chunk, start = row * size;
        const Value carry = chunks > 1 ? ((const Value*)folds)[block] : Kind::identity();
        i64* const places = positions ? positions + start : positions;
        scan_chunk(x + start, begin, min(begin + chunk, size), carry, out + start, places);
    }
}

// The fold of each chunk of the rows.
extern "C" __global__ void __launch_bounds__(256) fold_chunks(
    const T* x, void* folds, i64 rows, i64 size, i64 chunk, i64 chunks
) {
    for (i64 block = blockIdx.x; block < rows * chunks; block += gridDim.x) {
        const i64 begin = block % chunks * chunk, end = min(begin + chunk, size);
        const Value fold = scan_chunk(x + block / chunks * size, begin, end, Kind::identity(), nullptr, nullptr);
        if (threadIdx.x == 0) ((Value*)folds)[block] = fold;
    }
}

// The folds of all chunks before each, in place; a block takes a row.
extern "C" __global__ void __launch_bounds__(256) scan_folds(void* folds, i64 rows, i64 chunks) {
    const auto combine = [](Value a, Value b) { return combined(a, b); };
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x) {
        Value* const own = (Value*)folds + row * chunks;
        Value carry = Kind::identity();
        for (i64 start = 0; start < chunks; start += blockDim.x) {
            const i64 i = start + threadIdx.x;
            Value total;
            const Value here = i < chunks ? own[i] : Kind::identity();
            const Value before = block_scan(here, combine, Kind::identity(), &total);
            if (i < chunks) own[i] = combined(carry, before);
            carry = combined(carry, total);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) scan_columns(
    const T* x, O* out, i64* positions, i64 columns, i64 size, i64 inner
) {
    for (i64 column = (i64)blockIdx.x * blockDim.x + threadIdx.x; column < columns;
         column += (i64)gridDim.x * blockDim.x) {
        i64 at = column / inner * size * inner + column % inner;
        Value value = Kind::identity();
        #pragma unroll 4
        for (i64 i = 0; i < size; ++i, at += inner) {
            value = combined(value, Kind::map(x[at], i));
            Kind::store(value, at, out, positions);
        }
    }
}
