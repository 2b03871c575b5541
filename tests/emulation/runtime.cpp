// The emulated device: its memory, and blocks of threads that run as fibers on one CPU thread.
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <vector>

#include "launch.hpp"

// --- memory: the host may touch it inside of a call of the device alone

namespace {

struct Arena {
    char* base;
    size_t size;
};
std::vector<Arena> arenas;
int unlocked = 0;

void protect(int rights) {
    for (const Arena& arena : arenas) mprotect(arena.base, arena.size, rights);
}

const unsigned char GUARD_BYTE = 0xA7;
const size_t GUARD = 64;
const size_t POISONED = size_t(1) << 20;

}  // namespace

extern "C" void* emu_arena(size_t size) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* base = mmap(nullptr, size, unlocked ? PROT_READ | PROT_WRITE : PROT_NONE, flags, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    arenas.push_back({static_cast<char*>(base), size});
    return base;
}

extern "C" void emu_unlock() {
    if (unlocked++ == 0) protect(PROT_READ | PROT_WRITE);
}

extern "C" void emu_lock() {
    if (--unlocked == 0) protect(PROT_NONE);
}

extern "C" void emu_copy(void* target, const void* source, size_t bytes) {
    emu_unlock();
    memmove(target, source, bytes);
    emu_lock();
}

extern "C" void emu_set(void* target, int value, size_t bytes) {
    emu_unlock();
    memset(target, value, bytes);
    emu_lock();
}

// Fresh memory is NaN or -1, as far as it is read by mistake; what lies behind it is watched.
extern "C" void emu_poison(char* block, size_t bytes) {
    emu_unlock();
    memset(block, 0xFF, bytes < POISONED ? bytes : POISONED);
    memset(block + bytes, GUARD_BYTE, GUARD);
    emu_lock();
}

extern "C" int emu_intact(const unsigned char* block, size_t bytes) {
    emu_unlock();
    int intact = 1;
    for (size_t i = 0; i < GUARD; i++) intact &= block[bytes + i] == GUARD_BYTE;
    emu_lock();
    return intact;
}

// --- DLPack: a consumer may release what it was lent at any moment, also while Python unwinds an exception

namespace {
std::vector<void*> released;
}
extern "C" void emu_release(void* managed) { released.push_back(managed); }
extern "C" void* emu_next_released() {
    if (released.empty()) return nullptr;
    void* managed = released.back();
    released.pop_back();
    return managed;
}

// --- switching between fibers

namespace {

const size_t STACK = 128 << 10;
const size_t PAGE = 4096;
void fiber_main();

}  // namespace

#if defined(__x86_64__)
extern "C" void emu_switch(void** from, void* to);
asm(R"(
.text
.globl emu_switch
.type emu_switch, @function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emu_switch, .-emu_switch
)");

namespace {

struct Context {
    void* stack_pointer;
    void prepare(char* stack, size_t bytes) {
        void** top = reinterpret_cast<void**>(stack + bytes) - 2;  // as after a call: 16-byte aligned, less one word
        *top = reinterpret_cast<void*>(fiber_main);
        stack_pointer = top - 6;
    }
    void enter(Context& from) { emu_switch(&from.stack_pointer, stack_pointer); }
};

}  // namespace
#else
#include <ucontext.h>

namespace {

struct Context {
    ucontext_t saved;
    void prepare(char* stack, size_t bytes) {
        getcontext(&saved);
        saved.uc_stack.ss_sp = stack;
        saved.uc_stack.ss_size = bytes;
        makecontext(&saved, fiber_main, 0);
    }
    void enter(Context& from) { swapcontext(&from.saved, &saved); }
};

}  // namespace
#endif

// --- one block of threads

extern "C" {
emu_index threadIdx, blockIdx;
emu_dim blockDim, gridDim;
alignas(256) char emu_shared[227 << 10];
}

