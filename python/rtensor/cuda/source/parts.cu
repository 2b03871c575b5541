// Mantissas between 1/2 and 1, and exponents; type A holds an element of type T exactly.

extern "C" __global__ void mantissas(const T* x, T* mantissa, i32* exponent, i64 count) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const A value = (A)x[i];
    int power = 0;
    const A part = frexp(value, &power);
    const bool finite = fabs(value) < Limits<A>::infinity();
    mantissa[i] = to<T>(finite ? part : value);
    exponent[i] = finite ? power : 0;
}
