// CUDA C++ as a host compiler can read it: stands in front of every text that the emulation compiles.
// Like NVRTC it brings no header of the C library.
#pragma once
#include "launch.hpp"

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

// --- the language

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
#define __trap() emu_trap("__trap", __LINE__)
#define assert(condition) ((condition) ? void() : emu_trap("assert(" #condition ")", __LINE__))
const int warpSize = 32;

typedef emu_dim dim3;
typedef emu_index uint3;

#define EMU_VECTORS(T, name, two, four)                                           \
    struct name##1 { T x; };                                                      \
    struct __align__(two) name##2 { T x, y; };                                    \
    struct name##3 { T x, y, z; };                                                \
    struct __align__(four) name##4 { T x, y, z, w; };                             \
    inline name##1 make_##name##1(T x) { return {x}; }                            \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                    \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }            \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define uint3 emu_uint3
EMU_VECTORS(signed char, char, 2, 4)
EMU_VECTORS(unsigned char, uchar, 2, 4)
EMU_VECTORS(short, short, 4, 8)
EMU_VECTORS(unsigned short, ushort, 4, 8)
EMU_VECTORS(int, int, 8, 16)
EMU_VECTORS(unsigned, uint, 8, 16)
EMU_VECTORS(long long, longlong, 16, 16)
EMU_VECTORS(unsigned long long, ulonglong, 16, 16)
EMU_VECTORS(float, float, 8, 16)
EMU_VECTORS(double, double, 16, 16)
#undef uint3

// --- bits

template <class To, class From>
inline To emu_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits of equal size");
    To bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline int __float_as_int(float x) { return emu_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emu_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emu_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emu_bits<double>(x); }
inline int __double2hiint(double x) { return int(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return int(__double_as_longlong(x)); }
inline double __hiloint2double(int high, int low) {
    return __longlong_as_double((long long)(high) << 32 | (unsigned)(low));
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline unsigned long long __brevll(unsigned long long x) {
    unsigned long long reversed = 0;
    for (int i = 0; i < 64; i++, x >>= 1) reversed = reversed << 1 | (x & 1);
    return reversed;
}
inline unsigned __brev(unsigned x) { return unsigned(__brevll(x) >> 32); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return unsigned(((unsigned long long)(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return unsigned(((unsigned long long)(high) << 32 | low) >> (shift & 31));
}
inline int __mulhi(int a, int b) { return int((long long)(a) * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)(a) * b >> 32); }
inline long long __mul64hi(long long a, long long b) { return (long long)(__int128(a) * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)(a) * b >> 64);
}

// --- memory

#define memcpy __builtin_memcpy
template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldca(const T* p) { return *p; }
template <class T> inline T __ldcg(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline void __stcs(T* p, T value) { *p = value; }
template <class T> inline void __stcg(T* p, T value) { *p = value; }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}

#define EMU_ATOMIC(T, name, result)      \
    inline T name(T* at, T value) {      \
        T old = *at;                     \
        *at = result;                    \
        return old;                      \
    }
#define EMU_ATOMIC_BITS(T)                         \
    EMU_ATOMIC(T, atomicAnd, old & value)          \
    EMU_ATOMIC(T, atomicOr, old | value)           \
    EMU_ATOMIC(T, atomicXor, old ^ value)          \
    EMU_ATOMIC(T, atomicMin, old < value ? old : value) \
    EMU_ATOMIC(T, atomicMax, old > value ? old : value)
#define EMU_ATOMIC_CAS(T)                            \
    inline T atomicCAS(T* at, T expected, T value) { \
        T old = *at;                                 \
        if (old == expected) *at = value;            \
        return old;                                  \
    }
EMU_ATOMIC(int, atomicAdd, old + value)
EMU_ATOMIC(unsigned, atomicAdd, old + value)
EMU_ATOMIC(unsigned long long, atomicAdd, old + value)
EMU_ATOMIC(float, atomicAdd, old + value)
EMU_ATOMIC(double, atomicAdd, old + value)
EMU_ATOMIC(int, atomicSub, old - value)
EMU_ATOMIC(unsigned, atomicSub, old - value)
EMU_ATOMIC(int, atomicExch, value)
EMU_ATOMIC(unsigned, atomicExch, value)
EMU_ATOMIC(unsigned long long, atomicExch, value)
EMU_ATOMIC(float, atomicExch, value)
EMU_ATOMIC(unsigned, atomicInc, old >= value ? 0 : old + 1)
EMU_ATOMIC(unsigned, atomicDec, old == 0 || old > value ? value : old - 1)
EMU_ATOMIC_BITS(int)
EMU_ATOMIC_BITS(unsigned)
EMU_ATOMIC_BITS(long long)
EMU_ATOMIC_BITS(unsigned long long)
EMU_ATOMIC_CAS(int)
EMU_ATOMIC_CAS(unsigned)
EMU_ATOMIC_CAS(unsigned long long)
EMU_ATOMIC_CAS(unsigned short)

// --- barriers and exchange; the line tells calls apart

inline void __syncthreads(int line = __builtin_LINE()) { emu_block_barrier(0, EMU_COUNT, line); }
inline int __syncthreads_count(int p, int line = __builtin_LINE()) { return emu_block_barrier(p, EMU_COUNT, line); }
inline int __syncthreads_or(int p, int line = __builtin_LINE()) { return emu_block_barrier(p, EMU_ANY, line); }
inline int __syncthreads_and(int p, int line = __builtin_LINE()) { return emu_block_barrier(p, EMU_ALL, line); }
inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) { emu_warp_exchange(mask, EMU_SYNC, 0, 0, line); }
inline unsigned __activemask() { return emu_active(); }

inline int emu_lane() {
    return int((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x) % 32;
}
template <class T>
inline T emu_shuffle(unsigned mask, T value, int source, int line) {
    long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = emu_warp_exchange(mask, EMU_SHUFFLE, bits, source, line);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
#define EMU_SHUFFLES(T)                                                                                    \
    inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) { \
        return emu_shuffle(mask, value, (emu_lane() & -width) | (source & (width - 1)), line);              \
    }                                                                                                      \
    inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) { \
        int lane = emu_lane(), from = lane - int(delta);                                                   \
        return emu_shuffle(mask, value, from < (lane & -width) ? lane : from, line);                       \
    }                                                                                                      \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) { \
        int lane = emu_lane(), from = lane + int(delta);                                                   \
        return emu_shuffle(mask, value, from > (lane | (width - 1)) ? lane : from, line);                  \
    }                                                                                                      \
    inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, int line = __builtin_LINE()) { \
        int lane = emu_lane(), from = lane ^ bits;                                                         \
        return emu_shuffle(mask, value, from > (lane | (width - 1)) ? lane : from, line);                  \
    }
