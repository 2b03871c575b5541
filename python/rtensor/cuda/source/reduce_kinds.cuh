// Reductions: the identity, what an element x (at position i) adds to a value a, how values a and b combine, and what
// is written of a in the end. T is the input's type, O that of the (first) result; `count` elements went into each
// result, p is the reduction's parameter.
#include "math.cuh"

template <typename T> struct RealOf { typedef typename Accumulate<T>::type type; };
template <typename R> struct RealOf<Complex<R>> { typedef R type; };

template <typename T> INLINE bool is_zero(T x) { return !to<bool>(x); }
template <typename R> INLINE R size_of(R x) { return op::abs(x); }
template <typename R> INLINE R size_of(Complex<R> z) { return op::hypot(z.re, z.im); }
template <typename R> INLINE R dot(R a, R b) { return a * b; }
template <typename R> INLINE R dot(Complex<R> a, Complex<R> b) { return a.re * b.re + a.im * b.im; }
template <typename R> INLINE R over(R a, double count) { return a / (R)count; }
template <typename R> INLINE Complex<R> over(Complex<R> a, double count) { return {a.re / (R)count, a.im / (R)count}; }

// The bits of a number widened to 64.
INLINE i64 word_of(double x) { return __double_as_longlong(x); }
INLINE i64 word_of(float x) { return word_of((double)x); }
template <typename T> INLINE i64 word_of(T x) { return (i64)x; }

// ---- one value per result: name, type of values, identity, map of an element, combine, finish ----

#define FOLD(NAME, VALUE, IDENTITY, MAP, COMBINE, FINISH) \
    template <typename T, typename O> struct NAME { \
        typedef typename VALUE<T>::type Value; \
        typedef typename Accumulate<T>::type Element; \
        static INLINE Value identity() { return IDENTITY; } \
        static INLINE Value combine(Value a, Value b) { return COMBINE; } \
        static INLINE Value step(Value a, T element, i64, double p) { \
            const Element x = to<Element>(element); \
            const Value b = MAP; \
            return COMBINE; \
        } \
        static INLINE void store(Value a, i64 at, O* out, void*, double count, double p) { out[at] = to<O>(FINISH); } \
    };

template <typename T> struct Truth { typedef bool type; };
template <typename T> struct Whole { typedef i64 type; };

FOLD(Sum, Total, Value(0), to<Value>(x), op::add(a, b), a)
FOLD(NanSum, Total, Value(0), op::isnan(x) ? Value(0) : to<Value>(x), op::add(a, b), a)
FOLD(Mean, Total, Value(0), to<Value>(x), op::add(a, b), over(a, count))
FOLD(Prod, Total, Value(1), to<Value>(x), op::mul(a, b), a)
FOLD(Max, Accumulate, Limits<T>::lowest(), x, op::maximum(a, b), a)
FOLD(Min, Accumulate, Limits<T>::highest(), x, op::minimum(a, b), a)
FOLD(Any, Truth, false, !is_zero(x), a || b, a)
FOLD(All, Truth, true, !is_zero(x), a && b, a)
FOLD(CountNonzero, Whole, 0, !is_zero(x), a + b, a)
FOLD(Xor, Whole, 0, word_of(x), a ^ b, a)
FOLD(Norm0, RealOf, Value(0), Value(!is_zero(x)), a + b, a)
FOLD(Norm1, RealOf, Value(0), size_of(x), a + b, a)
FOLD(Norm2, RealOf, Value(0), dot(x, x), a + b, op::sqrt(a))
FOLD(NormInf, RealOf, Value(0), size_of(x), op::maximum(a, b), a)
FOLD(NormNegInf, RealOf, Limits<Value>::infinity(), size_of(x), op::minimum(a, b), a)
FOLD(NormP, RealOf, Value(0), op::pow(size_of(x), (Value)p), a + b, op::pow(a, (Value)(1.0 / p)))
#undef FOLD

// ---- extremes with their positions: the first of equal ones, NaN before all ----

