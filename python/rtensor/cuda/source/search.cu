// Binary search in sorted rows. Settings: T, and O for the results.

// PyTorch's comparison: no boundary is above or at NaN.
INLINE bool precedes(T boundary, T value, bool right) { return right ? !(boundary > value) : !(boundary >= value); }

// Rows of `size` boundaries serve `per_row` values each; one row may serve all. `order` may say where boundaries lie.
extern "C" __global__ void search(
    const T* boundaries, const i64* order, i64 size, i64 per_row, const T* values, i64 count, i64 right, O* out) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const i64 row = per_row ? i / per_row * size : 0;
    const T value = values[i];
    i64 low = 0;
    for (i64 rest = size; rest > 0;) {
        const i64 half = (rest + 1) / 2, at = low + half - 1;
        const bool moves = precedes(boundaries[row + (order ? order[row + at] : at)], value, right);
        low = moves ? low + half : low;
        rest = moves || rest > 1 ? rest - half : 0;
    }
    out[i] = (O)low;
}
