#include "ops/split_product.h"

#include <algorithm>
#include <cmath>

#include "cpu/denormals.h"
#include "ops/pieces.h"

namespace lamina::ops {
namespace {

// A tile's part of A, 128 rows by a block of K in three parts, takes 384 KB, and its sums 256 KB:
// both stay in the second cache, and B goes by. Wider tiles would split A less often.
constexpr int64_t kTileRows = 128, kMostColumns = 512, kLeastColumns = 64;
constexpr int64_t kTilesForAll = 8;  // enough to share out

constexpr int64_t kLeastWork = 1 << 22;  // multiply-adds: some dozen microseconds on AMX

// What one tile of splitting takes of B: five microseconds for three parts, eight if transposed.
constexpr int64_t kSplitColumns = 64, kSplitTerms = 256;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

constexpr int64_t kSquare = kUnitSide * kUnitSide;

}  // namespace

int64_t SplitProduct::b_block() const {
  return ceil_div(gemm.k, kUnitTerms) * mode.parts * kUnitTile;
}

int64_t SplitProduct::split_floats() const { return ceil_div(gemm.n, kUnitSide) * b_block(); }

int64_t SplitProduct::split_tiles() const {
  return ceil_div(gemm.n, kSplitColumns) * ceil_div(gemm.k, kSplitTerms);
}

void SplitProduct::split(const Kernels& kernels, float* split_b, const float* b,
                         int64_t tile) const {
  const FlushDenormals flush;
  const Pieces columns{gemm.n, kSplitColumns}, terms{gemm.k, kSplitTerms};
  const int64_t j = tile / terms.count(), p = tile % terms.count();
  const int64_t b_row = gemm.trans_b ? 1 : gemm.n, b_col = gemm.trans_b ? gemm.k : 1;
  kernels.split_right(split_b + columns.begin(j) / kUnitSide * b_block() +
                          terms.begin(p) / kUnitTerms * mode.parts * kUnitTile,
                      b_block(), b + terms.begin(p) * b_row + columns.begin(j) * b_col, b_row,
                      b_col, terms.length(p), columns.length(j), mode.parts);
}

int64_t SplitProduct::tile_rows() const { return std::min(kTileRows, round_up(gemm.m, kUnitSide)); }

int64_t SplitProduct::tile_columns() const {
  int64_t columns = kMostColumns;
  const int64_t down = ceil_div(gemm.m, kTileRows);
  while (columns > kLeastColumns && down * ceil_div(gemm.n, columns) < kTilesForAll) columns /= 2;
  return std::min(columns, round_up(gemm.n, kUnitSide));
}

int64_t SplitProduct::tiles() const {
  if (gemm.m == 0 || gemm.n == 0) return 0;
  return ceil_div(gemm.m, tile_rows()) * ceil_div(gemm.n, tile_columns());
}

int64_t SplitProduct::least_tiles() const {
  return ceil_div(kLeastWork, std::max<int64_t>(1, tile_rows() * tile_columns() * gemm.k));
}

// A worker's tiles follow each other along a row of tiles, for the sake of A.
SplitProduct::Tile SplitProduct::tile_at(int64_t tile) const {
  const Pieces rows{gemm.m, tile_rows()}, columns{gemm.n, tile_columns()};
  const int64_t i = tile / columns.count(), j = tile % columns.count();
  return {rows.begin(i), rows.length(i), columns.begin(j), columns.length(j)};
}

int64_t SplitProduct::scratch() const {
  const int64_t rows = tile_rows();
  const int64_t columns = std::min(kMostColumns, round_up(gemm.n, kUnitSide));
  const int64_t depth = ceil_div(std::min(gemm.k, kSplitBlockK), kUnitTerms);
  const int64_t panel = rows / kUnitSide * depth * mode.parts * kUnitTile;
  return rows * columns + std::max(panel, (kGemmBlockK + kUnitSide) * kUnitSide);
}

void SplitProduct::run(const Kernels& kernels, float* c, const float* a, const float* b,
                       const float* split_b, const GemmEpilogue* epilogue, int64_t tile,
                       float* scratch) const {
  const FlushDenormals flush;
  const Tile t = tile_at(tile);
  const int64_t a_row = gemm.trans_a ? 1 : gemm.k, a_col = gemm.trans_a ? gemm.m : 1;
  const int64_t rows = ceil_div(t.rows, kUnitSide), columns = ceil_div(t.columns, kUnitSide);
  float* sums = scratch;
  float* panel = scratch + rows * columns * kSquare;
  for (int64_t p = 0; p < gemm.k; p += kSplitBlockK) {
    const int64_t terms = std::min(kSplitBlockK, gemm.k - p), depth = ceil_div(terms, kUnitTerms);
    const int64_t a_block = depth * mode.parts * kUnitTile;
    kernels.split_left(panel, a_block, a + t.row * a_row + p * a_col, a_row, a_col, t.rows, terms,
                       mode.parts);
    mode.unit->multiply(
        sums, panel,
        split_b + t.column / kUnitSide * b_block() + p / kUnitTerms * mode.parts * kUnitTile,
        {rows, columns, depth, a_block, b_block(), mode.parts, p > 0});
  }
  if (!kernels.all_finite(sums, rows * columns * kSquare)) {
    repair(kernels, sums, a, b, t, panel);
  }
  GemmEpilogue shifted{};
  if (epilogue != nullptr) {
    shifted = *epilogue;
    if (shifted.bias != nullptr) shifted.bias += t.column;
  }
  kernels.split_finish(c + t.row * gemm.n + t.column, gemm.n, sums, columns, t.rows, t.columns,
                       gemm.alpha, gemm.beta, epilogue == nullptr ? nullptr : &shifted);
}

// Every element of a square is its own chain: those that are finite stay as they are.
void SplitProduct::repair(const Kernels& kernels, float* sums, const float* a, const float* b,
                          const Tile& t, float* scratch) const {
  const int64_t a_row = gemm.trans_a ? 1 : gemm.k, a_col = gemm.trans_a ? gemm.m : 1;
  const int64_t b_row = gemm.trans_b ? 1 : gemm.n, b_col = gemm.trans_b ? gemm.k : 1;
  float *square = scratch, *strip = scratch + kSquare;
  for (int64_t i = 0; i < t.rows; i += kUnitSide) {
    for (int64_t j = 0; j < t.columns; j += kUnitSide, sums += kSquare) {
      if (kernels.all_finite(sums, kSquare)) continue;
      const int64_t rows = std::min(kUnitSide, t.rows - i);
      const int64_t columns = std::min(kUnitSide, t.columns - j);
      const GemmBlocks blocks{gemm.k};
      for (int64_t block = 0; block < blocks.count(); ++block) {
        const int64_t p = blocks.begin(block), depth = blocks.length(block);
        kernels.gemm_pack(strip, kUnitSide, b + p * b_row + (t.column + j) * b_col, b_row, b_col,
                          depth, columns);
        kernels.gemm_block(square, kUnitSide, a + (t.row + i) * a_row + p * a_col, a_row, a_col,
                           strip, kUnitSide, rows, columns, depth, 1.0f, p == 0 ? 0.0f : 1.0f,
                           nullptr, nullptr);
      }
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t s = 0; s < columns; ++s) {
          float& sum = sums[r * kUnitSide + s];
          if (!std::isfinite(sum)) sum = square[r * kUnitSide + s];
        }
      }
    }
  }
}

}  // namespace lamina::ops
