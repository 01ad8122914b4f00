// What the reductions along a row need at its end: lanes that must not count.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr float kLargest = 0x1.fffffep127f;  // the largest finite float32

// The longest row that is kept on the stack until it is written past the caches: 8 KB, a quarter of
// the first cache.
constexpr int64_t kKeptFloats = 2048;

// A loss's factor of a row; all ones where there are no weights.
LAMINA_INLINE float weight_of(const float* weights, int64_t row) {
  return weights != nullptr ? weights[row] : 1.0f;
}

// Where the next row of x begins, to be asked for while this one is computed with: a kernel that
// goes through a row several times would otherwise leave the memory idle in between (a quarter of
// the time of a softmax of 1000 columns). A row of more than 32 KB is long enough for the hardware.
LAMINA_INLINE const float* next_row(const float* x, int64_t cols) {
  return cols <= 8192 ? x + cols : x;
}

constexpr int32_t kLaneNumbers[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// 0, 1 ... 15.
LAMINA_INLINE i32x16 lane_numbers() { return load(kLaneNumbers); }

// True in the first n lanes; n <= 16.
LAMINA_INLINE mask16 lanes_below(int64_t n) {
  return less_unsigned(lane_numbers(), splat(static_cast<int32_t>(n)));
}

// v in the first n lanes, `fill` in the others: nothing to do for a full vector.
LAMINA_INLINE f32x16 or_fill(f32x16 v, int64_t n, float fill) {
  return n == kLanes ? v : select(lanes_below(n), v, splat(fill));
}
LAMINA_INLINE f32x16 load_or(const float* p, int64_t n, float fill) {
  return or_fill(load_upto(p, n), n, fill);
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
