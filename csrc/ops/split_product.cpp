#include "ops/split_product.h"

#include <algorithm>
#include <cmath>

#include "cpu/float_state.h"
#include "ops/pieces.h"

namespace lamina::ops {
namespace {

// A tile's panel, 128 rows by a block of K in three parts, takes 384 KB, and its sums 256 KB: both
// stay in the second cache, and the other operand goes by. Wider tiles would split the panel less
// often.
constexpr int64_t kTilePanel = 128, kMostOther = 512, kLeastOther = 64;
constexpr int64_t kTilesForAll = 8;  // enough to share out

constexpr int64_t kLeastWork = 1 << 22;  // multiply-adds: some dozen microseconds on AMX

// What one tile of splitting takes of B: five microseconds for three parts, eight if transposed.
constexpr int64_t kSplitColumns = 64, kSplitTerms = 256;

constexpr int64_t kSquare = kUnitSide * kUnitSide;

// The rows of a matrix op(A), multiplied with the matrix op(B).
class MatrixPanel final : public SplitPanel {
 public:
  MatrixPanel(const Gemm& gemm, const float* a, const float* b)
      : a_(a),
        b_(b),
        a_row_(gemm.trans_a ? 1 : gemm.k),
        a_col_(gemm.trans_a ? gemm.m : 1),
        b_row_(gemm.trans_b ? 1 : gemm.n),
        b_col_(gemm.trans_b ? gemm.k : 1) {}

  void split(const Kernels& kernels, float* tiles, int64_t block, int64_t row, int64_t rows,
             int64_t term, int64_t terms, int parts) const override {
    kernels.split_left(tiles, block, a_ + row * a_row_ + term * a_col_, a_row_, a_col_, rows, terms,
                       parts);
  }

  void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t begin, int64_t end, float* strip) const override {
    const GemmBlocks blocks{end - begin};
    for (int64_t block = 0; block < blocks.count(); ++block) {
      const int64_t p = begin + blocks.begin(block), depth = blocks.length(block);
      kernels.gemm_pack(strip, kUnitSide, b_ + p * b_row_ + column * b_col_, b_row_, b_col_, depth,
                        columns);
      kernels.gemm_block(square, kUnitSide, a_ + row * a_row_ + p * a_col_, a_row_, a_col_, strip,
                         kUnitSide, rows, columns, depth, 1.0f, block == 0 ? 0.0f : 1.0f, nullptr,
                         nullptr, 0);
    }
  }

 private:
  const float *a_, *b_;
  int64_t a_row_, a_col_, b_row_, b_col_;
};

}  // namespace

int64_t SplitProduct::split_block() const {
  return ceil_div(gemm.k, kUnitTerms) * mode.parts * kUnitTile;
}

int64_t SplitProduct::split_floats() const {
  return ceil_div(along_other(), kUnitSide) * split_block();
}

int64_t SplitProduct::split_tiles() const {
  return ceil_div(gemm.n, kSplitColumns) * ceil_div(gemm.k, kSplitTerms);
}

void SplitProduct::split(const Kernels& kernels, float* split_b, const float* b,
                         int64_t tile) const {
  const FlushDenormals flush;
  const Pieces columns{gemm.n, kSplitColumns}, terms{gemm.k, kSplitTerms};
  const int64_t j = tile / terms.count(), p = tile % terms.count();
  const int64_t b_row = gemm.trans_b ? 1 : gemm.n, b_col = gemm.trans_b ? gemm.k : 1;
  kernels.split_right(split_b + columns.begin(j) / kUnitSide * split_block() +
                          terms.begin(p) / kUnitTerms * mode.parts * kUnitTile,
                      split_block(), b + terms.begin(p) * b_row + columns.begin(j) * b_col, b_row,
                      b_col, terms.length(p), columns.length(j), mode.parts);
}

int64_t SplitProduct::tile_panel() const {
  return std::min(kTilePanel, round_up(along_panel(), kUnitSide));
}

int64_t SplitProduct::tile_other() const {
  int64_t other = kMostOther;
  const int64_t along = pieces * ceil_div(along_panel(), kTilePanel);
  while (other > kLeastOther && along * ceil_div(along_other(), other) < kTilesForAll) other /= 2;
  return std::min(other, round_up(along_other(), kUnitSide));
}