template <typename V> struct Found {
    V value;
    i64 at;
};
template <typename V> INLINE bool before(Found<V> a, Found<V> b, bool greater) {
    if (op::isnan(a.value) || op::isnan(b.value)) {
        return op::isnan(a.value) && (!op::isnan(b.value) || a.at < b.at);
    }
    return greater ? a.value > b.value || (a.value == b.value && a.at < b.at)
                   : a.value < b.value || (a.value == b.value && a.at < b.at);
}
template <typename T, bool GREATEST> struct Position {
    typedef typename Accumulate<T>::type Element;
    typedef Found<Element> Value;
    static INLINE Value identity() {
        return {GREATEST ? Element(Limits<T>::lowest()) : Element(Limits<T>::highest()), Limits<i64>::highest()};
    }
    static INLINE Value combine(Value a, Value b) { return before(b, a, GREATEST) ? b : a; }
    static INLINE Value step(Value a, T x, i64 i, double) { return combine(a, Value{to<Element>(x), i}); }
};
template <typename T, typename O, bool GREATEST> struct PositionAlone : Position<T, GREATEST> {
    static INLINE void store(Found<typename Accumulate<T>::type> a, i64 at, O* out, void*, double, double) {
        out[at] = a.at;
    }
};
template <typename T, typename O, bool GREATEST> struct WithPosition : Position<T, GREATEST> {
    static INLINE void store(Found<typename Accumulate<T>::type> a, i64 at, O* out, void* positions, double, double) {
        out[at] = to<O>(a.value);
        ((i64*)positions)[at] = a.at;
    }
};
template <typename T, typename O> struct ArgMax : PositionAlone<T, O, true> {};
template <typename T, typename O> struct ArgMin : PositionAlone<T, O, false> {};
template <typename T, typename O> struct MaxWithIndex : WithPosition<T, O, true> {};
template <typename T, typename O> struct MinWithIndex : WithPosition<T, O, false> {};

// ---- least and greatest ----

template <typename T, typename O> struct MinMax {
    typedef typename Accumulate<T>::type Element;
    struct Value {
        Element least, greatest;
    };
    static INLINE Value identity() { return {Element(Limits<T>::highest()), Element(Limits<T>::lowest())}; }
    static INLINE Value combine(Value a, Value b) {
        return {op::minimum(a.least, b.least), op::maximum(a.greatest, b.greatest)};
    }
    static INLINE Value step(Value a, T x, i64, double) { return combine(a, Value{to<Element>(x), to<Element>(x)}); }
    static INLINE void store(Value a, i64 at, O* least, void* greatest, double, double) {
        least[at] = to<O>(a.least);
        ((O*)greatest)[at] = to<O>(a.greatest);
    }
};

// ---- moments by Welford's and Chan's formulas; p is what is taken off the count ----

template <typename T, typename O, bool ROOT> struct Moments {
    typedef typename Accumulate<T>::type Element;
    typedef typename RealOf<T>::type Real;
    struct Value {
        Element mean;
        Real squares, count;
    };
    static INLINE Value identity() { return {Element(Real(0)), Real(0), Real(0)}; }
    static INLINE Value combine(Value a, Value b) {
        const Real count = a.count + b.count;
        if (b.count == Real(0)) return a;
        if (a.count == Real(0)) return b;
        const Element apart = b.mean - a.mean;
        const Real share = b.count / count;
        return {a.mean + apart * Element(share), a.squares + b.squares + dot(apart, apart) * share * a.count, count};
    }
    static INLINE Value step(Value a, T element, i64, double) {
        const Element x = to<Element>(element), apart = x - a.mean;
        const Real count = a.count + Real(1);
        const Element mean = a.mean + apart * Element(Real(1) / count);
        return {mean, a.squares + dot(apart, x - mean), count};
    }
    static INLINE void store(Value a, i64 at, O* spread, void* mean, double count, double p) {
        const Real variance = a.squares / (Real)(count > p ? count - p : 0.0);
        spread[at] = to<O>(ROOT ? op::sqrt(variance) : variance);
        if (mean) ((T*)mean)[at] = to<T>(count > 0.0 ? a.mean : Element(Limits<Real>::nan()));
    }
};
template <typename T, typename O> struct Variance : Moments<T, O, false> {};
template <typename T, typename O> struct Deviation : Moments<T, O, true> {};

// ---- log-sum-exp: the greatest element and the sum of exponentials beside it; infinities stand for themselves ----

template <typename T, typename O> struct LogSumExp {
    typedef typename Accumulate<T>::type Element;
    struct Value {
        Element top, sum;
    };
    static INLINE Element shift(Element top) { return op::isinf(top) ? Element(0) : top; }
    static INLINE Value identity() { return {-Limits<Element>::infinity(), Element(0)}; }
    static INLINE Element scaled(Value a, Element top) {
        return a.sum == Element(0) ? a.sum : a.sum * op::exp(shift(a.top) - shift(top));
    }
    static INLINE Value combine(Value a, Value b) {
        const Element top = op::maximum(a.top, b.top);
        return {top, scaled(a, top) + scaled(b, top)};
    }
    static INLINE Value step(Value a, T element, i64, double) {
        const Element x = to<Element>(element);
        if (x <= a.top) return {a.top, a.sum + op::exp(x - shift(a.top))};
        return combine(a, Value{x, op::exp(x - shift(x))});
    }
    static INLINE void store(Value a, i64 at, O* out, void*, double, double) {
        out[at] = to<O>(op::log(a.sum) + shift(a.top));
    }
};
