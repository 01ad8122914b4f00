// A matrix product in bf16 parts on a matrix unit, cut into tiles of C as ops/gemm is. One operand,
// op(B) of a product of matrices, is split by a phase of its own, because all tiles read it; the
// other by each tile.
#pragma once

#include <cstdint>

#include "cpu/precision.h"
#include "kernels/kernels.h"
#include "ops/gemm.h"

namespace lamina::ops {

// K is cut into blocks of this many terms, whose sums are added in order: as for kGemmBlockK, part
// of the numerics contract. With 512, sums of 1024 terms of one sign have a larger error at high
// than in float32.
constexpr int64_t kSplitBlockK = 384;

// The operand that every tile splits for itself, or puts together from lines that are split.
class SplitPanel {
 public:
  // The parts of `count` of its rows (of op(A)) or columns (of op(B)) from `first` on, and of terms
  // term .. term + terms, in tiles as Kernels::split_left has them. term is a multiple of
  // kUnitTerms.
  virtual void split(const Kernels& kernels, float* tiles, int64_t block, int64_t first,
                     int64_t count, int64_t term, int64_t terms, int parts) const = 0;
  // square (16 x 16) = up to so many rows and columns of op(A) op(B) over terms begin .. end, in
  // float32. scratch is kMultiplyScratch floats.
  static constexpr int64_t kMultiplyScratch = kGemmBlockK * kUnitSide;
  virtual void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows,
                        int64_t column, int64_t columns, int64_t begin, int64_t end,
                        float* scratch) const = 0;

 protected:
  ~SplitPanel() = default;
};

// The bits depend on the shapes and the number of parts alone, and a row's do not depend on the
// other rows. Denormal operands, parts and sums count as zeros. An element that does not come out
// finite is computed again in float32: infinities, NaN, and what overflows only in parts, are as in
// Gemm.
struct SplitProduct {
  Gemm gemm;
  MatmulMode mode;
  bool panel_is_b = false;  // op(A) is split by the phase, op(B) by each tile
  int64_t pieces = 1;       // of the terms, each summed on its own: so many times the tiles

  // Does splitting pay? With few columns, splitting A takes as long as they do. With few terms,
  // most of a tile would be zeros. The rows do not count: they are the batch.
  static bool pays(int64_t n, int64_t k) { return n >= 64 && k >= kUnitTerms; }

  // Of the operand that is split by the phase; grows with k. Its blocks of 16 rows or columns, each
  // laid out as Kernels::split_left has it, are split_block() floats apart.
  int64_t split_floats() const;
  int64_t split_block() const;
  int64_t split_tiles() const;  // for a matrix op(B)
  void split(const Kernels& kernels, float* split_b, const float* b, int64_t tile) const;

  int64_t tiles() const;
  int64_t least_tiles() const;  // that pay for waking a thread
  int64_t scratch() const;      // floats per worker; enough for any smaller m or k too
  void run(const Kernels& kernels, float* c, const float* a, const float* b, const float* split_b,
           const GemmEpilogue* epilogue, int64_t tile, float* scratch) const;
  // The same of other operands than matrices, over terms begin .. end: begin is a multiple of
  // kUnitTerms. `other` is the operand that is not the panel, split.
  void run(const Kernels& kernels, float* c, const SplitPanel& panel, const float* other,
           int64_t begin, int64_t end, const GemmEpilogue* epilogue, int64_t tile,
           float* scratch) const;

 private:
  struct Tile {
    int64_t row, rows, column, columns;
  };
  // Rows and columns of C along the panel, and along the other operand.
  int64_t along_panel() const { return panel_is_b ? gemm.n : gemm.m; }
  int64_t along_other() const { return panel_is_b ? gemm.m : gemm.n; }
  int64_t tile_panel() const;
  int64_t tile_other() const;
  Tile tile_at(int64_t tile) const;
  void repair(const Kernels& kernels, float* sums, const SplitPanel& panel, int64_t begin,
              int64_t end, const Tile& t, float* scratch) const;
};

}  // namespace lamina::ops
