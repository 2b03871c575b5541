// What a kernel's text and the emulated device share.
struct emu_index {
    unsigned x, y, z;
};
struct emu_dim {
    unsigned x, y, z;
};
enum { EMU_SHUFFLE, EMU_BALLOT, EMU_MATCH, EMU_SYNC };
enum { EMU_COUNT, EMU_ANY, EMU_ALL };

extern "C" {
extern emu_index threadIdx, blockIdx;
extern emu_dim blockDim, gridDim;
extern char emu_shared[];
int emu_block_barrier(int predicate, int kind, int line);
long long emu_warp_exchange(unsigned mask, int kind, long long value, int source, int line);
unsigned emu_active();
void emu_trap(const char* reason, int line);
double emu_erfinv(double), emu_erfcinv(double), emu_erfcx(double), emu_normcdf(double), emu_normcdfinv(double);
double emu_i0(double), emu_i1(double), emu_sinpi(double), emu_cospi(double);
}
