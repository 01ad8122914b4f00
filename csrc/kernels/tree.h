// Sums as trees of a fixed shape: what every addition rounds is added up over the depth of the
// tree, which grows with the logarithm of the length, where a chain adds it up over the length
// (Higham, 2002, "Accuracy and stability of numerical algorithms", section 4.2). The shape follows
// from the number of terms alone. The part before a cut is a power of two of terms wherever it can
// be: then equal terms are added without any error in it.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// at(first) + ... + at(first + count - 1); count is a power of two.
template <int64_t count, class At>
LAMINA_INLINE f32x16 pairwise(const At& at, int64_t first) {
  if constexpr (count == 1) {
    return at(first);
  } else {
    return pairwise<count / 2>(at, first) + pairwise<count / 2>(at, first + count / 2);
  }
}

// at(0) + ... + at(count - 1) for count < 2 * most, the last ones first: of 13 it is
// 8 + (4 + 1).
template <int64_t most, class At>
LAMINA_INLINE f32x16 pairwise_upto(const At& at, int64_t count) {
  f32x16 rest = zero();
  if constexpr (most > 1)
    rest = pairwise_upto<most / 2>([&](int64_t i) { return at(i + (count & most)); },
                                   count & (most - 1));
  return (count & most) != 0 ? pairwise<most>(at, 0) + rest : rest;
}

// A sum whose terms come one after the other: chains of eight are the leaves of the tree.
class TreeSum {
 public:
  LAMINA_INLINE void add(f32x16 x) {
    chain_ = chain_ + x;
    count();
  }
  LAMINA_INLINE void add_product(f32x16 a, f32x16 b) {
    chain_ = fma(a, b, chain_);
    count();
  }
  LAMINA_INLINE f32x16 total() const {
    f32x16 all = chain_;
    int64_t leaves = terms_ / kLeaf;
    for (int level = 0; leaves != 0; leaves >>= 1, ++level) {
      if ((leaves & 1) != 0) all = level_[level] + all;
    }
    return all;
  }

 private:
  static constexpr int64_t kLeaf = 8;

  // As a binary counter carries: level k holds the sum of 2^k leaves where bit k is set.
  LAMINA_INLINE void count() {
    if (++terms_ % kLeaf != 0) return;
    f32x16 sum = chain_;
    int level = 0;
    for (int64_t leaves = terms_ / kLeaf; (leaves & 1) == 0; leaves >>= 1) {
      sum = level_[level++] + sum;
    }
    level_[level] = sum;
    chain_ = zero();
  }

  f32x16 chain_ = zero();
  int64_t terms_ = 0;
  f32x16 level_[60];
};

// --- sums over rows ------------------------------------------------------------------------------

constexpr int64_t kTreeRows = 16;      // of a leaf, which is a tree of registers
constexpr int64_t kTreeColumns = 512;  // of a strip: 2 KB of a row at a time, and for every level

// out[s * kTreeColumns + j] = the sum over the rows of at(s, row, begin + j, n).
template <int sums, class At>
void sum_strip(float* out, int64_t first, int64_t rows, int64_t begin, int64_t width,
               const At& at) {
  if (rows <= kTreeRows) {
    for_each_vector(width, [&](int64_t j, int64_t n) {
      LAMINA_UNROLL
      for (int s = 0; s < sums; ++s) {
        const auto term = [&](int64_t i) LAMINA_LAMBDA { return at(s, first + i, begin + j, n); };
        store_upto(out + s * kTreeColumns + j,
                   rows == kTreeRows ? pairwise<kTreeRows>(term, 0)
                                     : pairwise_upto<kTreeRows / 2>(term, rows),
                   n);
      }
    });
    return;
  }
  int64_t half = kTreeRows;
  while (2 * half < rows) half *= 2;
  alignas(64) float rest[sums * kTreeColumns];
  sum_strip<sums>(out, first, half, begin, width, at);
  sum_strip<sums>(rest, first + half, rows - half, begin, width, at);
  for (int s = 0; s < sums; ++s) {
    float* const total = out + s * kTreeColumns;
    const float* const more = rest + s * kTreeColumns;
    for_each_vector(width, [&](int64_t j, int64_t n) {
      store_upto(total + j, load_upto(total + j, n) + load_upto(more + j, n), n);
    });
  }
}

// out[s][j] = the sum over the rows i of at(s, i, j, n), a vector of n columns from j on.
template <int sums, class At>
LAMINA_INLINE void sum_rows(float* const (&out)[sums], int64_t rows, int64_t cols, const At& at) {
  for (int64_t j = 0; j < cols; j += kTreeColumns) {
    const int64_t width = cols - j < kTreeColumns ? cols - j : kTreeColumns;
    alignas(64) float strip[sums * kTreeColumns];
    sum_strip<sums>(strip, 0, rows, j, width, at);
    for (int s = 0; s < sums; ++s) {
      for_each_vector(width, [&](int64_t i, int64_t n) {
        store_upto(out[s] + j + i, load_upto(strip + s * kTreeColumns + i, n), n);
      });
    }
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
