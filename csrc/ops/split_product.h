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

constexpr int64_t kSplitTileRows = 128;  // of a tile of C, at most

// Where the rows of op(A) come from.
class SplitRows {
 public:
  // The parts of rows row .. row + rows and terms term .. term + terms, as Kernels::split_left lays
  // them out; term is a multiple of kUnitTerms. scratch is what was given to run after its own.
  virtual void split(const Kernels& kernels, float* tiles, int64_t block, int64_t row, int64_t rows,
                     int64_t term, int64_t terms, int parts, float* scratch) const = 0;
  // square (16 x 16) = up to so many rows and columns of op(A) op(B) over terms begin .. end, in
  // float32. scratch is kMultiplyScratch floats.
  static constexpr int64_t kMultiplyScratch = kGemmBlockK * kUnitSide;
  virtual void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows,
                        int64_t column, int64_t columns, int64_t begin, int64_t end,
                        float* scratch) const = 0;

 protected:
  ~SplitRows() = default;
};

// The bits depend on the shapes and the number of parts alone, and a row's do not depend on the
// other rows. Denormal operands, parts and sums count as zeros. An element that does not come out
// finite is computed again in float32: infinities, NaN, and what overflows only in parts, are as in
// Gemm.
struct SplitProduct {
  Gemm gemm;
  MatmulMode mode;
  int64_t pieces = 1;  // of the terms, each summed on its own: so many times the tiles

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
  // The same of other rows than those of a matrix, over terms begin .. end: begin is a multiple of
  // kUnitTerms. What the rows need of scratch begins after scratch() floats.
  void run(const Kernels& kernels, float* c, const SplitRows& a, const float* split_b,
           int64_t begin, int64_t end, const GemmEpilogue* epilogue, int64_t tile,
           float* scratch) const;

 private:
  struct Tile {
    int64_t row, rows, column, columns;
  };
  int64_t tile_rows() const;
  int64_t tile_columns() const;
  Tile tile_at(int64_t tile) const;
  int64_t b_block() const;  // floats from one block of columns to the next
  void repair(const Kernels& kernels, float* sums, const SplitRows& a, int64_t begin, int64_t end,
              const Tile& t, float* scratch) const;
};

}  // namespace lamina::ops
