// A matrix product in bf16 parts on a matrix unit, cut into tiles of C as ops/gemm is. op(B) is
// split by a phase of its own, because all tiles read it; op(A) by each tile.
#pragma once

#include <cstdint>

#include "cpu/precision.h"
#include "kernels/kernels.h"
#include "ops/gemm.h"

namespace lamina::ops {

// K is cut into blocks of this many terms, whose sums are added in order: as for kGemmBlockK, part
// of the numerics contract.
constexpr int64_t kSplitBlockK = 512;

// The bits depend on the shapes and the number of parts alone, and a row's do not depend on the
// other rows. Denormal operands, parts and sums count as zeros. An element that does not come out
// finite is computed again in float32: infinities, NaN, and what overflows only in parts, are as in
// Gemm.
struct SplitProduct {
  Gemm gemm;
  MatmulMode mode;

  // Does splitting pay? With few columns, splitting A takes as long as they do. With few terms,
  // most of a tile would be zeros. The rows do not count: they are the batch.
  static bool pays(int64_t n, int64_t k) { return n >= 64 && k >= kUnitTerms; }

  int64_t split_floats() const;  // of op(B); grows with k
  int64_t split_tiles() const;
  void split(const Kernels& kernels, float* split_b, const float* b, int64_t tile) const;

  int64_t tiles() const;
  int64_t least_tiles() const;  // that pay for waking a thread
  int64_t scratch() const;      // floats per worker; enough for any smaller m or k too
  void run(const Kernels& kernels, float* c, const float* a, const float* b, const float* split_b,
           const GemmEpilogue* epilogue, int64_t tile, float* scratch) const;

 private:
  struct Tile {
    int64_t row, rows, column, columns;
  };
  int64_t tile_rows() const;
  int64_t tile_columns() const;
  Tile tile_at(int64_t tile) const;
  int64_t b_block() const;  // floats from one block of columns to the next
  void repair(const Kernels& kernels, float* sums, const float* a, const float* b, const Tile& t,
              float* scratch) const;
};

}  // namespace lamina::ops
