// Rows of up to sixteen columns, sixteen rows at a time: a lane holds a row. Row by row a
// classifier's ten classes would leave six lanes idle, and every maximum, sum and logarithm of a
// row would wait for itself: a softmax took four times as long.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Sixteen rows turned on their side.
struct Columns {
  alignas(64) float column[kLanes * kLanes];

  LAMINA_INLINE f32x16 at(int64_t j) const { return load(column + j * kLanes); }
  LAMINA_INLINE void set(int64_t j, f32x16 v) { store(column + j * kLanes, v); }

  // The first of `left` rows, up to sixteen; lanes without a row hold zeros.
  LAMINA_INLINE void read(const float* x, int64_t left, int64_t cols) {
    // A row is read as a whole vector where what follows it belongs to the matrix too.
    if ((left - (kLanes - 1)) * cols >= kLanes) {
      transpose16(column, kLanes, x, cols);
      return;
    }
    alignas(64) float rows[kLanes * kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      store(rows + i * kLanes, i < left ? load(x + i * cols, cols) : zero());
    }
    transpose16(column, kLanes, rows, kLanes);
  }

  // A whole vector reaches into the rows below, which are written after it.
  LAMINA_INLINE void write(float* y, int64_t left, int64_t cols) const {
    alignas(64) float rows[kLanes * kLanes];
    transpose16(rows, kLanes, column, kLanes);
    const int64_t height = left < kLanes ? left : kLanes;
    for (int64_t i = 0; i < height; ++i) {
      const f32x16 row = load(rows + i * kLanes);
      if ((height - i) * cols >= kLanes) {
        store(y + i * cols, row);
      } else {
        store(y + i * cols, row, cols);
      }
    }
  }
};

}  // namespace
}  // namespace lamina::LAMINA_ISA
