// Softmax and its logarithm along rows, each forward above its gradient. The maximum of the row is
// subtracted first, so that no finite input overflows; a row that holds NaN or +inf, or nothing
// but -inf, becomes NaN as NumPy's formula has it.
//
// Rows of up to one vector (a classifier's ten classes) stay in a register from the first
// load to the last store.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

LAMINA_INLINE float row_largest(const float* x, int64_t cols) {
  f32x16 most = splat(-kInfinity);
  for_each_vector(cols,
                  [&](int64_t j, int64_t n) { most = max(most, load_or(x + j, n, -kInfinity)); });
  return largest(most);
}

}  // namespace

// y[i, j] = exp(x[i, j] - m) / sum_k exp(x[i, k] - m), m = max_k x[i, k]
void softmax_forward(float* y, const float* x, int64_t rows, int64_t cols) {
  if (cols <= kLanes) {
    for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
      const f32x16 v = load_or(x, cols, -kInfinity);
      const f32x16 e = exp(v - splat(largest(v)));
      store_upto(y, e * splat(1.0f / sum(e)), cols);
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    const f32x16 most = splat(row_largest(x, cols));
    f32x16 total = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 e = exp(load_or(x + j, n, -kInfinity) - most);
      total = total + e;
      store_upto(y + j, e, n);
    });
    const f32x16 inverse = splat(1.0f / sum(total));
    for_each_vector(
        cols, [&](int64_t j, int64_t n) { store_upto(y + j, load_upto(y + j, n) * inverse, n); });
  }
}

// dx = y (dy - sum_k dy_k y_k)
void softmax_backward(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, dx += cols, dy += cols, y += cols) {
    f32x16 total = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      total = fma(load_upto(dy + j, n), load_upto(y + j, n), total);
    });
    const f32x16 mean = splat(sum(total));
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      store_upto(dx + j, load_upto(y + j, n) * (load_upto(dy + j, n) - mean), n);
    });
  }
}

// y[i, j] = (x[i, j] - m) - log(sum_k exp(x[i, k] - m))
void log_softmax_forward(float* y, const float* x, int64_t rows, int64_t cols) {
  if (cols <= kLanes) {
    for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
      const f32x16 v = load_or(x, cols, -kInfinity);
      const f32x16 shifted = v - splat(largest(v));
      store_upto(y, shifted - log(splat(sum(exp(shifted)))), cols);
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    const f32x16 most = splat(row_largest(x, cols));
    f32x16 total = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      total = total + exp(load_or(x + j, n, -kInfinity) - most);
    });
    const f32x16 log_total = log(splat(sum(total)));
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      store_upto(y + j, (load_upto(x + j, n) - most) - log_total, n);
    });
  }
}

// dx = dy - exp(y) sum_k dy_k
void log_softmax_backward(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, dx += cols, dy += cols, y += cols) {
    f32x16 total = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) { total = total + load_upto(dy + j, n); });
    const f32x16 all = splat(sum(total));
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      store_upto(dx + j, fnma(exp(load_upto(y + j, n)), all, load_upto(dy + j, n)), n);
    });
  }
}

}  // namespace lamina::LAMINA_ISA
