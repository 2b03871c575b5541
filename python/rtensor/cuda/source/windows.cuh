// Windows that move over images of up to three dimensions. Settings: INDEX, a type that counts all elements.

struct Windows { i64 input[3], output[3], kernel[3], stride[3], padding[3], dilation[3]; };

struct Place { int d, h, w; };

INLINE i64 product(const i64* sizes) { return sizes[0] * sizes[1] * sizes[2]; }

INLINE bool inside(int at, i64 size) { return at >= 0 && at < size; }

// The coordinates of a position.
INLINE Place place_of(INDEX at, const i64* sizes) {
    const INDEX height = (INDEX)sizes[1], width = (INDEX)sizes[2], line = at / width, depth = line / height;
    return {(int)depth, (int)(line - depth * height), (int)(at - line * width)};
}

// Where the window of a position starts.
INLINE Place first_of(INDEX at, const Windows& w) {
    const Place p = place_of(at, w.output);
    return {
        (int)(p.d * w.stride[0] - w.padding[0]), (int)(p.h * w.stride[1] - w.padding[1]),
        (int)(p.w * w.stride[2] - w.padding[2])
    };
}

// The output along an axis that sees an input by a tap, or -1.
INLINE int seen_by(const Windows& w, int axis, int at, int tap) {
    const int moved = at + (int)w.padding[axis] - tap * (int)w.dilation[axis], stride = (int)w.stride[axis];
    const int out = stride == 1 ? moved : moved / stride;
    return moved >= 0 && out * stride == moved && out < w.output[axis] ? out : -1;
}
