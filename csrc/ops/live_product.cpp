#include "ops/live_product.h"

#include <algorithm>

namespace lamina::ops {
namespace {

constexpr int64_t kLeastRows = 8;          // of C: the check reads all of B
constexpr int64_t kLeastColumns = 32;      // of C: the scan costs as much as a few columns
constexpr int64_t kMostColumns = 512;      // a strip of more would have to be copied, as Gemm does
constexpr int64_t kTileWork = 1 << 19;     // multiply-adds
constexpr int64_t kCheckedWords = 4;       // a tile
constexpr int64_t kMostPartial = 1 << 16;  // floats of sums
constexpr int64_t kFinishedFloats = 1 << 12;  // a tile

int64_t words(int64_t n) { return (n + kLiveBits - 1) / kLiveBits; }

// What a map holds: the two counts of the whole and of 32 rows of each block of columns, the words
// of LiveTerms::always, the bits by rows, a block of columns after the other so that workers share
// few cache lines, and the bits by columns.
constexpr int64_t kTotalFloats = 4;
struct Parts {
  int64_t* totals;
  int32_t* terms;
  uint32_t *always, *by_row, *by_column;

  Parts(const LiveMap& map, const float* memory) {
    totals = reinterpret_cast<int64_t*>(const_cast<float*>(memory));
    terms = reinterpret_cast<int32_t*>(const_cast<float*>(memory)) + kTotalFloats;
    always = reinterpret_cast<uint32_t*>(terms + 2 * map.counts());
    by_row = always + words(std::max(map.rows, map.cols));
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

int64_t LiveMap::counts() const { return words(rows) * GemmBlocks{cols}.count(); }

int64_t LiveMap::floats() const {
  return kTotalFloats + 2 * counts() + words(std::max(rows, cols)) + rows * words(cols) +
         (transposed ? words(rows) * cols : 0);
}

// A tile is up to 32 rows, by_columns of one block of columns: what its worker will multiply.
// (10,000 predictions on two threads: 13 ms, by columns 21.)
int64_t LiveMap::tiles() const { return by_columns ? counts() : words(rows); }

void LiveMap::scan(const Kernels& kernels, float* map, const float* x, int64_t tile) const {
  const Parts parts(*this, map);
  const GemmBlocks blocks{cols};
  const int64_t word = tile % words(rows), row = word * kLiveBits;
  const int64_t begin = by_columns ? tile / words(rows) : 0;
  const int64_t end = by_columns ? begin + 1 : blocks.count();
  for (int64_t block = begin; block < end; ++block) {
    const int64_t column = blocks.begin(block);
    kernels.nonzero_bits(parts.rows_of(*this, block, row), words(blocks.length(block)),
                         transposed ? parts.by_column + word * cols + column : nullptr,
                         parts.terms + 2 * (block * words(rows) + word), x + row * cols + column,
                         cols, std::min(kLiveBits, rows - row), blocks.length(block));
  }
}

void LiveMap::add_up(float* map) const {
  const Parts parts(*this, map);
  parts.totals[0] = parts.totals[1] = 0;
  for (int64_t i = 0; i < 2 * counts(); ++i) parts.totals[i % 2] += parts.terms[i];
}

bool LiveProduct::may_pay() const {
  return m() >= kLeastRows && kLeastColumns <= n_ && n_ <= kMostColumns;
}

int LiveProduct::along_k_workers() const {
  return partial_floats() <= kMostPartial ? static_cast<int>(blocks().count()) : 0;
}

int64_t LiveProduct::partial_floats() const { return m() * n_ * (blocks().count() - 1); }

// A term of three rows costs more reads of B than one of six, and the ends of short runs of terms
// are guessed wrong: with 63 % of the terms a training step of MNIST's size takes 0.82 of the time
// with all, and from four fifths on there is nothing to gain.
bool LiveProduct::leaves_out(const float* map) const {
  if (!may_pay()) return false;
  const int64_t taken = Parts(map_, map).totals[trans_ ? 1 : 0];
  return 5 * taken * kLiveRows < 4 * m() * k();
}

Pieces LiveProduct::checks() const { return {words(k()), kCheckedWords}; }

void LiveProduct::check(const Kernels& kernels, float* map, const float* b, int64_t tile) const {
  if (leaves_out(map)) check_words(kernels, map, b, checks().begin(tile), checks().end(tile));
}

void LiveProduct::check_words(const Kernels& kernels, float* map, const float* b, int64_t begin,
                              int64_t end) const {
  const Parts parts(map_, map);
  for (int64_t w = begin; w < end; ++w) {
    const int64_t first = w * kLiveBits, rows = std::min(kLiveBits, k() - first);
    const bool finite = kernels.all_finite(b + first * n_, rows * n_);
    parts.always[w] = finite ? 0 : ~uint32_t{0} >> (kLiveBits - rows);
  }
}

Pieces LiveProduct::row_pieces() const {
  const int64_t least = std::clamp<int64_t>(m() / 4, 8, 24);
  return {m(), std::max(least, kTileWork / std::max<int64_t>(1, n_ * k()))};
}

void LiveProduct::run(const Kernels& kernels, float* c, float* partial, const float* x,
                      const float* b, float* map, const GemmEpilogue& epilogue,
                      int64_t tile) const {
  if (along_k()) {
    if (leaves_out(map)) {
      check_words(kernels, map, b, blocks().begin(tile) / kLiveBits, words(blocks().end(tile)));
    }
    float* sums = tile == 0 ? c : partial + (tile - 1) * m() * n_;
    add_block(kernels, sums, x, b, map, tile, 0, m(), 0.0f, nullptr);
    return;
  }
  const int64_t row = row_pieces().begin(tile), rows = row_pieces().length(tile);
  for (int64_t block = 0; block < blocks().count(); ++block) {
    add_block(kernels, c, x, b, map, block, row, rows, block == 0 ? 0.0f : 1.0f,
              block + 1 == blocks().count() ? &epilogue : nullptr);
  }
}

// Rows of sums = beta * sums + the terms of a block.
void LiveProduct::add_block(const Kernels& kernels, float* sums, const float* x, const float* b,
                            const float* map, int64_t block, int64_t row, int64_t rows, float beta,
                            const GemmEpilogue* epilogue) const {
  const Parts parts(map_, map);
  const int64_t p = blocks().begin(block), word = p / kLiveBits;
  const uint32_t* always = parts.always + word;
  const int64_t length = blocks().length(block);
  const LiveTerms live =
      trans_ ? LiveTerms{parts.by_column + word * map_.cols + row, 1, map_.cols, always}
             : LiveTerms{parts.rows_of(map_, block, row), words(length), 1, always};
  const int64_t a_row = trans_ ? 1 : map_.cols, a_col = trans_ ? map_.cols : 1;
  kernels.gemm_block(sums + row * n_, n_, x + row * a_row + p * a_col, a_row, a_col, b + p * n_, n_,
                     rows, n_, length, 1.0f, beta, epilogue, leaves_out(map) ? &live : nullptr);
}

Pieces LiveProduct::finished_rows() const {
  return {m(), std::max<int64_t>(1, kFinishedFloats / n_)};
}

void LiveProduct::finish(const Kernels& kernels, float* c, const float* partial,
                         const GemmEpilogue& epilogue, int64_t tile) const {
  const int64_t rows = finished_rows().length(tile), begin = finished_rows().begin(tile) * n_;
  for (int64_t block = 1; block < blocks().count(); ++block) {
    kernels.accumulate(c + begin, partial + (block - 1) * m() * n_ + begin, rows * n_);
  }
  const float* no_terms = partial;
  kernels.gemm_block(c + begin, n_, no_terms, 0, 0, no_terms, n_, rows, n_, 0, 1.0f, 1.0f,
                     &epilogue, nullptr);
}

}  // namespace lamina::ops