EMU_SHUFFLES(int)
EMU_SHUFFLES(unsigned)
EMU_SHUFFLES(long)
EMU_SHUFFLES(unsigned long)
EMU_SHUFFLES(long long)
EMU_SHUFFLES(unsigned long long)
EMU_SHUFFLES(float)
EMU_SHUFFLES(double)

inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return unsigned(emu_warp_exchange(mask, EMU_BALLOT, predicate != 0, 0, line));
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, !predicate, line) == 0;
}
template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, int line = __builtin_LINE()) {
    long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    return unsigned(emu_warp_exchange(mask, EMU_MATCH, bits, 0, line));
}

#include "shim_math.hpp"

// --- launching: a kernel is called with the values that an array of addresses points at

template <unsigned... I> struct emu_indices {};
template <unsigned N, unsigned... I> struct emu_upto : emu_upto<N - 1, N - 1, I...> {};
template <unsigned... I> struct emu_upto<0, I...> { typedef emu_indices<I...> type; };

template <class... P, unsigned... I>
inline void emu_call(void (*kernel)(P...), void** values, emu_indices<I...>) {
    kernel(*static_cast<P*>(values[I])...);
}
template <class... P>
inline void emu_call(void (*kernel)(P...), void** values) {
    emu_call(kernel, values, typename emu_upto<sizeof...(P)>::type());
}

// The kinds and sizes of a kernel's parameters, so that a launch can be checked against them.
template <class P, bool = __is_class(P)> struct emu_kind { static const char value = P(0.5) != P(0) ? 'f' : 'i'; };
template <class P> struct emu_kind<P, true> { static const char value = 's'; };
template <class P> struct emu_kind<P*, false> { static const char value = 'p'; };
template <> struct emu_kind<bool, false> { static const char value = 'i'; };
template <class... P>
inline int emu_parameters(void (*)(P...), char* kinds, int* sizes) {
    char every_kind[] = {emu_kind<P>::value..., 0};
    int every_size[] = {int(sizeof(P))..., 0};
    __builtin_memcpy(kinds, every_kind, sizeof every_kind);
    __builtin_memcpy(sizes, every_size, sizeof every_size);
    return int(sizeof...(P));
}
#define EMU_KERNEL(name)                                                                       \
    extern "C" void emu_launch_##name(void** values) { emu_call(&name, values); }              \
    extern "C" int emu_parameters_##name(char* kinds, int* sizes) { return emu_parameters(&name, kinds, sizes); }
