#include "ops/long_product.h"

#include <algorithm>

namespace lamina::ops {
namespace {

constexpr int64_t kRoundFloats = int64_t{1} << 18;          // one round's
constexpr int64_t kLongTiles = 8;                           // enough to share out
constexpr int64_t kMostFloats = kRoundFloats / kLongTiles;  // of C
constexpr int64_t kTileRows = 24;                           // of a tile of C
constexpr int64_t kMostLongColumns = 512;                   // of B, of which a worker has a block
constexpr int64_t kLongTileWork = int64_t{1} << 18;         // multiply-adds: a few microseconds
constexpr int64_t kLongCacheFloats = int64_t{1} << 22;      // of A and B together
constexpr int64_t kReducedFloats = 256;                     // of C, in a tile of the second phase

}  // namespace

// Two reasons: C makes too few tiles; or a row of A and one of B are stored for each term, and
// come from memory. Then every tile of C would read its columns of all those rows, a few of each
// line and page, where a block of K reads whole rows, once: 1.2 to 1.8 times as fast on one thread.
int64_t LongProduct::rounds() const {
  if (floats() == 0 || floats() > kMostFloats || whole.n > kMostLongColumns) return 0;
  const bool is_long = blocks().count() >= kLongTiles;
  const bool is_work = floats() * whole.k >= kLongTiles * kLongTileWork;
  if (!is_long || !is_work) return 0;
  const bool by_rows = whole.trans_a && !whole.trans_b;
  const bool from_memory = (whole.m + whole.n) * whole.k > kLongCacheFloats;
  // A copy of a transposed B serves all rows of C.
  const int64_t tiles =
      whole.trans_b ? 1 : ceil_div(whole.m, kTileRows) * ceil_div(whole.n, kStripColumns);
  return tiles < kLongTiles || (by_rows && from_memory) ? rounds_of_blocks().count() : 0;
}

Pieces LongProduct::rounds_of_blocks() const {
  return {blocks().count(), kRoundFloats / floats() - 1};
}

int64_t LongProduct::partial_floats() const {
  return rounds() == 0 ? 0 : (rounds_of_blocks().length(0) + 1) * floats();
}

int64_t LongProduct::scratch() const {
  return rounds() > 0 && whole.trans_b ? kGemmBlockK * round_up(whole.n, kStripColumns) : 0;
}

// Of the round's blocks. A block is a tile unless C is tiny.
Pieces LongProduct::tiles_of_blocks(int64_t round) const {
  const int64_t count = rounds() > round ? rounds_of_blocks().length(round) : 0;
  return {count,
          std::max<int64_t>(1, kLongTileWork / std::max<int64_t>(1, floats() * kGemmBlockK))};
}

int64_t LongProduct::sum_tiles(int64_t round) const { return tiles_of_blocks(round).count(); }

void LongProduct::sum(const Kernels& kernels, float* partial, const float* a, const float* b,
                      int64_t round, int64_t tile, float* scratch) const {
  const int64_t m = whole.m, n = whole.n, k = whole.k;
  const int64_t a_row = whole.trans_a ? 1 : k, a_col = whole.trans_a ? m : 1;
  const Pieces tiles = tiles_of_blocks(round);
  for (int64_t s = tiles.begin(tile); s < tiles.end(tile); ++s) {
    const int64_t block = rounds_of_blocks().begin(round) + s;
    const int64_t p = blocks().begin(block), depth = blocks().length(block);
    float* sums = partial + s * m * n;
    if (whole.trans_b) {
      kernels.gemm_copy_strips(scratch, b + p, 1, k, depth, n);
      kernels.gemm_strips(sums, n, a + p * a_col, a_row, a_col, scratch, m, n, depth, 1.0f, 0.0f,
                          nullptr);
    } else {
      kernels.gemm_block(sums, n, a + p * a_col, a_row, a_col, b + p * n, n, m, n, depth, 1.0f,
                         0.0f, nullptr, nullptr, 0);
    }
  }
}

int64_t LongProduct::reduce_tiles(int64_t round) const {
  return rounds() > round ? Pieces{floats(), kReducedFloats}.count() : 0;
}

// As in Gemm::run. The sums of a group may wait for the next round, behind the blocks.
void LongProduct::reduce(const Kernels& kernels, float* c, float* partial, int64_t round,
                         int64_t tile) const {
  const Pieces elements{floats(), kReducedFloats}, of_blocks = rounds_of_blocks();
  const int64_t begin = elements.begin(tile), length = elements.length(tile);
  float* const group = partial + of_blocks.length(0) * floats() + begin;
  c += begin;
  for (int64_t block = of_blocks.begin(round); block < of_blocks.end(round); ++block) {
    const float* sums = partial + (block - of_blocks.begin(round)) * floats() + begin;
    const bool first = blocks().in_first_group(block);
    float* const to = first ? c : group;
    if (blocks().begins_group(block)) {
      std::copy_n(sums, length, to);
    } else {
      kernels.accumulate(to, sums, length);
    }
    if (!first && blocks().ends_group(block)) kernels.accumulate(c, group, length);
  }
}

}  // namespace lamina::ops
