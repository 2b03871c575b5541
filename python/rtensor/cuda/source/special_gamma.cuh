// The gamma function's relatives in double precision, by the algorithms of Cephes and SciPy that PyTorch uses.
#include "math.cuh"
#include "special_gamma_tables.cuh"

namespace op {

constexpr double ROUNDING = 1.1102230246251565e-16;
constexpr int MAX_ITERATIONS = 2000;

// The asymptotic series from 10 on; smaller arguments are shifted there, negative ones reflected.
INLINE double digamma(double x) {
    if (x == 0) return copysign(Limits<double>::infinity(), -x);
    if (x < 0 && x == trunc(x)) return Limits<double>::nan();
    double a = x < 0 ? 1 - x : x, lost = 0;
    for (; a < 10; a += 1) lost += 1 / a;
    const double w = 1 / (a * a);
    const double series = w * (0.08333333333333333 - w * (0.008333333333333333 - w * (0.003968253968253968
        - w * (0.004166666666666667 - w * (0.007575757575757576 - w * (0.021092796092796094 - w * 0.08333333333333333))))));
    const double y = log(a) - 0.5 / a - series - lost;
    return x < 0 ? y - PI / tan(PI * (x - trunc(x))) : y;
}

INLINE double trigamma(double x) {
    double sign = 1, result = 0;
    if (x < 0.5) {
        sign = -1;
        const double s = sin(PI * x);
        result = -PI * PI / (s * s);
        x = 1 - x;
    }
    for (int i = 0; i < 6; ++i, x += 1) result += 1 / (x * x);
    const double z = 1 / (x * x);
    return sign * (result + (1 + 1 / (2 * x) + z * (1.0 / 6 - z * (1.0 / 30 - z / 42))) / x);
}

__constant__ double ZETA[12] = {
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1892437580.318379, 74724249600.0, -2950130727918.164,
    116467828143500.67, -4597978722407472.6, 1.8152105401943547e17, -7.166165256175667e18};

// The Hurwitz zeta function.
INLINE double zeta(double x, double q) {
    if (x == 1) return Limits<double>::infinity();
    if (x < 1) return Limits<double>::nan();
    if (q <= 0 && q == floor(q)) return Limits<double>::infinity();
    if (q <= 0 && x != floor(x)) return Limits<double>::nan();
    double s = pow(q, -x), a = q, b = 0;
    for (int i = 0; i < 9 || a <= 9; ++i) {
        a += 1;
        b = pow(a, -x);
        s += b;
        if (-ROUNDING * s < b && b < ROUNDING * s) return s;
    }
    s += b * a / (x - 1) - 0.5 * b;
    double factor = 1, k = 0;
    for (int i = 0; i < 12; ++i, k += 2) {
        factor *= x + k;
        b /= a;
        const double t = factor * b / ZETA[i];
        s += t;
        if (abs(t / s) < ROUNDING) return s;
        factor *= x + k + 1;
        b /= a;
    }
    return s;
}

// The derivative of digamma of order n.
INLINE double polygamma(double x, double n) {
    if (n == 0) return digamma(x);
    if (n == 1) return trigamma(x);
    const double size = exp(lgamma(n + 1)) * zeta(n + 1, x);
    return fmod(n, 2.0) == 0 ? -size : size;
}

// Boost's Lanczos sum, scaled by exp(g).
constexpr double LANCZOS_G = 6.02468004077673;
__constant__ double LANCZOS[2][13] = {
    {0.006061842346248907, 0.5098416655656676, 19.519927882476175, 449.9445569063168, 6955.999602515376,
     75999.29304014543, 601859.6171681099, 3481712.154980646, 14605578.087685068, 43338889.32467614,
     86363131.2881386, 103794043.11634455, 56906521.913471564},
    {1.0, 66.0, 1925.0, 32670.0, 357423.0, 2637558.0, 13339535.0, 45995730.0, 105258076.0, 150917976.0,
     120543840.0, 39916800.0, 0.0}};

INLINE double lanczos_sum_expg_scaled(double x) {
    const bool inverse = abs(x) > 1;
    const double y = inverse ? 1 / x : x;
    double above = 0, below = 0;
    for (int i = 0; i < 13; ++i) {
        above = above * y + LANCZOS[0][inverse ? 12 - i : i];
        below = below * y + LANCZOS[1][inverse ? 12 - i : i];
    }
    return above / below;
}

// x^a exp(-x) / gamma(a)
INLINE double igam_factor(double a, double x) {
    if (abs(a - x) > 0.4 * abs(a)) {
        const double power = a * log(x) - x - lgamma(a);
        return power < -709.782712893384 ? 0 : exp(power);
    }
    const double fac = a + LANCZOS_G - 0.5, res = sqrt(fac / 2.71828182845904523536) / lanczos_sum_expg_scaled(a);
    if (a < 200 && x < 200) return res * exp(a - x) * pow(x / fac, a);
    const double num = (x - a - LANCZOS_G + 0.5) / fac;
    return res * exp(a * (log1p(num) - num) + x * (0.5 - LANCZOS_G) / fac);
}

INLINE double igam_series(double a, double x) {
    const double factor = igam_factor(a, x);
    if (factor == 0) return 0;
    double r = a, c = 1, sum = 1;
    for (int i = 0; i < MAX_ITERATIONS && c > ROUNDING * sum; ++i) {
        r += 1;
        c *= x / r;
        sum += c;
    }
    return sum * factor / a;
}

INLINE double igamc_series(double a, double x) {
    double fac = 1, sum = 0;
    for (int n = 1; n < MAX_ITERATIONS; ++n) {
        fac *= -x / n;
        const double term = fac / (a + n);
        sum += term;
        if (abs(term) <= ROUNDING * abs(sum)) break;
    }
    return -expm1(a * log(x) - lgamma(1 + a)) - exp(a * log(x) - lgamma(a)) * sum;
}

// Uniform expansion for large a near x; the sign is -1 for igamma, 1 for igammac.
INLINE double igam_asymptotic(double a, double x, double sign) {
    const double sigma = (x - a) / a, root = sqrt(-2 * (log1p(sigma) - sigma));
    const double eta = x > a ? root : x < a ? -root : 0;
    double sum = 0, factor = 1, previous = Limits<double>::infinity();
    for (int i = 0; i < 25; ++i, factor /= a) {
        double c = ASYMPTOTIC[i][0], power = 1;
        for (int j = 1; j < 25; ++j) {
            power *= eta;
            const double term = ASYMPTOTIC[i][j] * power;
            c += term;
            if (abs(term) < ROUNDING * abs(c)) break;
        }
        const double term = c * factor;
        if (abs(term) > previous) break;
        sum += term;
        if (abs(term) < ROUNDING * abs(sum)) break;
        previous = abs(term);
    }
    return 0.5 * erfc(sign * eta * sqrt(a / 2)) + sign * exp(-0.5 * a * eta * eta) * sum / sqrt(2 * PI * a);
}

INLINE double igamc_continued_fraction(double a, double x) {
    const double BIG = 4503599627370496.0, factor = igam_factor(a, x);
    if (factor == 0) return 0;
    double y = 1 - a, z = x + 2 - a, p2 = 1, q2 = x, p1 = x + 1, q1 = z * x, value = p1 / q1;
    for (int c = 1; c <= MAX_ITERATIONS; ++c) {
        y += 1, z += 2;
        const double p = p1 * z - p2 * y * c, q = q1 * z - q2 * y * c;
        double change = 1;
        if (q != 0) {
            const double ratio = p / q;
            change = abs((value - ratio) / ratio);
            value = ratio;
        }
        const double scale = abs(p) > BIG ? 1 / BIG : 1;
        p2 = p1 * scale, p1 = p * scale, q2 = q1 * scale, q1 = q * scale;
        if (change <= ROUNDING) break;
    }
    return value * factor;
}

INLINE bool outside(double a, double x) { return !(a > 0 && x > 0) || isinf(a) || isinf(x); }
// The lower function on the edge of its domain.
INLINE double igamma_edge(double a, double x) {
    const double nan = Limits<double>::nan();
    if (isnan(a) || isnan(x) || x < 0 || a < 0) return nan;
    if (a == 0) return x > 0 ? 1 : nan;
    if (x == 0) return 0;
    return isinf(a) ? (isinf(x) ? nan : 0) : 1;
}
INLINE bool is_near_diagonal(double a, double x) {
    const double distance = abs(x - a) / a;
    return (a > 20 && a < 200 && distance < 0.3) || (a > 200 && distance < 4.5 / sqrt(a));
}

// The regularised incomplete gamma functions, upper and lower.
INLINE double igammac(double a, double x) {
    if (outside(a, x)) return 1 - igamma_edge(a, x);
    if (is_near_diagonal(a, x)) return igam_asymptotic(a, x, 1);
    const bool small = x > 1.1 ? x < a : x <= 0.5 ? -0.4 / log(x) < a : x * 1.1 < a;
    return small ? 1 - igam_series(a, x) : x > 1.1 ? igamc_continued_fraction(a, x) : igamc_series(a, x);
}
INLINE double igamma(double a, double x) {
    if (outside(a, x)) return igamma_edge(a, x);
    if (is_near_diagonal(a, x)) return igam_asymptotic(a, x, -1);
    return x > 1 && x > a ? 1 - igammac(a, x) : igam_series(a, x);
}

INLINE float digamma(float x) { return (float)digamma((double)x); }
INLINE float trigamma(float x) { return (float)trigamma((double)x); }

}  // namespace op