int64_t SplitProduct::tiles() const {
  if (gemm.m == 0 || gemm.n == 0) return 0;
  return ceil_div(along_panel(), tile_panel()) * ceil_div(along_other(), tile_other());
}

int64_t SplitProduct::least_tiles() const {
  return ceil_div(kLeastWork, std::max<int64_t>(1, tile_panel() * tile_other() * gemm.k));
}

// A worker's tiles follow each other along the other operand, for the sake of the panel.
SplitProduct::Tile SplitProduct::tile_at(int64_t tile) const {
  const Pieces panel{along_panel(), tile_panel()}, other{along_other(), tile_other()};
  const int64_t i = tile / other.count(), j = tile % other.count();
  if (panel_is_b) return {other.begin(j), other.length(j), panel.begin(i), panel.length(i)};
  return {panel.begin(i), panel.length(i), other.begin(j), other.length(j)};
}

int64_t SplitProduct::scratch() const {
  const int64_t along = tile_panel();
  const int64_t other = std::min(kMostOther, round_up(along_other(), kUnitSide));
  const int64_t depth = ceil_div(std::min(gemm.k, kSplitBlockK), kUnitTerms);
  const int64_t panel = along / kUnitSide * depth * mode.parts * kUnitTile;
  return along * other + std::max(panel, kSquare + SplitPanel::kMultiplyScratch);
}

void SplitProduct::run(const Kernels& kernels, float* c, const float* a, const float* b,
                       const float* split_b, const GemmEpilogue* epilogue, int64_t tile,
                       float* scratch) const {
  run(kernels, c, MatrixPanel{gemm, a, b}, split_b, 0, gemm.k, epilogue, tile, scratch);
}

void SplitProduct::run(const Kernels& kernels, float* c, const SplitPanel& panel,
                       const float* other, int64_t begin, int64_t end, const GemmEpilogue* epilogue,
                       int64_t tile, float* scratch) const {
  const Tile t = tile_at(tile);
  const int64_t rows = ceil_div(t.rows, kUnitSide), columns = ceil_div(t.columns, kUnitSide);
  float *sums = scratch, *parts = scratch + rows * columns * kSquare;
  for (int64_t p = begin; p < end; p += kSplitBlockK) {
    const int64_t terms = std::min(kSplitBlockK, end - p), depth = ceil_div(terms, kUnitTerms);
    const int64_t block = depth * mode.parts * kUnitTile;
    const int64_t first = panel_is_b ? t.row : t.column;  // of the other operand
    const float* at =
        other + first / kUnitSide * split_block() + p / kUnitTerms * mode.parts * kUnitTile;
    const FlushDenormals flush;
    if (panel_is_b) {
      panel.split(kernels, parts, block, t.column, t.columns, p, terms, mode.parts);
      mode.unit->multiply(sums, at, parts,
                          {rows, columns, depth, split_block(), block, mode.parts, p > begin});
    } else {
      panel.split(kernels, parts, block, t.row, t.rows, p, terms, mode.parts);
      mode.unit->multiply(sums, parts, at,
                          {rows, columns, depth, block, split_block(), mode.parts, p > begin});
    }
  }
  if (!kernels.all_finite(sums, rows * columns * kSquare)) {
    repair(kernels, sums, panel, begin, end, t, parts);
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
void SplitProduct::repair(const Kernels& kernels, float* sums, const SplitPanel& panel,
                          int64_t begin, int64_t end, const Tile& t, float* scratch) const {
  float *square = scratch, *rest = scratch + kSquare;
  for (int64_t i = 0; i < t.rows; i += kUnitSide) {
    for (int64_t j = 0; j < t.columns; j += kUnitSide, sums += kSquare) {
      if (kernels.all_finite(sums, kSquare)) continue;
      const int64_t rows = std::min(kUnitSide, t.rows - i);
      const int64_t columns = std::min(kUnitSide, t.columns - j);
      panel.multiply(kernels, square, t.row + i, rows, t.column + j, columns, begin, end, rest);
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
