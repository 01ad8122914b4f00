#include "ops/split_product.h"

#include <algorithm>
#include <cmath>

#include "cpu/denormals.h"
#include "ops/pieces.h"

namespace lamina::ops {
namespace {

// A tile's part of A, 128 rows by a block of K in three parts, takes 384 KB, and its sums 256 KB:
// both stay in the second cache, and B goes by. Wider tiles would split A less often.
constexpr int64_t kMostColumns = 512, kLeastColumns = 64;
constexpr int64_t kTilesForAll = 8;  // enough to share out

constexpr int64_t kLeastWork = 1 << 22;  // multiply-adds: some dozen microseconds on AMX

// What one tile of splitting takes of B: five microseconds for three parts, eight if transposed.
constexpr int64_t kSplitColumns = 64, kSplitTerms = 256;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

constexpr int64_t kSquare = kUnitSide * kUnitSide;

// The rows of a matrix op(A), multiplied with the matrix op(B).
class MatrixRows final : public SplitRows {
 public:
  MatrixRows(const Gemm& gemm, const float* a, const float* b)
      : a_(a),
        b_(b),
        a_row_(gemm.trans_a ? 1 : gemm.k),
        a_col_(gemm.trans_a ? gemm.m : 1),
        b_row_(gemm.trans_b ? 1 : gemm.n),
        b_col_(gemm.trans_b ? gemm.k : 1) {}

  void split(const Kernels& kernels, float* tiles, int64_t block, int64_t row, int64_t rows,
             int64_t term, int64_t terms, int parts, float*) const override {
    kernels.split_left(tiles, block, a_ + row * a_row_ + term * a_col_, a_row_, a_col_, rows, terms,
                       parts);
  }

  void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t begin, int64_t end, float* strip) const override {
    for (int64_t p = begin; p < end; p += kGemmBlockK) {
      const int64_t depth = std::min(kGemmBlockK, end - p);
      kernels.gemm_pack(strip, kUnitSide, b_ + p * b_row_ + column * b_col_, b_row_, b_col_, depth,
                        columns);
      kernels.gemm_block(square, kUnitSide, a_ + row * a_row_ + p * a_col_, a_row_, a_col_, strip,
                         kUnitSide, rows, columns, depth, 1.0f, p == begin ? 0.0f : 1.0f, nullptr,
                         nullptr);
    }
  }

 private:
  const float *a_, *b_;
  int64_t a_row_, a_col_, b_row_, b_col_;
};

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

int64_t SplitProduct::tile_rows() const {
  return std::min(kSplitTileRows, round_up(gemm.m, kUnitSide));
}

int64_t SplitProduct::tile_columns() const {
  int64_t columns = kMostColumns;
  const int64_t down = pieces * ceil_div(gemm.m, kSplitTileRows);
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
  return rows * columns + std::max(panel, kSquare + SplitRows::kMultiplyScratch);
}

void SplitProduct::run(const Kernels& kernels, float* c, const float* a, const float* b,
                       const float* split_b, const GemmEpilogue* epilogue, int64_t tile,
                       float* scratch) const {
  run(kernels, c, MatrixRows{gemm, a, b}, split_b, 0, gemm.k, epilogue, tile, scratch);
}

void SplitProduct::run(const Kernels& kernels, float* c, const SplitRows& a, const float* split_b,
                       int64_t begin, int64_t end, const GemmEpilogue* epilogue, int64_t tile,
                       float* scratch) const {
  const FlushDenormals flush;
  const Tile t = tile_at(tile);
  const int64_t rows = ceil_div(t.rows, kUnitSide), columns = ceil_div(t.columns, kUnitSide);
  float* sums = scratch;
  float* panel = scratch + rows * columns * kSquare;
  for (int64_t p = begin; p < end; p += kSplitBlockK) {
    const int64_t terms = std::min(kSplitBlockK, end - p), depth = ceil_div(terms, kUnitTerms);
    const int64_t a_block = depth * mode.parts * kUnitTile;
    a.split(kernels, panel, a_block, t.row, t.rows, p, terms, mode.parts,
            scratch + this->scratch());
    mode.unit->multiply(
        sums, panel,
        split_b + t.column / kUnitSide * b_block() + p / kUnitTerms * mode.parts * kUnitTile,
        {rows, columns, depth, a_block, b_block(), mode.parts, p > begin});
  }
  if (!kernels.all_finite(sums, rows * columns * kSquare)) {
    repair(kernels, sums, a, begin, end, t, panel);
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
void SplitProduct::repair(const Kernels& kernels, float* sums, const SplitRows& a, int64_t begin,
                          int64_t end, const Tile& t, float* scratch) const {
  float *square = scratch, *rest = scratch + kSquare;
  for (int64_t i = 0; i < t.rows; i += kUnitSide) {
    for (int64_t j = 0; j < t.columns; j += kUnitSide, sums += kSquare) {
      if (kernels.all_finite(sums, kSquare)) continue;
      const int64_t rows = std::min(kUnitSide, t.rows - i);
      const int64_t columns = std::min(kUnitSide, t.columns - j);
      a.multiply(kernels, square, t.row + i, rows, t.column + j, columns, begin, end, rest);
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
