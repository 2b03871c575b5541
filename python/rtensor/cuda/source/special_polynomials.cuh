// Orthogonal polynomials in double precision, as PyTorch defines them.
#include "math.cuh"

namespace op {

// The order truncated to an integer; -1, where the polynomial is 0, if it is negative or not finite.
INLINE i64 order(double n) { return n > -1 && !isinf(n) ? n < 9e18 ? (i64)n : Limits<i64>::highest() : -1; }
INLINE double parity(i64 n) { return n & 1 ? -1 : 1; }

// q[k] = 2 x q[k-1] - q[k-2] from q[0] = 1.
INLINE double chebyshev_recurrence(double x, i64 n, double first) {
    double p = 1, q = first;
    for (i64 k = 1; k < n && !isnan(q); ++k) {
        const double next = 2 * x * q - p;
        p = q, q = next;
    }
    return n == 0 ? 1 : q;
}

INLINE double chebyshev_polynomial_t(double x, double n) {
    const i64 k = order(n);
    if (k < 0) return 0;
    if (abs(x) == 1) return x > 0 ? 1 : parity(k);
    return k > 6 && abs(x) < 1 ? cos(k * acos(x)) : chebyshev_recurrence(x, k, x);
}
// Polynomials of orders above `closed` have a closed form within -1 and 1.
INLINE double second_kind(double x, double n, i64 closed) {
    const i64 k = order(n);
    if (k < 0) return 0;
    const double next = k + 1.0;
    if (abs(x) == 1) return x > 0 ? next : parity(k) * next;
    if (k <= closed || !(abs(x) < 1)) return chebyshev_recurrence(x, k, 2 * x);
    const double angle = acos(x), s = sin(angle);
    return s != 0 ? sin(next * angle) / s : next * cos(next * angle) / x;
}
INLINE double third_kind(double x, double n, i64 closed) {
    const i64 k = order(n);
    if (k < 0) return 0;
    const double size = 2.0 * k + 1;
    if (abs(x) == 1) return x > 0 ? 1 : parity(k) * size;
    if (k <= closed || !(abs(x) < 1)) return chebyshev_recurrence(x, k, 2 * x - 1);
    const double angle = acos(x);
    return sin(angle / 2) != 1 ? cos((k + 0.5) * angle) / cos(angle / 2) : parity(k) * size;
}
INLINE double fourth_kind(double x, double n, i64 closed) {
    const i64 k = order(n);
    if (k < 0) return 0;
    const double size = 2.0 * k + 1;
    if (abs(x) == 1) return x > 0 ? size : parity(k);
    if (k <= closed || !(abs(x) < 1)) return chebyshev_recurrence(x, k, 2 * x + 1);
    const double angle = acos(x);
    return cos(angle / 2) != 1 ? sin((k + 0.5) * angle) / sin(angle / 2) : x > 0 ? size : parity(k);
}
INLINE double chebyshev_polynomial_u(double x, double n) { return second_kind(x, n, 8); }
INLINE double chebyshev_polynomial_v(double x, double n) { return third_kind(x, n, 8); }
INLINE double chebyshev_polynomial_w(double x, double n) { return fourth_kind(x, n, 8); }
INLINE double shifted_chebyshev_polynomial_t(double x, double n) { return chebyshev_polynomial_t(2 * x - 1, n); }
INLINE double shifted_chebyshev_polynomial_u(double x, double n) { return second_kind(2 * x - 1, n, 6); }
INLINE double shifted_chebyshev_polynomial_v(double x, double n) { return third_kind(2 * x - 1, n, 6); }
INLINE double shifted_chebyshev_polynomial_w(double x, double n) { return fourth_kind(2 * x - 1, n, 4); }

// Polynomials of order above 512 overflow; PyTorch answers NaN.
INLINE double hermite(double x, double n, double first, double step, double factor) {
    const i64 last = order(n);
    if (last <= 0) return last + 1.0;
    if (last > 512) return Limits<double>::nan();
    double p = 1, q = first;
    for (i64 k = 1; k < last; ++k) {
        const double next = step * x * q - factor * k * p;
        p = q, q = next;
    }
    return q;
}
INLINE double hermite_polynomial_h(double x, double n) { return hermite(x, n, 2 * x, 2, 2); }
INLINE double hermite_polynomial_he(double x, double n) { return hermite(x, n, x, 1, 1); }

INLINE double laguerre_polynomial_l(double x, double n) {
    const i64 last = order(n);
    if (last <= 0) return last + 1.0;
    if (x == 0) return 1;
    double p = 1, q = 1 - x;
    for (i64 k = 1; k < last && !isnan(q); ++k) {
        const double next = ((2 * k + (1 - x)) * q - k * p) / (k + 1);
        p = q, q = next;
    }
    return q;
}
INLINE double legendre_polynomial_p(double x, double n) {
    const i64 last = order(n);
    if (last <= 0) return last + 1.0;
    if (abs(x) == 1) return x > 0 ? 1 : parity(last);
    double p = 1, q = x;
    for (i64 k = 1; k < last && !isnan(q); ++k) {
        const double next = ((2 * k + 1) * x * q - k * p) / (k + 1);
        p = q, q = next;
    }
    return q;
}

}  // namespace op
