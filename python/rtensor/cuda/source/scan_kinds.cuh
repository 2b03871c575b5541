// Scans: the identity, what an element at a position maps to, how a value a takes up a later value b, and what is
// written. T is the input's type, O that of the result.
#include "complex.cuh"

template <typename T, typename O> struct CumSum {
    typedef typename Total<T>::type Value;
    static INLINE Value identity() { return Value(0); }
    static INLINE Value map(T x, i64) { return to<Value>(x); }
    static INLINE Value combine(Value a, Value b) { return op::add(a, b); }
    static INLINE void store(Value a, i64 at, O* out, i64*) { out[at] = to<O>(a); }
};
template <typename T, typename O> struct CumProd : CumSum<T, O> {
    typedef typename Total<T>::type Value;
    static INLINE Value identity() { return Value(1); }
    static INLINE Value combine(Value a, Value b) { return op::mul(a, b); }
};

// The logarithm of the sum of two exponentials; without elements it is minus infinity.
template <typename R> struct LogSum {
    static INLINE R identity() { return -Limits<R>::infinity(); }
    static INLINE R combine(R a, R b) { return op::logaddexp(a, b); }
};
template <typename R> struct LogSum<Complex<R>> {
    typedef Complex<R> C;
    static INLINE C identity() { return {-Limits<R>::infinity(), R(0)}; }
    static INLINE C combine(C a, C b) {
        if (op::isnan(a) || op::isnan(b)) return {Limits<R>::nan(), Limits<R>::nan()};
        const C low = a.re < b.re ? a : b, high = a.re < b.re ? b : a;
        if (low.re == -Limits<R>::infinity()) return high;
        if (low.re == high.re && op::isinf(high.re)) {
            return low.im == high.im ? high : op::log(op::exp(low) + op::exp(high));
        }
        // ln|1 + z| = ln1p(2 re z + |z|^2) / 2 keeps its digits where z is small.
        const C z = op::exp(low - high);
        const R length = R(0.5) * op::log1p(R(2) * z.re + z.re * z.re + z.im * z.im);
        return high + C(length, op::atan2(z.im, R(1) + z.re));
    }
};
template <typename T, typename O> struct LogCumSumExp : LogSum<typename Accumulate<T>::type> {
    typedef typename Accumulate<T>::type Value;
    static INLINE Value map(T x, i64) { return to<Value>(x); }
    static INLINE void store(Value a, i64 at, O* out, i64*) { out[at] = to<O>(a); }
};

// A running extreme and the latest of its positions; NaN stays. Nothing has been seen at position -1.
template <typename V> struct Reached {
    V value;
    i64 at;
};
template <typename T, typename O, bool GREATEST> struct Extreme {
    typedef Reached<typename Accumulate<T>::type> Value;
    static INLINE Value identity() { return {typename Accumulate<T>::type(), -1}; }
    static INLINE Value map(T x, i64 i) { return {to<typename Accumulate<T>::type>(x), i}; }
    static INLINE Value combine(Value a, Value b) {
        if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
        const bool reaches = GREATEST ? b.value >= a.value : b.value <= a.value;
        return op::isnan(b.value) || (!op::isnan(a.value) && reaches) ? b : a;
    }
    static INLINE void store(Value a, i64 at, O* out, i64* positions) {
        out[at] = to<O>(a.value);
        positions[at] = a.at;
    }
};
template <typename T, typename O> struct CumMax : Extreme<T, O, true> {};
template <typename T, typename O> struct CumMin : Extreme<T, O, false> {};
