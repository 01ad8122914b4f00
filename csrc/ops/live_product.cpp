#include "ops/live_product.h"

#include <algorithm>

#include "ops/gemm.h"

namespace lamina::ops {
namespace {

constexpr int64_t kLeastRows = 8;       // of C: the check reads all of B
constexpr int64_t kLeastColumns = 32;   // of C: the scan costs as much as a few columns
constexpr int64_t kMostColumns = 512;   // a strip of more would have to be copied, as Gemm does
constexpr int64_t kTileWork = 1 << 19;  // multiply-adds
constexpr int64_t kCheckedWords = 4;    // a tile

int64_t words(int64_t n) { return (n + kLiveBits - 1) / kLiveBits; }

// What a map holds: for each 32 rows of X the two counts of nonzero_bits, the words of
// LiveTerms::always, the bits by rows, the bits by columns.
struct Parts {
  int32_t* terms;
  uint32_t *always, *by_row, *by_column;

  Parts(const LiveMap& map, const float* memory) {
    terms = reinterpret_cast<int32_t*>(const_cast<float*>(memory));
    always = reinterpret_cast<uint32_t*>(terms + 2 * words(map.rows));
    by_row = always + words(std::max(map.rows, map.cols));
    by_column = map.transposed ? by_row + map.rows * words(map.cols) : nullptr;
  }
};

}  // namespace

int64_t LiveMap::floats() const {
  return 2 * words(rows) + words(std::max(rows, cols)) + rows * words(cols) +
         (transposed ? words(rows) * cols : 0);
}

int64_t LiveMap::tiles() const { return words(rows); }

void LiveMap::scan(const Kernels& kernels, float* map, const float* x, int64_t tile) const {
  const Parts parts(*this, map);
  const int64_t first = tile * kLiveBits;
  kernels.nonzero_bits(parts.by_row + first * words(cols),
                       transposed ? parts.by_column + tile * cols : nullptr, parts.terms + 2 * tile,
                       x + first * cols, std::min(kLiveBits, rows - first), cols);
}

bool LiveProduct::may_pay() const {
  return m() >= kLeastRows && kLeastColumns <= n_ && n_ <= kMostColumns;
}

// A term of three rows costs more reads of B than one of six, and the ends of short runs of terms
// are guessed wrong: with 63 % of the terms a training step of MNIST's size takes 0.82 of the time
// with all, and from four fifths on there is nothing to gain.
bool LiveProduct::leaves_out(const float* map) const {
  if (!may_pay()) return false;
  const Parts parts(map_, map);
  int64_t taken = 0;
  for (int64_t i = 0; i < words(map_.rows); ++i) taken += parts.terms[2 * i + (trans_ ? 1 : 0)];
  return 5 * taken * kLiveRows < 4 * m() * k();
}

Pieces LiveProduct::checks() const { return {words(k()), kCheckedWords}; }

void LiveProduct::check(const Kernels& kernels, float* map, const float* b, int64_t tile) const {
  if (!leaves_out(map)) return;
  const Parts parts(map_, map);
  for (int64_t w = checks().begin(tile); w < checks().end(tile); ++w) {
    const int64_t first = w * kLiveBits, rows = std::min(kLiveBits, k() - first);
    const bool finite = kernels.all_finite(b + first * n_, rows * n_);
    parts.always[w] = finite ? 0 : ~uint32_t{0} >> (kLiveBits - rows);
  }
}

Pieces LiveProduct::pieces() const {
  const int64_t least = std::clamp<int64_t>(m() / 4, 8, 24);
  return {m(), std::max(least, kTileWork / std::max<int64_t>(1, n_ * k()))};
}

void LiveProduct::run(const Kernels& kernels, float* c, const float* x, const float* b,
                      const float* map, const GemmEpilogue& epilogue, int64_t tile) const {
  const bool leaves = leaves_out(map);
  const Parts parts(map_, map);
  const int64_t first = pieces().begin(tile), rows = pieces().length(tile);
  const int64_t a_row = trans_ ? 1 : map_.cols, a_col = trans_ ? map_.cols : 1;
  const LiveTerms all = trans_ ? LiveTerms{parts.by_column, 1, map_.cols, parts.always}
                               : LiveTerms{parts.by_row, words(map_.cols), 1, parts.always};
  int64_t p = 0;
  do {  // once even if k is 0
    const int64_t depth = std::min(kGemmBlockK, k() - p), word = p / kLiveBits;
    const LiveTerms live{all.words + first * all.row + word * all.word, all.row, all.word,
                         all.always + word};
    kernels.gemm_block(c + first * n_, n_, x + first * a_row + p * a_col, a_row, a_col, b + p * n_,
                       n_, rows, n_, depth, 1.0f, p == 0 ? 0.0f : 1.0f,
                       p + depth == k() ? &epilogue : nullptr, leaves ? &live : nullptr);
    p += depth;
  } while (p < k());
}

}  // namespace lamina::ops
