#include "ops/live_product.h"

#include <algorithm>

namespace lamina::ops {
namespace {

constexpr int64_t kLeastLiveRows = 8;       // of C in training, where B keeps changing
constexpr int64_t kLeastColumns = 32;       // of C: the scan costs as much as a few columns
constexpr int64_t kMostLiveColumns = 512;   // a strip of more would have to be copied, as Gemm does
constexpr int64_t kLiveTileWork = 1 << 19;  // multiply-adds
constexpr int64_t kMostPartial = 1 << 16;   // floats of sums
constexpr int64_t kGroupFloats = 1 << 13;   // of sums of a group of blocks

int64_t words(int64_t n) { return (n + kLiveBits - 1) / kLiveBits; }

// What a map holds: two counts of 32 rows of each block of columns, the bits by rows, a block of
// columns after the other so that workers share few cache lines, and the bits by columns.
struct Parts {
  int32_t* terms;
  uint32_t *by_row, *by_column;

  Parts(const LiveMap& map, const float* memory) {
    terms = reinterpret_cast<int32_t*>(const_cast<float*>(memory));
    by_row = reinterpret_cast<uint32_t*>(terms + 2 * map.block_tiles());
    by_column = map.transposed ? by_row + map.rows * words(map.cols) : nullptr;
  }
  // Rows of a block, words(its length) apart.
  uint32_t* rows_of(const LiveMap& map, int64_t block, int64_t row) const {
    const GemmBlocks blocks{map.cols};
    return by_row + map.rows * (blocks.begin(block) / kLiveBits) +
           row * words(blocks.length(block));
  }
};

}  // namespace

int64_t LiveMap::floats() const {
  return 2 * block_tiles() + rows * words(cols) + (transposed ? words(rows) * cols : 0);
}

int64_t LiveMap::row_tiles() const { return words(rows); }

// (10,000 predictions on two threads: 13 ms, by blocks 21.)
void LiveMap::scan_rows(const Kernels& kernels, float* map, const float* x, int64_t tile) const {
  for (int64_t i = tile; i < block_tiles(); i += row_tiles()) {
    scan_block(kernels, map, x, i, from_memory && i == tile ? cols : 0);
  }
}

void LiveMap::scan_block(const Kernels& kernels, float* map, const float* x, int64_t tile,
                         int64_t fetched) const {
  const Parts parts(*this, map);
  const GemmBlocks blocks{cols};
  const int64_t block = tile / row_tiles(), word = tile % row_tiles();
  const int64_t row = word * kLiveBits, column = blocks.begin(block);
  kernels.nonzero_bits(parts.rows_of(*this, block, row), words(blocks.length(block)),
                       transposed ? parts.by_column + word * cols + column : nullptr,
                       parts.terms + 2 * tile, x + row * cols + column, cols,
                       std::min(kLiveBits, rows - row), blocks.length(block), fetched);
}

bool LiveProduct::may_pay() const {
  const bool enough = !map_.transposed || m() >= kLeastLiveRows;
  return enough && kLeastColumns <= n_ && n_ <= kMostLiveColumns;
}

int LiveProduct::along_k_workers() const {
  return partial_floats() <= kMostPartial ? static_cast<int>(blocks().count()) : 0;
}

int64_t LiveProduct::partial_floats() const { return m() * n_ * (blocks().count() - 1); }

// A term of three rows costs more reads of B than one of six, and the ends of short runs of terms
// are guessed wrong: with 63 % of the terms a training step of MNIST's size takes 0.82 of the time
// with all, and from four fifths on there is nothing to gain.
bool LiveProduct::leaves_out(const float* map, int64_t block, int64_t row, int64_t rows) const {
  if (!may_pay()) return false;
  // Counts are of 32 rows of X and a block of its columns. For X^T those of all columns.
  const int64_t begin = (trans_ ? blocks().begin(block) : row) / kLiveBits;
  const int64_t end = words(trans_ ? blocks().end(block) : row + rows);
  const int64_t all_blocks = GemmBlocks{map_.cols}.count();
  const int32_t* terms = Parts(map_, map).terms + (trans_ ? 1 : 0);
  int64_t taken = 0;
  for (int64_t b = trans_ ? 0 : block; b < (trans_ ? all_blocks : block + 1); ++b) {
    for (int64_t w = begin; w < end; ++w) taken += terms[2 * (b * map_.row_tiles() + w)];
  }
  const int64_t counted = std::min(end * kLiveBits, map_.rows) - begin * kLiveBits;
  const int64_t columns = trans_ ? map_.cols : blocks().length(block);
  return 5 * taken < 4 * ceil_div(counted, kLiveRows) * columns;
}

int64_t LiveProduct::check_words() const { return words(k()); }

void LiveProduct::mark(uint32_t* always, int64_t word, bool finite) const {
  const int64_t rows = std::min(kLiveBits, k() - word * kLiveBits);
  always[word] = finite ? 0 : ~uint32_t{0} >> (kLiveBits - rows);
}

void LiveProduct::check(const Kernels& kernels, uint32_t* always, const float* b, int64_t first,
                        int64_t end) const {
  const Pieces rows{k(), kLiveBits};
  for (int64_t w = first; w < end; ++w) {
    mark(always, w, kernels.all_finite(b + rows.begin(w) * n_, rows.length(w) * n_));
  }
}

Pieces LiveProduct::row_pieces() const {
  const int64_t least = std::clamp<int64_t>(m() / 4, 8, 24);
  const int64_t rows = std::max(least, kLiveTileWork / std::max<int64_t>(1, n_ * k()));
  if (rows >= m()) return {m(), rows};
  // An even number of even pieces: most often two workers share them.
  const int64_t count = round_up(ceil_div(m(), rows), 2);
  return {m(), round_up(ceil_div(m(), count), 2 * kLiveRows)};
}

void LiveProduct::run(const Kernels& kernels, float* c, const float* x, const float* b,
                      const float* map, const uint32_t* always, const GemmEpilogue& epilogue,
                      int64_t tile) const {
  const int64_t row = row_pieces().begin(tile), rows = row_pieces().length(tile);
  if (blocks().group() < blocks().count()) {
    return run_groups(kernels, c, x, b, map, always, epilogue, row, rows);
  }
  for (int64_t block = 0; block < blocks().count(); ++block) {
    add_block(kernels, c + row * n_, x, b, map, always, block, row, rows, block == 0 ? 0.0f : 1.0f,
              block + 1 == blocks().count() ? &epilogue : nullptr);
  }
}

// As in Gemm::run, some rows at a time.
void LiveProduct::run_groups(const Kernels& kernels, float* c, const float* x, const float* b,
                             const float* map, const uint32_t* always, const GemmEpilogue& epilogue,
                             int64_t row, int64_t rows) const {
  alignas(64) float group[kGroupFloats];
  static_assert(kGroupFloats >= kMostLiveColumns);
  const Pieces pieces{rows, kGroupFloats / n_};
  for (int64_t piece = 0; piece < pieces.count(); ++piece) {
    const int64_t begin = row + pieces.begin(piece), height = pieces.length(piece);
    float* const mine = c + begin * n_;
    for (int64_t block = 0; block < blocks().count(); ++block) {
      const bool first = blocks().in_first_group(block);
      add_block(kernels, first ? mine : group, x, b, map, always, block, begin, height,
                blocks().begins_group(block) ? 0.0f : 1.0f, nullptr);
      if (!first && blocks().ends_group(block)) kernels.accumulate(mine, group, height * n_);
    }
  }
  finish_rows(kernels, c + row * n_, epilogue, rows);
}

void LiveProduct::sum(const Kernels& kernels, float* c, float* partial, const float* x,
                      const float* b, const float* map, const uint32_t* always,
                      int64_t tile) const {
  const int64_t block = tile / map_.row_tiles(), row = tile % map_.row_tiles() * kLiveBits;
  float* sums = block == 0 ? c : partial + (block - 1) * m() * n_;
  add_block(kernels, sums + row * n_, x, b, map, always, block, row, std::min(kLiveBits, m() - row),
            0.0f, nullptr);
}

void LiveProduct::finish(const Kernels& kernels, float* c, float* partial,
                         const GemmEpilogue& epilogue, int64_t first, int64_t rows) const {
  const int64_t begin = first * n_;
  c += begin;
  const auto sums = [&](int64_t block) { return partial + (block - 1) * m() * n_ + begin; };
  float* group = c;
  for (int64_t block = 1; block < blocks().count(); ++block) {
    if (blocks().begins_group(block)) {
      group = sums(block);
    } else {
      kernels.accumulate(group, sums(block), rows * n_);
    }
    if (group != c && blocks().ends_group(block)) kernels.accumulate(c, group, rows * n_);
  }
  finish_rows(kernels, c, epilogue, rows);
}

void LiveProduct::finish_rows(const Kernels& kernels, float* c, const GemmEpilogue& epilogue,
                              int64_t rows) const {
  const float* no_terms = c;
  kernels.gemm_block(c, n_, no_terms, 0, 0, no_terms, n_, rows, n_, 0, 1.0f, 1.0f, &epilogue,
                     nullptr, 0);
}

// Rows of sums = beta * sums + the terms of a block.
void LiveProduct::add_block(const Kernels& kernels, float* sums, const float* x, const float* b,
                            const float* map, const uint32_t* always, int64_t block, int64_t row,
                            int64_t rows, float beta, const GemmEpilogue* epilogue) const {
  const Parts parts(map_, map);
  const int64_t p = blocks().begin(block), word = p / kLiveBits;
  const int64_t length = blocks().length(block);
  const LiveTerms live =
      trans_ ? LiveTerms{parts.by_column + word * map_.cols + row, 1, map_.cols, always + word}
             : LiveTerms{parts.rows_of(map_, block, row), words(length), 1, always + word};
  const int64_t a_row = trans_ ? 1 : map_.cols, a_col = trans_ ? map_.cols : 1;
  int64_t ahead = 0;
  if (map_.from_memory && !trans_) {  // the next block of columns, or the first of the next rows
    const bool last = block + 1 == blocks().count();
    ahead = !last ? length : row + rows < m() ? rows * a_row - p : 0;
  }
  kernels.gemm_block(sums, n_, x + row * a_row + p * a_col, a_row, a_col, b + p * n_, n_, rows, n_,
                     length, 1.0f, beta, epilogue,
                     leaves_out(map, block, row, rows) ? &live : nullptr, ahead);
}

}  // namespace lamina::ops
