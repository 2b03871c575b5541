// Negative log-likelihood: scores of type T are [batch, classes, inner], targets [batch, inner]; targets equal to
// `ignore` do not count. The weight of each class may be absent.
#include "block.cuh"
#include "failures.cuh"

typedef typename Accumulate<T>::type A;

struct Rows {
    i64 count, classes, inner, ignore;
    // Where the score of target i lies; -1 if it does not count.
    INLINE i64 place(i64 i, i64 target, i64 failures) const {
        if (target == ignore) return -1;
        if ((u64)target >= (u64)classes) {
            report(failures, target, classes, NO_CLASS);
            return -1;
        }
        return (i / inner * classes + target) * inner + i % inner;
    }
};

// Sums of losses and of weights.
struct Sums {
    A loss, weight;
};
INLINE Sums block_sum(Sums sums) {
    const auto combine = [](Sums a, Sums b) { return Sums{a.loss + b.loss, a.weight + b.weight}; };
    return block_reduce(sums, combine, Sums{A(0), A(0)});
}
INLINE void store(Sums sums, T* loss, T* total, i64 mean) {
    if (threadIdx.x != 0) return;
    if (loss) *loss = to<T>(mean ? sums.loss / sums.weight : sums.loss);
    *total = to<T>(sums.weight);
}

// Losses of all targets if there is a place for them; their sum, or the sums of several blocks for `finish`.
extern "C" __global__ void __launch_bounds__(512) losses(
    const T* scores, const i64* targets, const T* weights, T* each, void* partial, T* loss, T* total, const Rows rows,
    i64 mean, i64 failures
) {
    Sums sums = {A(0), A(0)};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.count; i += (i64)gridDim.x * blockDim.x) {
        const i64 target = targets[i], place = rows.place(i, target, failures);
        const A weight = place < 0 ? A(0) : weights ? to<A>(weights[target]) : A(1);
        // A weight of zero leaves even an infinite loss out.
        const A own = weight == A(0) ? A(0) : -weight * to<A>(scores[place]);
        if (each) each[i] = to<T>(own);
        sums.loss += own;
        sums.weight += weight;
    }
    sums = block_sum(sums);
    if (gridDim.x == 1) store(sums, loss, total, mean);
    else if (threadIdx.x == 0) ((Sums*)partial)[blockIdx.x] = sums;
}

extern "C" __global__ void __launch_bounds__(512) finish(
    const void* partial, T* loss, T* total, i64 blocks, i64 mean
) {
    Sums sums = {A(0), A(0)};
    for (i64 i = threadIdx.x; i < blocks; i += blockDim.x) {
        const Sums here = ((const Sums*)partial)[i];
        sums = {sums.loss + here.loss, sums.weight + here.weight};
    }
    store(block_sum(sums), loss, total, mean);
}

// Puts the gradients of the targets' scores among zeros; `slopes` are those of the losses, or that of all.
extern "C" __global__ void __launch_bounds__(256) gradient(
    const i64* targets, const T* weights, const T* slopes, const T* total, T* grad, const Rows rows, i64 single,
    i64 failures
) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows.count) return;
    const i64 target = targets[i], place = rows.place(i, target, failures);
    if (place < 0) return;
    const A slope = to<A>(slopes[single ? 0 : i]) / (total ? to<A>(*total) : A(1));
    grad[place] = to<T>(-(weights ? to<A>(weights[target]) : A(1)) * slope);
}
