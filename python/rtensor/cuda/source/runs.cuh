// Neighbours along a dimension of any stride: at once where they lie side by side and are aligned.

template <typename T, int N> INLINE bool is_pack(const T* at, i64 step, int n) {
    return step == 1 && n == N && (u64)at % sizeof(Pack<T, N>) == 0;
}

template <typename L, typename T, int N> INLINE void load_run(L (&lanes)[N], const T* from, i64 step, int n) {
    if (is_pack<T, N>(from, step, n)) {
        const Pack<T, N> pack = *(const Pack<T, N>*)from;
        #pragma unroll
        for (int k = 0; k < N; ++k) lanes[k] = to<L>(pack.at[k]);
    } else if (step == 0) {
        const L lane = to<L>(*from);
        #pragma unroll
        for (int k = 0; k < N; ++k) lanes[k] = lane;
    } else {
        #pragma unroll
        for (int k = 0; k < N; ++k) lanes[k] = to<L>(from[k < n ? k * step : 0]);
    }
}

template <typename T, int N> INLINE void store_run(const Pack<T, N>& pack, T* onto, i64 step, int n) {
    if (is_pack<T, N>(onto, step, n)) {
        *(Pack<T, N>*)onto = pack;
    } else {
        #pragma unroll
        for (int k = 0; k < N; ++k) {
            if (k < n) onto[k * step] = pack.at[k];
        }
    }
}
