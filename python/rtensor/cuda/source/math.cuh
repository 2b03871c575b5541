// Functions that formulas use, by their names in the operator table: real and complex numbers, integers, truth values.

namespace op {
}
