// Functions of complex numbers in double precision, by Kahan's formulas where branch cuts, signed zeros and
// infinities matter.
#include "math.cuh"

namespace op {

typedef Complex<double> C;

constexpr double LN_2 = 0.693147180559945309, LN_10 = 2.302585092994045684, HALF_PI = 1.570796326794896619;

INLINE C times_i(C z) { return {-z.im, z.re}; }
INLINE C over_i(C z) { return {z.im, -z.re}; }
INLINE C scaled(C z, double by) { return {z.re * by, z.im * by}; }
INLINE double larger(C z) { return ::fmax(abs(z.re), abs(z.im)); }
INLINE bool finite(double x) { return abs(x) < Limits<double>::infinity(); }

INLINE C exp(C z) {
    const double infinity = Limits<double>::infinity();
    if (z.im == 0) return {exp(z.re), z.im};
    if (z.re == -infinity && !finite(z.im)) return {0, 0};
    if (z.re == infinity && !finite(z.im)) return {infinity, Limits<double>::nan()};
    // Two factors, so that e^re may overflow where the result does not.
    const bool large = z.re > 700;
    const double e = exp(large ? z.re - 700 : z.re), rest = large ? exp(700.0) : 1;
    return {e * cos(z.im) * rest, e * sin(z.im) * rest};
}
INLINE C exp2(C z) { return exp(scaled(z, LN_2)); }
INLINE C expm1(C z) {
    const double half = sin(0.5 * z.im);
    return {expm1(z.re) * cos(z.im) - 2 * half * half, z.im == 0 ? z.im : exp(z.re) * sin(z.im)};
}

// ln|z|, exact near the unit circle and free of overflow.
INLINE double log_abs(C z) {
    const double a = larger(z), b = ::fmin(abs(z.re), abs(z.im));
    if (isinf(a)) return a;
    if (isnan(z.re) || isnan(z.im)) return Limits<double>::nan();
    return a > 0.5 && a < 2 ? 0.5 * log1p((a - 1) * (a + 1) + b * b) : log(hypot(a, b));
}
INLINE C log(C z) { return {log_abs(z), atan2(z.im, z.re)}; }
INLINE C log2(C z) { return C(log_abs(z) / LN_2, atan2(z.im, z.re) / LN_2); }
INLINE C log10(C z) { return C(log_abs(z) / LN_10, atan2(z.im, z.re) / LN_10); }
INLINE C log1p(C z) {
    const bool near = abs(z.re) < 0.5 && abs(z.im) < 0.5;
    const double re = near ? 0.5 * log1p(z.re * (2 + z.re) + z.im * z.im) : log_abs(C(1 + z.re, z.im));
    return {re, atan2(z.im, 1 + z.re)};
}

INLINE C sqrt(C z) {
    double x = z.re, y = z.im;
    const double infinity = Limits<double>::infinity();
    if (x == 0 && y == 0) return {0, y};
    if (isinf(y)) return {infinity, y};
    if (isnan(x)) return {x, isnan(y) ? y : x};
    if (isinf(x)) {
        const double other = isnan(y) ? y : 0;
        return x < 0 ? C(abs(other), copysign(infinity, y)) : C(x, copysign(other, y));
    }
    const double size = larger(z), scale = size > 1e300 ? 0.25 : size < 1e-290 ? 0x1p200 : 1;
    x *= scale, y *= scale;
    const double t = sqrt((abs(x) + hypot(x, y)) * 0.5), back = 1 / sqrt(scale);
    return scaled(x >= 0 ? C(t, y / (2 * t)) : C(abs(y) / (2 * t), copysign(t, y)), back);
}
INLINE C reciprocal(C z) { return C(1) / z; }
INLINE C rsqrt(C z) { return reciprocal(sqrt(z)); }

INLINE C sinh(C z) {
    const double x = z.re, y = z.im;
    if (y == 0) return {sinh(x), y};
    if (x == 0) return {x, sin(y)};
    if (isinf(x) && !finite(y)) return {x, Limits<double>::nan()};
    if (abs(x) > 710) {
        const C e = exp(C(abs(x) - LN_2, y));
        return {copysign(e.re, e.re * x), e.im};
    }
    return {sinh(x) * cos(y), cosh(x) * sin(y)};
}
INLINE C cosh(C z) {
    const double x = z.re, y = z.im;
    if (isinf(x) && !finite(y)) return {Limits<double>::infinity(), Limits<double>::nan()};
    if (y != 0 && abs(x) > 710) {
        const C e = exp(C(abs(x) - LN_2, y));
        return {e.re, copysign(e.im, e.im * x)};
    }
    return {cosh(x) * cos(y), sinh(x) * sin(y)};
}
INLINE C tanh(C z) {
    const double x = z.re, y = z.im;
    if (isinf(x)) return {copysign(1.0, x), finite(y) ? copysign(0.0, sin(2 * y)) : 0};
    if (x == 0) return {x, tan(y)};
    if (abs(x) > 20) {
        const double e = exp(-abs(x));
        return {copysign(1.0, x), 4 * sin(y) * cos(y) * e * e};
    }
    const double t = tan(y), beta = 1 + t * t, s = sinh(x), rho = sqrt(1 + s * s), d = 1 + beta * s * s;
    return isinf(t) ? C(rho / s, 1 / t) : C(beta * rho * s / d, t / d);
}
INLINE C sin(C z) { return over_i(sinh(times_i(z))); }
INLINE C cos(C z) { return cosh(times_i(z)); }
INLINE C tan(C z) { return over_i(tanh(times_i(z))); }

INLINE C acos(C z) {
    if (larger(z) > 1e150) return {atan2(abs(z.im), z.re), -copysign(log_abs(z) + LN_2, z.im)};
    const C minus = sqrt(C(1 - z.re, -z.im)), plus = sqrt(C(1 + z.re, z.im));
    return {2 * atan2(minus.re, plus.re), asinh(plus.re * minus.im - plus.im * minus.re)};
}
INLINE C asinh(C z) {
    const double nan = Limits<double>::nan();
    if (isnan(z.re) || isnan(z.im)) return isinf(z.re) ? z : C(nan, z.im == 0 ? z.im : nan);
    if (larger(z) > 1e150) return {copysign(log_abs(z) + LN_2, z.re), atan2(z.im, abs(z.re))};
    // asin(w) of w = i z, over i.
    const C w = times_i(z), minus = sqrt(C(1 - w.re, -w.im)), plus = sqrt(C(1 + w.re, w.im));
    return {asinh(minus.re * plus.im - minus.im * plus.re), -atan2(w.re, minus.re * plus.re - minus.im * plus.im)};
}
INLINE C asin(C z) { return over_i(asinh(times_i(z))); }
INLINE C acosh(C z) {
    const C w = acos(z);
    return signbit(w.im) ? times_i(w) : over_i(w);
}
INLINE C atanh(C z) {
    const double x = abs(z.re), y = z.im;
    if (x > 1e150 || abs(y) > 1e150) {
        const double re = isinf(x) || isinf(y) ? 0 : reciprocal(C(x, y)).re;
        return {copysign(re, z.re), copysign(HALF_PI, y)};
    }
    if (x == 1 && y == 0) return {copysign(Limits<double>::infinity(), z.re), y};
    const double re = 0.25 * log1p(4 * x / ((1 - x) * (1 - x) + y * y));
    return {copysign(re, z.re), 0.5 * atan2(2 * y, (1 - x) * (1 + x) - y * y)};
}
INLINE C atan(C z) { return over_i(atanh(times_i(z))); }

INLINE C sigmoid(C z) { return C(1) / (C(1) + exp(-z)); }
INLINE C silu(C z) { return z * sigmoid(z); }
INLINE C sinc(C z) {
    const C angle = scaled(z, PI);
    return z == C(0) ? C(1) : sin(angle) / angle;
}
INLINE C sgn(C z) {
    const double size = hypot(z.re, z.im);
    return size == 0 ? C(0) : C(z.re / size, z.im / size);
}

INLINE C whole_power(C base, int exponent) {
    C result(1);
    for (; exponent > 0; exponent >>= 1, base = base * base) {
        if (exponent & 1) result = result * base;
    }
    return result;
}
INLINE C pow(C x, C y) {
    if (y == C(0)) return C(1);
    if (x == C(0)) return y.re > 0 ? C(0) : C(Limits<double>::nan(), Limits<double>::nan());
    if (y.im == 0 && y.re == trunc(y.re) && abs(y.re) <= 64) {
        const C power = whole_power(x, (int)abs(y.re));
        return y.re < 0 ? reciprocal(power) : power;
    }
    return exp(y * log(x));
}
INLINE C logaddexp(C a, C b) {
    const C high = a.re >= b.re ? a : b, low = a.re >= b.re ? b : a;
    return high.re == low.re && high.re == -Limits<double>::infinity() ? high : high + log1p(exp(low - high));
}

template <typename R> INLINE R abs(Complex<R> z) { return hypot(z.re, z.im); }
template <typename R> INLINE R angle(Complex<R> z) { return atan2(z.im, z.re); }
template <typename R> INLINE Complex<R> lerp(Complex<R> a, Complex<R> b, Complex<R> weight) {
    return abs(weight) < R(0.5) ? a + weight * (b - a) : b - (b - a) * (Complex<R>(1) - weight);
}

// complex64 is computed as complex128.
#define NARROW(name) \
    INLINE Complex<float> name(Complex<float> z) { return Complex<float>(name(C(z))); }
#define NARROW2(name) \
    INLINE Complex<float> name(Complex<float> a, Complex<float> b) { return Complex<float>(name(C(a), C(b))); }
NARROW(exp) NARROW(exp2) NARROW(expm1) NARROW(log) NARROW(log2) NARROW(log10) NARROW(log1p) NARROW(sqrt)
NARROW(rsqrt) NARROW(reciprocal) NARROW(sin) NARROW(cos) NARROW(tan) NARROW(asin) NARROW(acos) NARROW(atan)
NARROW(sinh) NARROW(cosh) NARROW(tanh) NARROW(asinh) NARROW(acosh) NARROW(atanh) NARROW(sigmoid) NARROW(silu)
NARROW(sinc) NARROW(sgn) NARROW2(pow) NARROW2(logaddexp)
#undef NARROW
#undef NARROW2

}  // namespace op
