#include "math.cuh"
// Special functions of real numbers, in double precision as on the CPU.

namespace op {
}
