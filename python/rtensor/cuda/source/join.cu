// Joining tensors side by side: each is rows of its own width within the rows of the output. Settings: T, PARTS.

struct Part { i64 source, start, width; };
struct Parts { Part part[PARTS]; };

template <typename Index> INLINE void copy_part(const T* source, T* out, Index count, Index width, i64 total) {
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (Index)gridDim.x * blockDim.x) {
        const Index row = i / width;
        out[(i64)row * total + (i - row * width)] = source[i];
    }
}

// A row of blocks for each part.
extern "C" __global__ void join(const __grid_constant__ Parts parts, T* out, i64 rows, i64 total) {
    const Part part = parts.part[blockIdx.y];
    const T* source = (const T*)part.source;
    const i64 width = part.width, count = rows * width;
    out += part.start;
    if (count <= 0x7fffffff) copy_part<u32>(source, out, (u32)count, (u32)width, total);
    else copy_part<u64>(source, out, (u64)count, (u64)width, total);
}
