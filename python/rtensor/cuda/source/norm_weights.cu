// Gradients of the weight and bias of a normalisation of rows: sums over rows, of parts of them first. Sums of parts
// are [parts, 2, size].
#include "block.cuh"
#include "math.cuh"

typedef typename Accumulate<T>::type A;
const int RANKS = 8;

extern "C" __global__ void __launch_bounds__(256) column_sums(
    const T* grad, const T* x, const S* means, const S* rstds, A* partial, i64 rows, i64 size, i64 chunk
) {
    __shared__ A weights[RANKS][32], biases[RANKS][32];
    const int lane = threadIdx.x % 32, rank = threadIdx.x / 32;
    const i64 column = (i64)blockIdx.x * 32 + lane, end = min((blockIdx.y + 1) * chunk, rows);
    A weight = A(0), bias = A(0);
    if (column < size) {
        #pragma unroll 4
        for (i64 row = blockIdx.y * chunk + rank; row < end; row += RANKS) {
            const A slope = to<A>(grad[row * size + column]), mean = means ? to<A>(means[row]) : A(0);
            weight += slope * (to<A>(x[row * size + column]) - mean) * to<A>(rstds[row]);
            bias += slope;
        }
    }
    weights[rank][lane] = weight;
    biases[rank][lane] = bias;
    __syncthreads();
    if (rank > 0 || column >= size) return;
    for (int other = 1; other < RANKS; ++other) {
        weight += weights[other][lane];
        bias += biases[other][lane];
    }
    partial[(i64)blockIdx.y * 2 * size + column] = weight;
    partial[((i64)blockIdx.y * 2 + 1) * size + column] = bias;
}

extern "C" __global__ void __launch_bounds__(256) finish(
    const A* partial, T* weights, T* biases, i64 parts, i64 size
) {
    const i64 column = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= size) return;
    A weight = A(0), bias = A(0);
    #pragma unroll 4
    for (i64 part = 0; part < parts; ++part) {
        weight += partial[part * 2 * size + column];
        bias += partial[(part * 2 + 1) * size + column];
    }
    weights[column] = to<T>(weight);
    biases[column] = to<T>(bias);
}
