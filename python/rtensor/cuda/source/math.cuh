// Functions of formulas, by their names in the operator table: real numbers, integers and truth values.
// Arithmetic of integers wraps; maxima pass NaN on; quotients by an integer 0 are 0.

namespace op {

template <typename T> constexpr bool is_real = IsFloat<T>::value;
template <typename T> constexpr bool is_integer = !IsFloat<T>::value && !IsComplex<T>::value;

// ---- arithmetic ----

#define ARITHMETIC(name, sign) \
    template <typename T> INLINE T name(T a, T b) { \
        if constexpr (is_integer<T>) return (T)((u64)a sign (u64)b); \
        else return a sign b; \
    }
ARITHMETIC(add, +) ARITHMETIC(sub, -) ARITHMETIC(mul, *)
#undef ARITHMETIC

template <typename T> INLINE T div(T a, T b) { return a / b; }
template <typename T> INLINE T neg(T a) {
    if constexpr (is_integer<T>) return (T)(0 - (u64)a);
    else return -a;
}
template <typename T> INLINE T square(T a) { return mul(a, a); }
template <typename T> INLINE T conj(T a) { return a; }
template <typename R> INLINE Complex<R> conj(Complex<R> z) { return {z.re, -z.im}; }
template <typename T> INLINE T reciprocal(T a) { return T(1) / a; }
template <typename R> INLINE Complex<R> complex(R re, R im) { return {re, im}; }

// ---- truth ----

#define COMPARISON(name, sign) template <typename T> INLINE bool name(T a, T b) { return a sign b; }
COMPARISON(eq, ==) COMPARISON(ne, !=) COMPARISON(lt, <) COMPARISON(le, <=) COMPARISON(gt, >) COMPARISON(ge, >=)
#undef COMPARISON

INLINE bool logical_and(bool a, bool b) { return a && b; }
INLINE bool logical_or(bool a, bool b) { return a || b; }
INLINE bool logical_not(bool a) { return !a; }
template <typename T> INLINE T where(bool mask, T yes, T no) { return mask ? yes : no; }

template <typename T> INLINE bool isnan(T x) { return x != x; }
template <typename T> INLINE bool isinf(T) { return false; }
INLINE bool isinf(float x) { return fabsf(x) == Limits<float>::infinity(); }
INLINE bool isinf(double x) { return ::fabs(x) == Limits<double>::infinity(); }
template <typename R> INLINE bool isinf(Complex<R> z) { return isinf(z.re) || isinf(z.im); }

template <typename T> INLINE bool signbit(T x) { return x < T(0); }
INLINE bool signbit(float x) { return __float_as_int(x) < 0; }
INLINE bool signbit(double x) { return __double_as_longlong(x) < 0; }

// ---- order ----

template <typename T> INLINE T maximum(T a, T b) { return a > b || isnan(a) ? a : b; }
template <typename T> INLINE T minimum(T a, T b) { return a < b || isnan(a) ? a : b; }
template <typename T> INLINE T fmax(T a, T b) { return a >= b || isnan(b) ? a : b; }
template <typename T> INLINE T fmin(T a, T b) { return a <= b || isnan(b) ? a : b; }
template <typename T> INLINE T sign(T x) { return T(x > T(0)) - T(x < T(0)); }
template <typename T> INLINE T sgn(T x) { return sign(x); }
template <typename T> INLINE T abs(T x) { return x < T(0) ? neg(x) : x; }
INLINE float abs(float x) { return fabsf(x); }
INLINE double abs(double x) { return ::fabs(x); }

// ---- functions that CUDA has for both widths ----

#define NATIVE(name) \
    INLINE float name(float x) { return ::name##f(x); } \
    INLINE double name(double x) { return ::name(x); }
#define NATIVE2(name) \
    INLINE float name(float x, float y) { return ::name##f(x, y); } \
    INLINE double name(double x, double y) { return ::name(x, y); }
NATIVE(exp) NATIVE(exp2) NATIVE(expm1) NATIVE(log) NATIVE(log2) NATIVE(log10) NATIVE(log1p)
NATIVE(sin) NATIVE(cos) NATIVE(tan) NATIVE(asin) NATIVE(acos) NATIVE(atan)
NATIVE(sinh) NATIVE(cosh) NATIVE(tanh) NATIVE(asinh) NATIVE(acosh) NATIVE(atanh)
NATIVE(sqrt) NATIVE(rsqrt) NATIVE(erf) NATIVE(erfc) NATIVE(erfinv) NATIVE(erfcx) NATIVE(lgamma)
NATIVE(floor) NATIVE(ceil) NATIVE(trunc)
NATIVE2(atan2) NATIVE2(hypot) NATIVE2(copysign) NATIVE2(nextafter)
#undef NATIVE
#undef NATIVE2

// Integers are whole.
template <typename T> INLINE T floor(T x) { return x; }
template <typename T> INLINE T ceil(T x) { return x; }
template <typename T> INLINE T trunc(T x) { return x; }
template <typename T> INLINE T round(T x) { return x; }
INLINE float round(float x) { return ::rintf(x); }
INLINE double round(double x) { return ::rint(x); }
template <typename T> INLINE T frac(T x) { return x - trunc(x); }

// ---- compositions ----

constexpr double PI = 3.141592653589793238;

template <typename T> INLINE T sigmoid(T x) { return T(1) / (T(1) + exp(-x)); }
template <typename T> INLINE T silu(T x) { return x / (T(1) + exp(-x)); }
INLINE float ndtr(float x) { return ::normcdff(x); }
INLINE double ndtr(double x) { return ::normcdf(x); }
template <typename T> INLINE T gelu_erf(T x) { return x * T(0.5) * (T(1) + erf(x * T(0.70710678118654752440))); }
INLINE float ndtri(float p) { return ::normcdfinvf(p); }
INLINE double ndtri(double p) { return ::normcdfinv(p); }
INLINE double log_ndtr(double x) {
    const double t = x * 0.70710678118654752440;
    return x < -1 ? log(0.5 * erfcx(-t)) - t * t : log1p(-0.5 * erfc(t));
}
INLINE float log_ndtr(float x) { return (float)log_ndtr((double)x); }
template <typename T> INLINE T entr(T x) { return x < T(0) ? -Limits<T>::infinity() : x == T(0) ? T(0) : -x * log(x); }
template <typename T> INLINE T sinc(T x) {
    const T angle = x * T(PI);
    return x == T(0) ? T(1) : sin(angle) / angle;
}
template <typename T> INLINE T angle(T x) { return isnan(x) ? x : x < T(0) ? T(PI) : T(0); }
template <typename T> INLINE Complex<T> polar(T size, T angle) { return {size * cos(angle), size * sin(angle)}; }
template <typename T> INLINE T logaddexp(T a, T b) {
    return a == b && isinf(a) ? a : maximum(a, b) + log1p(exp(-abs(a - b)));
}
template <typename T> INLINE T lerp(T a, T b, T weight) {
    return abs(weight) < 0.5f ? a + weight * (b - a) : b - (b - a) * (T(1) - weight);
}

// The neighbour among halves; both lanes are exact for them.
template <typename H, typename T> INLINE T next_half(T x, T y) {
    if (isnan(x) || isnan(y)) return Limits<T>::nan();
    if (x == y) return y;
    H h((float)x);
    if (x == T(0)) {
        h.bits = 1;
        return copysign((T)(float)h, y);
    }
    h.bits = (u16)((y > x) == (x > T(0)) ? h.bits + 1 : h.bits - 1);
    return (T)(float)h;
}
template <typename T> INLINE T next_f16(T x, T y) { return next_half<half_t>(x, y); }
template <typename T> INLINE T next_bf16(T x, T y) { return next_half<bfloat16_t>(x, y); }

// ---- quotients, remainders and powers ----

INLINE float fmod(float a, float b) { return ::fmodf(a, b); }
INLINE double fmod(double a, double b) { return ::fmod(a, b); }
// By -1, the smallest integer has a quotient that does not fit.
template <typename T> INLINE bool is_minus_one(T x) { return x < T(0) && x == (T)-1; }
template <typename T> INLINE T fmod(T a, T b) { return b == T(0) || is_minus_one(b) ? T(0) : (T)(a % b); }

template <typename T> INLINE T remainder(T a, T b) {
    const T rest = fmod(a, b);
    return rest != T(0) && (b < T(0)) != (rest < T(0)) ? add(rest, b) : rest;
}
template <typename T> INLINE T div_trunc(T a, T b) {
    if constexpr (is_real<T>) return trunc(a / b);
    else return b == T(0) ? T(0) : is_minus_one(b) ? neg(a) : (T)(a / b);
}
// Python's division, as CPython computes it.
template <typename T> INLINE T div_floor(T a, T b) {
    const T rest = fmod(a, b);
    const bool down = rest != T(0) && (b < T(0)) != (rest < T(0));
    if constexpr (is_real<T>) {
        if (b == T(0)) return a / b;
        const T quotient = (a - rest) / b - (down ? T(1) : T(0));
        if (quotient == T(0)) return copysign(T(0), a / b);
        const T whole = floor(quotient);
        return quotient - whole > T(0.5) ? whole + T(1) : whole;
    } else {
        return sub(div_trunc(a, b), (T)down);
    }
}

INLINE float pow(float x, float y) { return ::powf(x, y); }
INLINE double pow(double x, double y) { return ::pow(x, y); }
// A negative exponent gives the truncated reciprocal.
template <typename T> INLINE T pow(T base, T exponent) {
    if (exponent < T(0)) return base == T(1) ? base : base != (T)-1 ? T(0) : exponent & 1 ? base : T(1);
    T result = T(1);
    for (; exponent > T(0); exponent = (T)(exponent >> 1), base = mul(base, base)) {
        if (exponent & 1) result = mul(result, base);
    }
    return result;
}

// ---- bits and divisors ----

template <typename T> INLINE T bitwise_and(T a, T b) { return (T)(a & b); }
template <typename T> INLINE T bitwise_or(T a, T b) { return (T)(a | b); }
template <typename T> INLINE T bitwise_xor(T a, T b) { return (T)(a ^ b); }
template <typename T> INLINE T bitwise_not(T a) { return (T)~a; }
// A count outside the width shifts everything out.
template <typename T> INLINE bool within_width(T count) { return count >= T(0) && count < T(8 * sizeof(T)); }
template <typename T> INLINE T bitwise_left_shift(T a, T count) {
    return within_width(count) ? (T)((u64)a << count) : T(0);
}
template <typename T> INLINE T bitwise_right_shift(T a, T count) {
    return within_width(count) ? (T)(a >> (int)count) : a < T(0) ? (T)-1 : T(0);
}
template <typename T> INLINE T gcd(T a, T b) {
    a = abs(a), b = abs(b);
    while (a != T(0)) {
        const T rest = fmod(b, a);
        b = a, a = rest;
    }
    return b;
}
template <typename T> INLINE T lcm(T a, T b) {
    const T divisor = gcd(a, b);
    return divisor == T(0) ? divisor : abs(mul(div_trunc(a, divisor), b));
}

}  // namespace op
