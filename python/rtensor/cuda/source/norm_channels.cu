// Normalisation of channels by given statistics, and its gradients. Elements of type T are [batch, channels, inner],
// with one mean and inverse deviation (type S) per channel, or per sample and group of channels where there are groups.
// Weight and bias (type W) may be absent. UNIT neighbours are read at once; they lie in one channel.
#include "block.cuh"
#include "math.cuh"

typedef typename Accumulate<T>::type A;

struct Channels {
    i64 batch, channels, inner, groups, per_group;
    // Where the statistics of a channel of a sample lie.
    INLINE i64 statistic(i64 sample, i64 channel) const {
        return groups == 0 ? channel : sample * groups + channel / per_group;
    }
    INLINE i64 statistics() const { return groups == 0 ? channels : batch * groups; }
};

// Sums of slope * (x - mean) and of slope; in lines of gradients, what multiplies (x - mean) and what is taken off.
struct Pair {
    A along, level;
};
INLINE Pair operator+(Pair a, Pair b) { return {a.along + b.along, a.level + b.level}; }

// Calls body(first, sample, channel) for the units of all elements.
template <typename F> INLINE void each_unit(const Channels& c, F body) {
    const i64 units = c.batch * c.channels * c.inner / UNIT;
    for (i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x; unit < units; unit += (i64)gridDim.x * blockDim.x) {
        const INDEX first = (INDEX)(unit * UNIT), plane = first / (INDEX)c.inner, sample = plane / (INDEX)c.channels;
        body((i64)first, (i64)sample, (i64)(plane - sample * (INDEX)c.channels));
    }
}

extern "C" __global__ void __launch_bounds__(256) normalise(
    const T* x, const W* weight, const W* bias, const S* means, const S* rstds, T* out, const Channels c
) {
    each_unit(c, [&](i64 first, i64 sample, i64 channel) {
        const i64 at = c.statistic(sample, channel);
        const A mean = to<A>(means[at]), scale = to<A>(rstds[at]) * (weight ? to<A>(weight[channel]) : A(1));
        const A shift = bias ? to<A>(bias[channel]) : A(0);
        auto unit = *(const Pack<T, UNIT>*)(x + first);
        #pragma unroll
        for (int u = 0; u < UNIT; ++u) unit.at[u] = to<T>((to<A>(unit.at[u]) - mean) * scale + shift);
        *(Pack<T, UNIT>*)(out + first) = unit;
    });
}

extern "C" __global__ void __launch_bounds__(256) gradient(
    const T* grad, const T* x, const W* weight, const S* means, const S* rstds, const Pair* lines, T* out,
    const Channels c
) {
    each_unit(c, [&](i64 first, i64 sample, i64 channel) {
        const i64 at = c.statistic(sample, channel);
        const A mean = to<A>(means[at]), gain = to<A>(rstds[at]) * (weight ? to<A>(weight[channel]) : A(1));
        const Pair line = lines[at];
        const auto slope = *(const Pack<T, UNIT>*)(grad + first);
        auto unit = *(const Pack<T, UNIT>*)(x + first);
        #pragma unroll
        for (int u = 0; u < UNIT; ++u) {
            const A value = to<A>(slope.at[u]) * gain - (to<A>(unit.at[u]) - mean) * line.along - line.level;
            unit.at[u] = to<T>(value);
        }
        *(Pack<T, UNIT>*)(out + first) = unit;
    });
}

