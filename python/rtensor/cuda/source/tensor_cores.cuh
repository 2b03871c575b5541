// Products of 16-bit matrices by a warp, on tensor cores: 16 x 16 times 16 x 8, summed in float.
//
// Lane 4 g + t of a warp holds in each of its 32-bit registers two neighbours of a row: of the left operand columns 2 t
// of the rows g and g + 8, then columns 2 t + 8 of both; of the right one, given by columns, rows 2 t and 2 t + 8 of
// column g; of the result columns 2 t of row g, then of row g + 8.

#ifdef __CUDACC__
// Two neighbours, rounded.
INLINE u32 pair(float low, float high, half_t) {
    u32 both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}
INLINE u32 pair(float low, float high, bfloat16_t) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

INLINE void multiply_add(float* sum, const u32* a, const u32* b, half_t) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
INLINE void multiply_add(float* sum, const u32* a, const u32* b, bfloat16_t) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices in shared memory, of which each lane gives the address of a row: a register for each of them.
INLINE void load_matrices(u32* out, const void* row) {
    const u32 at = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(at) : "memory");
}
INLINE void load_transposed(u32* out, const void* row) {
    const u32 at = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(at) : "memory");
}
#else
// The same without such units.
template <typename T> INLINE u32 pair(float low, float high, T) { return T(low).bits | (u32)T(high).bits << 16; }

template <typename T> INLINE float half_of(u32 both, int high) {
    T value;
    value.bits = (u16)(both >> (16 * high));
    return (float)value;
}

template <typename T> INLINE void multiply_add(float* sum, const u32* a, const u32* b, T) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int part = 0; part < 8; ++part) {
        u32 rows[2], columns[2];
        for (int i = 0; i < 2; ++i) {
            rows[i] = __shfl_sync(0xffffffffu, a[part / 4 * 2 + i], 4 * g + part % 4);
            columns[i] = __shfl_sync(0xffffffffu, b[part / 4], 4 * (2 * t + i) + part % 4);
        }
        for (int i = 0; i < 4; ++i) {
            for (int k = 0; k < 2; ++k) sum[i] += half_of<T>(rows[i / 2], k) * half_of<T>(columns[i % 2], k);
        }
    }
}

INLINE void load_either(u32* out, const void* row, bool transposed) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int matrix = 0; matrix < 4; ++matrix) {
        u32 both = 0;
        for (int k = 0; k < 2; ++k) {
            const int line = transposed ? 2 * t + k : g, column = transposed ? g : 2 * t + k;
            const u16* from = (const u16*)__shfl_sync(0xffffffffu, (u64)row, 8 * matrix + line);
            both |= (u32)from[column] << (16 * k);
        }
        out[matrix] = both;
    }
}
INLINE void load_matrices(u32* out, const void* row) { load_either(out, row, false); }
INLINE void load_transposed(u32* out, const void* row) { load_either(out, row, true); }
#endif
