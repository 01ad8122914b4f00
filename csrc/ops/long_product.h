// A matrix product whose C is small and whose K is long: workers share out K, because C has too few
// tiles for them, or because each of its tiles would fetch parts of all rows from memory.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "ops/gemm.h"
#include "ops/pieces.h"

namespace lamina::ops {

// C = op(A) op(B). K is taken in rounds of two phases each, all of one done before the next: every
// block of K is summed on its own, then the blocks are added up in their order and groups. So C has
// the bits of the product taken whole, which also adds block by block; whether a product is taken
// in this way is a question of time alone.
struct LongProduct {
  Gemm whole;  // alpha = 1, beta = 0

  int64_t rounds() const;          // 0: the product is better taken whole. Grows with k
  int64_t partial_floats() const;  // grows with k; at most 1 MB
  int64_t scratch() const;         // floats per worker of sum

  int64_t sum_tiles(int64_t round) const;  // none from the last round on
  void sum(const Kernels& kernels, float* partial, const float* a, const float* b, int64_t round,
           int64_t tile, float* scratch) const;
  int64_t reduce_tiles(int64_t round) const;
  void reduce(const Kernels& kernels, float* c, float* partial, int64_t round, int64_t tile) const;

 private:
  int64_t floats() const { return whole.m * whole.n; }
  GemmBlocks blocks() const { return {whole.k}; }
  Pieces rounds_of_blocks() const;
  Pieces tiles_of_blocks(int64_t round) const;
};

}  // namespace lamina::ops
