// Samples of distributions whose parameters differ from element to element: SAMPLE of parameters of type P gives
// elements of type T. Rejection methods run in double precision.
#include "philox.cuh"

// Counting, and Hoermann's transformed rejection (1993) from a mean of 10 on.
INLINE double poisson_counted(Stream& stream, double rate) {
    const double limit = exp(-rate);
    double count = 0, product = unit<double>(stream);
    for (; product > limit; product *= unit<double>(stream)) count += 1;
    return count;
}
INLINE double poisson_transformed(Stream& stream, double rate) {
    const double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
        const double u = unit<double>(stream) - 0.5, v = unit<double>(stream), us = 0.5 - fabs(u);
        const double k = floor((2 * a / us + b) * u + rate + 0.43);
        if (us >= 0.07 && v <= v_r) return k;
        if (k < 0 || (us < 0.013 && v > us)) continue;
        const double accept = log(v) + log(inverse_alpha) - log(a / (us * us) + b);
        // Negated so that an infinite rate, which makes both sides NaN, ends the loop.
        if (!(accept > -rate + k * log(rate) - lgamma(k + 1))) return k;
    }
}
// A rate that is negative or NaN gives NaN.
INLINE double poisson(Stream& stream, double rate, double) {
    if (!(rate >= 0)) return Limits<double>::nan();
    return rate == 0 ? 0 : rate < 10 ? poisson_counted(stream, rate) : poisson_transformed(stream, rate);
}

// What Stirling's formula leaves of ln k!.
INLINE double stirling_tail(double k) {
    const double small[10] = {
        0.0810614667953272, 0.0413406959554092, 0.027677925684998336, 0.020790672103765093, 0.016644691189821193,
        0.013876128823070748, 0.01189670994589177, 0.010411265261972096, 0.009255462182712733, 0.008330563433362871};
    if (k < 10) return small[(int)k];
    const double square = (k + 1) * (k + 1);
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}
INLINE double binomial_inversion(Stream& stream, double count, double p) {
    const double log_failure = log1p(-p);
    double trials = 0, successes = 0;
    for (;;) {
        trials += ceil(log(positive_unit<double>(stream)) / log_failure);
        if (!(trials <= count)) return successes;
        successes += 1;
    }
}
// Hoermann's BTRS (1993).
INLINE double binomial_transformed(Stream& stream, double count, double p) {
    const double deviation = sqrt(count * p * (1 - p)), b = 1.15 + 2.53 * deviation;
    const double a = -0.0873 + 0.0248 * b + 0.01 * p, c = count * p + 0.5, v_r = 0.92 - 4.2 / b;
    const double ratio = p / (1 - p), alpha = (2.83 + 5.1 / b) * deviation, m = floor((count + 1) * p);
    for (;;) {
        const double u = unit<double>(stream) - 0.5, v = unit<double>(stream), us = 0.5 - fabs(u);
        const double k = floor((2 * a / us + b) * u + c);
        if (k < 0 || k > count) continue;
        if (us >= 0.07 && v <= v_r) return k;
        const double bound = (m + 0.5) * log((m + 1) / (ratio * (count - m + 1)))
            + (count + 1) * log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * log(ratio * (count - k + 1) / (k + 1))
            + stirling_tail(m) + stirling_tail(count - m) - stirling_tail(k) - stirling_tail(count - k);
        // Negated so that infinite counts, which make the bound NaN, end the loop.
        if (!(log(v * alpha / (a / (us * us) + b)) > bound)) return k;
    }
}
INLINE double binomial(Stream& stream, double count, double p) {
    if (count <= 0 || p <= 0) return 0;
    if (p >= 1) return count;
    if (!(count == count && p == p)) return Limits<double>::nan();
    const double lower = p <= 0.5 ? p : 1 - p;
    const bool large = count * lower >= 10;
    const double k = large ? binomial_transformed(stream, count, lower) : binomial_inversion(stream, count, lower);
    return p <= 0.5 ? k : count - k;
}

// A standard gamma sample, by Marsaglia and Tsang (2000).
INLINE double standard_gamma(Stream& stream, double alpha, double) {
    if (alpha == 0) return 0;
    double scale = 1;
    // A larger shape is accepted more often.
    if (alpha < 1) {
        scale = pow(positive_unit<double>(stream), 1 / alpha);
        alpha += 1;
    }
    const double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double pair[2];
        normal_pair(stream, pair);
        for (int i = 0; i < 2; ++i) {
            const double x = pair[i], y = 1 + c * x, v = y * y * y;
            if (y <= 0) continue;
            // Negated so that a shape that is NaN ends the loop.
            if (!(log(positive_unit<double>(stream)) >= 0.5 * x * x + d * (1 - v + log(v)))) {
                const double sample = scale * d * v, least = sizeof(T) == 8 ? 2.2250738585072014e-308 : 1.17549435e-38;
                return sample < least ? least : sample;
            }
        }
    }
}

INLINE double bernoulli(Stream& stream, double p, double) { return unit<double>(stream) < p; }

extern "C" __global__ void sample(T* out, const P* p, const P* q, i64 count, const Draws draws) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    Stream stream(draws, i);
    out[i] = to<T>(SAMPLE(stream, to<double>(p[i]), to<double>(q[i])));
}
