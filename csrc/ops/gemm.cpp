#include "ops/gemm.h"

#include <algorithm>

#include "cpu/dispatch.h"
#include "ops/pieces.h"

namespace lamina::ops {
namespace {

constexpr int64_t kSmallWork = 1 << 18;  // multiply-adds: a few microseconds on one core
constexpr int64_t kCacheFloats = 1 << 18;
constexpr int64_t kFewRows = 128;

// A tile copies a block of B into strips: rows of B that lie a page or a power of two apart share a
// few sets of the cache, and a transposed B has no rows to read. All rows of the tile share the
// copy. Few rows do not pay for one that has to come back from the last cache, where workers get
// in each other's way too.
constexpr int64_t kNarrowTile = 512, kWideTile = 2048;  // columns
constexpr int64_t kSharedColumns = 2 * kWideTile;       // of all workers' copies
// A wide tile copies so many rows of a transposed A at a time: each line has some of sixteen rows.
constexpr int64_t kBand = 48, kCopiesA = 256;
// It copies so many of a plain A whose rows meet too: with a block of terms 168 KB.
constexpr int64_t kGroup = 192;
// Rows that lie a multiple of so many floats apart meet in a quarter of the first cache's sets.
constexpr int64_t kMeeting = 128;
constexpr int64_t kCopiedFloats = 1 << 16;  // of B, from which on few rows pay for copying such

// With a transposed B and few rows, C^T = B A^T: A and C are turned instead of B, which is larger.
// The rows of C fill whole vectors, or nearly. (32 x 784 x 128 takes 0.88 of the time.)
constexpr int64_t kTurnedRows = 64, kTurnedDepth = 1024, kVector = 16;
constexpr int64_t kTurnedColumns = 48;  // at a time: with 64 rows 12 KB

constexpr int64_t kTilesPerWorker = 4;
constexpr int64_t kLeastRows = 96;
constexpr int64_t kMostSums = int64_t{1} << 20;  // floats of a tile's sums of a group of blocks

// A block of terms of one strip is 14 KB, half of the first-level cache, where the instruction set
// has strips of one vector.
bool strips_are_narrow() { return kernels().strip_columns == kVector; }

}  // namespace

bool Gemm::is_small() const { return m * n * k <= kSmallWork; }

// A copy pays for many rows; for a few dozen if the rows of B are long and many, and for fewer if
// they come from memory. Strips that fit into the first-level cache pay for less: every second
// vector of a row that begins anywhere crosses a cache line, and rows half a kilobyte apart meet in
// few sets. (AVX2: 128 x 128 x 784 takes 0.84 of the time, but 32 x 784 x 128 would take 1.12.)
bool Gemm::packs() const {
  if (trans_b || (m >= 256 && n > 256)) return true;
  if (strips_are_narrow() && n >= kStripColumns && k >= kStripColumns && !is_small()) {
    const int64_t enough = n % kMeeting != 0 ? 128 : n * k > kCopiedFloats ? 28 : 64;
    if (m >= enough) return true;
  }
  return n > kNarrowTile && k > 128 && m >= (n * k > kCacheFloats ? 12 : 64);
}

bool Gemm::copies_a() const {
  return n >= kCopiesA && packs() && (trans_a || (strips_are_narrow() && k % kMeeting == 0));
}

bool Gemm::turns() const {
  return trans_b && m <= kTurnedRows && 4 * (round_up(m, kVector) - m) <= kVector &&
         n >= kStripColumns && k <= kTurnedDepth && alpha == 1.0f && beta == 0.0f;
}

int64_t Gemm::most_columns() const {
  if (is_small() || m < kFewRows) return kNarrowTile;
  // In whole strips, because grid() rounds up to those.
  const int64_t share = kSharedColumns / workers / kStripColumns * kStripColumns;
  return std::clamp(share, kNarrowTile, kWideTile);
}

Gemm::Grid Gemm::grid() const {
  if (m == 0 || n == 0) return {0, 0, 0, 0};
  int64_t rows = m, columns = n;
  if (packs()) {
    columns = std::min(n, most_columns());
    const int64_t wanted = workers == 1 || is_small() ? 1 : kTilesPerWorker * workers;
    const auto half = [](int64_t size, int64_t unit) { return round_up(ceil_div(size, 2), unit); };
    while (rows * columns * k > most_work || (in_groups() && rows * columns > kMostSums) ||
           ceil_div(m, rows) * ceil_div(n, columns) < wanted) {
      // Fewer rows copy more of B, fewer columns read A more often or copy more of it.
      const bool is_wide = columns * (trans_a ? 1 : 2) > rows || rows <= kLeastRows;
      if (columns > kStripColumns && is_wide) {
        columns = half(columns, kStripColumns);
      } else if (rows > kLeastRows) {
        rows = half(rows, 1);
      } else {
        break;
      }
    }
  } else if (!is_small()) {
    // Such tiles share nothing: about 2^18 multiply-adds each.
    columns = std::min(n, kStripColumns);
    rows = std::max<int64_t>(24,
                             kSmallWork / (kStripColumns * std::clamp<int64_t>(k, 1, kGemmBlockK)));
  }
  const int64_t down = ceil_div(m, rows), across = ceil_div(n, columns);
  const int64_t even = round_up(ceil_div(n, across), kStripColumns);
  return {ceil_div(m, down), std::min(even, n), down, ceil_div(n, even)};
}

int64_t Gemm::tiles() const {
  const Grid g = grid();
  return g.down * g.across;
}

int64_t Gemm::least_tiles() const {
  const Grid g = grid();
  return ceil_div(4 * kSmallWork, std::max<int64_t>(1, g.rows * g.columns * k));
}

int64_t Gemm::scratch() const { return copies() + sums(); }

bool Gemm::in_groups() const { return k > GemmBlocks::kChain * kGemmBlockK; }

int64_t Gemm::sums() const {
  return in_groups() ? std::min(m * std::min(n, most_columns()), kMostSums) : 0;
}

int64_t Gemm::copies() const {
  if (!packs()) return 0;
  const int64_t columns = round_up(std::min(n, most_columns()), kStripColumns);
  // Whether or not copies_a() says so of this k: a smaller one may.
  const int64_t most_of_a = trans_a ? kBand : strips_are_narrow() ? std::min(m, kGroup) : 0;
  const int64_t rows_of_a = n < kCopiesA ? 0 : most_of_a;
  const int64_t straight = std::min(k, kGemmBlockK) * (columns + rows_of_a);
  if (!trans_b) return straight;
  const int64_t rows = round_up(std::min(m, kTurnedRows), kVector);
  return std::max(straight, rows * (std::min(k, kTurnedDepth) + kTurnedColumns));
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
  const int64_t a_row = trans_a ? 1 : k, b_col = trans_b ? k : 1;

  GemmEpilogue shifted{};
  if (epilogue != nullptr) {
    shifted = *epilogue;
    if (shifted.bias != nullptr) shifted.bias += j0;
  }
  c += i0 * n + j0;
  if (turns()) {
    return run_turned(kernels, c, a, b + j0 * b_col, epilogue == nullptr ? nullptr : &shifted,
                      columns, scratch);
  }
  // Every group of blocks but the first, which goes to C itself, has its sums in `group`.
  const GemmBlocks blocks{k};
  float* const group = scratch + copies();
  for (int64_t block = 0; block < blocks.count(); ++block) {
    const bool first = blocks.in_first_group(block);
    float* const to = first ? c : group;
    const int64_t to_row = first ? n : columns;
    const float old = block == 0 ? beta : blocks.begins_group(block) ? 0.0f : 1.0f;
    const bool last = first && block + 1 == blocks.count();
    run_block(kernels, to, to_row, a + i0 * a_row, b + j0 * b_col, rows, columns, block, old,
              last && epilogue != nullptr ? &shifted : nullptr, scratch);
    if (first || !blocks.ends_group(block)) continue;
    for (int64_t r = 0; r < rows; ++r) {
      kernels.accumulate(c + r * n, group + r * columns, columns);
    }
  }
  if (in_groups() && epilogue != nullptr) {
    kernels.gemm_block(c, n, a, 0, 0, b, 0, rows, columns, 0, 1.0f, 1.0f, &shifted, nullptr, 0);
  }
}

// C (rows x columns) = alpha times a block's products + old * C.
void Gemm::run_block(const Kernels& kernels, float* c, int64_t c_row, const float* a,
                     const float* b, int64_t rows, int64_t columns, int64_t block, float old,
                     const GemmEpilogue* after, float* scratch) const {
  const int64_t a_row = trans_a ? 1 : k, a_col = trans_a ? m : 1;
  const int64_t b_row = trans_b ? 1 : n, b_col = trans_b ? k : 1;
  const GemmBlocks blocks{k};
  const int64_t p = blocks.begin(block), depth = blocks.length(block);
  const float *left = a + p * a_col, *right = b + p * b_row;
  if (!packs()) {
    kernels.gemm_block(c, c_row, left, a_row, a_col, right, b_row, rows, columns, depth, alpha, old,
                       after, nullptr, 0);
    return;
  }
  kernels.gemm_copy_strips(scratch, right, b_row, b_col, depth, columns);
  if (!copies_a() || columns < kCopiesA) {
    kernels.gemm_strips(c, c_row, left, a_row, a_col, scratch, rows, columns, depth, alpha, old,
                        after);
    return;
  }
  float* band = scratch + depth * round_up(columns, kStripColumns);
  const int64_t most = trans_a ? kBand : kGroup;
  for (int64_t r = 0; r < rows; r += most) {
    const int64_t height = std::min(most, rows - r);
    if (trans_a) {
      kernels.gemm_pack(band, kBand, left + r * a_row, a_col, a_row, depth, height);
    } else {
      kernels.gemm_pack(band, depth, left + r * a_row, a_row, 1, height, depth);
    }
    kernels.gemm_strips(c + r * c_row, c_row, band, trans_a ? 1 : depth, trans_a ? kBand : 1,
                        scratch, height, columns, depth, alpha, old, after);
  }
}

// Some columns of C, of all rows.
void Gemm::run_turned(const Kernels& kernels, float* c, const float* a, const float* b,
                      const GemmEpilogue* epilogue, int64_t columns, float* scratch) const {
  const int64_t width = round_up(m, kVector);
  float *right = scratch, *turned = scratch + k * width;
  kernels.gemm_pack(right, width, a, trans_a ? m : 1, trans_a ? 1 : k, k, m);
  const GemmBlocks blocks{k};
  const Pieces pieces{columns, kTurnedColumns};
  for (int64_t piece = 0; piece < pieces.count(); ++piece) {
    const int64_t j = pieces.begin(piece), length = pieces.length(piece);
    for (int64_t block = 0; block < blocks.count(); ++block) {
      const int64_t p = blocks.begin(block);
      kernels.gemm_block(turned, width, b + j * k + p, k, 1, right + p * width, width, length, m,
                         blocks.length(block), 1.0f, block == 0 ? 0.0f : 1.0f, nullptr, nullptr, 0);
    }
    kernels.gemm_turn(c + j, n, turned, width, m, length);
    if (epilogue == nullptr) continue;
    GemmEpilogue after = *epilogue;
    if (after.bias != nullptr) after.bias += j;
    kernels.gemm_block(c + j, n, right, 0, 0, right, 0, m, length, 0, 1.0f, 1.0f, &after, nullptr,
                       0);
  }
}

}  // namespace lamina::ops
