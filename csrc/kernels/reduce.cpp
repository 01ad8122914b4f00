// Sums and maxima along rows and columns, and the additions that go with them. The order of every
// sum is fixed by the shape alone.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/narrow.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Sums of `vectors` vectors of columns at once: each row then costs one long contiguous read.
template <int vectors>
LAMINA_INLINE void sum_columns(float* out, const float* x, int64_t rows, int64_t cols) {
  f32x16 total[vectors];
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) total[v] = zero();
  for (int64_t i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int v = 0; v < vectors; ++v) total[v] = total[v] + load(x + i * cols + kLanes * v);
  }
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) store(out + kLanes * v, total[v]);
}

// Rows of wider matrices that are added to the sums at a time: a sum is loaded and stored once in
// eight additions, and the rows after the next eight are asked for in the order of memory. Walking
// down a strip of columns instead would read 256 bytes a row: 40 % of the speed from memory.
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kNarrow = 128;  // columns

// out += the rows of x in their order.
template <int64_t count>
LAMINA_INLINE void add_rows(float* out, const float* x, int64_t cols) {
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    f32x16 total = load_upto(out + j, n);
    LAMINA_UNROLL
    for (int64_t i = 0; i < count; ++i) {
      prefetch_second(x + 2 * count * cols + j * count + i * kLanes);
      total = total + load_upto(x + i * cols + j, n);
    }
    store_upto(out + j, total, n);
  });
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

void column_sums(float* out, const float* x, int64_t rows, int64_t cols) {
  if (cols > kNarrow) {
    for_each_vector(cols, [&](int64_t j, int64_t n) { store_upto(out + j, zero(), n); });
    int64_t i = 0;
    for (; i + kRowsAtOnce <= rows; i += kRowsAtOnce)
      add_rows<kRowsAtOnce>(out, x + i * cols, cols);
    for (; i < rows; ++i) add_rows<1>(out, x + i * cols, cols);
    return;
  }
  int64_t j = 0;
  for (; j + 4 * kLanes <= cols; j += 4 * kLanes) sum_columns<4>(out + j, x + j, rows, cols);
  for (; j + kLanes <= cols; j += kLanes) sum_columns<1>(out + j, x + j, rows, cols);
  if (j == cols) return;
  f32x16 total = zero();
  for (int64_t i = 0; i < rows; ++i) total = total + load(x + i * cols + j, cols - j);
  store(out + j, total, cols - j);
}

// Four chains of sums, vector v of the row going to chain v % 4, so that the adder's latency does
// not set the pace.
void row_sums(float* out, const float* x, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols) {
    f32x16 chain[4] = {zero(), zero(), zero(), zero()};
    int64_t j = 0;
    for (; j + 4 * kLanes <= cols; j += 4 * kLanes) {
      LAMINA_UNROLL
      for (int v = 0; v < 4; ++v) chain[v] = chain[v] + load(x + j + kLanes * v);
    }
    LAMINA_UNROLL
    for (int v = 0; v < 4; ++v) {
      const int64_t left = cols - j - kLanes * v;
      if (left > 0) {
        chain[v] = chain[v] + load_upto(x + j + kLanes * v, left < kLanes ? left : kLanes);
      }
    }
    out[i] = sum((chain[0] + chain[1]) + (chain[2] + chain[3]));
  }
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
