// Steps of optimisers over a list of tensors: a block takes CHUNK elements of one of them.
// T: dtype. MOMENTUM, AMSGRAD: whether the rule keeps that state.

typedef Accumulate<T>::type A;

// Host and device agree on these (kernels/optim.py): parameter, gradient and up to three states.
struct Entry {
    T* at[5];
    const float* step;
    double count;
    i64 size;
    i64 first_block;
};
struct Table {
    i64 tensors;
    Entry entries[LENGTH];
};

struct Part {
    const Entry* entry;
    i64 begin, end;
};

// The last tensor whose blocks begin at or before this one.
INLINE Part part_of_block(const Table& table) {
    i64 low = 0, high = table.tensors;
    while (high - low > 1) {
        const i64 middle = (low + high) / 2;
        if (table.entries[middle].first_block <= (i64)blockIdx.x) low = middle;
        else high = middle;
    }
    const Entry& entry = table.entries[low];
    const i64 begin = ((i64)blockIdx.x - entry.first_block) * CHUNK;
    return {&entry, begin, begin + CHUNK < entry.size ? begin + CHUNK : entry.size};
}

// Applies a rule to the block's elements, four at a time where they are aligned; tensor 1, the gradient, is only read.
template <int N, typename Rule> INLINE void update(const Part& part, const Rule& rule) {
    T* at[N];
    u64 bits = 0;
    for (int k = 0; k < N; ++k) {
        at[k] = part.entry->at[k];
        bits |= (u64)at[k];
    }
    const i64 quads = bits % sizeof(Pack<T, 4>) == 0 ? (part.end - part.begin) / 4 : 0;
    for (i64 i = threadIdx.x; i < quads; i += blockDim.x) {
        Pack<T, 4> packs[N];
        #pragma unroll
        for (int k = 0; k < N; ++k) packs[k] = ((const Pack<T, 4>*)(at[k] + part.begin))[i];
        #pragma unroll
        for (int lane = 0; lane < 4; ++lane) {
            A values[N];
            #pragma unroll
            for (int k = 0; k < N; ++k) values[k] = to<A>(packs[k].at[lane]);
            rule(values);
            #pragma unroll
            for (int k = 0; k < N; ++k) packs[k].at[lane] = to<T>(values[k]);
        }
        #pragma unroll
        for (int k = 0; k < N; ++k)
            if (k != 1) ((Pack<T, 4>*)(at[k] + part.begin))[i] = packs[k];
    }
    for (i64 i = part.begin + 4 * quads + threadIdx.x; i < part.end; i += blockDim.x) {
        A values[N];
        #pragma unroll
        for (int k = 0; k < N; ++k) values[k] = to<A>(at[k][i]);
        rule(values);
        #pragma unroll
        for (int k = 0; k < N; ++k)
            if (k != 1) at[k][i] = to<T>(values[k]);
    }
}

struct Sgd {
    double weight_decay, momentum, lr, dampening;
    i64 nesterov, maximize, is_first;
};

struct SgdRule {
    A minus_lr, momentum, undamped, weight_decay;
    bool nesterov, maximize, is_first;
    INLINE SgdRule(const Sgd& s)
        : minus_lr((A)-s.lr), momentum((A)s.momentum), undamped((A)(1.0 - s.dampening)),
          weight_decay((A)s.weight_decay), nesterov(s.nesterov), maximize(s.maximize), is_first(s.is_first) {}
    INLINE void operator()(A* v) const {
        A grad = maximize ? -v[1] : v[1];
        if (weight_decay != A(0)) grad = grad + v[0] * weight_decay;
        if (MOMENTUM) {
            v[2] = is_first ? grad : v[2] * momentum + grad * undamped;
            grad = nesterov ? grad + v[2] * momentum : v[2];
        }
        v[0] = v[0] + grad * minus_lr;
    }
};

extern "C" __global__ void sgd(const Table table, const Sgd settings) {
    update<2 + MOMENTUM>(part_of_block(table), SgdRule(settings));
}

struct Adam {
    double lr, beta1, beta2, weight_decay, eps;
    i64 maximize, decoupled;
};

struct AdamRule {
    A minus_step, shrink, weight_decay, one_minus_beta1, beta2, one_minus_beta2, root, eps;
    bool maximize, decoupled;
    INLINE AdamRule(const Adam& s, A minus_step, A root)
        : minus_step(minus_step), shrink((A)(1.0 - s.lr * s.weight_decay)), weight_decay((A)s.weight_decay),
          one_minus_beta1((A)(1.0 - s.beta1)), beta2((A)s.beta2), one_minus_beta2((A)(1.0 - s.beta2)), root(root),
          eps((A)s.eps), maximize(s.maximize), decoupled(s.decoupled) {}
    INLINE void operator()(A* v) const {
        A grad = maximize ? -v[1] : v[1];
        if (decoupled) v[0] = v[0] * shrink;
        else if (weight_decay != A(0)) grad = grad + v[0] * weight_decay;
        v[2] = v[2] + (grad - v[2]) * one_minus_beta1;
        v[3] = v[3] * beta2 + grad * grad * one_minus_beta2;
        if (AMSGRAD) v[4] = v[3] > v[4] ? v[3] : v[4];
        v[0] = v[0] + v[2] * minus_step / (sqrt(v[3 + AMSGRAD]) / root + eps);
    }
};

extern "C" __global__ void adam(const Table table, const Adam settings) {
    const Part part = part_of_block(table);
    // The corrections of the averages' bias, in double as on the CPU: once for a block.
    __shared__ A corrections[2];
    if (threadIdx.x == 0) {
        const double step = part.entry->step ? (double)*part.entry->step : part.entry->count;
        corrections[0] = (A)(-settings.lr / (1.0 - pow(settings.beta1, step)));
        corrections[1] = (A)sqrt(1.0 - pow(settings.beta2, step));
    }
    __syncthreads();
    update<4 + AMSGRAD>(part, AdamRule(settings, corrections[0], corrections[1]));
}

// Multiplies each tensor, and sets `found` where an element is not finite.
extern "C" __global__ void unscale(const Table table, const float* inverse, float* found) {
    const Part part = part_of_block(table);
    const A factor = (A)*inverse;
    T* gradient = part.entry->at[0];
    bool finite = true;
    for (i64 i = part.begin + threadIdx.x; i < part.end; i += blockDim.x) {
        const A value = to<A>(gradient[i]);
        finite = finite && value - value == A(0);
        gradient[i] = to<T>(value * factor);
    }
    if (!finite) *found = 1.0f;
}

// Counts a step of each tensor, where the counts lie on the device.
extern "C" __global__ void count_steps(const Table table) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < table.tensors) *(float*)table.entries[i].step += 1.0f;
}
