// The softmax of attention scores and its gradient, one row per block. Settings: T, and HELD, the elements of a row that
// a thread keeps in registers, 0 for rows too long for that.
#include "block.cuh"
#include "math.cuh"

typedef typename Accumulate<T>::type A;

#define MOST_DIMS 6

// Which rows these are, what is added to their scores, and what queries see.
struct Rows {
    i64 first_head, first_row, rows, shared, queries, keys, causal;
    i64 sizes[MOST_DIMS], steps[MOST_DIMS], step_query, step_key;
};

INLINE A larger(A a, A b) { return a >= b || a != a ? a : b; }
INLINE A row_max(A x) {
    return block_reduce(x, [](A a, A b) { return larger(a, b); }, Limits<A>::lowest());
}
INLINE A row_sum(A x) {
    return block_reduce(x, [](A a, A b) { return a + b; }, A(0));
}

// Visits the elements of a row that fall to this thread, with the number of the visit.
template <typename F> INLINE void each(i64 size, F visit) {
    if (HELD) {
        #pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const i64 j = threadIdx.x + (i64)k * blockDim.x;
            if (j < size) visit(k, j);
        }
    } else {
        for (i64 j = threadIdx.x; j < size; j += blockDim.x) visit(0, j);
    }
}

// The place of a row's first key in what is added to scores.
INLINE i64 bias_at(const Rows& r, i64 head, i64 query) {
    i64 at = query * r.step_query;
    for (int d = MOST_DIMS - 1; d >= 0; --d) {
        at += head % r.sizes[d] * r.steps[d];
        head /= r.sizes[d];
    }
    return at;
}

// Scores become weights; where everything is masked, they are all zero. The arrays may be the same. A row belongs to
// one of several heads with keys of their own, each of which stands for `shared` heads of queries, one after the other.
extern "C" __global__ void attention_weights(const A* scores, const T* __restrict__ bias, T* weights, const Rows r) {
    const i64 row = blockIdx.x, stacked = r.first_row + row % r.rows, query = stacked % r.queries;
    const i64 head = (r.first_head + row / r.rows) * r.shared + stacked / r.queries;
    const i64 seen = r.causal ? min(r.keys, query + 1) : r.keys;
    const A* from = scores + row * r.keys;
    T* to_row = weights + row * r.keys;
    const T* extra = bias ? bias + bias_at(r, head, query) : bias;
    A held[HELD ? HELD : 1];
    const auto score = [&](i64 j) { return from[j] + (extra ? A(extra[j * r.step_key]) : A(0)); };
    A top = Limits<A>::lowest();
    each(seen, [&](int k, i64 j) {
        held[k] = score(j);
        top = larger(top, held[k]);
    });
    top = row_max(top);
    const bool none = bias && top == Limits<A>::lowest();
    const A shift = none ? A(0) : top;
    A sum = A(0);
    each(seen, [&](int k, i64 j) {
        held[k] = op::exp((HELD ? held[k] : score(j)) - shift);
        sum += held[k];
    });
    sum = row_sum(sum);
    const A scale = none ? A(0) : A(1) / sum;
    each(r.keys, [&](int k, i64 j) {
        const A power = j >= seen ? A(0) : HELD ? held[k] : op::exp(score(j) - shift);
        to_row[j] = to<T>(power * scale);
    });
}

// The gradients of scores from those of weights; the arrays may be the same.
extern "C" __global__ void attention_scores_gradient(
    const T* __restrict__ weights, const A* slopes, T* out, i64 keys, double scale
) {
    const T* weight = weights + blockIdx.x * keys;
    const A* slope = slopes + blockIdx.x * keys;
    A sum = A(0);
    each(keys, [&](int, i64 j) { sum += A(weight[j]) * slope[j]; });
    sum = row_sum(sum);
    T* to_row = out + blockIdx.x * keys;
    each(keys, [&](int, i64 j) { to_row[j] = to<T>((slope[j] - sum) * A(weight[j]) * A(scale)); });
}
