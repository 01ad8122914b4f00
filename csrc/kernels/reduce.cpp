// Sums and maxima along rows and columns, and the additions that go with them. The order of every
// sum is fixed by the shape alone.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/narrow.h"
#include "kernels/simd.h"
#include "kernels/tree.h"

namespace lamina::LAMINA_ISA {
namespace {

constexpr int64_t kNarrow = 128;      // columns, whose rows the hardware foresees
constexpr int64_t kLeafVectors = 32;  // of a row: a tree in registers

// The sum of n floats in the lanes of a vector.
f32x16 sum_vectors(const float* x, int64_t n) {
  constexpr int64_t leaf = kLeafVectors * kLanes;
  const auto at = [=](int64_t i) LAMINA_LAMBDA { return load(x + i * kLanes); };
  if (n == leaf) return pairwise<kLeafVectors>(at, 0);
  if (n < leaf) {
    const int64_t whole = n / kLanes, left = n % kLanes;
    const f32x16 rest = left == 0 ? zero() : load(x + whole * kLanes, left);
    return pairwise_upto<kLeafVectors / 2>(at, whole) + rest;
  }
  int64_t half = leaf;
  while (2 * half < n) half *= 2;
  return sum_vectors(x, half) + sum_vectors(x + half, n - half);
}

// The largest first, then where it is: looking for both at once would make each vector wait for
// the one before. A NaN is larger than any number.
LAMINA_INLINE int32_t first_largest(const float* x, int64_t cols) {
  const float* next = next_row(x, cols);
  f32x16 best = splat(-kInfinity);
  mask16 nan = is_nan(zero());
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    prefetch_second(next + cols + j);
    const f32x16 v = load_or(x + j, n, -kInfinity);
    best = max(best, v);
    nan = nan | is_nan(v);
  });
  const bool any_nan = any(nan);
  const float value = largest(best);
  const f32x16 wanted = splat(value);
  int64_t j = 0;
  for (; j + kLanes < cols; j += kLanes) {
    const f32x16 v = load(x + j);
    if (any(any_nan ? is_nan(v) : v == wanted)) break;
  }
  for (; j < cols - 1; ++j) {
    if (any_nan ? x[j] != x[j] : x[j] == value) break;
  }
  return static_cast<int32_t>(j);
}

}  // namespace

// out (cols), x (rows, cols) with rows x_row floats apart
void column_sums(float* out, const float* x, int64_t x_row, int64_t rows, int64_t cols) {
  const bool fetches = cols > kNarrow;
  sum_rows({out}, rows, cols, [=](int, int64_t i, int64_t j, int64_t n) LAMINA_LAMBDA {
    if (fetches) prefetch_second(x + (i + kTreeRows) * x_row + j);
    return load_upto(x + i * x_row + j, n);
  });
}

void row_sums(float* out, const float* x, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) out[i] = sum(sum_vectors(x + i * cols, cols));
}

void row_argmax(int32_t* out, const float* x, int64_t rows, int64_t cols) {
  if (cols > kLanes) {
    for (int64_t i = 0; i < rows; ++i) out[i] = first_largest(x + i * cols, cols);
    return;
  }
  Columns block;
  for (int64_t i = 0; i < rows; i += kLanes) {
    block.read(x + i * cols, rows - i, cols);
    f32x16 best = block.at(0);
    i32x16 where = splat(0);
    for (int64_t j = 1; j < cols; ++j) {
      const f32x16 v = block.at(j);
      const mask16 better = (v > best) | (is_nan(v) & !is_nan(best));
      best = select(better, v, best);
      where = select(better, splat(static_cast<int32_t>(j)), where);
    }
    if (rows - i < kLanes) {
      store(out + i, where, rows - i);
    } else {
      store(out + i, where);
    }
  }
}

void accumulate(float* y, const float* x, int64_t n) {
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    store_upto(y + i, load_upto(y + i, lanes) + load_upto(x + i, lanes), lanes);
  });
}

void add_bias(float* y, const float* x, const float* bias, int64_t rows, int64_t cols) {
  const bool past = streamed(rows * cols, y, x);
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    map_vectors(y, cols, past,
                [&](int64_t j, int64_t n) { return load_upto(x + j, n) + load_upto(bias + j, n); });
  }
  if (past) finish_streams();
}

void scale_offset(float* y, const float* x, int64_t n, float scale, float offset) {
  const f32x16 a = splat(scale), b = splat(offset);
  const bool past = streamed(n, y, x);
  map_vectors(y, n, past,
              [&](int64_t i, int64_t lanes) { return fma(load_upto(x + i, lanes), a, b); });
  if (past) finish_streams();
}

}  // namespace lamina::LAMINA_ISA
