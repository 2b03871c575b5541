// The pointwise part of recurrent cells and its gradients, for the rows of one step. Settings: T, and CELL: 0 tanh,
// 1 relu, 2 LSTM, 3 GRU.
//
// A row has `hidden` features; in `gates` and what is added to them it has as many per gate, in the order input, forget,
// candidate, output, or reset, update, new.
#include "math.cuh"

typedef typename Accumulate<T>::type A;

INLINE A sigmoid(A x) { return A(1) / (A(1) + op::exp(-x)); }
INLINE A bend(A x) { return x * (A(1) - x); }
INLINE A slope(A y) { return A(1) - y * y; }

#define GATES (CELL == 2 ? 4 : CELL == 3 ? 3 : 1)

// Each thread computes one feature of a row: its gates, which stay as they act, its memory and its state. `inputs` are
// the inputs' part of a GRU's gates; `kept` are memories, or the state's part of new values.
extern "C" __global__ void advance(
    const T* __restrict__ inputs, T* __restrict__ gates, const T* __restrict__ state,
    const T* __restrict__ memory_before, T* __restrict__ kept, T* __restrict__ output, T* __restrict__ last,
    T* __restrict__ last_memory, i64 rows, i64 hidden
) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * hidden) return;
    const i64 first = i / hidden * hidden * GATES + i % hidden;
    T* gate = gates + first;
    A result;
    if (CELL == 0) {
        result = op::tanh(A(gate[0]));
    } else if (CELL == 1) {
        const A x = A(gate[0]);
        result = x <= A(0) ? A(0) : x;
    } else if (CELL == 2) {
        const A enter = sigmoid(A(gate[0])), forget = sigmoid(A(gate[hidden]));
        const A candidate = op::tanh(A(gate[2 * hidden])), out = sigmoid(A(gate[3 * hidden]));
        const A memory = forget * A(memory_before[i]) + enter * candidate;
        gate[0] = to<T>(enter);
        gate[hidden] = to<T>(forget);
        gate[2 * hidden] = to<T>(candidate);
        gate[3 * hidden] = to<T>(out);
        kept[i] = last_memory[i] = to<T>(memory);
        result = out * op::tanh(memory);
    } else {
        const T* x = inputs + first;
        const A reset = sigmoid(A(x[0]) + A(gate[0])), update = sigmoid(A(x[hidden]) + A(gate[hidden]));
        const A from_state = A(gate[2 * hidden]), fresh = op::tanh(A(x[2 * hidden]) + reset * from_state);
        gate[0] = to<T>(reset);
        gate[hidden] = to<T>(update);
        gate[2 * hidden] = to<T>(fresh);
        kept[i] = to<T>(from_state);
        result = fresh + update * (A(state[i]) - fresh);
    }
    output[i] = last[i] = to<T>(result);
}

// Each thread computes the gradients of one feature's raw gates. `carry` comes in as the gradient of the state that
// later steps give, and `carried_memory` as that of the memory; they leave as those before the step, without the part
// of the state that goes through the gates. `states` are the gradients of the state's part of a GRU's gates.
extern "C" __global__ void go_back(
    const T* __restrict__ grad, const T* __restrict__ gates, const T* __restrict__ output, const T* __restrict__ kept,
    const T* __restrict__ state, const T* __restrict__ memory_before, T* __restrict__ carry,
    T* __restrict__ carried_memory, T* __restrict__ before, T* __restrict__ inputs, T* __restrict__ states, i64 rows,
    i64 hidden
) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * hidden) return;
    const i64 first = i / hidden * hidden * GATES + i % hidden;
    const T* gate = gates + first;
    T* raw = inputs + first;
    const A g = A(carry[i]) + A(grad[i]);
    before[i] = state[i];
    if (CELL == 0) {
        raw[0] = to<T>(g * slope(A(output[i])));
    } else if (CELL == 1) {
        raw[0] = to<T>(A(output[i]) > A(0) ? g : A(0));
    } else if (CELL == 2) {
        const A enter = A(gate[0]), forget = A(gate[hidden]), candidate = A(gate[2 * hidden]);
        const A out = A(gate[3 * hidden]), shown = op::tanh(A(kept[i]));
        const A memory = A(carried_memory[i]) + g * out * slope(shown);
        raw[0] = to<T>(memory * candidate * bend(enter));
        raw[hidden] = to<T>(memory * A(memory_before[i]) * bend(forget));
        raw[2 * hidden] = to<T>(memory * enter * slope(candidate));
        raw[3 * hidden] = to<T>(g * shown * bend(out));
        carried_memory[i] = to<T>(memory * forget);
    } else {
        const A reset = A(gate[0]), update = A(gate[hidden]), fresh = A(gate[2 * hidden]);
        const A to_fresh = g * (A(1) - update) * slope(fresh), to_reset = to_fresh * A(kept[i]) * bend(reset);
        const A to_update = g * (A(state[i]) - fresh) * bend(update);
        T* of_state = states + first;
        raw[0] = of_state[0] = to<T>(to_reset);
        raw[hidden] = of_state[hidden] = to<T>(to_update);
        raw[2 * hidden] = to<T>(to_fresh);
        of_state[2 * hidden] = to<T>(to_fresh * reset);
        carry[i] = to<T>(g * update);
    }
}
