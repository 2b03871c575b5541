#include "matrix.cuh"
// Steps of triangular factorisations: the blocks on the diagonal, of at most WIDTH columns. What lies beside them is
// left to matrix products. Matrices are row-major, one after the other; T is their dtype.

// The row of the largest element of a column, from `first` on: the earliest of equal ones, `first` itself if that is NaN.
INLINE i64 pivot_row(const T* a, i64 rows, i64 cols, i64 first) {
    __shared__ R sizes[THREADS];
    __shared__ i64 places[THREADS];
    const int t = threadIdx.x;
    R size = R(-1);
    i64 place = first;
    for (i64 i = first + t; i < rows; i += THREADS) {
        const R here = taxicab(a[i * cols + first]);
        if (here > size) {
            size = here;
            place = i;
        }
    }
    sizes[t] = size;
    places[t] = place;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) {
            const bool later = places[t + half] > places[t];
            if (sizes[t + half] > sizes[t] || (sizes[t + half] == sizes[t] && !later)) {
                sizes[t] = sizes[t + half];
                places[t] = places[t + half];
            }
        }
        __syncthreads();
    }
    const R own = taxicab(a[first * cols + first]);
    const i64 found = own == own ? places[0] : first;
    __syncthreads();
    return found;
}

// Factors columns first .. first + width of each matrix (a block each), exchanging whole rows.
extern "C" __global__ void lu_panel(T* all, i64 rows, i64 cols, i64 first, i64 width, i32* pivots, i32* infos) {
    T* a = all + blockIdx.x * rows * cols;
    pivots += blockIdx.x * (rows < cols ? rows : cols);
    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    for (i64 j = first; j < first + width; ++j) {
        const i64 pivot = pivot_row(a, rows, cols, j);
        const T top = a[pivot * cols + j];
        __syncthreads();
        if (t == 0) pivots[j] = (i32)pivot + 1;
        if (top == T(0)) {
            if (t == 0 && infos[blockIdx.x] == 0) infos[blockIdx.x] = (i32)j + 1;
            continue;
        }
        if (pivot != j) {
            for (i64 c = t; c < cols; c += THREADS) {
                const T kept = a[j * cols + c];
                a[j * cols + c] = a[pivot * cols + c];
                a[pivot * cols + c] = kept;
            }
            __syncthreads();
        }
        for (i64 i = j + 1 + t; i < rows; i += THREADS) a[i * cols + j] = a[i * cols + j] / top;
        __syncthreads();
        for (i64 i = j + 1 + warp; i < rows; i += THREADS / 32) {
            const T factor = a[i * cols + j];
            for (i64 c = j + 1 + lane; c < first + width; c += 32)
                a[i * cols + c] = a[i * cols + c] - factor * a[j * cols + c];
        }
        __syncthreads();
    }
}

// Exchanges row i with row pivots[i] - 1, in order. A thread per column; blocks: matrices, columns.
extern "C" __global__ void swap_rows(T* all, i64 rows, i64 cols, const i32* pivots, i64 steps) {
    const i64 c = (i64)blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= cols) return;
    T* a = all + blockIdx.x * rows * cols + c;
    pivots += blockIdx.x * steps;
    for (i64 i = 0; i < steps; ++i) {
        const i64 other = pivots[i] - 1;
        if (other == i) continue;
        const T kept = a[i * cols];
        a[i * cols] = a[other * cols];
        a[other * cols] = kept;
    }
}

// B = A^-1 B for a triangle A of `width` rows. A thread per column of B; blocks: matrices, columns.
extern "C" __global__ void solve_block(
    const T* a, i64 a_step, i64 a_row, i64 width, T* b, i64 b_step, i64 b_row, i64 b_column, i64 columns, i64 upper,
    i64 unit, i64 conjugated) {
    __shared__ T tile[WIDTH][WIDTH + 1];
    a += blockIdx.x * a_step;
    for (i64 k = threadIdx.x; k < width * width; k += blockDim.x) {
        const T value = a[k / width * a_row + k % width];
        tile[k / width][k % width] = conjugated ? conjugate(value) : value;
    }
    __syncthreads();
    const i64 column = (i64)blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    T* x = b + blockIdx.x * b_step + column * b_column;
    for (i64 s = 0; s < width; ++s) {
        const i64 i = upper ? width - 1 - s : s;
        T sum = x[i * b_row];
        for (i64 r = 0; r < s; ++r) {
            const i64 j = upper ? width - 1 - r : r;
            sum = sum - tile[i][j] * x[j * b_row];
        }
        x[i * b_row] = unit ? sum : sum / tile[i][i];
    }
}

INLINE R real_part(R x) { return x; }
INLINE R real_part(Complex<R> x) { return x.re; }

// Cholesky's factor of the diagonal block at `first` of each matrix (a block each).
extern "C" __global__ void cholesky_block(T* all, i64 n, i64 first, i64 width, i32* infos) {
    __shared__ T tile[WIDTH][WIDTH + 1];
    T* a = all + blockIdx.x * n * n + first * n + first;
    const int t = threadIdx.x;
    for (i64 k = t; k < width * width; k += THREADS) tile[k / width][k % width] = a[k / width * n + k % width];
    __syncthreads();
    for (i64 j = 0; j < width; ++j) {
        const R square = real_part(tile[j][j]);
        const R root = sqrt(square);
        __syncthreads();
        if (t == 0) {
            tile[j][j] = T(root);
            if (!(square > R(0)) && infos[blockIdx.x] == 0) infos[blockIdx.x] = (i32)(first + j) + 1;
        }
        for (i64 i = j + 1 + t; i < width; i += THREADS) tile[i][j] = tile[i][j] / T(root);
        __syncthreads();
        const i64 rest = width - j - 1;
        for (i64 k = t; k < rest * rest; k += THREADS) {
            const i64 i = j + 1 + k / rest, c = j + 1 + k % rest;
            if (c <= i) tile[i][c] = tile[i][c] - tile[i][j] * conjugate(tile[c][j]);
        }
        __syncthreads();
    }
    for (i64 k = t; k < width * width; k += THREADS) {
        if (k % width <= k / width) a[k / width * n + k % width] = tile[k / width][k % width];
    }
}
