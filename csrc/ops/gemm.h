// A whole matrix product, cut into tiles of C that can be computed in any order by anybody.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// K is cut into blocks of at most this many products, added in order: part of the numerics
// contract, so neither the instruction set nor the shape of a tile may change it. The error of a
// sum grows with the root of its block's length: with 224 it stays below OpenBLAS's from 1024 terms
// on, which with 256 it does not on AVX2 (K of 1024: 0.240 2^-24 sum |a||b| rms, OpenBLAS 0.219).
constexpr int64_t kGemmBlockK = 224;

// The fewest blocks, as even as whole units allow: even blocks can be shared out, and a last one of
// a few products would cost the reading and writing of C for next to nothing.
struct GemmBlocks {
  int64_t k;

  static constexpr int64_t kUnit = kLiveBits;
  int64_t units() const { return (k + kUnit - 1) / kUnit; }
  int64_t count() const {  // one, empty, if k is 0
    return std::max<int64_t>(1, (k + kGemmBlockK - 1) / kGemmBlockK);
  }
  int64_t begin(int64_t block) const { return block * units() / count() * kUnit; }
  int64_t end(int64_t block) const { return std::min(begin(block + 1), k); }
  int64_t length(int64_t block) const { return end(block) - begin(block); }

  // More blocks than this are added up in groups, and the groups in order: a chain of so many adds
  // up more errors than one in each group and one of the groups. So many blocks to a group as
  // groups.
  static constexpr int64_t kChain = 32;
  int64_t group() const {
    if (count() <= kChain) return count();
    int64_t size = 1;
    while (size * size < count()) ++size;
    return size;
  }
  bool in_first_group(int64_t block) const { return block < group(); }
  bool begins_group(int64_t block) const { return block % group() == 0; }
  bool ends_group(int64_t block) const {
    return (block + 1) % group() == 0 || block + 1 == count();
  }
};

// C (m x n) = activation(alpha * op(A) op(B) + beta * C + bias); op(A) is m x k, op(B) is k x n.
// A is stored (m, k), or (k, m) if trans_a; B is stored (k, n), or (n, k) if trans_b; all dense.
// What is copied depends on the strips of the instruction set that runs, `lamina::kernels()`.
struct Gemm {
  int64_t m, n, k;
  bool trans_a = false, trans_b = false;
  float alpha = 1.0f, beta = 0.0f;
  int workers = 1;  // that will share the tiles: decides how large they are, and moves no bit
  int64_t most_work = int64_t{1} << 31;  // multiply-adds of a tile: some tens of milliseconds

  int64_t tiles() const;
  int64_t least_tiles() const;  // that pay for waking a thread
  int64_t scratch() const;      // floats per worker; enough for any smaller m or k too
  void run(const Kernels& kernels, float* c, const float* a, const float* b,
           const GemmEpilogue* epilogue, int64_t tile, float* scratch) const;

 private:
  // Tiles of rows x columns, `down` by `across` of them.
  struct Grid {
    int64_t rows, columns, down, across;
  };
  Grid grid() const;
  bool is_small() const;
  bool packs() const;
  bool copies_a() const;
  bool turns() const;
  void run_turned(const Kernels& kernels, float* c, const float* a, const float* b,
                  const GemmEpilogue* epilogue, int64_t columns, float* scratch) const;
  void run_block(const Kernels& kernels, float* c, int64_t c_row, const float* a, const float* b,
                 int64_t rows, int64_t columns, int64_t block, float old, const GemmEpilogue* after,
                 float* scratch) const;
  int64_t most_columns() const;
  bool in_groups() const;
  int64_t copies() const;  // floats of scratch for parts of A and B
  int64_t sums() const;    // and for those of a group of blocks, after them
};

}  // namespace lamina::ops
