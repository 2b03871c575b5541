// The part of cuBLASLt that adds a bias to a product; stands behind blas.cpp.

namespace {

struct Description {
    int compute, scale;
    int transposes[2] = {0, 0};
    int epilogue = 1;
    const void* bias = nullptr;
};
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t lead;
};
struct Choice {
    uint64_t algorithm[8];
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};

bool fits(const Description& d, const Layout& a, const Layout& b, const Layout& c) {
    bool turned_a = d.transposes[0], turned_b = d.transposes[1];
    uint64_t rows = turned_a ? a.columns : a.rows, inner = turned_a ? a.rows : a.columns;
    bool sizes = rows == c.rows && inner == (turned_b ? b.columns : b.rows) &&
                 (turned_b ? b.rows : b.columns) == c.columns;
    bool leads = uint64_t(a.lead) >= a.rows && uint64_t(b.lead) >= b.rows && uint64_t(c.lead) >= c.rows;
    return sizes && leads && d.epilogue == 4 && d.bias && a.type == c.type && supported(d.compute, a.type, b.type, c.type);
}

}  // namespace

extern "C" {

int cublasLtMatmulDescCreate(Description** made, int compute, int scale) {
    return *made = new Description{compute, scale}, SUCCESS;
}
int cublasLtMatmulDescSetAttribute(Description* d, int attribute, const void* value, size_t size) {
    if (attribute == 3 || attribute == 4) {
        if (size != 4) return INVALID_VALUE;
        memcpy(&d->transposes[attribute - 3], value, 4);
    } else if (attribute == 7 && size == 4) {
        memcpy(&d->epilogue, value, 4);
    } else if (attribute == 8 && size == 8) {
        memcpy(&d->bias, value, 8);
    } else {
        return INVALID_VALUE;
    }
    return SUCCESS;
}
int cublasLtMatrixLayoutCreate(Layout** made, int type, uint64_t rows, uint64_t columns, int64_t lead) {
    return *made = new Layout{type, rows, columns, lead}, SUCCESS;
}
int cublasLtMatmulPreferenceCreate(void** made) { return *made = new int, SUCCESS; }
int cublasLtMatmulPreferenceDestroy(int* preference) { return delete preference, SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void*, int attribute, const void*, size_t size) {
    bool known = (attribute == 1 && size == 8) || (attribute >= 5 && attribute <= 8 && size == 4);
    return known ? SUCCESS : INVALID_VALUE;
}
int cublasLtMatmulAlgoGetHeuristic(
    void*, const Description* d, const Layout* a, const Layout* b, const Layout* c, const Layout*, void*, int,
    Choice* choice, int* count
) {
    if (!fits(*d, *a, *b, *c)) return NOT_SUPPORTED;
    choice->algorithm[0] = 0xA160;
    choice->workspace = 0;
    return *count = 1, SUCCESS;
}
int cublasLtMatmul(
    void*, const Description* d, const void* alpha, const void* a, const Layout* of_a, const void* b,
    const Layout* of_b, const void* beta, const void* c, const Layout* of_c, void* out, const Layout*,
    const Choice* choice, void*, size_t, size_t to
) {
    if (choice->algorithm[0] != 0xA160 || c != out || !fits(*d, *of_a, *of_b, *of_c)) return INVALID_VALUE;
    int kind = scale_type(d->compute, of_c->type), inner = d->transposes[0] ? of_a->rows : of_a->columns;
    Product product = {
        d->transposes[0], d->transposes[1], int(of_c->rows), int(of_c->columns), inner, get(alpha, kind, 0),
        get(beta, kind, 0), a, of_a->type, int(of_a->lead), 0, b, of_b->type, int(of_b->lead), 0, out, of_c->type,
        int(of_c->lead), 0, 1, d->bias
    };
    return submit(product, to), SUCCESS;
}

}  // extern "C"
