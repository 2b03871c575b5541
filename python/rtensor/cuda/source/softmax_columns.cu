// Softmax along a dimension that is not the last one, and its gradient, or those of its logarithm (LOG): `lanes`
// threads stand side by side in a block, on neighbouring columns of a [size, inner] matrix, and the others split its
// rows. Short rows are columns, too, with an inner size of 1.
#include "block.cuh"
#include "math.cuh"

typedef typename Accumulate<T>::type A;
const int THREADS = 256;

// The greatest element and the sum of exponentials beside it.
struct Powers {
    A top, sum;
};
INLINE Powers combined(Powers a, Powers b) {
    const A top = op::maximum(a.top, b.top);
    const A left = a.top == top ? a.sum : a.sum * op::exp(a.top - top);
    const A right = b.top == top ? b.sum : b.sum * op::exp(b.top - top);
    return {top, left + right};
}

struct Column {
    i64 start;
    int rank, ranks;
    bool inside;
    INLINE Column(i64 block, i64 columns, i64 size, i64 inner, int lanes)
        : rank(threadIdx.x / lanes), ranks(THREADS / lanes) {
        const i64 column = block * lanes + threadIdx.x % lanes;
        inside = column < columns;
        start = column / inner * size * inner + column % inner;
    }
};

// The combination of what the threads of a column found.
template <typename V, typename F> INLINE V column_reduce(V value, int lanes, F combine) {
    __shared__ V slots[THREADS];
    __syncthreads();
    slots[threadIdx.x] = value;
    __syncthreads();
    for (int half = THREADS / 2; half >= lanes; half /= 2) {
        if ((int)threadIdx.x < half) slots[threadIdx.x] = combine(slots[threadIdx.x], slots[threadIdx.x + half]);
        __syncthreads();
    }
    return slots[threadIdx.x % lanes];
}

extern "C" __global__ void __launch_bounds__(256) softmax_columns(
    const T* x, O* out, i64 columns, i64 size, i64 inner, i64 lanes
) {
    for (i64 block = blockIdx.x; block * lanes < columns; block += gridDim.x) {
        const Column at(block, columns, size, inner, (int)lanes);
        Powers found = {-Limits<A>::infinity(), A(0)};
        if (at.inside) {
            for (i64 i = at.rank; i < size; i += at.ranks) {
                const A value = to<A>(x[at.start + i * inner]);
                if (value <= found.top && found.sum > A(0)) found.sum += op::exp(value - found.top);
                else found = combined(found, Powers{value, value == Limits<A>::infinity() ? Limits<A>::nan() : A(1)});
            }
        }
        found = column_reduce(found, (int)lanes, [](Powers a, Powers b) { return combined(a, b); });
        const A scale = LOG ? op::log(found.sum) : A(1) / found.sum;
        if (!at.inside) continue;
        for (i64 i = at.rank; i < size; i += at.ranks) {
            const A value = to<A>(x[at.start + i * inner]) - found.top;
            out[at.start + i * inner] = to<O>(LOG ? value - scale : op::exp(value) * scale);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) gradient_columns(
    const T* grad, const T* output, O* out, i64 columns, i64 size, i64 inner, i64 lanes
) {
    for (i64 block = blockIdx.x; block * lanes < columns; block += gridDim.x) {
        const Column at(block, columns, size, inner, (int)lanes);
        A sum = A(0);
        if (at.inside) {
            for (i64 i = at.rank; i < size; i += at.ranks) {
                const i64 here = at.start + i * inner;
                const A slope = to<A>(grad[here]);
                sum += LOG ? slope : slope * to<A>(output[here]);
            }
        }
        sum = column_reduce(sum, (int)lanes, [](A a, A b) { return a + b; });
        if (!at.inside) continue;
        for (i64 i = at.rank; i < size; i += at.ranks) {
            const i64 here = at.start + i * inner;
            const A slope = to<A>(grad[here]), value = to<A>(output[here]);
            out[here] = to<O>(LOG ? slope - op::exp(value) * sum : value * (slope - sum));
        }
    }
}
