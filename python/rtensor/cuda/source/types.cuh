// The element types of every text: names for integers, 16-bit floats, complex numbers, and conversions among them.

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define INLINE __device__ __forceinline__

template <typename T> struct Limits;

// ---- 16-bit floats: stored as bits, computed in float ----

INLINE u32 bits_of(float x) { return (u32)__float_as_int(x); }
INLINE float float_of(u32 bits) { return __int_as_float((int)bits); }

INLINE float half_to_float(u16 h) {
    const u32 sign = (u32)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
    if (exponent == 31) return float_of(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return float_of(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float tiny = (float)mantissa * 5.9604644775390625e-8f;
    return sign ? -tiny : tiny;
}

INLINE u16 float_to_half(float x) {
    const u32 bits = bits_of(x), sign = (bits >> 16) & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000u) return (u16)(sign | 0x7e00);
    if (rest >= 0x477ff000u) return (u16)(sign | 0x7c00);
    if (rest < 0x38800000u) {
        // Below the smallest normal half: adding 1/2 leaves the rounded multiple of 2^-24 in the low bits.
        return (u16)(sign | (bits_of(float_of(rest) + 0.5f) - 0x3f000000u));
    }
    return (u16)(sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1)) >> 13));
}

#ifdef __CUDACC__
INLINE float half_bits_to_float(u16 h) { float x; asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h)); return x; }
INLINE u16 float_to_half_bits(float x) { u16 h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
#else
INLINE float half_bits_to_float(u16 h) { return half_to_float(h); }
INLINE u16 float_to_half_bits(float x) { return float_to_half(x); }
#endif

struct half_t {
    u16 bits;
    half_t() = default;
    INLINE half_t(float x) : bits(float_to_half_bits(x)) {}
    INLINE operator float() const { return half_bits_to_float(bits); }
};

struct bfloat16_t {
    u16 bits;
    bfloat16_t() = default;
    INLINE bfloat16_t(float x) {
        const u32 b = bits_of(x);
        bits = x != x ? (u16)0x7fc0 : (u16)((b + 0x7fff + ((b >> 16) & 1)) >> 16);
    }
    INLINE operator float() const { return float_of((u32)bits << 16); }
};

// ---- complex numbers ----

template <typename R> struct alignas(2 * sizeof(R)) Complex {
    R re, im;
    Complex() = default;
    INLINE Complex(R re, R im = R(0)) : re(re), im(im) {}
    template <typename S> INLINE explicit Complex(const Complex<S>& z) : re((R)z.re), im((R)z.im) {}
};

template <typename R> INLINE Complex<R> operator+(Complex<R> a, Complex<R> b) { return {a.re + b.re, a.im + b.im}; }
template <typename R> INLINE Complex<R> operator-(Complex<R> a, Complex<R> b) { return {a.re - b.re, a.im - b.im}; }
template <typename R> INLINE Complex<R> operator-(Complex<R> a) { return {-a.re, -a.im}; }
template <typename R> INLINE Complex<R> operator*(Complex<R> a, Complex<R> b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
// Smith's algorithm, so that neither overflow nor infinities spoil the quotient.
template <typename R> INLINE Complex<R> operator/(Complex<R> a, Complex<R> b) {
    const bool wide = fabs(b.re) >= fabs(b.im);
    if (wide && b.re == R(0) && b.im == R(0)) return {a.re / fabs(b.re), a.im / fabs(b.im)};
    const R ratio = wide ? b.im / b.re : b.re / b.im;
    const R scale = R(1) / (wide ? b.re + b.im * ratio : b.re * ratio + b.im);
    return wide ? Complex<R>((a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale)
                : Complex<R>((a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale);
}
template <typename R> INLINE Complex<R>& operator+=(Complex<R>& a, Complex<R> b) { return a = a + b; }
template <typename R> INLINE Complex<R>& operator*=(Complex<R>& a, Complex<R> b) { return a = a * b; }
template <typename R> INLINE bool operator==(Complex<R> a, Complex<R> b) { return a.re == b.re && a.im == b.im; }
template <typename R> INLINE bool operator!=(Complex<R> a, Complex<R> b) { return !(a == b); }

// ---- what a type is, and its extremes ----

template <typename T> struct IsComplex { static const bool value = false; };
template <typename R> struct IsComplex<Complex<R>> { static const bool value = true; };

template <typename T> struct IsFloat { static const bool value = false; };
template <> struct IsFloat<float> { static const bool value = true; };
template <> struct IsFloat<double> { static const bool value = true; };
template <> struct IsFloat<half_t> { static const bool value = true; };
template <> struct IsFloat<bfloat16_t> { static const bool value = true; };

// Where sums are kept: 16-bit floats in float.
template <typename T> struct Accumulate { typedef T type; };
template <> struct Accumulate<half_t> { typedef float type; };
template <> struct Accumulate<bfloat16_t> { typedef float type; };
// Integers add up in i64.
template <typename T, bool = IsFloat<T>::value || IsComplex<T>::value> struct Total { typedef i64 type; };
template <typename T> struct Total<T, true> : Accumulate<T> {};

template <> struct Limits<float> {
    static INLINE float infinity() { return __int_as_float(0x7f800000); }
    static INLINE float nan() { return __int_as_float(0x7fc00000); }
    static INLINE float lowest() { return -infinity(); }
    static INLINE float highest() { return infinity(); }
    static INLINE float epsilon() { return 1.1920928955078125e-7f; }
};
template <> struct Limits<double> {
    static INLINE double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }
    static INLINE double nan() { return __longlong_as_double(0x7ff8000000000000ll); }
    static INLINE double lowest() { return -infinity(); }
    static INLINE double highest() { return infinity(); }
    static INLINE double epsilon() { return 2.220446049250313e-16; }
};
template <> struct Limits<half_t> : Limits<float> {};
template <> struct Limits<bfloat16_t> : Limits<float> {};
#define INTEGER_LIMITS(T, LOW, HIGH) \
    template <> struct Limits<T> { \
        static INLINE T lowest() { return LOW; } \
        static INLINE T highest() { return HIGH; } \
    };
INTEGER_LIMITS(bool, false, true)
INTEGER_LIMITS(u8, 0, 255)
INTEGER_LIMITS(i8, -128, 127)
INTEGER_LIMITS(i16, -32768, 32767)
INTEGER_LIMITS(u16, 0, 65535)
INTEGER_LIMITS(i32, -2147483647 - 1, 2147483647)
INTEGER_LIMITS(u32, 0, 4294967295u)
INTEGER_LIMITS(i64, -9223372036854775807ll - 1, 9223372036854775807ll)
INTEGER_LIMITS(u64, 0, 18446744073709551615ull)
#undef INTEGER_LIMITS

// ---- conversions: to<T>(x) is PyTorch's cast ----

template <typename T> struct To {
    template <typename S> static INLINE T of(S x) { return (T)x; }
    static INLINE T of(half_t x) { return of((float)x); }
    static INLINE T of(bfloat16_t x) { return of((float)x); }
    template <typename R> static INLINE T of(Complex<R> x) { return of(x.re); }
};
// A float beyond a narrow integer's range wraps as a cast through int64 does.
#define NARROW(T) \
    template <> struct To<T> { \
        template <typename S> static INLINE T of(S x) { return (T)(i64)x; } \
        static INLINE T of(half_t x) { return of((float)x); } \
        static INLINE T of(bfloat16_t x) { return of((float)x); } \
        template <typename R> static INLINE T of(Complex<R> x) { return of(x.re); } \
    };
NARROW(u8) NARROW(i8) NARROW(i16) NARROW(u16)
#undef NARROW
template <> struct To<bool> {
    template <typename S> static INLINE bool of(S x) { return x != S(0); }
    static INLINE bool of(bool x) { return x; }
    static INLINE bool of(half_t x) { return (float)x != 0.0f; }
    static INLINE bool of(bfloat16_t x) { return (float)x != 0.0f; }
    template <typename R> static INLINE bool of(Complex<R> x) { return x.re != R(0) || x.im != R(0); }
};
#define HALVES(T) \
    template <> struct To<T> { \
        template <typename S> static INLINE T of(S x) { return T((float)x); } \
        static INLINE T of(T x) { return x; } \
        template <typename R> static INLINE T of(Complex<R> x) { return T((float)x.re); } \
    };
HALVES(half_t) HALVES(bfloat16_t)
#undef HALVES
template <typename R> struct To<Complex<R>> {
    template <typename S> static INLINE Complex<R> of(S x) { return Complex<R>(To<R>::of(x)); }
    template <typename S> static INLINE Complex<R> of(Complex<S> x) { return Complex<R>((R)x.re, (R)x.im); }
};

template <typename T, typename S> INLINE T to(S x) { return To<T>::of(x); }

// A literal of a formula.
template <typename T> INLINE T lit(double x) { return To<T>::of(x); }

// A number among the words of a launch: two words, as rtensor.backend.Launch says.
template <typename T> struct Number {
    static INLINE T read(const i64* w) { return IsFloat<T>::value ? (T)__longlong_as_double(w[0]) : (T)w[0]; }
};
template <typename R> struct Number<Complex<R>> {
    static INLINE Complex<R> read(const i64* w) {
        return Complex<R>((R)__longlong_as_double(w[0]), (R)__longlong_as_double(w[1]));
    }
};
template <typename T> INLINE T number(const i64* w) { return Number<T>::read(w); }

// Elements that one load or store moves.
template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };
