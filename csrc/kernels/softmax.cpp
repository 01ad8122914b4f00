// Softmax and its logarithm along rows, each forward above its gradient. The maximum of the row is
// subtracted first, so that no finite input overflows; a row that holds NaN or +inf, or nothing
// but -inf, becomes NaN as NumPy's formula has it.
//
// Short rows (a classifier's ten classes) go sixteen at a time, see narrow.h. A row that is written
// past the caches keeps its exponentials on the stack in between.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/narrow.h"
#include "kernels/simd.h"
#include "kernels/tree.h"

namespace lamina::LAMINA_ISA {
namespace {

LAMINA_INLINE float row_largest(const float* x, int64_t cols) {
  f32x16 most = splat(-kInfinity);
  for_each_vector(cols,
                  [&](int64_t j, int64_t n) { most = max(most, load_or(x + j, n, -kInfinity)); });
  return largest(most);
}

// Rows of up to sixteen columns: finish(block, most) turns a block of them, whose largest elements
// are `most`, into the results.
template <class Finish>
LAMINA_INLINE void short_rows(float* y, const float* x, int64_t rows, int64_t cols,
                              Finish&& finish) {
  Columns block;
  for (int64_t i = 0; i < rows; i += kLanes) {
    block.read(x + i * cols, rows - i, cols);
    f32x16 most = splat(-kInfinity);
    for (int64_t j = 0; j < cols; ++j) most = max(most, block.at(j));
    finish(block, most);
    block.write(y + i * cols, rows - i, cols);
  }
}

}  // namespace

// y[i, j] = exp(x[i, j] - m) / sum_k exp(x[i, k] - m), m = max_k x[i, k]
void softmax_forward(float* y, const float* x, int64_t rows, int64_t cols) {
  if (cols <= kLanes) {
    short_rows(y, x, rows, cols, [&](Columns& block, f32x16 most) {
      f32x16 total = zero();
      for (int64_t j = 0; j < cols; ++j) {
        const f32x16 e = exp_nonpositive(block.at(j) - most);
        block.set(j, e);
        total = total + e;
      }
      const f32x16 inverse = splat(1.0f) / total;
      for (int64_t j = 0; j < cols; ++j) block.set(j, block.at(j) * inverse);
    });
    return;
  }
  const bool past = streamed(rows * cols, y, x) && cols <= kKeptFloats;
  alignas(64) float kept[kKeptFloats];
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    const f32x16 most = splat(row_largest(x, cols));
    const float* next = next_row(x, cols);
    float* exponentials = past ? kept : y;
    TreeSum total;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      prefetch(next + j);
      const f32x16 e = exp_nonpositive(load_or(x + j, n, -kInfinity) - most);
      total.add(e);
      store_upto(exponentials + j, e, n);
    });
    const f32x16 inverse = splat(1.0f / sum(total.total()));
    map_vectors(y, cols, past,
                [&](int64_t j, int64_t n) { return load_upto(exponentials + j, n) * inverse; });
  }
  if (past) finish_streams();
}

// dx = y (dy - sum_k dy_k y_k)
void softmax_backward(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols) {
  const bool past = streamed(rows * cols, dx, dy) && dx != y && cols > kLanes;
  for (int64_t i = 0; i < rows; ++i, dx += cols, dy += cols, y += cols) {
    TreeSum total;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      total.add_product(load_upto(dy + j, n), load_upto(y + j, n));
    });
    const f32x16 mean = splat(sum(total.total()));
    map_vectors(dx, cols, past, [&](int64_t j, int64_t n) {
      return load_upto(y + j, n) * (load_upto(dy + j, n) - mean);
    });
  }
  if (past) finish_streams();
}

// y[i, j] = (x[i, j] - m) - log(sum_k exp(x[i, k] - m))
void log_softmax_forward(float* y, const float* x, int64_t rows, int64_t cols) {
  if (cols <= kLanes) {
    short_rows(y, x, rows, cols, [&](Columns& block, f32x16 most) {
      f32x16 total = zero();
      for (int64_t j = 0; j < cols; ++j) {
        const f32x16 shifted = block.at(j) - most;
        block.set(j, shifted);
        total = total + exp_nonpositive(shifted);
      }
      const f32x16 log_total = log(total);
      for (int64_t j = 0; j < cols; ++j) block.set(j, block.at(j) - log_total);
    });
    return;
  }
  const bool past = streamed(rows * cols, y, x);
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    const f32x16 most = splat(row_largest(x, cols));
    const float* next = next_row(x, cols);
    TreeSum total;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      prefetch(next + j);
      total.add(exp_nonpositive(load_or(x + j, n, -kInfinity) - most));
    });
    const f32x16 log_total = log(splat(sum(total.total())));
    map_vectors(y, cols, past,
                [&](int64_t j, int64_t n) { return (load_upto(x + j, n) - most) - log_total; });
  }
  if (past) finish_streams();
}

// dx = dy - exp(y) sum_k dy_k
void log_softmax_backward(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols) {
  const bool past = streamed(rows * cols, dx, dy) && dx != y && cols > kLanes;
  for (int64_t i = 0; i < rows; ++i, dx += cols, dy += cols, y += cols) {
    TreeSum total;
    for_each_vector(cols, [&](int64_t j, int64_t n) { total.add(load_upto(dy + j, n)); });
    const f32x16 all = splat(sum(total.total()));
    map_vectors(dx, cols, past, [&](int64_t j, int64_t n) {
      return fnma(exp(load_upto(y + j, n)), all, load_upto(dy + j, n));
    });
  }
  if (past) finish_streams();
}

}  // namespace lamina::LAMINA_ISA
