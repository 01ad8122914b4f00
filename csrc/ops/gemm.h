// A whole matrix product, cut into tiles of C that can be computed in any order by anybody.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// K is cut into blocks of this many products, added in order: part of the numerics contract, so
// neither the instruction set nor the shape of a tile may change it. 256 bounds the error of a
// block's chain and keeps a packed block of 64 columns within the second-level cache.
constexpr int64_t kGemmBlockK = 256;

// C (m x n) = activation(alpha * op(A) op(B) + beta * C + bias); op(A) is m x k, op(B) is k x n.
// A is stored (m, k), or (k, m) if trans_a; B is stored (k, n), or (n, k) if trans_b; all dense.
struct Gemm {
  int64_t m, n, k;
  bool trans_a = false, trans_b = false;
  float alpha = 1.0f, beta = 0.0f;

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
};

}  // namespace lamina::ops
