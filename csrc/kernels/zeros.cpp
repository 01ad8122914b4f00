// Where a matrix is zero, and whether another is finite: what a product must know to leave terms
// out.
#include <algorithm>

#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {

// Rows that are looked at before x is taken to have no zeros.
constexpr int64_t kSample = 4;

void nonzero_bits(uint32_t* by_row, int64_t words, uint32_t* by_column, int32_t* terms,
                  const float* x, int64_t x_row, int64_t rows, int64_t cols, int64_t fetched) {
  const auto column = [&](int64_t j) { return reinterpret_cast<int32_t*>(by_column + j); };
  const auto fill_columns = [&](uint32_t bits) {
    if (by_column == nullptr) return;
    const i32x16 word = splat(static_cast<int32_t>(bits));
    for_each_vector(cols, [&](int64_t j, int64_t n) { store(column(j), word, n); });
  };
  fill_columns(0);
  bool any_zero = false;
  for (int64_t i = 0; i < rows; ++i) {
    if (i == kSample && !any_zero) {
      for (; i < rows; ++i) std::copy_n(by_row, words, by_row + i * words);
      fill_columns(~uint32_t{0} >> (kLiveBits - rows));
      break;
    }
    if (i + 1 < rows) {
      fetch_row(x + (i + 1) * x_row, fetched * static_cast<int64_t>(sizeof(float)));
    }
    const i32x16 here = splat(static_cast<int32_t>(uint32_t{1} << i));
    uint32_t word = 0;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      // Not <: NaN is a term.
      const mask16 nonzero = !(load_upto(x + i * x_row + j, n) == zero());
      const uint32_t bits = to_bits(nonzero);
      any_zero |= bits != (uint32_t{1} << n) - 1;
      const int64_t shift = j % kLiveBits;
      word |= bits << shift;
      if (shift != 0 || j + n == cols) {
        by_row[i * words + j / kLiveBits] = word;
        word = 0;
      }
      if (by_column == nullptr) return;
      const i32x16 old = n == kLanes ? load(column(j)) : load(column(j), n);
      const i32x16 marked = select(nonzero, old | here, old);
      if (n == kLanes) {
        store(column(j), marked);
      } else {
        store(column(j), marked, n);
      }
    });
  }
  const auto marked = [](const uint32_t* word, int64_t n, int64_t stride) {
    uint32_t any_of = 0;
    for (int64_t i = 0; i < n; ++i) any_of |= word[i * stride];
    return __builtin_popcount(any_of);
  };
  const auto some = [](int64_t left) { return left < kLiveRows ? left : kLiveRows; };
  int32_t row_terms = 0, column_terms = 0;
  for (int64_t i = 0; i < rows; i += kLiveRows) {
    for (int64_t w = 0; w * kLiveBits < cols; ++w) {
      row_terms += marked(by_row + i * words + w, some(rows - i), words);
    }
  }
  for (int64_t j = 0; by_column != nullptr && j < cols; j += kLiveRows) {
    column_terms += marked(by_column + j, some(cols - j), 1);
  }
  terms[0] = row_terms;
  terms[1] = column_terms;
}

bool all_finite(const float* x, int64_t n) {
  Finite finite[4];  // one would wait for itself
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    LAMINA_UNROLL
    for (int s = 0; s < 4; ++s) finite[s].see(load(x + i + s * kLanes));
  }
  for (; i < n; i += kLanes) {
    const int64_t lanes = n - i < kLanes ? n - i : kLanes;
    finite[0].see(load_upto(x + i, lanes));
  }
  return finite[0].all() && finite[1].all() && finite[2].all() && finite[3].all();
}

}  // namespace lamina::LAMINA_ISA
