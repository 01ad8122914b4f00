#include "ops/gemm.h"

#include <algorithm>

#include "ops/pieces.h"

namespace lamina::ops {
namespace {

constexpr int64_t kSmallWork = 1 << 18;  // multiply-adds: a few microseconds on one core
constexpr int64_t kCacheFloats = 1 << 18;
constexpr int64_t kTilesForAll = 8;  // enough to share out

// A tile takes a strip of B, copied so that its rows lie close together: rows of B that lie a page
// or a power of two apart share a few sets of the cache, and a transposed B has no rows to read.
// Under few rows of C a strip is wide, because reading long rows of B from memory is then what the
// product waits for; under many it is narrow, to leave more of the cache to A.
constexpr int64_t kFewRows = 128, kWideStrip = 512, kNarrowStrip = 64;
constexpr int64_t kTileRows = 384;  // these share one copy
constexpr int64_t kPadding = 16;    // keeps the copy's rows out of each other's sets

int64_t strip_row(int64_t columns) { return round_up(columns, 16) + kPadding; }

}  // namespace

bool Gemm::is_small() const { return m * n * k <= kSmallWork; }

// A copy pays from a few rows on if B comes from memory, and from a few dozen if its rows are
// merely long.
bool Gemm::packs() const {
  return trans_b || (n > kWideStrip && m >= (n * k > kCacheFloats ? 12 : 64));
}

Gemm::Grid Gemm::grid() const {
  if (m == 0 || n == 0) return {0, 0, 0, 0};
  if (is_small()) {
    const int64_t strip = packs() ? std::min(n, kWideStrip) : n;
    return {m, strip, 1, ceil_div(n, strip)};
  }
  int64_t rows = 0, columns = 64;
  if (packs()) {
    rows = kTileRows;
    columns = m < kFewRows ? kWideStrip : kNarrowStrip;
    while (columns > 64 && ceil_div(m, rows) * ceil_div(n, columns) < kTilesForAll) columns /= 2;
  } else {
    // Such tiles share nothing: about 2^18 multiply-adds each.
    rows = std::max<int64_t>(24, kSmallWork / (64 * std::clamp<int64_t>(k, 1, kGemmBlockK)));
  }
  const int64_t down = ceil_div(m, rows);
  return {ceil_div(m, down), std::min(columns, n), down, ceil_div(n, columns)};
}

int64_t Gemm::tiles() const {
  const Grid g = grid();
  return g.down * g.across;
}

int64_t Gemm::least_tiles() const {
  const Grid g = grid();
  return ceil_div(4 * kSmallWork, std::max<int64_t>(1, g.rows * g.columns * k));
}

// Enough for fewer rows too, which may take wider strips: a last batch is smaller.
int64_t Gemm::scratch() const {
  return packs() ? std::min(k, kGemmBlockK) * strip_row(std::min(n, kWideStrip)) : 0;
}

void Gemm::run(const Kernels& kernels, float* c, const float* a, const float* b,
               const GemmEpilogue* epilogue, int64_t tile, float* scratch) const {
  const Grid g = grid();
  // A worker's tiles follow each other, so that it reads only a part of the larger operand.
  const bool along_a = m >= n;
  const int64_t i = along_a ? tile / g.across : tile % g.down;
  const int64_t j = along_a ? tile % g.across : tile / g.down;
  const int64_t i0 = i * g.rows, rows = std::min(g.rows, m - i0);
  const int64_t j0 = j * g.columns, columns = std::min(g.columns, n - j0);
  const int64_t a_row = trans_a ? 1 : k, a_col = trans_a ? m : 1;
  const int64_t b_row = trans_b ? 1 : n, b_col = trans_b ? k : 1;

  GemmEpilogue shifted{};
  if (epilogue != nullptr) {
    shifted = *epilogue;
    if (shifted.bias != nullptr) shifted.bias += j0;
  }
  const GemmBlocks blocks{k};
  for (int64_t block = 0; block < blocks.count(); ++block) {
    const int64_t p = blocks.begin(block), depth = blocks.length(block);
    const bool last = block + 1 == blocks.count();
    const float* strip = b + p * b_row + j0 * b_col;
    int64_t strip_stride = b_row;
    if (packs()) {
      strip_stride = strip_row(columns);
      kernels.gemm_pack(scratch, strip_stride, strip, b_row, b_col, depth, columns);
      strip = scratch;
    }
    kernels.gemm_block(c + i0 * n + j0, n, a + i0 * a_row + p * a_col, a_row, a_col, strip,
                       strip_stride, rows, columns, depth, alpha, block == 0 ? beta : 1.0f,
                       last && epilogue != nullptr ? &shifted : nullptr, nullptr);
  }
}

}  // namespace lamina::ops
