// The part of cuBLAS that multiplies matrices, in plain loops on the emulated device's memory.
#include <complex>
#include <cstdint>
#include <cstring>
#include <vector>

extern "C" void emu_unlock();
extern "C" void emu_lock();

namespace {

typedef std::complex<double> Number;
enum Type { F32 = 0, F64 = 1, F16 = 2, I8 = 3, C32 = 4, C64 = 5, I32 = 10, BF16 = 14 };
enum Status { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };

size_t stream = 0;
int math_mode = 0;
int (*is_capturing)(size_t);
void (*note)(void*, size_t, size_t);
void* noted_for;

float from_half(uint16_t bits) {
    _Float16 value;
    memcpy(&value, &bits, 2);
    return float(value);
}
uint16_t to_half(float x) {
    _Float16 value = _Float16(x);
    uint16_t bits;
    memcpy(&bits, &value, 2);
    return bits;
}
float from_bfloat(uint16_t bits) {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}
uint16_t to_bfloat(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x) return 0x7FC0;
    return uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

Number get(const void* at, int type, int64_t i) {
    switch (type) {
        case F32: return static_cast<const float*>(at)[i];
        case F64: return static_cast<const double*>(at)[i];
        case F16: return from_half(static_cast<const uint16_t*>(at)[i]);
        case BF16: return from_bfloat(static_cast<const uint16_t*>(at)[i]);
        case I8: return static_cast<const int8_t*>(at)[i];
        case I32: return static_cast<const int32_t*>(at)[i];
        case C32: return static_cast<const std::complex<float>*>(at)[i];
        default: return static_cast<const Number*>(at)[i];
    }
}
void put(void* at, int type, int64_t i, Number value) {
    switch (type) {
        case F32: static_cast<float*>(at)[i] = float(value.real()); break;
        case F64: static_cast<double*>(at)[i] = value.real(); break;
        case F16: static_cast<uint16_t*>(at)[i] = to_half(float(value.real())); break;
        case BF16: static_cast<uint16_t*>(at)[i] = to_bfloat(float(value.real())); break;
        case I32: static_cast<int32_t*>(at)[i] = int32_t(value.real()); break;
        case C32: static_cast<std::complex<float>*>(at)[i] = std::complex<float>(value); break;
        case C64: static_cast<Number*>(at)[i] = value; break;
    }
}

struct Product {
    int op_a, op_b, m, n, k;
    Number alpha, beta;
    const void* a;
    int a_type, lda;
    long long a_step;
    const void* b;
    int b_type, ldb;
    long long b_step;
    void* c;
    int c_type, ldc;
    long long c_step;
    int batch;
    const void* bias = nullptr;

    Number element(const void* at, int type, int op, int64_t row, int64_t column, int ld, int64_t base) const {
        Number value = get(at, type, base + (op == 0 ? row + column * ld : column + row * ld));
        return op == 2 ? std::conj(value) : value;
    }
    void run() const {
        emu_unlock();
        for (int64_t p = 0; p < batch; p++) {
            for (int64_t j = 0; j < n; j++) {
                for (int64_t i = 0; i < m; i++) {
                    Number sum = 0;
                    for (int64_t l = 0; l < k; l++) {
                        sum += element(a, a_type, op_a, i, l, lda, p * a_step) *
                               element(b, b_type, op_b, l, j, ldb, p * b_step);
                    }
                    int64_t at = p * c_step + i + j * ldc;
                    Number before = beta == 0.0 ? 0 : beta * get(c, c_type, at);
                    put(c, c_type, at, alpha * sum + before + (bias ? get(bias, c_type, i) : 0));
                }
            }
        }
        emu_lock();
    }
};
std::vector<Product> noted;

void submit(const Product& product, size_t to) {
    if (is_capturing && is_capturing(to)) {
        noted.push_back(product);
        note(noted_for, to, noted.size() - 1);
    } else {
        product.run();
    }
}

int scale_type(int compute, int c_type) {
    if (compute == 64 || compute == 65) return F16;
    if (compute == 72 || compute == 73) return I32;
    bool is_complex = c_type == C32 || c_type == C64;
    if (compute == 70 || compute == 71) return is_complex ? C64 : F64;
    return is_complex ? C32 : F32;
}

bool supported(int compute, int a, int b, int c) {
    if (a != b) return false;
    switch (compute) {
        case 64: case 65: return a == F16 && c == F16;
        case 68: case 69: case 74: case 75: case 77:
            return (a == c && (a == F32 || a == F16 || a == BF16 || a == C32)) ||
                   (c == F32 && (a == F16 || a == BF16 || a == I8));
        case 70: case 71: return a == c && (a == F64 || a == C64);
        case 72: case 73: return a == I8 && c == I32;
    }
    return false;
}

}  // namespace

extern "C" {

void emu_blas_capture(int (*capturing)(size_t), void (*record)(void*, size_t, size_t), void* owner) {
    is_capturing = capturing;
    note = record;
    noted_for = owner;
}
void emu_blas_repeat(size_t index) { noted[index].run(); }

int cublasCreate_v2(void** handle) { return *handle = reinterpret_cast<void*>(0xB1A5), SUCCESS; }
int cublasDestroy_v2(void*) { return SUCCESS; }
int cublasSetStream_v2(void*, size_t value) { return stream = value, SUCCESS; }
int cublasGetStream_v2(void*, size_t* value) { return *value = stream, SUCCESS; }
int cublasSetWorkspace_v2(void*, void*, size_t) { return SUCCESS; }
int cublasSetMathMode(void*, int mode) { return math_mode = mode, SUCCESS; }
int cublasGetMathMode(void*, int* mode) { return *mode = math_mode, SUCCESS; }
int cublasSetPointerMode_v2(void*, int) { return SUCCESS; }
int cublasGetVersion_v2(void*, int* version) { return *version = 120900, SUCCESS; }

int cublasGemmStridedBatchedEx(void*, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a,
                               int a_type, int lda, long long a_step, const void* b, int b_type, int ldb,
                               long long b_step, const void* beta, void* c, int c_type, int ldc, long long c_step,
                               int batch, int compute, int) {
    if (!supported(compute, a_type, b_type, c_type)) return NOT_SUPPORTED;
    bool fits = m >= 0 && n >= 0 && k >= 0 && lda >= (op_a ? k : m) && ldb >= (op_b ? n : k) && ldc >= m && lda > 0 &&
                ldb > 0 && ldc > 0;
    if (!fits) return INVALID_VALUE;
    int scale = scale_type(compute, c_type);
    Product product = {op_a,  op_b, m,      n,   k,      get(alpha, scale, 0), get(beta, scale, 0), a, a_type, lda, a_step, b,
                       b_type, ldb, b_step, c, c_type, ldc, c_step, batch};
    submit(product, stream);
    return SUCCESS;
}

int cublasGemmEx(void* handle, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a, int a_type,
                 int lda, const void* b, int b_type, int ldb, const void* beta, void* c, int c_type, int ldc,
                 int compute, int algorithm) {
    return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta,
                                      c, c_type, ldc, 0, 1, compute, algorithm);
}

}  // extern "C"
