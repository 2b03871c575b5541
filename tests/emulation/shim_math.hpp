// CUDA's functions of numbers for the host: those of the C library, those that it lacks, and the fast forms.
#define EMU_UNARY(name)                            \
    extern "C" double name(double);                \
    extern "C" float name##f(float);               \
    inline float name(float x) { return name##f(x); }
#define EMU_BINARY(name)                           \
    extern "C" double name(double, double);        \
    extern "C" float name##f(float, float);        \
    inline float name(float x, float y) { return name##f(x, y); }
#define EMU_OWN(name, value)                       \
    inline double name(double x) { return value; } \
    inline float name##f(float x) { return float(name(double(x))); } \
    inline float name(float x) { return name##f(x); }

EMU_UNARY(exp) EMU_UNARY(exp2) EMU_UNARY(exp10) EMU_UNARY(expm1)
EMU_UNARY(log) EMU_UNARY(log2) EMU_UNARY(log10) EMU_UNARY(log1p) EMU_UNARY(logb)
EMU_UNARY(sin) EMU_UNARY(cos) EMU_UNARY(tan) EMU_UNARY(asin) EMU_UNARY(acos) EMU_UNARY(atan)
EMU_UNARY(sinh) EMU_UNARY(cosh) EMU_UNARY(tanh) EMU_UNARY(asinh) EMU_UNARY(acosh) EMU_UNARY(atanh)
EMU_UNARY(sqrt) EMU_UNARY(cbrt) EMU_UNARY(erf) EMU_UNARY(erfc) EMU_UNARY(lgamma) EMU_UNARY(tgamma)
EMU_UNARY(floor) EMU_UNARY(ceil) EMU_UNARY(trunc) EMU_UNARY(round) EMU_UNARY(rint) EMU_UNARY(nearbyint)
EMU_UNARY(fabs) EMU_UNARY(j0) EMU_UNARY(j1) EMU_UNARY(y0) EMU_UNARY(y1)
EMU_BINARY(pow) EMU_BINARY(atan2) EMU_BINARY(fmod) EMU_BINARY(remainder) EMU_BINARY(hypot) EMU_BINARY(copysign)
EMU_BINARY(fmin) EMU_BINARY(fmax) EMU_BINARY(fdim) EMU_BINARY(nextafter)

EMU_OWN(erfinv, emu_erfinv(x)) EMU_OWN(erfcinv, emu_erfcinv(x)) EMU_OWN(erfcx, emu_erfcx(x))
EMU_OWN(normcdf, emu_normcdf(x)) EMU_OWN(normcdfinv, emu_normcdfinv(x))
EMU_OWN(cyl_bessel_i0, emu_i0(x)) EMU_OWN(cyl_bessel_i1, emu_i1(x))
EMU_OWN(sinpi, emu_sinpi(x)) EMU_OWN(cospi, emu_cospi(x))
EMU_OWN(rsqrt, 1 / sqrt(x)) EMU_OWN(rcbrt, 1 / cbrt(x))

extern "C" {
double fma(double, double, double), ldexp(double, int), scalbn(double, int), frexp(double, int*), modf(double, double*);
float fmaf(float, float, float), ldexpf(float, int), scalbnf(float, int), frexpf(float, int*), modff(float, float*);
double jn(int, double), yn(int, double);
long lrint(double), lround(double);
long long llrint(double), llround(double);
int ilogb(double);
void sincos(double, double*, double*), sincosf(float, float*, float*);
int printf(const char*, ...);
}
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
inline float ldexp(float x, int e) { return ldexpf(x, e); }
inline float scalbn(float x, int e) { return scalbnf(x, e); }
inline float frexp(float x, int* e) { return frexpf(x, e); }
inline float modf(float x, float* whole) { return modff(x, whole); }
inline void sincos(float x, float* s, float* c) { sincosf(x, s, c); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x), *c = cospi(x); }
inline void sincospi(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline void sincospif(float x, float* s, float* c) { sincospi(x, s, c); }

inline bool isnan(double x) { return __builtin_isnan(x); }
inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }

inline int abs(int x) { return __builtin_abs(x); }
inline long abs(long x) { return __builtin_labs(x); }
inline long long abs(long long x) { return __builtin_llabs(x); }
inline long long llabs(long long x) { return __builtin_llabs(x); }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }

#define EMU_EXTREMES(T)                                        \
    inline T min(T a, T b) { return a < b ? a : b; }           \
    inline T max(T a, T b) { return a > b ? a : b; }
EMU_EXTREMES(int) EMU_EXTREMES(unsigned) EMU_EXTREMES(long) EMU_EXTREMES(unsigned long)
EMU_EXTREMES(long long) EMU_EXTREMES(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// --- the fast and the rounded forms

inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __saturatef(float x) { return x > 0 ? x < 1 ? x : 1 : 0; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dsub_rn(double x, double y) { return x - y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_ru(float x) { return int(ceilf(x)); }
inline long long __float2ll_rn(float x) { return (long long)rintf(x); }
inline long long __float2ll_rz(float x) { return (long long)x; }
inline long long __double2ll_rn(double x) { return (long long)rint(x); }
inline long long __double2ll_rz(double x) { return (long long)x; }
inline int __double2int_rn(double x) { return int(rint(x)); }
inline int __double2int_rz(double x) { return int(x); }
inline float __double2float_rn(double x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __int2float_rn(int x) { return float(x); }
inline double __ull2double_rn(unsigned long long x) { return double(x); }
inline double __ll2double_rn(long long x) { return double(x); }
