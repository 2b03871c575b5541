// Distances between the rows of two matrices. Settings: T, and NORM: 0, 1, 2, 3 for infinity, 4 for any other exponent.

typedef typename Accumulate<T>::type A;

#define TILE 16

INLINE A grown(A sum, A difference, A p) {
    const A size = fabs(difference);
    if (NORM == 0) return sum + A(difference != A(0));
    if (NORM == 1) return sum + size;
    if (NORM == 2) return sum + difference * difference;
    if (NORM == 3) return sum != sum || sum > size ? sum : size;
    return sum + pow(size, p);
}

INLINE A norm(A sum, A p) {
    if (NORM == 2) return sqrt(sum);
    return NORM == 4 ? pow(sum, A(1) / p) : sum;
}

// Each block computes a tile of one batch's distances, with parts of the rows in shared memory.
extern "C" __global__ void distances(
    const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ out, i64 batch, i64 rows, i64 columns, i64 size,
    double exponent
) {
    __shared__ A left[TILE][TILE + 1], right[TILE][TILE + 1];
    const int i = threadIdx.x / TILE, j = threadIdx.x % TILE;
    const i64 wide = (columns + TILE - 1) / TILE, tall = (rows + TILE - 1) / TILE;
    for (i64 tile = blockIdx.x; tile < batch * wide * tall; tile += gridDim.x) {
        const i64 n = tile / (wide * tall), row = tile / wide % tall * TILE, column = tile % wide * TILE;
        A sum = A(0);
        for (i64 first = 0; first < size; first += TILE) {
            const bool in_size = first + j < size;
            left[i][j] = in_size && row + i < rows ? A(x[(n * rows + row + i) * size + first + j]) : A(0);
            right[i][j] = in_size && column + i < columns ? A(y[(n * columns + column + i) * size + first + j]) : A(0);
            __syncthreads();
            // What is beyond the size differs by nothing.
            #pragma unroll
            for (int k = 0; k < TILE; ++k) sum = grown(sum, left[i][k] - right[j][k], A(exponent));
            __syncthreads();
        }
        if (row + i < rows && column + j < columns) {
            out[(n * rows + row + i) * columns + column + j] = to<T>(norm(sum, A(exponent)));
        }
    }
}
