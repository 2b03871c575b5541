// Weighted look-ups along a dimension, and their adjoint. Settings: T, INDEX.

typedef typename Accumulate<T>::type A;

// Of `count` lists, one per tap, of indices and weights of the outputs.
extern "C" __global__ void look_up(
    const T* __restrict__ x, const i64* __restrict__ index, const T* __restrict__ weight, T* __restrict__ y, i64 outer,
    i64 inputs, i64 outputs, i64 inner, i64 count
) {
    const INDEX total = outer * outputs * inner, step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX line = i / (INDEX)inner, o = line % (INDEX)outputs;
        const T* from = x + (i64)(line / (INDEX)outputs) * inputs * inner + (i - line * (INDEX)inner);
        A sum = A(0);
        for (int k = 0; k < count; ++k) {
            const i64 at = (i64)k * outputs + o;
            sum += A(from[index[at] * inner]) * A(weight[at]);
        }
        y[i] = to<T>(sum);
    }
}

// The first of the ascending indices that is not below `wanted`.
INLINE i64 first_at(const i64* index, i64 size, i64 wanted) {
    i64 low = 0, high = size;
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (index[middle] < wanted) low = middle + 1;
        else high = middle;
    }
    return low;
}

// Each input gathers the outputs that looked at it: the indices of a tap ascend.
extern "C" __global__ void put_back(
    const T* __restrict__ y, const i64* __restrict__ index, const T* __restrict__ weight, T* __restrict__ x, i64 outer,
    i64 inputs, i64 outputs, i64 inner, i64 count
) {
    const INDEX total = outer * inputs * inner, step = (INDEX)gridDim.x * blockDim.x;
    for (INDEX i = (INDEX)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const INDEX line = i / (INDEX)inner, at = line % (INDEX)inputs;
        const T* from = y + (i64)(line / (INDEX)inputs) * outputs * inner + (i - line * (INDEX)inner);
        A sum = A(0);
        for (int k = 0; k < count; ++k) {
            const i64* places = index + (i64)k * outputs;
            for (i64 o = first_at(places, outputs, at); o < outputs && places[o] == at; ++o) {
                sum += A(from[o * inner]) * A(weight[(i64)k * outputs + o]);
            }
        }
        x[i] = to<T>(sum);
    }
}
