// Atomic combinations of a value in global memory with another one, for every type.

template <typename To, typename From> INLINE To as_bits(From x) { return *(To*)&x; }

template <typename T, typename Word, typename F> INLINE void update_word(T* at, F next) {
    Word* place = (Word*)at;
    Word seen = *(volatile Word*)place;
    while (true) {
        const Word wanted = as_bits<Word>(next(as_bits<T>(seen)));
        if (wanted == seen) return;
        const Word found = atomicCAS(place, seen, wanted);
        if (found == seen) return;
        seen = found;
    }
}

// Types of one and two bytes are part of a word.
template <typename T, typename Bits, typename F> INLINE void update_part(T* at, F next) {
    u32* word = (u32*)((u64)at & ~3ull);
    const u32 shift = (u32)((u64)at & 3) * 8, mask = (u32)(Bits)~(Bits)0 << shift;
    u32 seen = *(volatile u32*)word;
    while (true) {
        const Bits value = as_bits<Bits>(next(as_bits<T>((Bits)(seen >> shift))));
        const u32 wanted = (seen & ~mask) | ((u32)value << shift);
        if (wanted == seen) return;
        const u32 found = atomicCAS(word, seen, wanted);
        if (found == seen) return;
        seen = found;
    }
}

// No word holds 16 bytes: a lock guards those that share it.
__device__ u32 locks[1024];

template <typename T, typename F> INLINE void update_locked(T* at, F next) {
    u32* lock = locks + ((u64)at / sizeof(T)) % 1024;
    for (bool done = false; !done;) {
        if (atomicCAS(lock, 0u, 1u) != 0) continue;
        __threadfence();
        volatile u64* words = (volatile u64*)at;
        alignas(16) u64 bits[2] = {words[0], words[1]};
        *(T*)bits = next(*(T*)bits);
        words[0] = bits[0];
        words[1] = bits[1];
        __threadfence();
        atomicExch(lock, 0u);
        done = true;
    }
}

// Replaces a value by a function of it.
template <typename T, typename F> INLINE void atomic_update(T* at, F next) {
    if constexpr (sizeof(T) == 16) update_locked(at, next);
    else if constexpr (sizeof(T) == 8) update_word<T, u64>(at, next);
    else if constexpr (sizeof(T) == 4) update_word<T, u32>(at, next);
    else if constexpr (sizeof(T) == 2) update_part<T, u16>(at, next);
    else update_part<T, u8>(at, next);
}

template <typename T> INLINE void atomic_add(T* at, T x) {
    typedef typename Accumulate<T>::type A;
    atomic_update(at, [=](T old) { return (T)((A)old + (A)x); });
}
INLINE void atomic_add(float* at, float x) { atomicAdd(at, x); }
INLINE void atomic_add(double* at, double x) { atomicAdd(at, x); }
INLINE void atomic_add(i32* at, i32 x) { atomicAdd(at, x); }
INLINE void atomic_add(u32* at, u32 x) { atomicAdd(at, x); }
INLINE void atomic_add(i64* at, i64 x) { atomicAdd((u64*)at, (u64)x); }
INLINE void atomic_add(u64* at, u64 x) { atomicAdd(at, x); }
INLINE void atomic_add(bool* at, bool x) { if (x) *at = true; }
template <typename R> INLINE void atomic_add(Complex<R>* at, Complex<R> x) {
    atomicAdd(&at->re, x.re);
    atomicAdd(&at->im, x.im);
}
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 700
INLINE void atomic_add(half_t* at, half_t x) {
    asm volatile("red.global.add.noftz.f16 [%0], %1;" ::"l"(at), "h"(x.bits) : "memory");
}
#endif
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 900
INLINE void atomic_add(bfloat16_t* at, bfloat16_t x) {
    asm volatile("red.global.add.noftz.bf16 [%0], %1;" ::"l"(at), "h"(x.bits) : "memory");
}
#endif

template <typename T> INLINE void atomic_mul(T* at, T x) {
    typedef typename Accumulate<T>::type A;
    atomic_update(at, [=](T old) { return (T)((A)old * (A)x); });
}

// The least or the greatest; a NaN stays.
template <typename T> INLINE void atomic_min(T* at, T x) {
    atomic_update(at, [=](T old) { return old != old ? old : x != x || x < old ? x : old; });
}
template <typename T> INLINE void atomic_max(T* at, T x) {
    atomic_update(at, [=](T old) { return old != old ? old : x != x || x > old ? x : old; });
}
