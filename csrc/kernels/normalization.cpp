// Statistics and normalisation of the columns of a matrix, for batch normalisation. A column is
// summed over the rows it is given in their order; ops/batch_norm cuts the rows into pieces, adds
// these up, and makes the per-column factors.
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Applies body(row offset, column, lanes) to every vector of a matrix.
template <class Body>
LAMINA_INLINE void for_each_row_vector(int64_t rows, int64_t cols, Body&& body) {
  for (int64_t i = 0; i < rows; ++i) {
    for_each_vector(cols, [&](int64_t j, int64_t n) { body(i * cols, j, n); });
  }
}

// Four vectors of columns at a time: the sums of one alone would wait for each other.
constexpr int kColumnVectors = 4;

template <int vectors>
LAMINA_INLINE void squares(float* out, const float* x, const float* mean, int64_t rows,
                           int64_t cols, int64_t j, int64_t n) {
  f32x16 total[vectors], center[vectors];
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    total[v] = zero();
    center[v] = load_upto(mean + j + v * kLanes, n);
  }
  for (int64_t i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const f32x16 d = load_upto(x + i * cols + j + v * kLanes, n) - center[v];
      total[v] = fma(d, d, total[v]);
    }
  }
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) store_upto(out + j + v * kLanes, total[v], n);
}

template <int vectors>
LAMINA_INLINE void sums(float* dscale, float* dshift, const float* dy, const float* x,
                        const float* mean, const float* rstd, int64_t rows, int64_t cols, int64_t j,
                        int64_t n) {
  f32x16 along[vectors], total[vectors], center[vectors];
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    along[v] = total[v] = zero();
    center[v] = load_upto(mean + j + v * kLanes, n);
  }
  for (int64_t i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const int64_t at = i * cols + j + v * kLanes;
      const f32x16 d = load_upto(dy + at, n);
      total[v] = total[v] + d;
      along[v] = fma(d, load_upto(x + at, n) - center[v], along[v]);
    }
  }
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const int64_t at = j + v * kLanes;
    store_upto(dshift + at, total[v], n);
    store_upto(dscale + at, along[v] * load_upto(rstd + at, n), n);
  }
}

}  // namespace

// out, mean (cols), x (rows, cols)
void column_squares(float* out, const float* x, const float* mean, int64_t rows, int64_t cols) {
  int64_t j = 0;
  for (; j + kColumnVectors * kLanes <= cols; j += kColumnVectors * kLanes) {
    squares<kColumnVectors>(out, x, mean, rows, cols, j, kLanes);
  }
  for_each_vector(cols - j,
                  [&](int64_t i, int64_t n) { squares<1>(out, x, mean, rows, cols, j + i, n); });
}

// y, x (rows, cols), mean, scale, shift (cols)
void normalize(float* y, const float* x, const float* mean, const float* scale, const float* shift,
               int64_t rows, int64_t cols) {
  for_each_row_vector(rows, cols, [&](int64_t row, int64_t j, int64_t n) {
    const f32x16 d = load_upto(x + row + j, n) - load_upto(mean + j, n);
    store_upto(y + row + j, fma(d, load_upto(scale + j, n), load_upto(shift + j, n)), n);
  });
}

// dscale, dshift, mean, rstd (cols), dy, x (rows, cols). rstd is the same in every row, so it
// multiplies the sum.
void normalize_sums(float* dscale, float* dshift, const float* dy, const float* x,
                    const float* mean, const float* rstd, int64_t rows, int64_t cols) {
  int64_t j = 0;
  for (; j + kColumnVectors * kLanes <= cols; j += kColumnVectors * kLanes) {
    sums<kColumnVectors>(dscale, dshift, dy, x, mean, rstd, rows, cols, j, kLanes);
  }
  for_each_vector(cols - j, [&](int64_t i, int64_t n) {
    sums<1>(dscale, dshift, dy, x, mean, rstd, rows, cols, j + i, n);
  });
}

// dx, dy, x (rows, cols), mean, a, b, c (cols)
void normalize_backward(float* dx, const float* dy, const float* x, const float* mean,
                        const float* a, const float* b, const float* c, int64_t rows,
                        int64_t cols) {
  for_each_row_vector(rows, cols, [&](int64_t row, int64_t j, int64_t n) {
    const f32x16 d = load_upto(x + row + j, n) - load_upto(mean + j, n);
    const f32x16 rest = fma(load_upto(b + j, n), d, load_upto(c + j, n));
    store_upto(dx + row + j, fma(load_upto(a + j, n), load_upto(dy + row + j, n), rest), n);
  });
}

}  // namespace lamina::LAMINA_ISA