namespace {

enum class State { Waiting, AtBlock, AtWarp, Ready, Done };

struct Thread {
    emu_index index;
    State state;
    int fiber;
    int line;
    int kind;
    unsigned mask;
    int source;
    long long value;
};

const int LIMIT = 1024;
Thread threads[LIMIT];
struct Fiber {
    Context context;
    char* stack;
};
std::vector<Fiber> fibers;
std::vector<int> idle;
Context scheduler;

// Threads and blocks run from the first to the last, or the other way round: a race shows in one of both orders.
bool backwards = false;
void (*kernel)(void**);
void** arguments;
int count, started, live, arrived, current;
int predicates, block_result;
unsigned live_lanes[LIMIT / 32];
char message[512];

void fail(const char* format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
}

void suspend() { scheduler.enter(fibers[threads[current].fiber].context); }

void complete_block() {
    block_result = predicates;
    arrived = predicates = 0;
    for (int t = 0; t < count; t++) {
        if (threads[t].state == State::AtBlock) threads[t].state = State::Ready;
    }
}

long long lane_result(const Thread* warp, unsigned group, int lane) {
    const Thread& own = warp[lane];
    long long result = 0;
    switch (own.kind) {
        case EMU_SHUFFLE:
            // A lane that is not there has no value: reading it is undefined on the device.
            return group >> own.source & 1 ? warp[own.source].value : -1;
        case EMU_BALLOT:
            for (int i = 0; i < 32; i++) result |= (group >> i & 1) && warp[i].value ? 1ll << i : 0;
            return result;
        case EMU_MATCH:
            for (int i = 0; i < 32; i++) result |= (group >> i & 1) && warp[i].value == own.value ? 1ll << i : 0;
            return result;
    }
    return 0;
}

// Whether the lanes that a waiting lane names are all there; they are released then.
bool complete_group(Thread* warp, const Thread& lane) {
    unsigned group = lane.mask & live_lanes[(warp - threads) / 32];
    for (unsigned rest = group; rest; rest &= rest - 1) {
        const Thread& other = warp[__builtin_ctz(rest)];
        if (other.state != State::AtWarp || other.mask != lane.mask) return false;
        if (other.kind != lane.kind || other.line != lane.line) return false;
    }
    long long results[32];
    for (unsigned rest = group; rest; rest &= rest - 1) {
        results[__builtin_ctz(rest)] = lane_result(warp, group, __builtin_ctz(rest));
    }
    for (unsigned rest = group; rest; rest &= rest - 1) {
        Thread& other = warp[__builtin_ctz(rest)];
        other.value = results[__builtin_ctz(rest)];
        other.state = State::Ready;
    }
    return true;
}

void complete_warp(int first) {
    for (int t = first; t < first + 32 && t < count; t++) {
        if (threads[t].state == State::AtWarp) complete_group(threads + first, threads[t]);
    }
}

void leave(int t) {
    threads[t].state = State::Done;
    live_lanes[t / 32] &= ~(1u << t % 32);
    live--;
    if (live > 0 && arrived == live) complete_block();
    complete_warp(t / 32 * 32);
}

void enter_thread(int t) {
    current = t;
    threadIdx = threads[t].index;
}

int in_order(int n, int all) { return backwards ? all - 1 - n : n; }

void fiber_main() {
    for (;;) {
        int fiber = threads[current].fiber;
        for (;;) {
            kernel(arguments);
            leave(current);
            if (started == count || message[0]) break;
            enter_thread(in_order(started++, count));
            threads[current].fiber = fiber;
        }
        idle.push_back(fiber);
        scheduler.enter(fibers[fiber].context);
    }
}

int fresh_fiber() {
    if (idle.empty()) {
        fibers.reserve(LIMIT);  // a saved context must not move
        char* stack = static_cast<char*>(
            mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        mprotect(stack, PAGE, PROT_NONE);
        fibers.push_back({Context{}, stack});
        fibers.back().context.prepare(stack + PAGE, STACK);
        return int(fibers.size()) - 1;
    }
    int fiber = idle.back();
    idle.pop_back();
    return fiber;
}

void describe_deadlock() {
    int at_block = 0, at_warp = 0, line = 0;
    for (int t = 0; t < count; t++) {
        at_block += threads[t].state == State::AtBlock;
        at_warp += threads[t].state == State::AtWarp;
        if (threads[t].state == State::AtBlock || threads[t].state == State::AtWarp) line = threads[t].line;
    }
    fail("deadlock in block (%u, %u, %u): %d threads wait at __syncthreads, %d at a warp's primitive, %d are done "
         "(last at line %d)", blockIdx.x, blockIdx.y, blockIdx.z, at_block, at_warp, count - live, line);
}

void begin_block() {
    started = arrived = predicates = 0;
    live = count;
    for (int w = 0; w * 32 < count; w++) {
        int lanes = count - w * 32;
        live_lanes[w] = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    }
    for (int t = 0; t < count; t++) threads[t].state = State::Waiting;
}

void run_block() {
    begin_block();
    int turn = 0;
    while (live > 0 && !message[0]) {
        if (started < count) {
            int fiber = fresh_fiber();
            enter_thread(in_order(started++, count));
            threads[current].fiber = fiber;
        } else {
            int seen = 0;
            while (seen < count && threads[in_order(turn, count)].state != State::Ready) {
                turn = turn + 1 == count ? 0 : turn + 1;
                seen++;
            }
            if (seen == count) return describe_deadlock();
            enter_thread(in_order(turn, count));
            threads[current].state = State::Waiting;
        }
        fibers[threads[current].fiber].context.enter(scheduler);
    }
}

// After an error the fibers that still wait are begun anew.
void renew_fibers() {
    idle.clear();
    for (int i = 0; i < int(fibers.size()); i++) {
        fibers[i].context.prepare(fibers[i].stack + PAGE, STACK);
        idle.push_back(i);
    }
}

}  // namespace

extern "C" int emu_block_barrier(int predicate, int kind, int line) {
    for (int t = 0; t < count; t++) {
        if (threads[t].state == State::AtBlock && threads[t].line != line) {
            fail("divergent __syncthreads: threads of block %u wait at lines %d and %d", blockIdx.x, threads[t].line,
                 line);
            suspend();
        }
        if (threads[t].state == State::AtBlock) break;
    }
    int own = current;
    threads[own].state = State::AtBlock;
    threads[own].line = line;
    predicates += predicate != 0;
    if (kind == EMU_ALL && !predicate) predicates -= LIMIT;
    if (++arrived == live) {
        complete_block();
        threads[own].state = State::Waiting;
    } else {
        suspend();
    }
    return kind == EMU_COUNT ? block_result : kind == EMU_ANY ? block_result > 0 : block_result >= 0;
}

extern "C" long long emu_warp_exchange(unsigned mask, int kind, long long value, int source, int line) {
    Thread& own = threads[current];
    if (!(mask >> current % 32 & 1)) {
        fail("line %d: thread %d calls a warp's primitive with a mask (0x%x) that lacks it", line, current, mask);
        suspend();
    }
    own.state = State::AtWarp;
    own.mask = mask;
    own.kind = kind;
    own.line = line;
    own.value = value;
    own.source = source;
    if (!complete_group(threads + current / 32 * 32, own)) suspend();
    own.state = State::Waiting;
    return own.value;
}

extern "C" unsigned emu_active() { return live_lanes[current / 32]; }

extern "C" void emu_trap(const char* reason, int line) {
    fail("%s at line %d, block %u, thread %d", reason, line, blockIdx.x, current);
    suspend();
}

extern "C" void emu_run_backwards() { backwards = true; }

extern "C" const char* emu_launch(void (*call)(void**), void** values, const unsigned* grid, const unsigned* block,
                                  size_t shared) {
    kernel = call;
    arguments = values;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    count = int(block[0] * block[1] * block[2]);
    for (int t = 0; t < count; t++) {
        unsigned x = unsigned(t) % block[0], rest = unsigned(t) / block[0];
        threads[t].index = {x, rest % block[1], rest / block[1]};
    }
    message[0] = 0;
    emu_unlock();
    size_t blocks = size_t(grid[0]) * grid[1] * grid[2];
    for (size_t n = 0; n < blocks && !message[0]; n++) {
        size_t at = backwards ? blocks - 1 - n : n, rest = at / grid[0];
        blockIdx = {unsigned(at % grid[0]), unsigned(rest % grid[1]), unsigned(rest / grid[1])};
        memset(emu_shared, 0xFF, shared);
        run_block();
    }
    emu_lock();
    if (message[0]) renew_fibers();
    return message[0] ? message : nullptr;
}

// --- functions that the C library lacks

extern "C" {

double emu_erfinv(double y) {
    double size = std::fabs(y);
    if (!(size < 1)) return size == 1 ? y * INFINITY : NAN;
    if (size < 1e-8) return y * 0.88622692545275801365;
    double tail = 1 - size, log_tail = std::log(tail * (1 + size));
    double b = 4.3307467508 + log_tail / 2;  // Winitzki's approximation, to start from
    double x = std::sqrt(std::sqrt(b * b - log_tail / 0.147) - b);
    for (int i = 0; i < 4; i++) {
        double error = size < 0.5 ? std::erf(x) - size : tail - std::erfc(x);
        double step = error / (1.12837916709551257390 * std::exp(-x * x));
        x -= step / (1 + x * step);
    }
    return std::copysign(x, y);
}

double emu_erfcinv(double y) {
    if (!(y > 0 && y < 2)) return y == 0 ? INFINITY : y == 2 ? -INFINITY : NAN;
    if (y > 0.0625) return emu_erfinv(1 - y);
    double x = std::sqrt(-std::log(y * 1.7724538509055160273 * std::sqrt(-std::log(y))));
    for (int i = 0; i < 8; i++) {
        double step = (std::erfc(x) - y) / (-1.12837916709551257390 * std::exp(-x * x));
        x -= step / (1 + x * step);
    }
    return x;
}

double emu_erfcx(double x) {
    if (x < 25) {
        double square = x * x;
        return std::exp(square) * (1 + std::fma(x, x, -square)) * std::erfc(x);
    }
    double t = 1 / (2 * x * x);
    return 0.56418958354775628695 / x * (1 - t * (1 - 3 * t * (1 - 5 * t * (1 - 7 * t * (1 - 9 * t)))));
}

double emu_normcdf(double x) { return std::erfc(-x * 0.70710678118654752440) / 2; }
double emu_normcdfinv(double p) { return -1.41421356237309504880 * emu_erfcinv(2 * p); }
double emu_i0(double x) { return std::cyl_bessel_i(0.0, std::fabs(x)); }
double emu_i1(double x) { return std::copysign(std::cyl_bessel_i(1.0, std::fabs(x)), x); }
double emu_sinpi(double x) {
    double r = std::remainder(x, 2.0);
    if (std::fabs(r) > 0.5) r = std::copysign(1.0, r) - r;
    return std::sin(3.14159265358979323846 * r);
}
double emu_cospi(double x) { return emu_sinpi(0.5 - std::fabs(std::remainder(x, 2.0))); }

}  // extern "C"
