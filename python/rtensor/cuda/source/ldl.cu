#include "matrix.cuh"
// L D L^H with Bunch-Kaufman pivoting (LAPACK's sytf2 and sytrs), a thread per matrix: the search for pivots is serial.
// T: dtype. Matrices are row-major, one after the other.

INLINE R real_part(R x) { return x; }
INLINE R real_part(Complex<R> x) { return x.re; }

struct Matrix {
    T* data;
    i64 rows, cols;
    bool hermitian;
    INLINE T& operator()(i64 i, i64 j) const { return data[i * cols + j]; }
    // The adjoint of an element where the matrix is Hermitian.
    INLINE T adjoint(T x) const { return hermitian ? conjugate(x) : x; }
    INLINE void swap(i64 i, i64 j, i64 p, i64 q) const {
        const T kept = (*this)(i, j);
        (*this)(i, j) = (*this)(p, q);
        (*this)(p, q) = kept;
    }
    INLINE void swap_rows(i64 i, i64 p) const {
        if (i != p) for (i64 j = 0; j < cols; ++j) swap(i, j, p, j);
    }
    // Position and size of the largest element of a column, below `from`.
    INLINE i64 largest(i64 column, i64 from, R& size) const {
        i64 at = from;
        size = R(0);
        for (i64 i = from; i < rows; ++i) {
            const R here = taxicab((*this)(i, column));
            if (here > size) {
                at = i;
                size = here;
            }
        }
        return at;
    }
};

INLINE R larger(R a, R b) { return a > b ? a : b; }

// The row to exchange, and the size of the pivot block; 0 where the column is zero.
INLINE int choose(const Matrix& a, i64 k, i64& row) {
    const R alpha = (R)0.6403882032022076;
    R column_max, below;
    const R own = taxicab(a(k, k));
    const i64 at = a.largest(k, k + 1, column_max);
    row = k;
    if (larger(own, column_max) == R(0)) return 0;
    if (own >= alpha * column_max) return 1;
    R row_max = R(0);
    for (i64 j = k; j < at; ++j) row_max = larger(row_max, taxicab(a(at, j)));
    a.largest(at, at + 1, below);
    row_max = larger(row_max, below);
    if (own >= alpha * column_max * (column_max / row_max)) return 1;
    row = at;
    return taxicab(a(at, at)) >= alpha * row_max ? 1 : 2;
}

// Exchanges rows and columns `first` and `other` of the lower triangle.
INLINE void exchange(const Matrix& a, i64 k, i64 first, i64 other, int step) {
    if (first == other) return;
    for (i64 i = other + 1; i < a.rows; ++i) a.swap(i, first, i, other);
    for (i64 j = first + 1; j < other; ++j) {
        const T kept = a(j, first);
        a(j, first) = a.adjoint(a(other, j));
        a(other, j) = a.adjoint(kept);
    }
    a(other, first) = a.adjoint(a(other, first));
    a.swap(first, first, other, other);
    if (step == 2) a.swap(k + 1, k, other, k);
}

INLINE void eliminate_one(const Matrix& a, i64 k) {
    const T factor = T(1) / a(k, k);
    for (i64 j = k + 1; j < a.rows; ++j) {
        const T scaled = factor * a.adjoint(a(j, k));
        for (i64 i = j; i < a.rows; ++i) a(i, j) = a(i, j) - a(i, k) * scaled;
    }
    for (i64 i = k + 1; i < a.rows; ++i) a(i, k) = a(i, k) * factor;
}

// The 2 x 2 block at `k`, inverted, times (x, y); divided by the off-diagonal elements first, against overflow.
INLINE void solve_pair(const Matrix& a, i64 k, T& x, T& y) {
    const T below = a(k + 1, k), above = a.adjoint(below);
    const T p = a(k, k) / above, q = a(k + 1, k + 1) / below, denominator = p * q - T(1);
    const T u = x / above, v = y / below;
    x = (q * u - v) / denominator;
    y = (p * v - u) / denominator;
}

INLINE void eliminate_two(const Matrix& a, i64 k) {
    for (i64 j = k + 2; j < a.rows; ++j) {
        T u = a.adjoint(a(j, k)), v = a.adjoint(a(j, k + 1));
        solve_pair(a, k, u, v);
        for (i64 i = j; i < a.rows; ++i) a(i, j) = a(i, j) - a(i, k) * u - a(i, k + 1) * v;
        a(j, k) = a.adjoint(u);
        a(j, k + 1) = a.adjoint(v);
    }
}

// The lower triangles in place. Pivots count from one, negative for 2 x 2 blocks.
extern "C" __global__ void ldl_factor(T* all, i64 batch, i64 n, i32* pivots, i32* infos, i64 hermitian) {
    const i64 m = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= batch) return;
    const Matrix a = {all + m * n * n, n, n, hermitian != 0};
    pivots += m * n;
    infos[m] = 0;
    for (i64 i = 0; hermitian && i < n; ++i) a(i, i) = T(real_part(a(i, i)));
    for (i64 k = 0; k < n;) {
        i64 row;
        const int step = choose(a, k, row);
        if (step == 0) {
            if (infos[m] == 0) infos[m] = (i32)k + 1;
            pivots[k] = (i32)k + 1;
            ++k;
            continue;
        }
        exchange(a, k, k + step - 1, row, step);
        if (step == 1) eliminate_one(a, k);
        else eliminate_two(a, k);
        for (int s = 0; s < step; ++s) pivots[k + s] = step == 1 ? (i32)row + 1 : -(i32)row - 1;
        for (i64 i = k + step; hermitian && i < n; ++i) a(i, i) = T(real_part(a(i, i)));
        k += step;
    }
}

INLINE i64 row_of(i32 pivot) { return (pivot < 0 ? -pivot : pivot) - 1; }

// B = A^-1 B from the result of ldl_factor.
extern "C" __global__ void ldl_solve(T* ld, const i32* pivots, T* right, i64 batch, i64 n, i64 columns, i64 hermitian) {
    const i64 m = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= batch) return;
    const Matrix a = {ld + m * n * n, n, n, hermitian != 0}, b = {right + m * n * columns, n, columns, false};
    pivots += m * n;
    for (i64 k = 0; k < n;) {
        const int step = pivots[k] < 0 && k + 1 < n ? 2 : 1;
        b.swap_rows(k + step - 1, row_of(pivots[k]));
        for (i64 i = k + step; i < n; ++i)
            for (i64 q = k; q < k + step; ++q)
                for (i64 j = 0; j < columns; ++j) b(i, j) = b(i, j) - a(i, q) * b(q, j);
        for (i64 j = 0; j < columns; ++j) {
            if (step == 1) b(k, j) = b(k, j) / a(k, k);
            else solve_pair(a, k, b(k, j), b(k + 1, j));
        }
        k += step;
    }
    for (i64 k = n; k > 0;) {
        // Blocks of two bear negative pivots on both rows.
        const int step = pivots[k - 1] < 0 && k > 1 ? 2 : 1;
        k -= step;
        for (i64 q = k; q < k + step; ++q)
            for (i64 i = k + step; i < n; ++i)
                for (i64 j = 0; j < columns; ++j) b(q, j) = b(q, j) - a.adjoint(a(i, q)) * b(i, j);
        b.swap_rows(k + step - 1, row_of(pivots[k]));
    }
}
