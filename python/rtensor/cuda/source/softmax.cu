// Softmax of rows and its gradient, or those of its logarithm (LOG): elements of type T, results of type O.
#include "rows.cuh"

typedef typename Accumulate<T>::type A;

extern "C" __global__ void __launch_bounds__(THREADS) softmax_rows(const T* x, O* out, i64 rows, i64 size) {
    FOR_ROWS(row, rows) {
        Held<T> held(x + row * size);
        A top = Limits<A>::lowest(), sum = A(0);
        walk(size, [&](i64 i, int k) {
            held.read(i, k);
            EACH_IN_UNIT(u) top = op::maximum(top, held.at[k][u]);
        });
        top = group_max(top);
        walk(size, [&](i64 i, int k) {
            held.again(i, k);
            EACH_IN_UNIT(u) {
                const A power = op::exp(held.at[k][u] - top);
                sum += power;
                if (!LOG && HELD > 0) held.at[k][u] = power;
            }
        });
        sum = group_sum(sum);
        const A scale = LOG ? op::log(sum) : A(1) / sum;
        walk(size, [&](i64 i, int k) {
            held.again(i, k);
            write(out + row * size + i, [&](int u) {
                const A value = held.at[k][u];
                if (LOG) return value - top - scale;
                return (HELD > 0 ? value : op::exp(value - top)) * scale;
            });
        });
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) gradient_rows(
    const T* grad, const T* output, O* out, i64 rows, i64 size
) {
    FOR_ROWS(row, rows) {
        Held<T> g(grad + row * size), y(output + row * size);
        A sum = A(0);
        walk(size, [&](i64 i, int k) {
            g.read(i, k);
            y.read(i, k);
            EACH_IN_UNIT(u) sum += LOG ? g.at[k][u] : g.at[k][u] * y.at[k][u];
        });
        sum = group_sum(sum);
        walk(size, [&](i64 i, int k) {
            g.again(i, k);
            y.again(i, k);
            write(out + row * size + i, [&](int u) {
                const A slope = g.at[k][u], value = y.at[k][u];
                return LOG ? slope - op::exp(value) * sum : value * (slope - sum);
            });
        });
    }
}
