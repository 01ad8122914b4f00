// The sums of a matrix's columns: the gradient of a bias.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// Two phases, the second after all of the first: pieces of rows are summed on their own, then added
// up in their order.
struct ColumnSums {
  int64_t cols;

  int64_t partial_floats(int64_t rows) const;  // grows with rows
  int64_t sum_tiles(int64_t rows) const;
  void sum(const Kernels& kernels, float* partial, const float* x, int64_t rows,
           int64_t tile) const;
  int64_t reduce_tiles() const;
  void reduce(const Kernels& kernels, float* out, const float* partial, int64_t rows,
              int64_t tile) const;
};

}  // namespace lamina::ops
