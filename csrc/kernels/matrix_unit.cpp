// A product of bf16 parts on the tiles of a matrix unit. Compiled for every instruction set with
// tiles that are emulated, and once more for AMX.
//
// Assumptions: both operands are split and laid out in whole tiles (split.cpp), on cache lines.
#include "kernels/declarations.h"
#include "kernels/tiles.h"

namespace lamina::LAMINA_ISA {
namespace {

// Which parts are multiplied, in an order in which the next pair keeps one of the two: 14 loads of
// two tiles where 24 would be needed. Small ones come first, hi * hi last, but for two parts, where
// that would cost two loads more.
struct PartPair {
  int a, b;
};
template <int parts>
constexpr int kPairs = parts == 3   ? 6
                       : parts == 2 ? 3
                                    : 1;
template <int parts>
constexpr PartPair kOrder[] = {{0, 0}};
template <>
constexpr PartPair kOrder<2>[] = {{1, 0}, {0, 0}, {0, 1}};
template <>
constexpr PartPair kOrder<3>[] = {{2, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 2}, {0, 0}};

// rows x columns blocks of sums, at most 2 x 2: tiles 0 to 3 hold them, 4 and 5 are of A, 6 and 7
// of B.
template <int parts, int rows, int columns>
void block_of_sums(Tiles& tiles, float* sums, int64_t sums_row, const float* a, const float* b,
                   const SplitBlock& k) {
  tiles.template zero<0>();
  if constexpr (columns == 2) tiles.template zero<1>();
  if constexpr (rows == 2) tiles.template zero<2>();
  if constexpr (rows == 2 && columns == 2) tiles.template zero<3>();
  for (int64_t p = 0; p < k.depth; ++p) {
    int in_a = -1, in_b = -1;
    LAMINA_UNROLL
    for (int pair = 0; pair < kPairs<parts>; ++pair) {
      const PartPair now = kOrder<parts>[pair];
      if (now.a != in_a) {
        tiles.template load<4>(a + now.a * kUnitTile);
        if constexpr (rows == 2) tiles.template load<5>(a + k.a_block + now.a * kUnitTile);
      }
      if (now.b != in_b) {
        tiles.template load<6>(b + now.b * kUnitTile);
        if constexpr (columns == 2) tiles.template load<7>(b + k.b_block + now.b * kUnitTile);
      }
      in_a = now.a;
      in_b = now.b;
      tiles.template dot<0, 4, 6>();
      if constexpr (columns == 2) tiles.template dot<1, 4, 7>();
      if constexpr (rows == 2) tiles.template dot<2, 5, 6>();
      if constexpr (rows == 2 && columns == 2) tiles.template dot<3, 5, 7>();
    }
    a += parts * kUnitTile;
    b += parts * kUnitTile;
  }

  alignas(64) float fresh[4][kUnitTile];
  float* to[4] = {sums, sums + kUnitTile, sums + sums_row, sums + sums_row + kUnitTile};
  tiles.template store<0>(k.add ? fresh[0] : to[0]);
  if constexpr (columns == 2) tiles.template store<1>(k.add ? fresh[1] : to[1]);
  if constexpr (rows == 2) tiles.template store<2>(k.add ? fresh[2] : to[2]);
  if constexpr (rows == 2 && columns == 2) tiles.template store<3>(k.add ? fresh[3] : to[3]);
  if (!k.add) return;
  for (int t = 0; t < 4; ++t) {
    if (t % 2 >= columns || t / 2 >= rows) continue;
    for (int64_t i = 0; i < kUnitTile; i += kLanes) {
      store(to[t] + i, load(to[t] + i) + load(fresh[t] + i));
    }
  }
}

// Two blocks of columns of B stay in the nearest cache while A goes past them.
template <int parts>
void multiply_parts(float* sums, const float* a, const float* b, const SplitBlock& k) {
  Tiles tiles;
  const int64_t sums_row = k.columns * kUnitTile;
  for (int64_t j = 0; j < k.columns; j += 2) {
    const float* bj = b + j * k.b_block;
    for (int64_t i = 0; i < k.rows; i += 2) {
      const float* ai = a + i * k.a_block;
      float* to = sums + i * sums_row + j * kUnitTile;
      const bool two_rows = i + 1 < k.rows, two_columns = j + 1 < k.columns;
      if (two_rows && two_columns) {
        block_of_sums<parts, 2, 2>(tiles, to, sums_row, ai, bj, k);
      } else if (two_rows) {
        block_of_sums<parts, 2, 1>(tiles, to, sums_row, ai, bj, k);
      } else if (two_columns) {
        block_of_sums<parts, 1, 2>(tiles, to, sums_row, ai, bj, k);
      } else {
        block_of_sums<parts, 1, 1>(tiles, to, sums_row, ai, bj, k);
      }
    }
  }
}

void multiply(float* sums, const float* a, const float* b, const SplitBlock& block) {
  if (block.parts == 3) return multiply_parts<3>(sums, a, b, block);
  if (block.parts == 2) return multiply_parts<2>(sums, a, b, block);
  multiply_parts<1>(sums, a, b, block);
}

}  // namespace

constinit const MatrixUnit matrix_unit = {.name = kTilesName, .multiply = multiply};

}  // namespace lamina::LAMINA_ISA
