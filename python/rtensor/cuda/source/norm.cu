// Normalisation of rows and its gradients: layer norm, or RMS norm where the mean counts as zero (CENTERED 0).
// Elements and weights are of type T, statistics of type S; weight and bias may be absent.
#include "rows.cuh"

typedef typename Accumulate<T>::type A;

// Mean and inverse deviation of a row, which is held afterwards.
struct Statistics {
    A mean, rstd;
    INLINE Statistics(Held<T>& x, i64 size, double eps) {
        A sum = A(0), squares = A(0);
        walk(size, [&](i64 i, int k) {
            x.read(i, k);
            EACH_IN_UNIT(u) sum += x.at[k][u];
        });
        mean = CENTERED ? group_sum(sum) / (A)size : A(0);
        walk(size, [&](i64 i, int k) {
            x.again(i, k);
            EACH_IN_UNIT(u) squares += (x.at[k][u] - mean) * (x.at[k][u] - mean);
        });
        rstd = A(1) / op::sqrt(group_sum(squares) / (A)size + (A)eps);
    }
    INLINE void store(S* means, S* rstds, i64 row) const {
        if (Group::rank() != 0) return;
        if (CENTERED) means[row] = to<S>(mean);
        rstds[row] = to<S>(rstd);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS) statistics(
    const T* x, S* means, S* rstds, i64 rows, i64 size, double eps
) {
    FOR_ROWS(row, rows) {
        Held<T> held(x + row * size);
        Statistics(held, size, eps).store(means, rstds, row);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) normalise(
    const T* x, const T* weight, const T* bias, T* out, S* means, S* rstds, i64 rows, i64 size, double eps
) {
    FOR_ROWS(row, rows) {
        Held<T> held(x + row * size);
        const Statistics found(held, size, eps);
        walk(size, [&](i64 i, int k) {
            Held<T> w(weight), b(bias);
            held.again(i, k);
            if (weight) w.read(i, 0);
            if (bias) b.read(i, 0);
            write(out + row * size + i, [&](int u) {
                const A value = (held.at[k][u] - found.mean) * found.rstd;
                return (weight ? value * w.at[0][u] : value) + (bias ? b.at[0][u] : A(0));
            });
        });
        found.store(means, rstds, row);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) gradient(
    const T* grad, const T* x, const T* weight, const S* means, const S* rstds, T* out, i64 rows, i64 size
) {
    FOR_ROWS(row, rows) {
        const A mean = CENTERED ? to<A>(means[row]) : A(0), rstd = to<A>(rstds[row]);
        Held<T> slope(grad + row * size), hat(x + row * size);
        A along = A(0), level = A(0);
        const auto read = [&](i64 i, int k) {
            Held<T> w(weight);
            slope.read(i, k);
            hat.read(i, k);
            if (weight) w.read(i, 0);
            EACH_IN_UNIT(u) {
                hat.at[k][u] = (hat.at[k][u] - mean) * rstd;
                if (weight) slope.at[k][u] *= w.at[0][u];
            }
        };
        walk(size, [&](i64 i, int k) {
            read(i, k);
            EACH_IN_UNIT(u) {
                along += slope.at[k][u] * hat.at[k][u];
                level += slope.at[k][u];
            }
        });
        along = group_sum(along) / (A)size;
        level = CENTERED ? group_sum(level) / (A)size : A(0);
        walk(size, [&](i64 i, int k) {
            if (HELD == 0) read(i, k);
            write(out + row * size + i, [&](int u) { return (slope.at[k][u] - level - hat.at[k][u] * along) * rstd; });
        });
    }
}
