// Sums and maxima along rows and columns, and the additions that go with them. The order of every
// sum is fixed by the shape alone.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
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

}  // namespace

void column_sums(float* out, const float* x, int64_t rows, int64_t cols) {
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

// The lanes each keep their first best element and where it was; then the best lane wins, the
// smallest index among equals. A NaN is better than any number and no better than another NaN.
void row_argmax(int32_t* out, const float* x, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols) {
    f32x16 best = splat(-kInfinity);
    i32x16 where = lane_numbers(), index = where;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 v = load_or(x + j, n, -kInfinity);
      const mask16 better = (v > best) | (is_nan(v) & !is_nan(best));
      best = select(better, v, best);
      where = select(better, index, where);
      index = index + splat(static_cast<int32_t>(kLanes));
    });
    float value[kLanes];
    int32_t place[kLanes];
    store(value, best);
    store(place, where);
    int first = 0;
    for (int lane = 1; lane < kLanes; ++lane) {
      const bool nan = value[lane] != value[lane], first_nan = value[first] != value[first];
      const bool equal = value[lane] == value[first] || (nan && first_nan);
      const bool better = value[lane] > value[first] || (nan && !first_nan);
      if (better || (equal && place[lane] < place[first])) first = lane;
    }
    out[i] = place[first];
  }
}

void accumulate(float* y, const float* x, int64_t n) {
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    store_upto(y + i, load_upto(y + i, lanes) + load_upto(x + i, lanes), lanes);
  });
}

void add_bias(float* y, const float* x, const float* bias, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      store_upto(y + j, load_upto(x + j, n) + load_upto(bias + j, n), n);
    });
  }
}

void scale_offset(float* y, const float* x, int64_t n, float scale, float offset) {
  const f32x16 a = splat(scale), b = splat(offset);
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    store_upto(y + i, fma(load_upto(x + i, lanes), a, b), lanes);
  });
}

}  // namespace lamina::LAMINA_ISA
