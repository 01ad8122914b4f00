// Rows of a table picked by index, and the gradient of the table.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// table (vocabulary, dim), index (rows), y (rows, dim). No phase needs scratch.
struct Embedding {
  int64_t vocabulary, dim;

  int64_t forward_tiles(int64_t rows) const;
  // A row of NaN where an index lies outside the table.
  void forward(const Kernels& kernels, float* y, const float* table, const int32_t* index,
               int64_t rows, int64_t tile) const;

  // A tile is a range of the table: it reads the whole index and adds up its own rows in the order
  // of the index, so no two tiles write to the same place and none waits for another.
  int64_t backward_tiles() const;
  void backward(const Kernels& kernels, float* dtable, const float* dy, const int32_t* index,
                int64_t rows, int64_t tile) const;
};

}  // namespace lamina::ops