// Sums of each channel of each sample, by groups of lanes or by blocks.
extern "C" __global__ void __launch_bounds__(512) plane_sums(
    const T* grad, const T* x, const S* means, Pair* sums, const Channels c, i64 lanes
) {
    const auto combine = [](Pair a, Pair b) { return a + b; };
    const i64 planes = c.batch * c.channels, each = blockDim.x / lanes;
    for (i64 base = blockIdx.x * each; base < planes; base += gridDim.x * each) {
        const i64 plane = base + threadIdx.x / lanes, rank = threadIdx.x % lanes;
        Pair sum = {A(0), A(0)};
        if (plane < planes) {
            const i64 sample = plane / c.channels;
            const A mean = to<A>(means[c.statistic(sample, plane - sample * c.channels)]);
            #pragma unroll 4
            for (i64 i = rank * UNIT; i < c.inner; i += lanes * UNIT) {
                const auto slope = *(const Pack<T, UNIT>*)(grad + plane * c.inner + i);
                const auto unit = *(const Pack<T, UNIT>*)(x + plane * c.inner + i);
                #pragma unroll
                for (int u = 0; u < UNIT; ++u) {
                    sum.along += to<A>(slope.at[u]) * (to<A>(unit.at[u]) - mean);
                    sum.level += to<A>(slope.at[u]);
                }
            }
        }
        sum = lanes > 32 ? block_reduce(sum, combine, Pair{A(0), A(0)}) : warp_reduce(sum, combine, (int)lanes);
        if (plane < planes && rank == 0) sums[plane] = sum;
    }
}

// Sums of channels that are single elements, over parts of the batch.
extern "C" __global__ void __launch_bounds__(256) column_sums(
    const T* grad, const T* x, const S* means, Pair* sums, const Channels c, i64 chunk
) {
    __shared__ Pair slots[8][32];
    const int lane = threadIdx.x % 32, rank = threadIdx.x / 32;
    const i64 channel = (i64)blockIdx.x * 32 + lane, end = min((blockIdx.y + 1) * chunk, c.batch);
    Pair sum = {A(0), A(0)};
    if (channel < c.channels) {
        const A mean = to<A>(means[channel]);
        #pragma unroll 4
        for (i64 sample = blockIdx.y * chunk + rank; sample < end; sample += 8) {
            const A slope = to<A>(grad[sample * c.channels + channel]);
            sum.along += slope * (to<A>(x[sample * c.channels + channel]) - mean);
            sum.level += slope;
        }
    }
    slots[rank][lane] = sum;
    __syncthreads();
    if (rank > 0 || channel >= c.channels) return;
    for (int other = 1; other < 8; ++other) sum = sum + slots[other][lane];
    sums[blockIdx.y * c.channels + channel] = sum;
}

// From the sums of `blocks` samples, or parts of the batch: the line of each statistic, then the gradients of weight
// and bias of each channel. A warp makes one of either.
extern "C" __global__ void __launch_bounds__(256) lines(
    const Pair* sums, const W* weight, const S* rstds, Pair* lines, W* weights, W* biases, const Channels c, i64 blocks,
    i64 frozen
) {
    const auto combine = [](Pair a, Pair b) { return a + b; };
    const int lane = threadIdx.x % 32;
    const i64 warp = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32, channel = warp - c.statistics();
    Pair sum = {A(0), A(0)};
    if (warp < c.statistics()) {
        const i64 sample = c.groups ? warp / c.groups : 0, first = c.groups ? warp % c.groups * c.per_group : warp;
        const i64 members = frozen ? 0 : c.groups ? c.per_group : blocks;
        for (i64 i = lane; i < members; i += 32) {
            const i64 own = c.groups ? first + i : first;
            const Pair here = sums[(c.groups ? sample : i) * c.channels + own];
            const A factor = weight ? to<A>(weight[own]) : A(1);
            sum = sum + Pair{here.along * factor, here.level * factor};
        }
        sum = warp_reduce(sum, combine);
        const A rstd = to<A>(rstds[warp]), count = (A)(c.batch * c.channels * c.inner / c.statistics());
        if (lane == 0) lines[warp] = {sum.along / count * rstd * rstd * rstd, sum.level / count * rstd};
    } else if (channel < c.channels) {
        for (i64 block = lane; block < blocks; block += 32) {
            const Pair here = sums[block * c.channels + channel];
            sum = sum + Pair{here.along * to<A>(rstds[c.statistic(block, channel)]), here.level};
        }
        sum = warp_reduce(sum, combine);
        if (lane != 0) return;
        weights[channel] = to<W>(sum.along);
        biases[channel] = to<W>(sum.level);
    }
}
