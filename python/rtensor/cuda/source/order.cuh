// Keys that compare as unsigned integers do: NaN is the greatest, zeros are equal.

template <int SIZE> struct Unsigned;
template <> struct Unsigned<1> { typedef u8 type; };
template <> struct Unsigned<2> { typedef u16 type; };
template <> struct Unsigned<4> { typedef u32 type; };
template <> struct Unsigned<8> { typedef u64 type; };

template <typename T> INLINE typename Unsigned<sizeof(T)>::type order_key(T x) {
    typedef typename Unsigned<sizeof(T)>::type Key;
    const Key sign = (Key)((Key)1 << (8 * sizeof(T) - 1));
    if constexpr (IsFloat<T>::value) {
        const Key bits = *(Key*)&x;
        if (x != x) return (Key)~(Key)0;
        return bits > sign ? (Key)~bits : (Key)(bits | sign);
    } else {
        return T(-1) < T(0) ? (Key)((Key)x ^ sign) : (Key)x;
    }
}
template <> INLINE u8 order_key(bool x) { return x; }

// The key by which this text sorts. Settings: DESCENDING.
template <typename T> INLINE typename Unsigned<sizeof(T)>::type sort_key(T x) {
    const auto key = order_key(x);
    return DESCENDING ? (decltype(order_key(x)))~key : key;
}
