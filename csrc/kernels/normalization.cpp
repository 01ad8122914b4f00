// Statistics and normalisation of the columns of a matrix, for batch normalisation. Sums are trees
// over the rows; ops/batch_norm cuts these into pieces, adds the pieces up, and makes the
// per-column factors.
#include "kernels/declarations.h"
#include "kernels/simd.h"
#include "kernels/tree.h"

namespace lamina::LAMINA_ISA {
namespace {

constexpr int64_t kNarrow = 128;  // columns, as in reduce.cpp

// The rows of a wide matrix are too far apart for the hardware to foresee the next ones.
LAMINA_INLINE void fetch_next(const float* x, int64_t i, int64_t j, int64_t cols) {
  if (cols > kNarrow) prefetch_second(x + (i + kTreeRows) * cols + j);
}

}  // namespace

// sums, squares, center (cols), x (rows, cols)
void column_deviations(float* sums, float* squares, const float* x, const float* center,
                       int64_t rows, int64_t cols) {
  sum_rows({sums, squares}, rows, cols,
           [=](int sum, int64_t i, int64_t j, int64_t n) LAMINA_LAMBDA {
             if (sum == 0) fetch_next(x, i, j, cols);
             const f32x16 d = load_upto(x + i * cols + j, n) - load_upto(center + j, n);
             return sum == 0 ? d : d * d;
           });
}

// y, x (rows, cols), mean, scale, shift (cols)
void normalize(float* y, const float* x, const float* mean, const float* scale, const float* shift,
               int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 d = load_upto(x + j, n) - load_upto(mean + j, n);
      store_upto(y + j, fma(d, load_upto(scale + j, n), load_upto(shift + j, n)), n);
    });
  }
}

// dscale, dshift, mean, rstd (cols), dy, x (rows, cols). rstd is the same in every row, so it
// multiplies the sum.
void normalize_sums(float* dscale, float* dshift, const float* dy, const float* x,
                    const float* mean, const float* rstd, int64_t rows, int64_t cols) {
  sum_rows({dshift, dscale}, rows, cols,
           [=](int sum, int64_t i, int64_t j, int64_t n) LAMINA_LAMBDA {
             fetch_next(sum == 0 ? dy : x, i, j, cols);
             const f32x16 d = load_upto(dy + i * cols + j, n);
             return sum == 0 ? d : d * (load_upto(x + i * cols + j, n) - load_upto(mean + j, n));
           });
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    store_upto(dscale + j, load_upto(dscale + j, n) * load_upto(rstd + j, n), n);
  });
}

// dx, dy, x (rows, cols), mean, a, b, c (cols)
void normalize_backward(float* dx, const float* dy, const float* x, const float* mean,
                        const float* a, const float* b, const float* c, int64_t rows,
                        int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols, dy += cols, dx += cols) {
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 d = load_upto(x + j, n) - load_upto(mean + j, n);
      const f32x16 rest = fma(load_upto(b + j, n), d, load_upto(c + j, n));
      store_upto(dx + j, fma(load_upto(a + j, n), load_upto(dy + j, n), rest), n);
    });
  }
}

}  // namespace lamina::LAMINA_ISA
