#include "ops/gemm.h"

#include <algorithm>

namespace lamina::ops {
namespace {

constexpr int64_t kSmallWork = 1 << 18;  // multiply-adds: a few microseconds on one core
constexpr int64_t kPanel = 64;           // columns; every micro-kernel's width divides it

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

// A tile is wide enough for the micro-kernel, tall enough to pay for packing its share of B, and
// there are enough of them to go round.
int64_t Gemm::tile_columns() const {
  if (m * n * k <= kSmallWork) return std::max<int64_t>(n, 1);
  return kPanel;
}

int64_t Gemm::tile_rows() const {
  if (m * n * k <= kSmallWork) return std::max<int64_t>(m, 1);
  if (packs()) return 384;
  // Unpacked tiles share nothing: about 2^18 multiply-adds each, in multiples of 12 rows.
  const int64_t rows = (1 << 18) / std::max<int64_t>(1, kPanel * std::min(k, kGemmBlockK));
  return std::max<int64_t>(24, rows / 12 * 12);
}

// Packing copies k x n once for every tile_rows rows of C. It pays from a few dozen rows on, where
// rows of B lie more than a page apart or so; a transposed B cannot be read any other way.
bool Gemm::packs() const { return trans_b || (n > 512 && m >= 64); }

int64_t Gemm::tiles() const {
  if (m == 0 || n == 0) return 0;
  return ceil_div(m, tile_rows()) * ceil_div(n, tile_columns());
}

int64_t Gemm::scratch() const { return packs() ? kPanel * std::min(k, kGemmBlockK) : 0; }

void Gemm::run(const Kernels& kernels, float* c, const float* a, const float* b,
               const GemmEpilogue* epilogue, int64_t tile, float* scratch) const {
  const int64_t column_tiles = ceil_div(n, tile_columns());
  const int64_t i0 = tile / column_tiles * tile_rows(), rows = std::min(tile_rows(), m - i0);
  const int64_t j0 = tile % column_tiles * tile_columns();
  const int64_t j1 = std::min(j0 + tile_columns(), n);
  const int64_t a_row = trans_a ? 1 : k, a_col = trans_a ? m : 1;
  const int64_t b_row = trans_b ? 1 : n, b_col = trans_b ? k : 1;
  const int64_t width = packs() ? kernels.gemm_tile_columns : j1 - j0;

  for (int64_t j = j0; j < j1; j += width) {
    const int64_t columns = std::min(width, j1 - j);
    GemmEpilogue shifted{};
    if (epilogue != nullptr) {
      shifted = *epilogue;
      if (shifted.bias != nullptr) shifted.bias += j;
    }
    int64_t p = 0;
    do {  // once even if k is 0: C = activation(beta * C + bias)
      const int64_t depth = std::min(kGemmBlockK, k - p);
      const bool last = p + depth == k;
      const float* block = b + p * b_row + j * b_col;
      int64_t block_row = b_row;
      if (packs()) {
        kernels.gemm_pack(scratch, width, block, b_row, b_col, depth, columns);
        block = scratch;
        block_row = width;
      }
      kernels.gemm_block(c + i0 * n + j, n, a + i0 * a_row + p * a_col, a_row, a_col, block,
                         block_row, rows, columns, depth, alpha, p == 0 ? beta : 1.0f,
                         last && epilogue != nullptr ? &shifted : nullptr);
      p += depth;
    } while (p < k);
  }
}

}  // namespace lamina::ops
