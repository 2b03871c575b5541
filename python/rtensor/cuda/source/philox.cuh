// Philox4x32-10 (Salmon et al. 2011): random bits as a function of a seed, a place in the stream and a subsequence.
// Subsequences are numbered by elements, so that results do not depend on the grid.

// Where `place` is not null, a captured graph finds its seed there, and what its offset is relative to.
struct Draws {
    u64 seed, offset;
    const u64* place;
};

class Stream {
    u64 seed, block, sequence;
    u32 a, b, c, d;
    int left = 0;

    INLINE void refill() {
        u32 x = (u32)block, y = (u32)(block >> 32), z = (u32)sequence, w = (u32)(sequence >> 32);
        u32 key = (u32)seed, other = (u32)(seed >> 32);
        #pragma unroll
        for (int round = 0; round < 10; ++round) {
            const u32 high = __umulhi(0xd2511f53u, x), low = 0xd2511f53u * x;
            const u32 next = __umulhi(0xcd9e8d57u, z) ^ y ^ key;
            y = 0xcd9e8d57u * z, z = high ^ w ^ other, w = low, x = next;
            key += 0x9e3779b9u, other += 0xbb67ae85u;
        }
        a = x, b = y, c = z, d = w, left = 4, ++block;
    }

public:
    INLINE Stream(const Draws& from, u64 sequence)
        : seed(from.place ? from.place[0] : from.seed),
          block((from.offset + (from.place ? from.place[1] : 0)) / 4),
          sequence(sequence) {}

    INLINE u32 bits() {
        if (left == 0) refill();
        const u32 result = a;
        a = b, b = c, c = d, --left;
        return result;
    }
    INLINE u64 wide_bits() {
        const u64 high = bits();
        return high << 32 | bits();
    }
};

// Uniform on [0, 1), and on (0, 1].
template <typename A> INLINE A unit(Stream& stream);
template <> INLINE float unit(Stream& stream) { return (float)(stream.bits() >> 8) * 5.9604644775390625e-8f; }
template <> INLINE double unit(Stream& stream) { return (double)(stream.wide_bits() >> 11) * 1.1102230246251565e-16; }
template <typename A> INLINE A positive_unit(Stream& stream);
template <> INLINE float positive_unit(Stream& stream) {
    return (float)stream.bits() * 2.3283064365386963e-10f + 1.1641532182693481e-10f;
}
template <> INLINE double positive_unit(Stream& stream) { return 1 - unit<double>(stream); }

// Two standard normal samples, by Box and Muller.
INLINE void normal_pair(Stream& stream, float* out) {
    const float radius = sqrtf(-2 * logf(positive_unit<float>(stream)));
    float s, c;
    sincospif(2 * unit<float>(stream), &s, &c);
    out[0] = radius * c, out[1] = radius * s;
}
INLINE void normal_pair(Stream& stream, double* out) {
    const double radius = sqrt(-2 * log(positive_unit<double>(stream)));
    double s, c;
    sincospi(2 * unit<double>(stream), &s, &c);
    out[0] = radius * c, out[1] = radius * s;
}

// Four neighbouring elements, as far as there are so many.
template <typename T> INLINE void store(T* out, i64 first, i64 count, const Pack<T, 4>& values) {
    if (first + 4 <= count && (u64)out % sizeof(values) == 0) {
        *(Pack<T, 4>*)(out + first) = values;
    } else {
        for (int i = 0; i < 4 && first + i < count; ++i) out[first + i] = values.at[i];
    }
}
