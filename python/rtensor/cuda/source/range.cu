// Elements computed from their positions by RULE: a function of two numbers, in type A, and of position and count.
#include "complex.cuh"

struct Numbers {
    i64 w[4];
};

// a + b i
INLINE A arange(A a, A b, i64 i, i64) { return op::add(a, op::mul(b, to<A>(i))); }

// From a to b as T holds them; both halves are computed from their own end.
INLINE A linspace(A a, A b, i64 i, i64 count) {
    a = to<A>(to<T>(a)), b = to<A>(to<T>(b));
    const i64 last = count > 1 ? count - 1 : 1;
    const A step = op::div(op::sub(b, a), to<A>(last));
    return i < count / 2 ? arange(a, step, i, count) : arange(b, op::neg(step), last - i, count);
}

extern "C" __global__ void sequence(T* out, i64 count, const Numbers ends) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = to<T>(RULE(number<A>(ends.w), number<A>(ends.w + 2), i, count));
}

extern "C" __global__ void powers(T* out, i64 count, const Numbers ends, double base) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const A exponent = RULE(number<A>(ends.w), number<A>(ends.w + 2), i, count);
    out[i] = to<T>(op::pow(to<A>(base), exponent));
}
